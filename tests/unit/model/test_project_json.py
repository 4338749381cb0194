"""A recorded project is read back as it was."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from havre.errors import InputError
from havre.model.project import Mount, MountKind, Order, Project, Service, UpdatePolicy
from havre.model.project_json import VERSION, project_from_json, project_to_json

# A Compose file can state only finite sizes and durations, and JSON can write no others.
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))
st.register_type_strategy(int, st.integers(-(2**63), 2**63 - 1))  # what 64 bits hold, as in the files we read
projects = st.from_type(Project)


@settings(max_examples=60, deadline=None)
@given(projects)
def test_any_project_comes_back(project: Project) -> None:
    assert project_from_json(project_to_json(project)) == project


def test_equal_projects_give_equal_bytes() -> None:
    def project() -> Project:
        mount = Mount(kind=MountKind.BIND, target="/a", source="/b")
        update = UpdatePolicy(order=Order.STOP_FIRST)
        return Project(name="shop", services=(Service(name="web", image="a", mounts=(mount,), update=update),))

    assert project_to_json(project()) == project_to_json(project())


def test_fields_that_did_not_exist_when_it_was_recorded_get_their_default() -> None:
    data = json.dumps({"version": 1, "project": {"name": "shop", "services": [{"name": "web", "image": "app"}]}})
    assert project_from_json(data.encode()) == Project(name="shop", services=(Service(name="web", image="app"),))


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'{"version": 1}', b'{"version": 1, "project": {"name": 3}}', b"\xff"]
)
def test_damage_is_an_error_with_a_hint(data: bytes) -> None:
    with pytest.raises(InputError, match="a recorded configuration cannot be read") as caught:
        project_from_json(data)
    assert caught.value.problems[0].hint


def test_a_record_of_a_newer_havre_is_not_guessed_at() -> None:
    data = json.dumps({"version": VERSION + 1, "project": {"name": "shop"}}).encode()
    with pytest.raises(InputError, match=f"it has version {VERSION + 1}"):
        project_from_json(data)

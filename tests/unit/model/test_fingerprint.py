"""A fingerprint changes exactly when a running replica can no longer be kept (D12)."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.model.fingerprint import IN_ANY_ORDER, NOT_PART_OF_A_REPLICA, changed_parts, fingerprint
from havre.model.health import HealthCheck
from havre.model.project import Build, Dependency, Port, Resources, Service, UpdatePolicy

WEB = Service(name="web", image="web:1")


@pytest.mark.parametrize(
    "other",
    [
        replace(WEB, name="api"),
        replace(WEB, image="web:2"),
        replace(WEB, build=Build(context=".")),
        replace(WEB, replicas=4),
        replace(WEB, update=UpdatePolicy(parallelism=3)),
        replace(WEB, needs=(Dependency(service="db"),)),
        replace(WEB, ports=(Port(target=80),)),
        replace(WEB, stop_grace=60.0),
        replace(WEB, stop_grace_given=True),
    ],
)
def test_what_a_replica_is_not_made_of_restarts_nobody(other: Service) -> None:
    assert fingerprint(other) == fingerprint(WEB)


@pytest.mark.parametrize(
    ("other", "part"),
    [
        (replace(WEB, environment=(("A", "b"),)), "environment"),
        (replace(WEB, command=("serve",)), "command"),
        (replace(WEB, resources=Resources(memory=1)), "resources"),
        (replace(WEB, health=HealthCheck(test=("true",))), "health"),
        (replace(WEB, options=(("post_start", "[]"),)), "options"),
    ],
)
def test_a_change_is_told_by_the_name_of_its_field(other: Service, part: str) -> None:
    assert changed_parts(fingerprint(WEB), fingerprint(other)) == (part,)
    assert changed_parts(fingerprint(other), fingerprint(WEB)) == (part,)


def test_fields_at_their_default_are_left_out_so_that_new_ones_restart_nobody() -> None:
    assert fingerprint(WEB) == "v1"


def test_the_content_of_mounted_files_counts_in_any_order() -> None:
    one, two = ("/etc/a", "1"), ("/etc/b", "2")
    assert fingerprint(WEB, (one, two)) == fingerprint(WEB, (two, one))
    assert changed_parts(fingerprint(WEB, (one,)), fingerprint(WEB, (one, two))) == ("files",)


def test_a_fingerprint_of_another_version_differs_as_such() -> None:
    assert changed_parts("v0", fingerprint(WEB)) == ("version",)
    assert "version" in changed_parts("", fingerprint(WEB))


@given(st.permutations([("A", "1"), ("B", "2"), ("C", None)]))
def test_the_order_of_what_has_none_does_not_count(environment: list[tuple[str, str | None]]) -> None:
    given_first = replace(WEB, environment=(("A", "1"), ("B", "2"), ("C", None)))
    assert fingerprint(replace(WEB, environment=tuple(environment))) == fingerprint(given_first)


def test_the_named_fields_exist() -> None:
    names = {item.name for item in fields(Service)}
    assert names >= NOT_PART_OF_A_REPLICA
    assert names >= IN_ANY_ORDER

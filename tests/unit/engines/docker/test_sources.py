"""Mounted files that are not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from havre.engines.base import Context
from havre.engines.docker.sources import refuse_missing_sources, seccomp_profiles, similar_file
from havre.errors import InputError
from havre.model.project import FileSource, Grant, Mount, MountKind, Project, Service


def mounting(*mounts: Mount) -> Service:
    return Service(name="web", image="web:1", mounts=mounts)


def bind(source: Path, target: str, **how: bool) -> Mount:
    return Mount(kind=MountKind.BIND, source=str(source), target=target, **how)  # type: ignore[arg-type]


CONTEXT = Context(instance="shop", release=1, project=Project(name="shop"))


@pytest.mark.parametrize(
    ("source", "target", "refused"),
    [
        ("prometheus.yml", "/etc/prometheus/prometheus.yml", True),
        ("config", "/etc/app.conf", True),
        ("data", "/var/lib/data", False),
        ("conf.d", "/etc/nginx/conf.d", False),
        (".cache", "/root/.cache", False),
    ],
)
def test_a_missing_file_is_refused_and_a_missing_directory_is_made(
    tmp_path: Path, source: str, target: str, refused: bool
) -> None:
    service = mounting(bind(tmp_path / source, target))

    if not refused:
        refuse_missing_sources(service, CONTEXT)
        return
    with pytest.raises(InputError, match=f"{source} does not exist"):
        refuse_missing_sources(service, CONTEXT)


def test_a_directory_that_must_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        refuse_missing_sources(mounting(bind(tmp_path / "data", "/data", create_host_path=False)), CONTEXT)


def test_what_exists_is_fine(tmp_path: Path) -> None:
    (tmp_path / "a.conf").touch()

    refuse_missing_sources(mounting(bind(tmp_path / "a.conf", "/a.conf")), CONTEXT)


def test_all_missing_files_are_told_at_once_secrets_too(tmp_path: Path) -> None:
    project = Project(name="shop", secrets=(FileSource(key="token", file=str(tmp_path / "token")),))
    service = Service(
        name="web",
        image="web:1",
        mounts=(bind(tmp_path / "a.conf", "/a.conf"),),
        secrets=(Grant(source="token", target="/run/secrets/token"),),
    )

    with pytest.raises(InputError) as failure:
        refuse_missing_sources(service, Context(instance="shop", release=1, project=project))

    assert [problem.subject for problem in failure.value.problems] == ["shop/web", "shop/web"]


def test_the_same_name_nearby_is_proposed_before_a_similar_one(tmp_path: Path) -> None:
    (tmp_path / "monitoring" / "prometheus").mkdir(parents=True)
    (tmp_path / "monitoring" / "prometheus" / "prometheus.yml").touch()
    (tmp_path / "prometheus.yaml").touch()

    assert similar_file(tmp_path / "prometheus.yml") == tmp_path / "monitoring" / "prometheus" / "prometheus.yml"


def test_a_misspelt_name_is_proposed(tmp_path: Path) -> None:
    (tmp_path / "nginx.conf").touch()

    assert similar_file(tmp_path / "conf" / "ngnix.conf") == tmp_path / "nginx.conf"


def test_nothing_is_proposed_where_nothing_is_similar(tmp_path: Path) -> None:
    (tmp_path / "something").touch()

    assert similar_file(tmp_path / "prometheus.yml") is None


def test_the_whole_disk_is_not_searched() -> None:
    assert similar_file(Path("/no-such-directory/prometheus.yml")) is None


def test_a_seccomp_profile_is_read(tmp_path: Path) -> None:
    profile = tmp_path / "profile.json"
    profile.write_text("{}")
    service = Service(name="web", image="x", security_opt=(f"seccomp:{profile}", "seccomp=unconfined", "label:disable"))

    assert seccomp_profiles(service) == {str(profile): "{}"}


def test_a_seccomp_profile_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="seccomp profile"):
        seccomp_profiles(Service(name="web", image="x", security_opt=(f"seccomp={tmp_path}/none.json",)))

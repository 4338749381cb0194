"""Configuration files that cannot be tried: what keeps them from it is another check's to tell."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from havre.engines.base import Context, Executed
from havre.errors import FailedError, Problem
from havre.model.app import App
from havre.model.observed import Observed, ObservedImage
from havre.model.project import FileSource, Grant, Mount, MountKind, Project, Service
from havre.workflows.configurations import try_configurations


@dataclass
class Images:
    """An engine that can try a service once, and cannot make what lacks something."""

    tried: list[str] = field(default_factory=list)

    def try_once(self, service: Service, _context: Context, *, timeout: float) -> Executed | None:
        self.tried.append(service.name)
        assert timeout > 0
        raise FailedError(Problem(summary="no such device", hint="x"))


@pytest.fixture
def site(tmp_path: Path) -> Service:
    (tmp_path / "site.conf").write_text("server {}")
    mount = Mount(kind=MountKind.BIND, source=str(tmp_path / "site.conf"), target="/etc/nginx/conf.d/a.conf")
    return Service(name="web", image="nginx:1", mounts=(mount,), secrets=(Grant(source="token", target="/t"),))


def refused(engine: Images, service: Service, tmp_path: Path) -> Any:
    token = FileSource(key="token", file=str(tmp_path / "token.txt"))
    project = Project(name="shop", services=(service,), secrets=(token,))
    observed = Observed(instance="shop", images=(ObservedImage(reference="nginx:1", id="sha256:1"),))
    server = SimpleNamespace(engine=engine, state=SimpleNamespace(directory=tmp_path))
    return try_configurations(cast("Any", server), App(name="shop", directory=str(tmp_path)), project, observed)


def test_a_missing_file_of_a_secret_is_not_tried(site: Service, tmp_path: Path) -> None:
    engine = Images()
    assert refused(engine, site, tmp_path) == ()
    assert engine.tried == []


def test_a_path_that_nobody_can_look_at_is_no_file(site: Service, tmp_path: Path) -> None:
    engine, mount = Images(), replace(site.mounts[0], source=f"/{'x' * 300}")
    assert refused(engine, replace(site, mounts=(mount,)), tmp_path) == ()
    assert engine.tried == []


def test_what_the_engine_cannot_make_says_nothing_of_the_file(site: Service, tmp_path: Path) -> None:
    (tmp_path / "token.txt").write_text("x")
    engine = Images()
    assert refused(engine, site, tmp_path) == ()
    assert engine.tried == ["web"]

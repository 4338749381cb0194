"""A project from texts, checked: `judge(compose)` gives the report, `judge.lines(id, compose)` what one check says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from havre.checks.case import Case
from havre.checks.registry import ALL
from havre.checks.report import Report, run_checks
from havre.compose import LoadRequest, load_project
from havre.compose.lower import lower
from havre.errors import InputError, Location, Problem
from havre.manifest import parse_app

DIRECTORY = "/srv/shop"


@dataclass
class Texts:
    """Files that exist only in memory."""

    files: Mapping[str, str] = field(default_factory=dict)

    def read(self, path: str, shown: str) -> bytes:
        if path not in self.files:
            raise InputError(Problem(summary=f"no {shown}", hint="x", at=Location(shown)))
        return self.files[path].encode()

    def is_file(self, path: str) -> bool:
        return path in self.files

    def is_dir(self, path: str) -> bool:
        return any(name.startswith(f"{path}/") for name in self.files)

    def real(self, path: str) -> str:
        return path


class Judge:
    """Loads texts as the real thing does and runs the checks over them."""

    def case(
        self, compose: str, manifest: str = "app: shop", *, env: str = "", environment: str = "production", **facts: Any
    ) -> Case:
        app = parse_app(manifest, directory=DIRECTORY, environment=environment)
        request = LoadRequest(
            files=(f"{DIRECTORY}/compose.yaml",),
            working_dir=DIRECTORY,
            env_files=(f"{DIRECTORY}/.env",),
            environment={},
            project_name=app.instance,
        )
        texts = Texts({f"{DIRECTORY}/compose.yaml": compose, f"{DIRECTORY}/.env": env})
        loaded = load_project(request, read=texts)
        return Case.of(app, lower(loaded, instance=app.instance), loaded, **facts)

    def __call__(self, compose: str, manifest: str = "app: shop", *, today: str = "2026-11-20", **facts: Any) -> Report:
        return run_checks(self.case(compose, manifest, **facts), ALL, today=today)

    def problems(self, check: str, compose: str, manifest: str = "app: shop", **facts: Any) -> list[Problem]:
        report = self(compose, manifest, **facts)
        assert check in report.ran
        return [problem for problem in report.problems if problem.code == check]

    def lines(self, check: str, compose: str, manifest: str = "app: shop", **facts: Any) -> list[str]:
        found = self.problems(check, compose, manifest, **facts)
        return [str(problem).replace(f"{DIRECTORY}/", "").split("\n", 1)[0] for problem in found]


@pytest.fixture
def judge() -> Judge:
    return Judge()

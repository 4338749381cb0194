"""Which package manager a source tree means, and in which version."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from havre.engines.process import node
from havre.engines.process.node import BERRY, BUN, NPM, PNPM, YARN, Manager, manager_of, run_script, scripts_of


@pytest.mark.parametrize(
    ("files", "said", "manager", "version"),
    [
        ({}, None, NPM, ""),
        ({"package-lock.json": "{}"}, None, NPM, ""),
        ({"pnpm-lock.yaml": "lockfileVersion: '9.0'\n"}, None, PNPM, "9"),
        ({"pnpm-lock.yaml": "lockfileVersion: 5.4\n"}, None, PNPM, "7"),
        ({"yarn.lock": "# yarn lockfile v1\n"}, None, YARN, "1"),
        ({"yarn.lock": "__metadata:\n  version: 8\n"}, None, BERRY, "4"),
        ({"bun.lock": "{}"}, None, BUN, "1"),
        ({"package-lock.json": "{}"}, "pnpm@9.1.0+sha512.abc", PNPM, "9.1.0"),
        ({}, "yarn@3.8.2", BERRY, "3.8.2"),
        ({}, "yarn@1.22.22", YARN, "1.22.22"),
    ],
)
def test_the_manifest_names_the_manager_else_its_lock_file_does(
    tmp_path: Path, files: dict[str, str], said: str | None, manager: Manager, version: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "package.json").write_text(json.dumps({"packageManager": said} if said else {}))
    assert manager_of(tmp_path) == (manager, version)
    assert run_script(tmp_path, "build") == f"{manager.name} run build"


def test_only_the_tree_itself_and_its_workspaces_ask_for_packages(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('{"scripts": {"start": "node ."}}')
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "package.json").write_text("{ broken on purpose, in a test of somebody's")
    assert not node._asks_for_packages(tmp_path)
    assert scripts_of(tmp_path) == {"start": "node ."}
    (tmp_path / "package.json").write_text('{"workspaces": ["docs"]}')
    assert node._asks_for_packages(tmp_path)

"""Without root the supervisor asks systemd's user manager for a scope that it may divide, where there is one."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from havre.engines.process import client
from havre.host import scope

PROGRAM = "/usr/bin/systemd-run"


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's runtime directory, systemd's tools, and no root."""
    monkeypatch.setattr(scope, "runtime_directory", lambda: tmp_path)
    monkeypatch.setattr(scope, "find_program", lambda _: PROGRAM)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    (tmp_path / "systemd").mkdir()
    return tmp_path


def _manager(runtime: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(runtime / "systemd" / "private"))
    return listening


def test_a_user_manager_is_asked_for_a_delegated_scope(runtime: Path) -> None:
    with _manager(runtime):
        words = client._in_a_scope()
    assert words[0] == PROGRAM
    assert {"--user", "--scope", "--property=Delegate=yes"} <= set(words)
    assert words[-1] == "--", "what follows is the supervisor's own command"


def test_nobody_is_asked_without_a_manager_or_as_root(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert client._in_a_scope() == ()
    with _manager(runtime):
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        assert client._in_a_scope() == ()

"""Who may use a socket that a group shares, by this machine's own books."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

import pytest

from havre.host.members import access_to, members_of, operators_of


@pytest.fixture
def socket(tmp_path: Path) -> Path:
    path = tmp_path / "docker.sock"
    path.touch()
    path.chmod(0o660)
    return path


def test_a_socket_is_described_with_its_owner_its_group_and_this_user(socket: Path) -> None:
    found = access_to(socket)
    assert found is not None
    me, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(socket.stat().st_gid).gr_name
    assert (found.user, found.owner, found.group, found.mode) == (me, me, group, 0o660)
    assert found.is_member


def test_a_socket_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    assert access_to(tmp_path / "nothing") is None
    assert operators_of(tmp_path / "nothing").socket == ""


def test_members_are_those_listed_and_those_whose_own_group_it_is() -> None:
    me = pwd.getpwuid(os.geteuid())
    assert me.pw_name in members_of([grp.getgrgid(me.pw_gid).gr_name])
    assert members_of(["no-such-group"]) == ()


def test_a_socket_for_everybody_is_seen(socket: Path) -> None:
    assert not operators_of(socket).is_open_to_all
    socket.chmod(0o666)
    assert operators_of(socket).is_open_to_all

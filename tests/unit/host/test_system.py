"""What machine this is, read from a root directory of any machine."""

from __future__ import annotations

import socket
from pathlib import Path

from havre.host.system import read_system

TRIE = """\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 127.0.0.1
        /32 host LOCAL
     |-- 51.91.1.2
        /32 host LOCAL
     |-- 51.91.1.255
        /32 link BROADCAST
Local:
     |-- 51.91.1.2
        /32 host LOCAL
"""


def _root(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text('PRETTY_NAME="Ubuntu 22.04.5 LTS"\nID=ubuntu\nVERSION_ID="22.04"\n')
    (tmp_path / "proc/net").mkdir(parents=True)
    (tmp_path / "proc/net/fib_trie").write_text(TRIE)
    (tmp_path / "proc/net/if_inet6").write_text(
        "00000000000000000000000000000001 01 80 10 80       lo\n"
        "fe80000000000000000000fffe000001 02 40 20 80     eth0\n"
        "20010db8000000000000000000000007 02 40 20 80     eth0\n"
    )
    (tmp_path / "proc/uptime").write_text("4711.20 900.0\n")
    return tmp_path


def test_a_machine_is_described_from_its_own_files(tmp_path: Path) -> None:
    found = read_system(_root(tmp_path))
    assert (found.name, found.id, found.version, found.uptime) == ("Ubuntu 22.04.5 LTS", "ubuntu", "22.04", 4711.2)
    assert found.addresses == ("51.91.1.2", "2001:db8::7")
    assert found.public_addresses == ("51.91.1.2",)


def test_a_machine_that_says_nothing_is_described_by_its_kernel(tmp_path: Path) -> None:
    found = read_system(tmp_path)
    assert (found.name, found.id, found.addresses) == ("Linux", "", ())


def test_programs_are_those_that_everybody_finds(tmp_path: Path) -> None:
    (tmp_path / "usr/local/bin").mkdir(parents=True)
    (tmp_path / "usr/local/bin/htop").touch()
    assert read_system(tmp_path).programs == frozenset({"htop"})
    assert {"sh", "ls"} <= (read_system().programs or frozenset())


def test_this_machine_has_a_name_a_kernel_and_a_clock_that_can_be_asked() -> None:
    found = read_system()
    assert found.hostname == socket.gethostname()
    assert found.kernel
    assert found.clock_in_step in (True, False, None)

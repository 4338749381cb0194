"""Facts about this machine are what the kernel says, for real sockets and for written-down ones."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from havre.host.facts import Ours, read_disks, read_listeners, read_memory, read_subnets, server_facts
from havre.model.server import Claim, Listener

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def row(address: str, state: str, inode: int) -> str:
    return f"   0: {address} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 {inode} 1\n"


def process(
    proc: Path, pid: int, parent: int, *, inode: int = 0, comm: str = "x", arguments: str = "", uid: int = 0
) -> None:
    directory = proc / str(pid)
    (directory / "fd").mkdir(parents=True)
    (directory / "comm").write_text(f"{comm}\n")
    (directory / "cmdline").write_text(arguments.replace(" ", "\0"))
    (directory / "status").write_text(f"Name:\t{comm}\nPPid:\t{parent}\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n")
    (directory / "fd" / "0").symlink_to("/dev/null")
    if inode:
        (directory / "fd" / "3").symlink_to(f"socket:[{inode}]")


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "net").mkdir()
    return tmp_path


def test_a_socket_of_this_process_is_found_with_its_pid_and_program() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (found,) = [one for one in server_facts().listeners if one.port == port]
    assert (found.address, found.protocol, found.pid, found.ours) == ("127.0.0.1", "tcp", os.getpid(), False)
    assert found.program
    assert str(found).startswith(f"pid {os.getpid()} (")


def test_a_udp_socket_is_found_and_a_descendant_of_ours_is_ours() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        facts = server_facts(ours=Ours(pids=frozenset({os.getppid()})))
    (found,) = [one for one in facts.listeners if one.port == port and one.protocol == "udp"]
    assert found.ours


def test_addresses_of_both_families_are_read_as_the_kernel_writes_them(proc: Path) -> None:
    (proc / "net/tcp").write_text(HEAD + row("0100007F:1F90", "0A", 11) + row("0100007F:1F91", "01", 12) + "short\n")
    (proc / "net/tcp6").write_text(
        HEAD
        + row("00000000000000000000000000000000:0050", "0A", 13)
        + row("00000000000000000000000001000000:0051", "0A", 14)
        + row("0000000000000000FFFF00000100007F:0052", "0A", 15)
    )
    (proc / "net/udp").write_text(HEAD + row("00000000:0035", "07", 16) + row("00000000:0000", "07", 17))
    found = [(one.port, one.protocol, one.address, one.pid) for one in read_listeners(proc, Ours())]
    assert found == [
        (53, "udp", "0.0.0.0", None),
        (80, "tcp", "::", None),
        (81, "tcp", "::1", None),
        (82, "tcp", "127.0.0.1", None),
        (8080, "tcp", "127.0.0.1", None),
    ]


def test_a_listener_nobody_may_look_into_has_no_name() -> None:
    assert str(Listener(port=1, address="::")) == "a process this user may not see"


def test_holders_are_known_by_pid_program_user_and_container(proc: Path) -> None:
    (proc / "net/tcp").write_text(HEAD + "".join(row(f"00000000:{port:04X}", "0A", port) for port in (1, 2, 3, 4)))
    process(proc, 10, 1, inode=1, comm="caddy", uid=4294967)
    process(proc, 12, 1, inode=1, comm="caddy")
    arguments = "docker-proxy -container-ip 172.17.0.2 -container-port 80"
    process(proc, 20, 1, inode=2, comm="docker-proxy", arguments=arguments)
    process(proc, 21, 1, inode=3, comm="docker-proxy", arguments="docker-proxy")
    process(proc, 30, 1, inode=4, comm="gone")
    (proc / "30/status").unlink()
    found = {one.port: one for one in read_listeners(proc, Ours())}
    assert (found[1].pid, found[1].user) == (10, "4294967")
    assert str(found[2]) == "pid 20 (docker-proxy), user root, for the container at 172.17.0.2:80"
    assert found[3].detail == "for a container"
    assert (found[4].program, found[4].user) == ("gone", "")


def test_what_descends_from_our_supervisor_or_edge_is_ours(proc: Path) -> None:
    (proc / "net/tcp").write_text(HEAD + "".join(row(f"00000000:{port:04X}", "0A", port) for port in (1, 2, 3, 4)))
    process(proc, 10, 1, arguments="python -m supervisor --state /var/lib/havre/process")
    process(proc, 11, 10, inode=1, arguments="uvicorn app")
    process(proc, 12, 1, inode=2, arguments="haproxy -f /var/lib/havre/edge/haproxy.cfg")
    process(proc, 13, 1, inode=3, arguments="haproxy -f /var/lib/havre-other/edge/haproxy.cfg")
    process(proc, 14, 99, inode=4, arguments="")
    found = {one.port: one.ours for one in read_listeners(proc, Ours(directory=Path("/var/lib/havre")))}
    assert found == {1: True, 2: True, 3: False, 4: False}
    by_pid = {one.port: one.ours for one in read_listeners(proc, Ours(pids=frozenset({10})))}
    assert by_pid == {1: True, 2: False, 3: False, 4: False}


def test_a_loop_of_parents_ends(proc: Path) -> None:
    (proc / "net/tcp").write_text(HEAD + row("00000000:0001", "0A", 1))
    process(proc, 10, 11, inode=1)
    process(proc, 11, 10)
    assert read_listeners(proc, Ours(pids=frozenset({5})))[0].ours is False


def test_descriptors_that_vanish_are_passed_over(proc: Path) -> None:
    (proc / "net/tcp").write_text(HEAD + row("00000000:0001", "0A", 1))
    (proc / "77").mkdir()
    process(proc, 78, 1, inode=1)
    (proc / "78/fd/9").write_text("not a link")
    assert read_listeners(proc, Ours())[0].pid == 78


def test_memory_is_read_in_bytes(proc: Path) -> None:
    (proc / "meminfo").write_text("MemTotal:  8000 kB\nMemAvailable: 100 kB\nHugePages_Total:   3\nOdd\n")
    assert read_memory(proc) == {"MemTotal": 8192000, "MemAvailable": 102400, "HugePages_Total": 3}
    facts = server_facts(proc=proc, claims=(Claim(instance="a", kind="port", value="x"),))
    assert (facts.memory_total, facts.memory_available, facts.swap_total) == (8192000, 102400, 0)
    assert facts.claims_of_others("b", "port") == facts.claims
    assert facts.claims_of_others("a", "port") == ()


def test_this_machine_has_memory_and_processors() -> None:
    facts = server_facts()
    assert facts.memory_total > facts.memory_available > 0
    assert facts.cpus >= 1


def test_networks_of_the_machine_itself_are_read_and_bridges_left_out(proc: Path) -> None:
    lines = [
        "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT",
        "eth0 00000000 010011AC 0003 0 0 0 00000000 0 0 0",
        "eth0 000011AC 00000000 0001 0 0 0 00FFFFFF 0 0 0",
        "docker0 000012AC 00000000 0001 0 0 0 0000FFFF 0 0 0",
        "br-1234 000013AC 00000000 0001 0 0 0 0000FFFF 0 0 0",
        "tun0 0100000A 00000000 0005 0 0 0 FFFFFFFF 0 0 0",
        "short line",
    ]
    (proc / "net/route").write_text("\n".join(lines))
    assert list(read_subnets(proc)) == [("172.17.0.0/24", "eth0")]


def test_disks_are_those_of_the_paths_or_their_nearest_directory_once_each(tmp_path: Path) -> None:
    disks = list(read_disks([("state", tmp_path / "not/yet/there"), ("images", tmp_path)]))
    assert [(disk.purpose, disk.path) for disk in disks] == [("state", str(tmp_path))]
    assert disks[0].total > disks[0].free > 0

"""Short notations, one by one."""

from __future__ import annotations

from typing import Any

import pytest

from havre.compose.shortforms import (
    clean_path,
    parse_device,
    parse_hosts,
    parse_ports,
    parse_volume,
    split_command,
)


def port(target: int, published: str = "", protocol: str = "tcp", host_ip: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {"mode": "ingress", "target": target, "protocol": protocol}
    if published:
        found["published"] = published
    if host_ip:
        found["host_ip"] = host_ip
    return found


@pytest.mark.parametrize(
    ("spec", "ports"),
    [
        ("80", [port(80)]),
        ("8080:80", [port(80, "8080")]),
        ("8080:80/UDP", [port(80, "8080", "udp")]),
        ("127.0.0.1:8080:80", [port(80, "8080", host_ip="127.0.0.1")]),
        ("127.0.0.1::80", [port(80, host_ip="127.0.0.1")]),
        ("[::1]:8080:80", [port(80, "8080", host_ip="::1")]),
        ("::1:8080:80", [port(80, "8080", host_ip="::1")]),
        ("80-81", [port(80), port(81)]),
        ("90-91:80-81", [port(80, "90"), port(81, "91")]),
        ("8000-9000:80", [port(80, "8000-9000")]),
        ("8-10", [port(10), port(8), port(9)]),
        ("18-20:8-10", [port(10, "20"), port(8, "18"), port(9, "19")]),
    ],
)
def test_ports(spec: str, ports: list[dict[str, Any]]) -> None:
    assert parse_ports(spec) == ports


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ("", "No port specified"),
        ("8080:", "No port specified"),
        ("x", "Invalid containerPort"),
        ("99999", "Invalid containerPort"),
        ("81-80", "Invalid containerPort"),
        ("x:80", "Invalid hostPort"),
        ("80/icmp", "Invalid proto"),
        ("1.2.3:80:80", "Invalid ip address"),
        ("90-99:80-81", "Invalid ranges"),
    ],
)
def test_wrong_ports_are_refused(spec: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_ports(spec)


@pytest.mark.parametrize(
    ("spec", "volume"),
    [
        ("/x", {"type": "volume", "target": "/x"}),
        ("/data", {"type": "volume", "target": "/data", "volume": {}}),
        ("data:/x", {"type": "volume", "source": "data", "target": "/x", "volume": {}}),
        (
            "data:/x:ro,nocopy",
            {"type": "volume", "source": "data", "target": "/x", "read_only": True, "volume": {"nocopy": True}},
        ),
        ("data:/x:ro,rw,odd", {"type": "volume", "source": "data", "target": "/x", "volume": {}}),
        ("./a:/x", {"type": "bind", "source": "./a", "target": "/x", "bind": {"create_host_path": True}}),
        (
            "~/a:/x:z,rslave",
            {
                "type": "bind",
                "source": "~/a",
                "target": "/x",
                "bind": {"selinux": "z", "propagation": "rslave", "create_host_path": True},
            },
        ),
        ("C:\\a:/x", {"type": "bind", "source": "C:\\a", "target": "/x", "bind": {"create_host_path": True}}),
        ("/a:/${X:-y}/b", {"type": "bind", "source": "/a", "target": "/${X:-y}/b", "bind": {"create_host_path": True}}),
    ],
)
def test_volumes(spec: str, volume: dict[str, Any]) -> None:
    assert parse_volume(spec) == volume


@pytest.mark.parametrize(
    ("spec", "problem"),
    [("", "empty volume"), ("/a::ro", "empty section"), (":/abc", "empty section"), ("/a:/b:ro:x", "too many colons")],
)
def test_wrong_volumes_are_refused(spec: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_volume(spec)


def test_devices_have_defaults() -> None:
    assert parse_device("/dev/a") == {"source": "/dev/a", "target": "/dev/a", "permissions": "rwm"}
    assert parse_device("/dev/a:/dev/b") == {"source": "/dev/a", "target": "/dev/b", "permissions": "rwm"}
    assert parse_device("/dev/a:/dev/b:r") == {"source": "/dev/a", "target": "/dev/b", "permissions": "r"}
    with pytest.raises(ValueError, match="long syntax"):
        parse_device("a:b:c:d")


@pytest.mark.parametrize(
    ("value", "hosts"),
    [
        (["b:1.1.1.1", "a=::1"], ["a=::1", "b=1.1.1.1"]),
        (["a:[::1]", "a:10.0.0.1"], ["a=::1", "a=10.0.0.1"]),
        (["a=1.1.1.1,2.2.2.2"], ["a=1.1.1.1", "a=2.2.2.2"]),
        ({"a": ["1.1.1.1", "[::2]"], "gw": "host-gateway"}, ["a=1.1.1.1", "a=::2", "gw=host-gateway"]),
    ],
)
def test_hosts(value: Any, hosts: list[str]) -> None:
    assert parse_hosts(value) == hosts


@pytest.mark.parametrize(
    ("value", "problem"), [(["=1.1.1.1"], "bad host name"), (["alone"], "missing IP"), ({"a/b": "x"}, "bad host")]
)
def test_wrong_hosts_are_refused(value: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_hosts(value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("run it", ["run", "it"]),
        ("  run\t 'a b' \"c d\" ", ["run", "a b", "c d"]),
        ("a''b \"\"", ["ab", ""]),
        ('say \\"hi\\" a\\ b', ["say", '"hi"', "a b"]),
        ("'a\\nb' a\\nb a\\tb", ["a\\nb", "a\nb", "a\tb"]),
        ("a && b", ["a"]),
        ("a; b", ["a"]),
        ("sh -c 'a && b; c | d'", ["sh", "-c", "a && b; c | d"]),
        ("echo $(date +%s) x", ["echo", "$(date +%s)", "x"]),
        ("echo `date x` y", ["echo", "`date x`", "y"]),
        ("sh -c '\n  a\n  b'", ["sh", "-c", "\na\nb"]),
    ],
)
def test_commands_are_split_as_compose_splits_them(text: str, words: list[str]) -> None:
    assert split_command(text) == words


@pytest.mark.parametrize("text", ["'open", '"open', "end\\", "f(x)", "a)", "$(open", "`open"])
def test_unbalanced_commands_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="invalid command line"):
        split_command(text)


@pytest.mark.parametrize(
    ("path", "clean"), [("", "."), ("/a/../b/./c//", "/b/c"), ("//x", "/x"), ("a/..", "."), (".", ".")]
)
def test_paths_are_cleaned_without_looking(path: str, clean: str) -> None:
    assert clean_path(path) == clean

"""The short notations of Compose, one by one: ports, volumes, devices, hosts, commands.

Each function takes the text and gives the long form as plain data, or raises ValueError saying what is wrong.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_PROTOCOLS = ("tcp", "udp", "sctp")
_PROPAGATIONS = frozenset(("rprivate", "private", "rshared", "shared", "rslave", "slave"))
_SELINUX = frozenset(("z", "Z"))
_OPERATORS = frozenset(";&|<>")
_IPV4 = r"(?:(?:25[0-5]|2[0-4][0-9]|1?[1-9]?[0-9]|10[0-9])(?:\.(?!\Z)|\Z)){4}"
_INDENTATION = r"\n[ \t]+"
_WIDEST_RANGE = 65536


def parse_ports(spec: str) -> list[dict[str, Any]]:
    """`[IP:][PUBLISHED:]TARGET[/PROTOCOL]`, ranges included, as one entry per target port."""
    host_ip, published, target = _port_parts(spec)
    target, _, protocol = target.partition("/")
    protocol = protocol.lower() or "tcp"
    if host_ip:
        host_ip = _address(host_ip)
    if not target:
        raise ValueError(f"No port specified: {spec or '<empty>'}")
    first, last = _range(target, "containerPort")
    if protocol not in _PROTOCOLS:
        raise ValueError(f"Invalid proto: {protocol}")
    base = {"mode": "ingress", **({"host_ip": host_ip} if host_ip else {})}
    targets = sorted(range(first, last + 1), key=str)  # the order of Compose: as text
    if not published:
        return [{**base, "target": port, "protocol": protocol} for port in targets]
    begin, end = _range(published, "hostPort")
    if end - begin != last - first and first != last:
        raise ValueError(f"Invalid ranges specified for container and host Ports: {target} and {published}")
    if first == last:
        shown = str(begin) if begin == end else f"{begin}-{end}"
        return [{**base, "target": first, "published": shown, "protocol": protocol}]
    shift = begin - first
    return [{**base, "target": port, "published": str(port + shift), "protocol": protocol} for port in targets]


def _port_parts(spec: str) -> tuple[str, str, str]:
    parts = spec.split(":")
    if len(parts) < 3:
        return ("", *parts) if len(parts) == 2 else ("", "", spec)  # type: ignore[return-value]
    return ":".join(parts[:-2]), parts[-2], parts[-1]


def _address(text: str) -> str:
    address = text[1:-1] if text[:1] == "[" and text[-1:] == "]" else text
    if not is_address(address):
        raise ValueError(f"Invalid ip address: {address}")
    return address


def is_address(text: str) -> bool:
    """Whether `text` is an IPv4 or IPv6 address."""
    if re.fullmatch(_IPV4, text):
        return True
    import ipaddress  # costs milliseconds, and few projects name an IPv6 address

    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _range(text: str, what: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    low, high = _port(first), _port(last) if dash else _port(first)
    if low is None or high is None or high < low:
        raise ValueError(f"Invalid {what}: {text}")
    return low, high


def _port(text: str) -> int | None:
    if not text.isdecimal() or len(text) > 5 or int(text) >= _WIDEST_RANGE:
        return None
    return int(text)


def parse_volume(spec: str) -> dict[str, Any]:
    """`[SOURCE:]TARGET[:OPTIONS]`; a source that looks like a path is a bind mount."""
    if not spec:
        raise ValueError("invalid empty volume spec")
    if len(spec) <= 2:
        return {"type": "volume", "target": spec}
    sections = list(_sections(spec))
    if not all(sections):
        raise ValueError(f"invalid spec: {spec}: empty section between colons")
    if len(sections) > 3:
        raise ValueError(f"invalid spec: {spec}: too many colons")
    if len(sections) == 1:
        return {"type": "volume", "target": sections[0], "volume": {}}
    source, target = sections[:2]
    is_bind = _is_path(source)
    volume: dict[str, Any] = {"type": "bind" if is_bind else "volume", "source": source, "target": target}
    _add_options(volume, sections[2].split(",") if len(sections) == 3 else ())
    if is_bind:
        volume["bind"] = {**volume.get("bind", {}), "create_host_path": True}
    else:
        volume.setdefault("volume", {})
    return volume


def _add_options(volume: dict[str, Any], options: Iterable[str]) -> None:
    for option in options:
        if option == "ro":
            volume["read_only"] = True
        elif option == "rw":
            volume.pop("read_only", None)
        elif option == "nocopy":
            volume["volume"] = {"nocopy": True}
        elif option in _PROPAGATIONS:
            volume.setdefault("bind", {})["propagation"] = option
        elif option in _SELINUX:
            volume.setdefault("bind", {})["selinux"] = option


def _sections(spec: str) -> Iterator[str]:
    """The parts between colons, but for those of a Windows drive or inside `${...}`."""
    start = depth = 0
    for index, character in enumerate(spec):
        if character == "$" and spec.startswith("${", index):
            depth += 1
        elif character == "}" and depth:
            depth -= 1
        elif character == ":" and not depth and not (index - start == 1 and spec[start].isalpha()):
            yield spec[start:index]
            start = index + 1
    yield spec[start:]


def _is_path(source: str) -> bool:
    is_drive = len(source) > 1 and source[1] == ":" and source[0].isalpha()
    return source[0] in "./~" or source.startswith("\\\\") or is_drive


def parse_device(spec: str) -> dict[str, Any]:
    """`SOURCE[:TARGET[:PERMISSIONS]]`."""
    parts = spec.split(":")
    if len(parts) > 3:
        raise ValueError(f"confusing device mapping, please use long syntax: {spec}")
    source, target, permissions = (*parts, *("", "")[: 3 - len(parts)])[:3] if len(parts) < 3 else parts
    return {"source": source, "target": target or source, "permissions": permissions or "rwm"}


def parse_key(spec: str) -> str:
    """An SSH key for a build: `default`, or `NAME=path`."""
    if "=" not in spec and spec != "default":
        raise ValueError(f'invalid ssh key "{spec}": neither `default` nor NAME=PATH')
    return spec


def parse_context(spec: str) -> str:
    """`NAME=context`, where a bare name says nothing."""
    if "=" not in spec:
        raise ValueError(f"invalid value {spec}, expected NAME=CONTEXT")
    return spec


def parse_hosts(value: Any) -> list[str]:
    """`extra_hosts` in any notation as sorted `host=address` items."""
    pairs = value.items() if isinstance(value, Mapping) else [_host(str(item)) for item in value]
    found: dict[str, list[str]] = {}
    for host, addresses in pairs:
        if not host or ":" in host or "/" in host:
            raise ValueError(f"bad host name '{host}'")
        each = addresses if isinstance(addresses, list) else str(addresses).split(",")
        found.setdefault(host, []).extend(_bare(str(address)) for address in each)
    return [f"{host}={address}" for host in sorted(found) for address in found[host]]


def _host(item: str) -> tuple[str, str]:
    for separator in "=:":
        host, found, address = item.partition(separator)
        if found:
            return host, address
    raise ValueError(f"invalid additional host, missing IP: {item}")


def _bare(address: str) -> str:
    return address[1:-1] if len(address) > 2 and address[0] == "[" and address[-1] == "]" else address


def split_command(text: str) -> list[str]:
    """A command line as its words, the way Compose splits it: without what it drops."""
    return split_line(text)[0]


def split_line(text: str) -> tuple[list[str], str]:
    """(the words of a command line, what is dropped of it), the way Compose splits it.

    Further lines lose their indentation, even inside quotes, and what follows an unquoted `;&|<>` is dropped.
    """
    line, dropped = re.sub(_INDENTATION, "\n", text), ""
    words: list[str] = []
    word: list[str] = []
    has_word = is_escaped = False
    quote = ""
    for at, character in enumerate(line):
        if is_escaped:
            word.append({"t": "\t", "n": "\n"}.get(character, character))
            is_escaped, has_word = False, True
        elif character == "\\" and quote != "'":
            is_escaped = True
        elif character in "\"'" and quote in ("", character):
            quote = "" if quote else character
            has_word = True
        elif character in " \t\r\n" and not quote:
            if has_word:
                words.append("".join(word))
            word, has_word = [], False
        elif character in _OPERATORS and not quote:
            dropped = line[at:]
            break
        else:
            quote = _substitution(character, quote, word)
            word.append(character)
            has_word = True
    if is_escaped or quote:
        raise ValueError("invalid command line string")
    return [*words, "".join(word)] if has_word else words, dropped


def _substitution(character: str, quote: str, word: list[str]) -> str:
    """Track backquotes and `$(...)`, which are kept as written, never run."""
    if character == "`" and quote in ("", "`"):
        return "" if quote else "`"
    if character == "(" and not quote:
        if word and word[-1] == "$":
            return "("
        raise ValueError("invalid command line string")
    if character == ")" and quote in ("", "("):
        if not quote:
            raise ValueError("invalid command line string")
        return ""
    return quote


def clean_path(path: str) -> str:
    """A path without `.`, `..` and doubled slashes, as far as that is possible without looking."""
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned

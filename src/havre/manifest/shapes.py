"""The shapes a value of the manifest can have: each one reads a value, and describes itself as JSON Schema.

`read` returns the value as the model wants it or raises ValueError with a sentence that completes
"`routes[0].rate_limit`: ...". Records and lists are walked by `havre.manifest.validate`, which knows places.
"""

from __future__ import annotations

import calendar
import contextlib
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from typing import Any, TypeAlias

from havre.compose.units import parse_duration, parse_size

Reader = Callable[[Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """One value written as text, a number or true/false; `read` checks and converts it."""

    name: str
    read: Reader
    schema: Mapping[str, Any]
    example: str = ""


@dataclass(frozen=True, slots=True)
class Items:
    """A list; where `one_ok`, a single value stands for a list of one."""

    of: Shape
    one_ok: bool = False
    when_empty: str = ""
    """What an empty one would do, where nobody who writes one means that: then it is refused."""


@dataclass(frozen=True, slots=True)
class Named:
    """A mapping from names the user chooses to values of one shape."""

    of: Shape
    names: str = "name"
    empty_ok: bool = False
    """A name without a value means: everything at its default."""
    when_empty: str = ""
    """As for a list."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a record: its shape, whether it must be there, and its documentation."""

    shape: Shape
    doc: str
    default: str = ""
    required: bool = False
    example: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """A mapping with known keys; a plain value stands for `{short: value}` where `short` is set."""

    title: str
    keys: Mapping[str, Key] = field(default_factory=dict)
    short: str = ""
    one_of: tuple[str, ...] = ()
    """Exactly one of these keys must be there."""


Shape: TypeAlias = Scalar | Items | Named | Record


def choice(*words: str) -> Scalar:
    """One of a few words."""

    def read(value: Any) -> str:
        if value in words and isinstance(value, str):
            return value
        raise ValueError(f"must be one of {', '.join(words)}, not `{value}`")

    return Scalar(name=" or ".join(f"`{word}`" for word in words), read=read, schema={"enum": list(words)})


def text(name: str, pattern: str, otherwise: str, example: str) -> Scalar:
    """Text that matches a pattern as a whole; `otherwise` says what it is not when it does not."""
    compiled = re.compile(pattern)

    def read(value: Any) -> str:
        found = read_text(value)
        if compiled.fullmatch(found):
            return found
        raise ValueError(f"`{found}` is not {otherwise}")

    return Scalar(name=name, read=read, schema={"type": "string", "pattern": f"^(?:{pattern})$"}, example=example)


def whole(least: int, most: int = 2**31) -> Scalar:
    """A whole number within bounds."""

    def read(value: Any) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        bounds = f"from {least} to {most}" if most < 2**31 else f"of {least} or more"
        raise ValueError(f"must be a whole number {bounds}, not `{value}`")

    return Scalar(name="number", read=read, schema={"type": "integer", "minimum": least, "maximum": most})


def read_text(value: Any) -> str:
    """Text; a bare number is taken as the text the user wrote."""
    if isinstance(value, str):
        if value:
            return value
        raise ValueError("is empty")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"must be text, not {kind_of(value)}")


def kind_of(value: Any) -> str:
    """What a value is, in the user's words."""
    if value is None:
        return "nothing"
    kinds = {bool: "true/false", int: "a number", float: "a number", str: "text"}
    return kinds.get(
        type(value), "a list" if isinstance(value, list) else "a mapping" if isinstance(value, dict) else "text"
    )


def _read_flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError(f"must be true or false, not `{value}`")


def _read_size(value: Any) -> int:
    try:
        size = parse_size(value if isinstance(value, str | int) and not isinstance(value, bool) else "?")
    except ValueError:
        size = 0
    if size > 0:
        return size
    raise ValueError(f"`{value}` is not a size")


def _read_duration(value: Any) -> float:
    """Seconds. Like Compose and Go it asks for the unit: who writes `24` for a day must not get 24 seconds."""
    if str(value) == "0":
        return 0.0
    if re.fullmatch(r"[0-9]*\.?[0-9]+", str(value)):
        raise ValueError(f"`{value}` has no unit, so it is not a duration")
    try:
        nanoseconds = parse_duration(value if isinstance(value, str) else "?")
    except ValueError:
        nanoseconds = -1
    if nanoseconds >= 0:
        return nanoseconds / 1e9
    raise ValueError(f"`{value}` is not a duration")


def _read_command(value: Any) -> tuple[str, ...]:
    line = read_text(value)
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise ValueError(f"cannot be read as a command: {str(error).lower()}") from error
    if words:
        return tuple(words)
    raise ValueError("is empty")


def _read_rate(value: Any) -> tuple[int, int]:
    match = re.fullmatch(r"([1-9][0-9]*)\s*/\s*([1-9][0-9]*)?\s*(s|second|m|minute|h|hour|d|day)", str(value))
    if not match:
        raise ValueError(f"`{value}` is not a rate")
    seconds = {"s": 1, "m": 60, "h": 3600, "d": 86400}[match[3][0]]
    return int(match[1]), int(match[2] or 1) * seconds


def _read_target(value: Any) -> tuple[str, int]:
    match = re.fullmatch(r"([a-zA-Z0-9][a-zA-Z0-9._-]*):([0-9]{1,5})", str(value))
    if match and 0 < int(match[2]) < 65536:
        return match[1], int(match[2])
    raise ValueError(f"`{value}` does not name a service and its port")


def _read_date(value: Any) -> str:
    match = re.fullmatch(r"([0-9]{4})-(0[1-9]|1[0-2])-([0-9]{2})", str(value))
    if match and int(match[1]) > 0 and 0 < int(match[3]) <= calendar.monthrange(int(match[1]), int(match[2]))[1]:
        return match[0]
    raise ValueError(f"`{value}` is not a date")


def _read_network(value: Any) -> str:
    try:
        return str(ip_network(str(value), strict=False))
    except ValueError:
        raise ValueError(f"`{value}` is not an address or network") from None


_CRON_WORDS = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *"}
_CRON_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTH_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_CRON_NAMES = {
    3: {name: number for number, name in enumerate(_MONTHS, 1)},
    4: {name: number for number, name in enumerate(_DAYS)},
}


def _read_cron(value: Any) -> str:
    found = _CRON_WORDS.get(str(value), str(value))
    fields = found.split()
    if len(fields) != 5 or not all(_cron_field(number, part) for number, part in enumerate(fields)):
        raise ValueError(f"`{value}` is not a cron schedule")
    if not _comes_round(days=fields[2], months=fields[3]):
        raise ValueError(f"`{value}` is a cron schedule that never comes round")
    return found


def _comes_round(*, days: str, months: str) -> bool:
    """False for the 31st of February."""
    first = min(low for low, _ in _cron_spans(2, days))
    return any(first <= _MONTH_DAYS[at - 1] for low, high in _cron_spans(3, months) for at in range(low, high + 1))


def _cron_spans(number: int, part: str) -> list[tuple[int, int]]:
    """(from, to) of each item of a field that is valid."""
    names, spans = _CRON_NAMES.get(number, {}), []
    for item in part.lower().split(","):
        low, _, high = item.partition("/")[0].partition("-")
        ends = _CRON_RANGES[number] if low == "*" else [int(names.get(end, end)) for end in (low, high or low)]
        spans.append((ends[0], ends[1]))
    return spans


def _cron_field(number: int, part: str) -> bool:
    least, most = _CRON_RANGES[number]
    names = _CRON_NAMES.get(number, {})
    for item in part.lower().split(","):
        match = re.fullmatch(r"(\*|([0-9a-z]+)(?:-([0-9a-z]+))?)(?:/([1-9][0-9]*))?", item)
        if not match:
            return False
        bounds = [str(names.get(end, end)) for end in (match[2], match[3]) if end is not None]
        if not all(bound.isdigit() and least <= int(bound) <= most for bound in bounds):
            return False
        if len(bounds) == 2 and int(bounds[0]) > int(bounds[1]):
            return False
    return True


def _read_interval(value: Any) -> str:
    if value in ("daily", "weekly", "monthly"):
        return str(value)
    try:
        return _read_cron(value)
    except ValueError:
        raise ValueError(f"`{value}` is not daily, weekly, monthly or a cron schedule") from None


def _read_hash(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"\$[0-9a-z]+\$\S{8,}", value):
        return value
    raise ValueError("must be the hash of a password, never the password itself")


def _read_os(value: Any) -> tuple[str, str]:
    match = re.fullmatch(r"([a-z][a-z-]*) ([0-9]+(?:\.[0-9]+)*)", str(value).lower())
    if match:
        return match[1], match[2]
    raise ValueError(f"`{value}` is not a system and its least version")


_STRING = {"type": "string"}
_HOST = (
    r"(?:\*\.)?(?:[a-zA-Z0-9_](?:[a-zA-Z0-9_-]{0,61}[a-zA-Z0-9])?)(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*"
    r"\.?"
)

TEXT = Scalar(name="text", read=read_text, schema={"type": ["string", "number"]})
FLAG = Scalar(name="true or false", read=_read_flag, schema={"type": "boolean"})
SIZE = Scalar(name="size", read=_read_size, schema={"type": ["string", "integer"]}, example="`20MB`")
DURATION = Scalar(
    name="duration",
    read=_read_duration,
    schema={"anyOf": [{"type": "string", "pattern": "(^0|[a-z])$"}, {"const": 0}]},
    example="`30s`, `5m` or `24h`",
)
COMMAND = Scalar(name="command", read=_read_command, schema=_STRING)
RATE = Scalar(name="rate", read=_read_rate, schema=_STRING, example="`100/minute`, `5/second` or `10/15m`")
TARGET = Scalar(name="service:port", read=_read_target, schema=_STRING, example="`backend:8000`")
DATE = Scalar(name="date", read=_read_date, schema={"type": "string", "format": "date"}, example="`2027-03-31`")
NETWORK = Scalar(name="address or network", read=_read_network, schema=_STRING, example="`10.0.0.0/8`")
CRON = Scalar(name="cron schedule", read=_read_cron, schema=_STRING, example="`0 2 * * *` (every day at 02:00)")
INTERVAL = Scalar(name="interval", read=_read_interval, schema=_STRING, example="`weekly` or `0 4 * * 0`")
HASH = Scalar(
    name="password hash",
    read=_read_hash,
    schema={"type": "string", "pattern": r"^\$[0-9a-z]+\$"},
    example="`$6$…`: `openssl passwd -6` makes one",
)
JSON = Scalar(name="any value", read=lambda value: value, schema={})
NAME = text(
    "name",
    r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?",
    "a name of up to 40 lower-case letters, digits and `-`",
    "`lexikon`",
)
_ASCII_HOST = text("host name", _HOST, "a host name (no scheme, port or path)", "`app.example.org` or `*.example.org`")


def _read_host(value: Any) -> str:
    """A name as DNS knows it; one with letters beyond ASCII is told the way DNS writes it."""
    try:
        return str(_ASCII_HOST.read(value))
    except ValueError:
        with contextlib.suppress(UnicodeError):
            if isinstance(value, str) and not value.isascii():
                known = value.encode("idna").decode()
                if re.fullmatch(_HOST, known):
                    raise ValueError(f"`{value}` must be written as DNS knows it: `{known}`") from None
        raise


HOST = replace(_ASCII_HOST, read=_read_host)
PATH = text("path", r"/[^\s?#]*", "a path: it begins with `/` and has no spaces", "`/api`")
REQUEST = text("path", r"/\S*", "a path: it begins with `/` and has no spaces", "`/health`")
LINK = text("URL", r"https?://\S+", "a URL that begins with http:// or https://", "`https://example.org`")
VARIABLE = text("variable", r"[A-Za-z_][A-Za-z0-9_]*", "the name of a variable", "`JWT_SECRET`")
PROGRAM = text("program", r"[A-Za-z0-9][\w.+-]*", "the name of a program", "`htop`")
VERSION = text("version", r"[0-9]+(?:\.[0-9]+)*", "a version such as 20.10", '`"20.10"`')
OS = Scalar(
    name="system and version",
    read=_read_os,
    schema={"type": "string", "pattern": r"^[a-z][a-z-]* [0-9]+(\.[0-9]+)*$"},
    example="`debian 11` or `ubuntu 20.04`",
)
SERVICE = text("service", r"[a-zA-Z0-9][a-zA-Z0-9._-]*", "the name of a service", "`backend`")

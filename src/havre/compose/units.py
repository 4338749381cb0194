"""Sizes and durations as Compose writes them: `1.5gb` (base 1024) and `1m30s`."""

from __future__ import annotations

import re

_SIZE = re.compile(
    r"\+?([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(e[+-]?[0-9]{1,3})? ?(?:([kmgtp])(?:i?b)?|b)?\Z",
    re.IGNORECASE,
)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h|d|w)")
_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
    "d": 24 * 3600 * 10**9,
    "w": 7 * 24 * 3600 * 10**9,
}
_LONGEST = 64
_MOST = 2**63 - 1


def parse_size(text: str | float) -> int:
    """Bytes; raises ValueError. Only a whole number may be negative (-1 means unlimited)."""
    if not isinstance(text, str):
        if not -_MOST < text < _MOST:
            raise ValueError(f"invalid size: '{text}'")
        return int(text)
    if re.fullmatch(r"-[0-9]+", text[:_LONGEST]):
        return int(text)
    match = _SIZE.match(text) if len(text) <= _LONGEST else None
    if not match:
        raise ValueError(f"invalid size: '{text}'")
    number, exponent, prefix = match.groups(default="")
    factor: int = 1024 ** _POWERS[prefix.lower()]
    size = float(number + exponent) * factor if exponent else _times(number, factor)
    if size > _MOST:
        raise ValueError(f"invalid size: '{text}' is more than 8 EiB")
    return int(size)


def parse_duration(text: str) -> int:
    """Nanoseconds; raises ValueError."""
    sign, digits = (-1, text[1:]) if text[:1] == "-" else (1, text.removeprefix("+"))
    if digits == "0":
        return 0
    parts = _DURATION.findall(digits) if len(text) <= _LONGEST else []
    if not parts or "".join(number + unit for number, unit in parts) != digits:
        raise ValueError(f'invalid duration "{text}"')
    total = sum(_times(number, _NANOSECONDS[unit]) for number, unit in parts)
    if total > _MOST:
        raise ValueError(f'invalid duration "{text}": more than 292 years')
    return sign * total


def format_duration(nanoseconds: int) -> str:
    """`1h0m0s`, `1m30s`, `1.5s`, `250ms`: the form Compose prints."""
    if nanoseconds == 0:
        return "0s"
    sign = "-" if nanoseconds < 0 else ""
    left = abs(nanoseconds)
    if left < 10**9:
        unit = next(unit for unit in ("ms", "µs", "ns") if left >= _NANOSECONDS[unit])
        return f"{sign}{_decimal(left, _NANOSECONDS[unit])}{unit}"
    hours, left = divmod(left, _NANOSECONDS["h"])
    minutes, left = divmod(left, _NANOSECONDS["m"])
    seconds = f"{_decimal(left, _NANOSECONDS['s'])}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{seconds}"
    return f"{sign}{minutes}m{seconds}" if minutes else f"{sign}{seconds}"


def _times(number: str, factor: int) -> int:
    """A decimal number times an integer, rounded down, without floating point."""
    whole, _, decimals = number.partition(".")
    scale: int = 10 ** len(decimals)
    return int((whole or "0") + decimals) * factor // scale


def _decimal(amount: int, unit: int) -> str:
    whole, rest = divmod(amount, unit)
    digits = f"{rest * 10**9 // unit:09d}".rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)

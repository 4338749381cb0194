"""Sizes, durations and lists as people write and read them (Compose's own rules: base 1024, Go durations)."""

from __future__ import annotations

from collections.abc import Sequence

KIB, MIB, GIB = 1024, 1024**2, 1024**3


def show_bytes(size: int) -> str:
    """`512 MiB`, `1.5 GiB`: at most one decimal, never a rounded-up lie below 10 KiB."""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if abs(size) >= unit:
            return f"{size / unit:.1f}".removesuffix(".0") + f" {name}"
    return f"{size} B"


def show_seconds(seconds: float) -> str:
    """`0.3 s`, `12 s`, `3 min 20 s`, `1 h 5 min`, `2 d 3 h`."""
    if seconds < 10:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    for size, name, smaller, small_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min")):
        if whole >= size:
            return _two_parts(whole, size, name, smaller, small_name)
    return _two_parts(whole, 60, "min", 1, "s")


def _two_parts(whole: int, size: int, name: str, smaller: int, small_name: str) -> str:
    rest = whole % size // smaller
    return f"{whole // size} {name}" + (f" {rest} {small_name}" if rest else "")


def enumerated(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)

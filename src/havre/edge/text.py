"""Write values into HAProxy's configuration language without letting them become part of it."""

from __future__ import annotations


def literal(value: str) -> str:
    """`value` as one word that HAProxy takes as it is."""
    return "'" + value.replace("'", "'\\''") + "'"


def literal_format(value: str) -> str:
    """`value` as one word where HAProxy expects a log format, in which `%` would start a variable."""
    return literal(value.replace("%", "%%"))


def milliseconds(seconds: float) -> str:
    """A time as HAProxy takes it."""
    return f"{max(1, round(seconds * 1000))}ms"


def lines(*parts: str | tuple[str, ...] | list[str]) -> str:
    """Join lines and groups of lines."""
    flat: list[str] = []
    for part in parts:
        flat.extend([part] if isinstance(part, str) else part)
    return "\n".join(flat) + "\n"

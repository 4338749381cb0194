"""Which level a line of a log states, when it states one."""

from __future__ import annotations

import re

import msgspec

LEVELS = ("debug", "info", "warning", "error", "critical")
ALIASES = {
    "warn": "warning",
    "err": "error",
    "fatal": "critical",
    "crit": "critical",
    "panic": "critical",
    "trace": "debug",
}


def level_of(text: str) -> str | None:
    """The level a log line states: the `level` of a JSON object, or the first level word of a plain line."""
    if text.startswith("{"):
        try:
            found = msgspec.json.decode(text.encode())
        except msgspec.DecodeError:
            found = None
        if isinstance(found, dict):
            stated = str(found.get("level") or found.get("severity") or found.get("lvl") or "").lower()
            return ALIASES.get(stated, stated) or None
    word = re.search(r"\b(DEBUG|INFO|WARN(?:ING)?|ERR(?:OR)?|CRIT(?:ICAL)?|FATAL|PANIC|TRACE)\b", text)
    return ALIASES.get(word[1].lower(), word[1].lower()) if word else None

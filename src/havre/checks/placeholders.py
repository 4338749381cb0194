"""Tells a value somebody should have replaced from one that somebody chose."""

from __future__ import annotations

import re

_WHOLE = frozenset(
    {
        "admin", "admin123", "administrator", "change", "changeit", "changeme", "changethis", "default", "demo",
        "dummy", "example", "fixme", "foo", "guest", "insert", "letmein", "none", "null", "pass", "passw0rd",
        "passwd", "password", "password1", "password123", "placeholder", "postgres", "qwerty", "redacted", "redis",
        "replaceme", "root", "secret", "secretkey", "supersecret", "tbd", "test", "test123", "todo", "undefined",
        "user", "value", "xxx", "123", "1234", "12345", "123456", "12345678", "123456789", "minioadmin", "mysecret",
        "mysecretpassword", "mypassword", "s3cr3t",
    }
)  # fmt: skip
_SHAPES = tuple(
    re.compile(shape, re.IGNORECASE)
    for shape in (
        r"change[\s_-]?(?:me|this|it)(?![a-z])",
        r"(?:^|[\s_-])(?:to[\s_-]be[\s_-]replaced|replace[\s_-]?(?:me|this|with|by))(?![a-z])",
        r"^your[\s_-]",
        r"[\s_-]your[\s_-](?:\w+[\s_-])*(?:key|secret|password|token|value|id|here)(?![a-z])",
        r"(?:key|secret|password|token|value)[\s_-]here$",
        r"^(?:insert|enter|put|set|fill|generate)[\s_-].*(?:here|key|secret|password|token|me)(?![a-z])",
        r"^<.*>$|^\[.*\]$|^\{\{.*\}\}$|^%\w+%$",
        r"^x{3,}$|^\*{3,}$|^\.{3}$|^-+$",
        r"in[\s_-]production|dev[\s_-]?only|not[\s_-]for[\s_-]production",
    )
)
URL_PASSWORD = re.compile(r"^[a-z][a-z0-9+.-]*://[^:/@\s]*:([^@\s]*)@", re.IGNORECASE)


def placeholder(value: str) -> str | None:
    """Why a secret's value cannot be meant, such as "a placeholder"; None when it may well be.

    A URL is judged by the password in it. The answer never repeats the value.
    """
    inside = URL_PASSWORD.match(value)
    text = (inside[1] if inside else value).strip()
    if not text:
        return "an empty password in the URL" if inside else "empty"
    if text in {'""', "''"}:
        return "two quote characters"
    if "$(" in text or re.search(r"`[^`]+`", text):
        return "a command that nothing runs"
    if any(shape.search(text) for shape in _SHAPES):
        return "a placeholder"
    return "a well-known default" if re.sub(r"[\s_-]", "", text).lower() in _WHOLE else None

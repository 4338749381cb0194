"""What a plain YAML scalar means, by the YAML 1.2 rules Compose follows (`yes` and `22:22` are strings)."""

from __future__ import annotations

import re

_INTEGER = re.compile(
    r"[-+]?(?:0|[1-9][0-9_]*|0[0-7_]+|0o[0-7_]+|0b[01_]+|0x[0-9a-fA-F_]+)\Z",
)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_DATE = (
    r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"
    r"(?:(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?(?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::?[0-9]{2})?))?)?\Z"
)
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_NUMERIC_START = frozenset("0123456789+-.")
_LONGEST_NUMBER = 400


class Date(str):
    """An unquoted YAML timestamp: neither text nor number, so no Compose key accepts it."""

    __slots__ = ()


def resolve(text: str) -> str | int | float | bool | None:
    """The value of an unquoted scalar."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMERIC_START or len(text) > _LONGEST_NUMBER:
        return text
    if _INTEGER.match(text):
        return _integer(text)
    digits = text.replace("_", "")
    if _FLOAT.match(digits):
        return float(digits)
    return Date(text) if re.match(_DATE, text) else text


def _integer(text: str) -> int:
    digits = text.replace("_", "")
    sign = -1 if digits[0] == "-" else 1
    digits = digits.lstrip("+-")
    prefix = digits[:2].lower()
    base = {"0x": 16, "0o": 8, "0b": 2}.get(prefix)
    if base:
        return sign * int(digits[2:] or "0", base)
    return sign * int(digits, 8 if digits[0] == "0" else 10)

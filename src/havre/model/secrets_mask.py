"""The one place that decides what is a secret and how it is hidden (invariant I9).

It errs on the side of hiding: a harmless value that looks like a secret is hidden too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from urllib.parse import quote

MASK = "********"
"""What stands for a secret; its length says nothing about the secret's."""

_PARTS = (
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "REQUIREPASS",
    "MASTERAUTH",
    "SECRET",
    "TOKEN",
    "CREDENTIAL",
    "APIKEY",
    "PRIVATEKEY",
)
"""Parts that make a name secret wherever they stand in it."""

_WORDS = frozenset({"PASS", "PWD", "PW", "KEY", "KEYS", "DSN", "SALT", "PEPPER", "AUTH", "PIN", "CREDS", "SEED"})
"""Words that make a name secret when they stand alone in it."""

_HARMLESS_ENDS = frozenset(
    {
        "FILE", "PATH", "DIR", "MINUTES", "SECONDS", "HOURS", "DAYS", "TTL", "EXPIRE", "EXPIRES", "EXPIRY", "LENGTH",
        "ALGORITHM", "PREFIX", "HEADER", "ROUNDS", "POLICY", "ENABLED", "DISABLED", "TYPE", "METHOD", "COUNT", "LIMIT",
    }
)  # fmt: skip
"""Last words that say the value is about a secret and is none: `POSTGRES_PASSWORD_FILE`, `TOKEN_TTL`."""

_KNOWN_SHAPES = re.compile(
    r"""-----BEGIN\ [A-Z\ ]*PRIVATE\ KEY-----
      | \beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*          # JSON web token
      | \b(?:gh[opsu]_|github_pat_|glpat-|sk_live_|sk_test_|sk-|xox[abpr]-|AKIA|ASIA|AGE-SECRET-KEY-1)[\w-]{12,}
      | \$(?:2[aby]|argon2\w*|5|6|y)\$\S{10,}      # password hash
    """,
    re.VERBOSE,
)
_RANDOM = re.compile(r"[0-9a-fA-F]{32,}|(?=[^a-z]*[a-z])(?=[^A-Z]*[A-Z])(?=\D*\d)[A-Za-z0-9+/_-]{24,}={0,2}")
_URL_PASSWORD = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*://[^/\s:@?#\"']*:)(?!\d+(?:[/?#\s]|$))([^\s\"']+)(@)")
_URL_TOKEN = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*://)([^/\s:@?#\"']{20,})(@)")
_ASSIGNED = re.compile(r"(?<![\w-])([\w-]+)(=)([^\s&;,\"']+)")
_FLAG = re.compile(r"(?<![^\s\"'])(-[\w-]+)(\s+)([^\s\"'$-][^\s\"']*)")
_TOOL_FLAG = re.compile(r"(\bredis-cli\b[^|;&\n]*?\s-a\s+|\b(?:mysql|mariadb)\w*\b[^|;&\n]*?\s-p)([^\s\"'$][^\s\"']*)")
_WHOLE_WORD_BELOW = 4


def is_secret_name(name: str) -> bool:
    """True for names such as `POSTGRES_PASSWORD`, `apiKey` or `jwt.secret`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    words_in_capitals = [word for word in re.split(r"[^A-Z0-9]+", words.upper()) if word]
    if not words_in_capitals or words_in_capitals[-1] in _HARMLESS_ENDS:
        return False
    joined = "".join(words_in_capitals)
    return any(part in joined for part in _PARTS) or not _WORDS.isdisjoint(words_in_capitals)


def looks_secret(value: str) -> bool:
    """True for values that are secrets whatever they are called: keys, tokens, password hashes, random text."""
    return bool(_KNOWN_SHAPES.search(value) or _RANDOM.fullmatch(value.strip()))


def mask(value: str) -> str:
    """The mask, or nothing for nothing: that a secret is empty is worth knowing."""
    return MASK if value else ""


def mask_url(url: str) -> str:
    """A URL, or text with URLs or commands in it, without passwords, tokens and secret parameters."""
    hidden = _URL_PASSWORD.sub(rf"\1{MASK}\3", url)
    hidden = _URL_TOKEN.sub(rf"\1{MASK}\3", hidden)
    hidden = _TOOL_FLAG.sub(rf"\1{MASK}", hidden)
    return _FLAG.sub(_mask_assigned, _ASSIGNED.sub(_mask_assigned, hidden))


def mask_words(words: Sequence[str]) -> list[str]:
    """The words of a command; what follows a flag such as `--requirepass` is hidden too, `$NAME` is not."""
    before = ["", *words]
    return [
        mask(word)
        if flag.startswith("-") and is_secret_name(flag) and word[:1] not in ("-", "$")
        else mask_setting("", word)
        for flag, word in zip(before, words, strict=False)
    ]


def mask_setting(name: str, value: str) -> str:
    """The value of a setting as it may be shown."""
    if is_secret_name(name) or looks_secret(value):
        return mask(value)
    return mask_url(value)


def mask_text(text: str, known_values: Iterable[str] = ()) -> str:
    """Any text without the known secrets (also as they appear in URLs) and without what looks like one."""
    for value in sorted(set(known_values), key=len, reverse=True):
        for form in dict.fromkeys((value, quote(value, safe=""))):
            text = _hide(text, form)
    return mask_url(_KNOWN_SHAPES.sub(MASK, text))


def _hide(text: str, value: str) -> str:
    """Short values are hidden as whole words only, or ordinary text would be unreadable."""
    if len(value) >= _WHOLE_WORD_BELOW:
        return text.replace(value, MASK)
    return re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", MASK, text) if value.strip() else text


def _mask_assigned(match: re.Match[str]) -> str:
    name, between, value = match.groups()
    return f"{name}{between}{MASK if is_secret_name(name) else value}"

"""Finds secrets that are written into sources: by the shapes of providers' keys, and by the names they are given."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from havre.checks.baked import is_kept_secret
from havre.checks.placeholders import placeholder
from havre.errors import Location
from havre.model.secrets_mask import is_secret_name
from havre.model.server import WrittenSecret

_SHAPES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (what, re.compile(pattern))
    for what, pattern in (
        ("a private key", r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s*(?:\\n|\n|$|[A-Za-z0-9+/])"),
        ("an age key", r"\bAGE-SECRET-KEY-1[0-9A-Z]{50,}"),
        ("an AWS access key", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
        ("a GitHub token", r"\b(?:gh[opsur]_[A-Za-z0-9]{36,}|github_pat_\w{40,})"),
        ("a GitLab token", r"\bglpat-[\w-]{20,}"),
        ("a Stripe key", r"\b[sr]k_live_[A-Za-z0-9]{16,}"),
        ("a Slack token", r"\bxox[abeoprs]-[\w-]{10,}"),
        ("an OpenAI key", r"\bsk-(?:proj-)?[A-Za-z0-9_-]{32,}"),
        ("an Anthropic key", r"\bsk-ant-[\w-]{20,}"),
        ("a Google API key", r"\bAIza[\w-]{35}\b"),
        ("a SendGrid key", r"\bSG\.[\w-]{16,}\.[\w-]{16,}"),
        ("an npm token", r"\bnpm_[A-Za-z0-9]{36}\b"),
        ("a Telegram bot token", r"\b\d{8,10}:AA[\w-]{33}\b"),
    )
)
_ASSIGNED = re.compile(
    r"""["']?\b([A-Za-z_][\w.-]*)["']?\s*(?::\s*[\w\[\].| ]+?\s*)?(?:=>|:=|=|:)\s*["'`]([^"'`\s]{8,})["'`]"""
)
_DEFAULT = re.compile(
    r"""(?:environ\.get|getenv|\benv|\bconfig|fetch)\(\s*["'](\w+)["']\s*,\s*["']([^"'\s]{8,})["']
      | (?:process|meta)\.env\.(\w+)\s*(?:\|\||\?\?)\s*["'`]([^"'`\s]{8,})["'`]""",
    re.VERBOSE,
)
_IN_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://[^/\s:@\"'`{}$<>%]+:([^/\s:@\"'`{}$<>%]{6,})@[\w.-]+")
_IN_SHELL = re.compile(r"(?:^|[\s;&|(])(?:export\s+)?([A-Za-z_]\w*)=[\"']?([^\s\"';&|]{8,})")
_BEARER = re.compile(r"[Aa]uthorization:\s*(?:Bearer|Basic|[Tt]oken)\s+([\w.~+/=-]{8,})")
_NOT_SHIPPED = re.compile(
    r"(?:^|[/._-])(?:tests?|specs?|__tests__|__mocks__|mocks?|fixtures?|examples?|samples?|docs?|e2e|cypress|stories|testdata)(?:[/._-]|$)|(?:^|/)conftest\.py$|\.(?:md|rst|example|sample|dist|template|tmpl|snap|min\.js|min\.css|lock)$|(?:^|/)(?:\.env[^/]*|locales?|i18n|translations?|messages)(?:/|$)",
    re.IGNORECASE,
)
_SPEAKS_OF = re.compile(
    r"(?:name|header|field|param|label|url|uri|pattern|regex|id|prefix|type|cookie)s?$", re.IGNORECASE
)
"""Names that speak of a secret and hold none: `api_key_name`, `tokenHeader`."""

_EXAMPLES = re.compile(r"EXAMPLE|example\.(?:com|org|net)|localhost|127\.0\.0\.1")


def secrets_written(texts: Iterable[tuple[str, str]], directory: str) -> tuple[WrittenSecret, ...]:
    """The secrets in these files, (name, text) each, below `directory` as it is shown; values are not kept."""
    found: dict[Location, WrittenSecret] = {}
    for name, text in texts:
        if _NOT_SHIPPED.search(name):
            continue
        for offset, what, is_certain in _found(text):
            at = Location(str(PurePosixPath(directory) / name), text.count("\n", 0, offset) + 1)
            found.setdefault(at, WrittenSecret(what=what, at=at, is_certain=is_certain))
    return tuple(found.values())


def is_env_with_secrets(name: str, text: str) -> bool:
    """Whether a file is an env file in which a secret has a value that somebody chose."""
    if not re.search(r"(?:^|/)(?:\.env(?:\.[\w.-]+)?|[\w.-]+\.env)$", name):
        return False
    pairs = re.findall(r"^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*?)\s*$", text, re.MULTILINE)
    return any(is_secret_name(key) and placeholder(value.strip("\"'")) is None for key, value in pairs)


def secrets_in_steps(steps: Iterable[str]) -> tuple[str, ...]:
    """What an image's history shows of secrets, in words: each is a command that a layer was made by."""
    found: dict[str, None] = {}
    for step in steps:
        found.update((what, None) for _, what, _ in _found(step))
        for name, value in _IN_SHELL.findall(step):
            if is_kept_secret(name) and not _SPEAKS_OF.search(name) and _is_chosen(value):
                found[f"the value of {name}"] = None
        if any(_is_mixed(value) and not _is_example(value) for value in _BEARER.findall(step)):
            found["the token of an Authorization header"] = None
    return tuple(found)


def _found(text: str) -> Iterator[tuple[int, str, bool]]:
    """(offset, what it is, whether its shape alone says so)."""
    for what, shape in _SHAPES:
        yield from ((match.start(), what, True) for match in shape.finditer(text) if not _is_example(match[0]))
    for match in (*_ASSIGNED.finditer(text), *_DEFAULT.finditer(text)):
        name, value = [group for group in match.groups() if group][:2]
        if is_secret_name(name) and not _SPEAKS_OF.search(name) and _is_chosen(value):
            yield match.start(), f"the value of {name}", False
    for match in _IN_URL.finditer(text):
        if placeholder(match[1]) is None and not _is_example(match[0]) and _is_mixed(match[1]):
            yield match.start(), "a password in a URL", False


def _is_chosen(value: str) -> bool:
    """Letters and digits mixed, as in a secret; not a name, a path, a pattern, a template or a placeholder."""
    is_other = re.search(
        r"^[/.#]|[\s(){}<>\[\]|*\\;]|\$|%[sd(]|^https?:|^[A-Z0-9_]+$|^[a-z]+(?:[-_.:/][a-z0-9]+)*$|^[\w-]+(?:\.[\w-]+){1,3}$",
        value,
    )
    return not is_other and _is_mixed(value) and placeholder(value) is None and not _is_example(value)


def _is_mixed(value: str) -> bool:
    return re.search(r"\d", value) is not None and re.search(r"[A-Za-z]", value) is not None


def _is_example(text: str) -> bool:
    return _EXAMPLES.search(text) is not None or re.search(r"(.)\1{5,}|x{4,}|X{4,}", text) is not None

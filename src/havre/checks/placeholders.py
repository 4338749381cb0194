"""Tells a value somebody should have replaced from one that somebody chose."""

from __future__ import annotations

import re

_WORDS = frozenset(
    word
    for line in """
    a abc abcd access account acme admin administrator aes an and any anything api app apikey application asdf at auth
    azerty backend base bar baz be bit bits by cache cat change changed changeit changeme char character characters
    client company complex cookie correct credential credentials cred creds data database db default demo dev develop
    development digit digits django do dragon dummy elastic elasticsearch email empty encryption encrypt enter env
    environment example express fake fill fixme flask foo for frontend fqdn from generate generated grafana guest
    guid has hash hello here hex hs hunter iloveyou in initial input insecure insert internal invalid is it jwt kafka
    key keyboard keycloak keys laravel least letmein local localhost long longer mail manager mariadb master me
    memcached min mine minimum minio minioadmin mongo mongodb monkey must my mysql na name new nginx node none not null
    oauth of ok only openssl or org owner pass passphrase passwd password passwords pepper pg pgadmin placeholder
    please postgres postgresql private prod production project provide public put pw pwd qux qwerty rabbit rabbitmq
    rails rand random react real really redacted redis replace replaced replaceme required root rsa safe salt sample
    sa secret secrets secure server service session set setme shared should sign signing site smtp some something sql
    staging string strong super superuser supply system tbd temp temporary test tester testing text than that the this
    to todo token toor tmp undefined unguessable unique unsafe unset use user username uuid value very weak web
    webhook welcome with world write xx xxx you your yours
    """.splitlines()
    for word in line.split()
)
"""A value made of nothing but these was copied or made up in passing; nobody's real secret is."""

_LONGEST_WORD = max(map(len, _WORDS))
_KNOWN = frozenset(
    {"neo4jneo4j", "deadbeef", "cafebabe", "feedface", "correcthorsebatterystaple", "1q2w3e4r", "1qaz2wsx", "trustno1"}
)
_LOOKALIKES = str.maketrans("@$013457", "asoieast")
_SEQUENCES = ("01234567890123456789", "98765432109876543210")
_MOST_DIGITS = 4
"""So many digits behind words (`admin2024`) make no secret of them."""

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
        r"(?:^|[\W_])x{3,}(?:$|[\W_])|^\*{3,}$|^\.{3,}$|^-+$|^(.)\1{5,}$",
        r"^\$\{?\w+\}?$|^\$\$\{?\w+\}?$",
        r"^django-insecure-",
        r"^(?:todo|fixme|tbd)\b|^n/a$",
        r"^openssl rand\b|^(?:pwgen|uuidgen)\b",
        r"in[\s_-]production|dev[\s_-]?only|not[\s_-]for[\s_-]production",
    )
)
URL_PASSWORD = re.compile(r"^[a-z][a-z0-9+.-]*://[^:/@\s]*:([^@\s]*)@", re.IGNORECASE)


_UNFINISHED = re.compile(
    r"\byour[\s._-]?(?:domain|site|company|server|name|email|mail|host|user|account|project|app|bucket|region|org|ip|team)"
    r"|change[\s_-]?me(?![a-z])|replace[\s_-]?me(?![a-z])|^<[^<>]+>$|(?-i:^\[[A-Z][A-Z _-]+\]$)|\bmy-?domain\."
    r"|(?-i:\b(?:TODO|FIXME)\b)",
    re.IGNORECASE,
)


def is_unfinished(value: str) -> bool:
    """Whether a value that is no secret was left as the template had it: `https://your-domain.com`, `<region>`."""
    return _UNFINISHED.search(value) is not None


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
    return "a well-known default" if _is_made_of_words(text) else None


def _is_made_of_words(text: str) -> bool:
    """`Admin@123`, `my-super-secret-key`, `P@ssw0rd`: words that anybody tries, and a few digits."""
    low = text.lower()
    if re.sub(r"[\W_]", "", low) in _KNOWN:
        return True
    plain = re.sub(r"(?<=[a-z])[@$013457](?=[a-z])", lambda match: match[0].translate(_LOOKALIKES), low)
    return any(_has_few_digits(form) and all(map(_splits, re.findall(r"[a-z]+", form))) for form in (low, plain))


def _has_few_digits(text: str) -> bool:
    """Few beside words, or digits that are no choice: 12345678, 00000000."""
    digits = "".join(re.findall(r"\d", text))
    is_plain = len(digits) >= 3 and (len(set(digits)) == 1 or any(digits in sequence for sequence in _SEQUENCES))
    has_words = re.search(r"[a-z]", text) is not None
    return text.isascii() and (is_plain or (has_words and len(digits) <= _MOST_DIGITS))


def _splits(letters: str) -> bool:
    """Whether a run of letters is a chain of the words."""
    reached = {0}
    for end in range(1, len(letters) + 1):
        starts = range(max(0, end - _LONGEST_WORD), end)
        if any(start in reached and letters[start:end] in _WORDS for start in starts):
            reached.add(end)
    return len(letters) in reached

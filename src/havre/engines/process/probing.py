"""What a health check becomes for a process: the same question, asked at the replica's own address."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from havre.engines.hooks import Hook
from havre.engines.process.images import Image
from havre.model.health import HealthCheck
from havre.model.project import Service

_LITERALS = re.compile(r"(?<![\w.:-])(127\.0\.0\.1|0\.0\.0\.0|localhost|\[::1\]|::1)(?![\w.-])")
_FETCHERS = ("curl", "wget")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A command to run in the replica, and how people write it."""

    argv: tuple[str, ...]
    asked: str


def question_of(test: Sequence[str], *, shell: bool, address: str) -> Question:
    """The check with every literal way of writing "this machine" replaced by the replica's address."""
    argv = tuple(at_address(word, address) for word in test)
    if shell:
        return Question(argv=("/bin/sh", "-c", argv[0]), asked=argv[0])
    return Question(argv=argv, asked=shlex.join(argv))


def at_address(text: str, address: str) -> str:
    """`127.0.0.1`, `localhost`, `0.0.0.0` and `[::1]` as whole words become `address`."""
    return _LITERALS.sub(address, text)


def hook_command(hook: Hook, address: str) -> tuple[str, ...]:
    """A hook as a command to run in the replica, in the hook's own directory when it names one."""
    argv = tuple(at_address(word, address) for word in hook.argv)
    return ("/bin/sh", "-c", 'cd "$0" && exec "$@"', hook.working_dir, *argv) if hook.working_dir else argv


def health_check(service: Service, image: Image | None) -> HealthCheck | None:
    """Compose's, else the image's own (`CMD` and words, or `CMD-SHELL` and a line), unless it is switched off."""
    if service.health_disabled:
        return None
    if service.health is not None or image is None or not image.health:
        return service.health
    kind, *test = image.health
    return HealthCheck(test=tuple(test), shell=kind == "CMD-SHELL")


def fetcher_of(question: Question) -> str:
    """The program of a check that only fetches."""
    words = question.argv if question.argv[0] != "/bin/sh" else question.asked.split()
    return words[0]


def plain_url(question: Question) -> str | None:
    """The one URL that a check fetches with curl or wget and nothing else; None when it does more."""
    try:
        words = list(question.argv) if question.argv[0] != "/bin/sh" else shlex.split(question.asked)
    except ValueError:
        return None
    if words[-2:] == ["exit", "1"] and "||" in words:
        words = words[: words.index("||")]
    if not words or words[0].rpartition("/")[2] not in _FETCHERS or {"|", "&&", ";", "||"} & set(words):
        return None
    urls = [word for word in words[1:] if re.match(r"https?://", word)]
    return urls[0] if len(urls) == 1 else None


def is_missing_program(exit_code: int, output: str, question: Question) -> bool:
    """True when the check could not run because its curl or wget is not on this server."""
    return exit_code == 127 and any(name in (output or question.asked) for name in _FETCHERS)


def explain_listening(listening: Sequence[tuple[str, int]], address: str, port: int) -> str | None:
    """What is wrong with where a replica listens, in words; None when nothing is."""
    at = {host for host, number in listening if number == port}
    told = f"bind to $HOST:$PORT ({address}:{port})"
    if at & {"0.0.0.0", "::"}:  # noqa: S104 - this is the mistake to explain
        return f"it listens on every address of the server (port {port}), so no second replica could start: {told}"
    if at and address not in at:
        return f"it listens on {', '.join(sorted(at))} port {port}, not on its own address: {told}"
    others = sorted({number for host, number in listening if host in {address, "0.0.0.0", "::", "127.0.0.1"}})  # noqa: S104
    if not at and others:
        return f"it listens on port {', '.join(map(str, others))}, not on {port}: {told}"
    return None

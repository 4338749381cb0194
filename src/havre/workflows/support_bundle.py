"""A support bundle: one archive with all that helps to understand an instance, and no secret in it (I9)."""

from __future__ import annotations

import io
import platform
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from havre import __version__
from havre.engines.base import LogQuery
from havre.errors import HavreError
from havre.host import clock
from havre.host.files import write_atomic
from havre.model.secrets_mask import mask_text
from havre.workflows.check import treatment_of_keys
from havre.workflows.doctor import Diagnosis, examine, secret_values
from havre.workflows.intent import Intent
from havre.workflows.server import Server
from havre.workflows.status import Status, look

LOG_LINES = 500


def write_bundle(
    server: Server, instance: str, path: Path, *, intent: Intent | None = None, unreadable: str = ""
) -> tuple[str, ...]:
    """Write the archive (readable by its owner only) and return the names in it; every text is masked.

    `intent` is what today's files say; where they cannot be loaded, `unreadable` is why.
    """
    found = examine(server, instance)
    secrets = (*found.secrets, *(secret_values(intent.project) if intent else ()))
    # In JSON a quote or a backslash of a secret is written otherwise.
    secrets = (*secrets, *(msgspec.json.encode(value).decode()[1:-1] for value in secrets))
    texts = [(name, mask_text(text, secrets)) for name, text in _texts(server, found, intent, unreadable)]
    write_atomic(path, _archive(path.name.removesuffix(".tar.gz"), texts), mode=0o600)
    return tuple(name for name, _ in texts)


def _texts(server: Server, found: Diagnosis, intent: Intent | None, unreadable: str) -> Iterator[tuple[str, str]]:
    instance = found.instance
    yield "versions.txt", _versions(server)
    yield "doctor.txt", _findings(found)
    yield "ps.json", _json(look(server, instance))
    yield "releases.json", _releases(server, instance)
    last = next(iter(server.state.releases.list(instance, limit=1)), None)
    if last is not None:
        yield "plan.txt", f"release {last.number} ({last.state.value}): {last.result}\n\n{last.plan}\n"
    yield "compose.txt", str(treatment_of_keys(server, intent)) if intent else f"not readable:\n{unreadable}\n"
    yield from _logs(server, instance)


def _versions(server: Server) -> str:
    try:
        engine = server.engine.describe()
    except HavreError as error:
        engine = str(error)
    return "\n".join(
        (
            f"havre {__version__}",
            f"engine: {engine}",
            f"python {platform.python_version()}",
            f"system: {platform.platform()}",
            f"written: {clock.show_time(clock.now())}",
            "",
        )
    )


def _findings(found: Diagnosis) -> str:
    if not found.problems:
        return f"{found.instance}: no finding\n"
    return "\n\n".join(f"{problem.severity.value}[{problem.code}] {problem}" for problem in found.problems) + "\n"


def _releases(server: Server, instance: str) -> str:
    """The list and the journal of the newest; plans are in a file of their own."""
    releases = server.state.releases.list(instance, limit=20)
    journal = server.state.releases.journal(instance, releases[0].number) if releases else ()
    shown = [{**msgspec.to_builtins(release), "plan": ""} for release in releases]
    return _json({"releases": shown, "journal_of_the_newest": journal})


def _logs(server: Server, instance: str) -> Iterator[tuple[str, str]]:
    """One file per service, and one of what failed and was kept."""
    lines: dict[str, list[str]] = {}
    for failed in (False, True):
        for line in server.engine.logs(instance, LogQuery(tail=LOG_LINES, failed=failed)):
            name = f"logs/{line.service}{'.failed' if failed else ''}.log"
            at = clock.show_time(line.at) if line.at else "-"
            lines.setdefault(name, []).append(f"{at} {line.service}.{line.slot} {line.stream} | {line.text}")
    for name, each in sorted(lines.items()):
        yield name, "\n".join(each[-LOG_LINES:]) + "\n"


def _json(value: Status | object) -> str:
    return msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode() + "\n"


def _archive(folder: str, texts: Sequence[tuple[str, str]]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, text in texts:
            content = text.encode()
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size, entry.mode, entry.mtime = len(content), 0o600, int(clock.now())
            archive.addfile(entry, io.BytesIO(content))
    return made.getvalue()

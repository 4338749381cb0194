"""Ask well-known images, and those built upon them, whether they accept their configuration files.

What was accepted once is not asked again.
"""

from __future__ import annotations

import enum
import hashlib
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import msgspec

from havre.checks.configurations import complaint, place_named
from havre.checks.dockerfile import foundation
from havre.engines.base import Context, Executed, Trials
from havre.engines.images import dockerfile_text, is_remote
from havre.errors import FailedError, InputError, Location
from havre.host.files import write_atomic
from havre.model.app import App
from havre.model.fingerprint import fingerprint
from havre.model.observed import Observed
from havre.model.project import MountKind, Project, Service
from havre.model.secrets_mask import is_secret_name, mask, mask_text
from havre.model.server import RefusedFile
from havre.model.trials import Foundation, Trial, as_trial, trials_of
from havre.workflows.server import Server

CACHE = "accepted-configurations.json"
MOST_REMEMBERED = 500
TIMEOUT = 45.0
"""Seconds; a busy server needs a dozen to start the throw-away PostgreSQL that reads access rules."""

AT_ONCE = 4
MOST_NAMES = 20
"""Names outside of the app that are looked up for one file; each takes another question."""

MOST_BYTES = 16 * 1024 * 1024
MOST_FILES = 5000
NOWHERE = "127.0.0.1"
_UNKNOWN_HOST = re.compile(
    r"host not found in [^\"]*\"(?:\w+://)?([\w.-]+)|could not resolve address '([\w.-]+)'|no such host: ([\w.-]+)"
)


class Verdict(enum.Enum):
    """What there is to say without a complaint."""

    ACCEPTED = "accepted"
    UNKNOWN = "nothing can be said"


ACCEPTED, UNKNOWN = Verdict.ACCEPTED, Verdict.UNKNOWN


def can_be_asked(server: Server, project: Project) -> frozenset[str]:
    """The services whose image can say whether it accepts the files mounted into it."""
    if not isinstance(server.engine, Trials):
        return frozenset()
    return frozenset(service.name for service in project.services if trials_of(service, foundation_of(service)))


def foundation_of(service: Service) -> Foundation | None:
    """What a service's image is built upon, as far as its Dockerfile is here and tells."""
    if service.build is None or is_remote(service.build.context):
        return None
    try:
        text = dockerfile_text(service.build).decode(errors="replace")
    except InputError:  # a check of its own says so
        return None
    return foundation(text, context=service.build.context, args=service.build.args, target=service.build.target)


def try_configurations(server: Server, app: App, project: Project, observed: Observed) -> tuple[RefusedFile, ...]:
    """What the images of a project refuse, of those images that are here."""
    cache = server.state.directory / CACHE
    engine = server.engine
    if not isinstance(engine, Trials):
        return ()
    there = [service for service in project.services if observed.image(service.image)]
    here = [service for service in there if _has_its_files(service, project)]
    questions = [(service, trial) for service in here for trial in trials_of(service, foundation_of(service))]
    keys = {_key(service, trial, observed, project): (service, trial) for service, trial in questions}
    accepted = _read(cache)
    new = [key for key in keys if key not in accepted]
    if not new:
        return ()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda key: _ask(engine, *keys[key], app, project, observed), new))
    accepted += [key for key, answer in zip(new, answers, strict=True) if answer is ACCEPTED]
    write_atomic(cache, msgspec.json.encode(accepted[-MOST_REMEMBERED:]))
    return tuple(answer for answer in answers if isinstance(answer, RefusedFile))


def _ask(
    engine: Trials, service: Service, trial: Trial, app: App, project: Project, observed: Observed
) -> RefusedFile | Verdict:
    """What the program says against the files, or that it accepts them, or that nothing can be said."""
    context = Context(instance=app.instance, release=0, project=project)
    present = {volume.name for volume in observed.volumes}
    volumes = {volume.key for volume in project.volumes if volume.name in present}
    hosts = dict.fromkeys(_names(project), NOWHERE)
    while True:
        tried = as_trial(service, trial, volumes=volumes, hosts=hosts)
        try:
            answer = engine.try_once(tried, context, timeout=TIMEOUT)
        except FailedError:  # it could not even be made: what it lacks is told by the check of that, with its place
            return UNKNOWN
        if answer is None or answer.exit_code >= 126 or "Read-only file system" in answer.output:
            return UNKNOWN  # the program itself could not run, or what it misses is our doing
        if answer.exit_code == 0 or (trial.unless and re.search(trial.unless, answer.output)):
            return ACCEPTED
        host = _unknown_host(answer)
        if "." not in host or len(hosts) > MOST_NAMES + len(project.services):
            return _refused(service, trial, answer, host, app, project)
        hosts[host] = NOWHERE


def _unknown_host(answer: Executed) -> str:
    found = _UNKNOWN_HOST.search(answer.output)
    return next((group for group in found.groups() if group), "") if found else ""


def _refused(service: Service, trial: Trial, answer: Executed, host: str, app: App, project: Project) -> RefusedFile:
    named = place_named(answer.output, trial.file)
    source = _source(named[0], service, project) if named else None
    secrets = [value for name, value in service.environment if value and is_secret_name(name)]
    at, line = None, ""
    if named and source:
        at = Location(_shown(source, app.directory), named[1])
        line = _masked(_line(source, named[1]), secrets)
    return RefusedFile(
        service=service.name,
        tool=trial.tool,
        said=tuple(_masked(line, secrets) for line in complaint(answer.output)),
        at=at,
        line=line,
        unknown_host=host,
        is_certain=trial.is_strict or source is not None,
    )


def _names(project: Project) -> Iterator[str]:
    """Every name that a service of the project may be reached by."""
    for service in project.services:
        aliases = (alias for network in service.networks for alias in network.aliases)
        yield from (name for name in (service.name, service.container_name, service.hostname, *aliases) if name)


def _has_its_files(service: Service, project: Project) -> bool:
    """False where a mounted file is missing: another check says so, and the engine would make a directory of it."""
    sources = [mount.source for mount in service.mounts if mount.kind is MountKind.BIND]
    for grants, files in ((service.secrets, project.secrets), (service.configs, project.configs)):
        given = {grant.source for grant in grants}
        sources += [file.file for file in files if file.key in given]
    return all(os.path.exists(source) for source in sources if source)  # noqa: PTH110 - False where nobody may look


def _source(file: str, service: Service, project: Project) -> Path | None:
    """Where a file of the container lies on this server; None when it is the image's own."""
    files = {config.key: config.file for config in project.configs}
    places = [(mount.target, mount.source) for mount in service.mounts if mount.kind is MountKind.BIND]
    places += [(grant.target or f"/{grant.source}", files.get(grant.source)) for grant in service.configs]
    built = foundation_of(service)
    places += built.copied if built else ()
    for target, source in sorted(places, key=lambda place: -len(place[0])):
        if source and (file == target or file.startswith(target.rstrip("/") + "/")) and Path(source).exists():
            return Path(source + file[len(target.rstrip("/")) :])
    return None


def _shown(path: Path, directory: str) -> str:
    return str(path.relative_to(directory)) if path.is_relative_to(directory) else str(path)


def _line(path: Path, number: int) -> str:
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return lines[number - 1].strip() if 0 < number <= len(lines) else ""


def _masked(line: str, secrets: list[str]) -> str:
    """A line of a configuration file without a secret: `requirepass ********`."""
    setting = re.match(r"^(\s*(?:>>> ')?[\"']?([\w.-]+)[\"']?\s*[:= ]\s*)(.+)$", line)
    if setting and is_secret_name(setting[2]):
        return f"{setting[1]}{mask(setting[3])}"
    return mask_text(line, secrets)


def _key(service: Service, trial: Trial, observed: Observed, project: Project) -> str:
    """Changes whenever the answer may: the image, the question, the service's settings, every byte it can read."""
    content = hashlib.sha256()
    image, tried = observed.image(service.image), as_trial(service, trial)
    for part in (service.name, image.id if image else "", *trial.argv, fingerprint(tried), *sorted(_names(project))):
        content.update(part.encode() + b"\0")
    granted = {grant.source for grant in tried.configs}
    for config in project.configs:
        if config.key in granted:
            content.update((config.content or "").encode() + b"\0")
    paths = [config.file for config in project.configs if config.key in granted]
    paths += [mount.source for mount in tried.mounts if mount.kind is MountKind.BIND]
    for path in paths:
        _add(content, Path(path) if path else None)
    return content.hexdigest()


def _add(content: hashlib._Hash, path: Path | None) -> None:
    """The names and bytes of the first files below a path; of what is large, sizes and times."""
    if path is None:
        return
    left = MOST_BYTES
    for file in islice([path] if path.is_file() else sorted(path.rglob("*")), MOST_FILES):
        if not file.is_file():
            continue
        state = file.stat()
        left -= state.st_size
        known = file.read_bytes() if left > 0 else f"{state.st_size} {state.st_mtime_ns}".encode()
        content.update(str(file).encode() + b"\0" + known + b"\0")


def _read(cache: Path) -> list[str]:
    try:
        return msgspec.json.decode(cache.read_bytes(), type=list[str])
    except (FileNotFoundError, msgspec.DecodeError):
        return []

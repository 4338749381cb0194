"""Bring an app back on an empty server from nothing but its repository and the key.

keep    beside the data, every backup stores the app's directory, the server's key and its sealed secrets
fetch   on the new server: open the repository, put those back where they were
revive  deploy the app from them, restore the newest good snapshot of each service, say how long it took
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from havre.backups.book import read_records
from havre.backups.repository import Listed, Repository, local_directory
from havre.backups.wal import windows
from havre.backups.wal_book import WalBook, read_archives
from havre.errors import FailedError, HavreError, InputError, Problem, RefusedError
from havre.host import clock
from havre.host.files import write_atomic
from havre.model.backup_kinds import DATABASE_KINDS
from havre.model.pitr import Archive
from havre.model.project import MountKind
from havre.store.state import State
from havre.workflows.app_record import AppRecord, Recovery, end_recovery, read_recovery, write_recovery
from havre.workflows.deploy import apply, propose
from havre.workflows.intent import Intent
from havre.workflows.recovery import Recovered, recover_to
from havre.workflows.restore import Restored, drop_kept, restore
from havre.workflows.storage import Storage

Progress = Callable[[str], None]
RECORD, RECORD_TAG = "app.json", "havre-app"
SETTINGS, SETTINGS_TAG = "server.yaml", "part=server"
NOT_CONFIGURATION = (".git", "node_modules", ".venv", "__pycache__", ".next", "dist", "*.log")
"""What is not needed to build and run the app again; data in directories that services write is backed up as data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revived:
    """What came back: each service's data, and the seconds from the first look into the repository."""

    record: AppRecord
    restored: tuple[Restored | Recovered, ...]
    seconds: float


def keep_configuration(storage: Storage, intent: Intent, manifest: str) -> None:
    """Store what a new server needs, in every repository that this app's data goes to; the record comes last."""
    app, state = intent.app, storage.server.state
    record = AppRecord(
        id=f"app-{clock.stamp(clock.now())}",
        instance=app.instance,
        environment=app.environment,
        directory=app.directory,
        manifest=manifest,
        machine=storage.server.machine,
        at=clock.now(),
    )
    written = [
        mount.source
        for service in intent.project.services
        for mount in service.stateful_mounts
        if mount.kind is MountKind.BIND and mount.source
    ]
    tags = [f"instance={app.instance}", f"backup={record.id}"]
    urls = _urls(storage, intent)
    left_out = (
        *NOT_CONFIGURATION,
        *written,
        str(state.directory),
        *(str(path) for url in urls if (path := local_directory(url))),
    )
    problems = list[Problem]()
    for url in urls:
        try:
            _keep_in(storage.made(url, app.instance), record, state, tags, left_out)
        except HavreError as error:  # one destination that is away keeps no other from having it
            problems += error.problems
    if problems:
        raise FailedError(problems)


def _keep_in(
    repository: Repository, record: AppRecord, state: State, tags: Sequence[str], left_out: Sequence[str]
) -> None:
    _forget_older(repository, record.instance)
    repository.store_directory(Path(record.directory), [*tags, "part=app"], exclude=left_out)
    for part, directory in (("keys", state.keys), ("secrets", state.secrets)):
        if directory.is_dir():
            repository.store_directory(directory, [*tags, f"part={part}"])
    if (settings := state.directory / SETTINGS).is_file():
        repository.store_small(SETTINGS, [*tags, SETTINGS_TAG], settings.read_bytes())
    repository.store_small(RECORD, [*tags, RECORD_TAG], msgspec.json.encode(record))


def wanted(repository: Repository, state: State, instance: str | None, *, directory: Path | None = None) -> Recovery:
    """The recovery that is asked for: one that was begun here, or a new one; refuses what an older life left here.

    Nothing is written.
    """
    record = _newest_record(repository, instance)
    begun = read_recovery(state, record.instance)
    if begun is not None and str(directory or begun.record.directory) == begun.record.directory:
        return begun
    target = directory or Path(record.directory)
    if record.instance in {known.instance for known in state.instances.list()}:
        raise RefusedError(_is_here(record.instance))
    if target.exists() and any(target.iterdir()):
        raise RefusedError(_not_empty(target))
    return Recovery(record=msgspec.structs.replace(record, directory=str(target)))


def fetch(repository: Repository, state: State, instance: str | None, *, directory: Path | None = None) -> AppRecord:
    """Put the app's directory, the key, the secrets and the server's settings back, once."""
    recovery = wanted(repository, state, instance, directory=directory)
    record = recovery.record
    if recovery.fetched:
        return record
    write_recovery(state, recovery)
    where = {"part=app": Path(record.directory), "part=keys": state.keys, "part=secrets": state.secrets}
    for listed in repository.snapshots([f"backup={record.id}"]):
        for tag in listed.tags:
            if tag in where:
                _put_back(repository, listed, where[tag])
        if SETTINGS_TAG in listed.tags and not (path := state.directory / SETTINGS).exists():
            write_atomic(path, repository.read_small(listed.id, SETTINGS))
    write_recovery(state, msgspec.structs.replace(recovery, fetched=True))
    return record


def revive(
    storage: Storage,
    intent: Intent,
    record: AppRecord,
    url: str,
    *,
    started: float,
    progress: Progress = lambda _: None,
) -> Revived:
    """Deploy the app as it was and restore each service: from its kept log, else from its newest good snapshot."""
    recovery = read_recovery(storage.server.state, record.instance) or Recovery(record=record, fetched=True)
    try:
        restored = _bring_back(storage, intent, recovery, url, progress)
    except HavreError as error:
        raise FailedError([*error.problems, _to_go_on(record)]) from error
    end_recovery(storage.server.state, record.instance)
    return Revived(record=record, restored=restored, seconds=clock.elapsed() - started)


def _bring_back(
    storage: Storage, intent: Intent, recovery: Recovery, url: str, progress: Progress
) -> tuple[Restored | Recovered, ...]:
    """Whatever is not back yet; each service is remembered when it is."""
    record, repository = recovery.record, storage.repository(url)
    records, archives = read_records(repository, record.instance), read_archives(repository, record.instance)
    for snapshot in records:
        storage.book.write(snapshot)
    for service, archive in archives.items():
        WalBook(storage.server.state.backups).write(record.instance, service, archive)
    proposal = propose(storage.server, intent)
    if not proposal.plan.is_empty:
        progress(f"deploying {record.instance}")
        apply(storage.server, proposal, progress=progress)
    restored: list[Restored | Recovered] = []
    good = [snapshot for snapshot in reversed(records) if snapshot.is_good]
    databases = {*archives, *(snapshot.service for snapshot in good if snapshot.kind in DATABASE_KINDS)}
    for service in dict.fromkeys([*archives, *(snapshot.service for snapshot in good)]):
        if service in recovery.restored:
            continue
        snapshots = [snapshot.started_at for snapshot in good if snapshot.service == service]
        if _reaches(archives.get(service)) >= max(snapshots, default=0.0):
            restored.append(recover_to(storage, intent, service, None, progress=progress))
        else:
            restored.append(restore(storage, intent, service, progress=progress))
        if service in databases:
            drop_kept(storage, intent, service)  # the empty databases that the first start made
        recovery = msgspec.structs.replace(recovery, restored=(*recovery.restored, service))
        write_recovery(storage.server.state, recovery)
    return tuple(restored)


def _reaches(archive: Archive | None) -> float:
    """The newest moment that a kept log can restore."""
    return max((window.until for window in windows(archive)), default=-1.0) if archive else -1.0


def _urls(storage: Storage, intent: Intent) -> tuple[str, ...]:
    urls = [url for policy in intent.app.backups for url in storage.urls(policy)]
    return tuple(dict.fromkeys(urls)) or (storage.default_url,)


def _forget_older(repository: Repository, instance: str, *, keep: int = 10) -> None:
    """The newest few descriptions of the app stay."""
    records = repository.snapshots([f"instance={instance}", RECORD_TAG])
    for old in records[: max(0, len(records) - keep)]:
        [backup] = [tag for tag in old.tags if tag.startswith("backup=")]
        repository.forget([listed.id for listed in repository.snapshots([backup])])


def _newest_record(repository: Repository, instance: str | None) -> AppRecord:
    described = repository.snapshots([RECORD_TAG])
    listed = [one for one in described if instance is None or f"instance={instance}" in one.tags]
    if not listed:
        raise InputError(_nothing_there(repository, instance, _instances(described)))
    if len(names := _instances(listed)) > 1:
        raise InputError(_choose(names))
    return msgspec.json.decode(repository.read_small(listed[-1].id, RECORD), type=AppRecord)


def _instances(described: Sequence[Listed]) -> list[str]:
    tags = {tag for entry in described for tag in entry.tags if tag.startswith("instance=")}
    return sorted(tag.removeprefix("instance=") for tag in tags)


def _put_back(repository: Repository, listed: Listed, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    repository.restore_directory(listed.id, target)


def storage_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """What reaching the repository needs, on a server that has nothing sealed yet."""
    return {name: value for name, value in variables.items() if name.startswith(("AWS_", "B2_", "AZURE_", "GOOGLE_"))}


def _is_here(instance: str) -> Problem:
    return Problem(
        summary=f"{instance} is known on this server already",
        hint="`havre restore` brings single services back; recover-server is for a server that has nothing of the app",
        code="instance-exists",
    )


def _not_empty(target: Path) -> Problem:
    return Problem(
        summary=f"{target} is not empty",
        effect="nothing was written",
        hint="give --directory with an empty place, or move away what is there",
        code="target-not-empty",
    )


def _to_go_on(record: AppRecord) -> Problem:
    return Problem(
        summary=f"{record.instance} is not back as a whole",
        evidence=(f"its files are in {record.directory}; services whose data is missing run with none",),
        effect="what was restored stays, and is not restored again",
        hint="when the cause above is gone, the same command goes on from here",
        code="recovery-unfinished",
    )


def _nothing_there(repository: Repository, instance: str | None, others: Sequence[str]) -> Problem:
    hint = "only `havre backup` stores it; check the address"
    return Problem(
        summary=f"{repository.shown} holds no description of {instance or 'any app'}",
        evidence=(f"it holds those of {', '.join(others)}",) if others else (),
        hint="give one of these with --instance" if others else hint,
        code="app-record-missing",
    )


def _choose(instances: list[str]) -> Problem:
    return Problem(
        summary=f"the repository holds several apps: {', '.join(instances)}",
        hint="say which with --instance; they can be recovered one after the other",
        code="app-record-several",
    )

"""Backup: dump as a stream into the repository, prove what was stored, judge it against the last good one, then tidy.

Nothing counts as a backup before its record is stored, and nothing but a good backup ever makes an older one go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

from havre.backups import postgres
from havre.backups.book import Book, judge, store_record, tags_of
from havre.backups.choosing import kind_of, policies_for
from havre.backups.files import Directories
from havre.backups.opening import open_repository
from havre.backups.place import Kind, Place, Taken
from havre.backups.reading import OpenPart
from havre.backups.repository import Produce, Repository, Stored
from havre.backups.retention import to_forget
from havre.backups.vault import Vault
from havre.errors import FailedError, HavreError, InputError, Problem
from havre.host import clock
from havre.host.locks import exclusive
from havre.model.backup import BackupPolicy, Snapshot, Verdict
from havre.model.project import Service
from havre.model.units import show_bytes
from havre.workflows.intent import Intent
from havre.workflows.places import ReplicaPlace, place_of, standing_still
from havre.workflows.room import refuse_backup_without_room, size_of
from havre.workflows.server import Server
from havre.workflows.settings import read_settings

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """How this server reaches its repositories. `variables` is the environment the user gave storage keys in."""

    server: Server
    variables: Mapping[str, str] = field(default_factory=dict)
    patience: float = 300.0

    @property
    def book(self) -> Book:
        """What is known of snapshots here."""
        return Book(self.server.state.backups)

    @property
    def vault(self) -> Vault:
        """The repositories' key."""
        return Vault(self.server.state.backups / "key.sealed", self.server.seal, self.server.unseal)

    @property
    def default_url(self) -> str:
        """Where backups go when the manifest names no place."""
        return str(self.server.state.backups / "repo")

    def urls(self, policy: BackupPolicy) -> tuple[str, ...]:
        """The repositories of a policy; a relative path is below the server's backups."""
        wanted = policy.to or read_settings(self.server.state.directory).backup_to
        return tuple(self._absolute(url) for url in wanted) or (self.default_url,)

    def repository(self, url: str) -> Repository:
        """The repository at `url`, whether it exists or not."""
        known = self.vault.destination(url, self.variables)
        directory = self.server.state.directory
        return open_repository(known, state=directory, variables=self.variables, patience=self.patience)

    def _absolute(self, url: str) -> str:
        if url.startswith("/") or ":" in url:
            return url
        return str(self.server.state.backups / url)


def back_up(
    storage: Storage, intent: Intent, services: Sequence[str] = (), *, live: bool = False, purpose: str = "backup",
    progress: Progress = lambda _: None,
) -> tuple[Snapshot, ...]:  # fmt: skip
    """Back up these services (all that have a policy or a known kind when none is named); all are tried.

    Raises RefusedError before the key is in a person's hands, FailedError with every service's problems.
    """
    storage.vault.refuse_without_escrow()
    policies = policies_for(intent.app, intent.project, services)
    taken, problems = [], list[Problem]()
    lock = storage.server.state.lock(f"{intent.app.instance}.backup")
    with exclusive(lock, what=f"the backups of {intent.app.instance}", doing=purpose, wait=60.0):
        for policy in policies:
            one = _One(storage=storage, intent=intent, policy=policy, live=live, purpose=purpose, progress=progress)
            try:
                taken.append(one.take())
            except HavreError as error:
                problems += _failed(policy.service, error)
    if problems:
        raise FailedError(problems)
    return tuple(taken)


@dataclass(frozen=True, slots=True, kw_only=True)
class _One:
    """The backup of one service."""

    storage: Storage
    intent: Intent
    policy: BackupPolicy
    live: bool
    purpose: str
    progress: Progress

    def take(self) -> Snapshot:
        """Take, prove, judge, record, copy, tidy; a failure is recorded too, and raised."""
        begun = self._begin()
        try:
            return self._take(begun)
        except HavreError as error:
            reasons = tuple(problem.summary for problem in error.problems)
            self.storage.book.write(replace(begun, ended_at=clock.now(), verdict=Verdict.FAILED, reasons=reasons))
            raise

    def _take(self, begun: Snapshot) -> Snapshot:
        first, *others = self.storage.urls(self.policy)
        repository = self.storage.repository(first)
        if not any(one.repository == first and one.parts for one in self.storage.book.snapshots(begun.instance)):
            repository.make()  # only the first time: a repository that vanished later must be noticed
        kind = kind_of(self._service, self.policy)
        with ExitStack() as stack:
            place = place_of(self._server, begun.instance, begun.service)
            self._refuse_without_room(kind, place)
            stack.enter_context(self._still(kind))
            keeper = _Keeper(repository, begun)
            taken = kind.take(place, keeper)
        opened = OpenPart(repository)
        if kind.name == "postgres":
            taken = self._prove_structure(place_of(self._server, begun.instance, begun.service), taken, opened)
        added = sum(stored.added for stored in keeper.stored)
        snapshot = self._judged(replace(begun, repository=first, added=added), taken)
        store_record(repository, snapshot)
        self.storage.book.write(snapshot)
        for url in others:
            self._copy(repository, url, snapshot)
        if snapshot.is_good:
            tidy(self.storage, repository, snapshot.instance, self.policy)
        return snapshot

    def _begin(self) -> Snapshot:
        at = clock.now()
        return Snapshot(
            id=f"{self.policy.service}-{clock.stamp(at)}",
            instance=self.intent.app.instance,
            service=self.policy.service,
            kind=self.policy.kind or "",
            started_at=at,
            image=self._service.image,
            purpose=self.purpose,
        )

    @contextmanager
    def _still(self, kind: Kind) -> Iterator[None]:
        """Files are copied while their service stands still, unless it was said that it may run."""
        instance = self.intent.app.instance
        if not isinstance(kind, Directories) or self.live:
            yield
            return
        with ExitStack() as stack:
            if self.purpose == "backup":
                lock = self._server.state.lock(instance)
                stack.enter_context(exclusive(lock, what=f"the instance {instance}", doing="backup", wait=600.0))
            stack.enter_context(standing_still(self._server, self.intent.project, instance, self._service))
            yield

    def _refuse_without_room(self, kind: Kind, place: ReplicaPlace) -> None:
        previous = self.storage.book.newest_good(self.intent.app.instance, self.policy.service)
        size = size_of(kind, place, previous)
        refuse_backup_without_room(self._server, self.storage.urls(self.policy), size, previous)

    def _prove_structure(self, place: Place, taken: Taken, opened: OpenPart) -> Taken:
        for part in taken.parts:
            entries = postgres.check_stored(place, opened(part.restic, part.file, to_end=False))
            self.progress(f"{part.name}: {part.total} rows, {entries} entries")
        return replace(taken, checks=(*taken.checks, "pg_restore reads the stored dump"))

    def _judged(self, begun: Snapshot, taken: Taken) -> Snapshot:
        snapshot = replace(
            begun,
            kind=kind_of(self._service, self.policy).name,
            ended_at=clock.now(),
            parts=taken.parts,
            checks=(*taken.checks, "as many bytes are stored as were dumped"),
            globals_sql=taken.globals_sql,
            version=taken.version,
        )
        previous = self.storage.book.newest_good(snapshot.instance, snapshot.service, kind=snapshot.kind)
        return judge(snapshot, previous, taken.doubts)

    def _copy(self, source: Repository, url: str, snapshot: Snapshot) -> None:
        target = self.storage.repository(url)
        target.make()
        target.copy_from(source, [tag for tag in tags_of(snapshot) if tag.startswith("backup=")])
        self.progress(f"{snapshot.id}: copied to {target.shown}")

    @property
    def _server(self) -> Server:
        return self.storage.server

    @property
    def _service(self) -> Service:
        return self.intent.project.service(self.policy.service)


@dataclass(frozen=True, slots=True)
class _Keeper:
    """Stores each stream of one snapshot under its tags."""

    repository: Repository
    snapshot: Snapshot

    stored: list[Stored] = field(default_factory=list)

    def __call__(self, file: str, produce: Produce, look: Callable[[bytes], None]) -> Stored:
        self.stored.append(self.repository.store(file, tags_of(self.snapshot), produce, look))
        return self.stored[-1]


def accept(storage: Storage, instance: str, snapshot_id: str) -> Snapshot:
    """A person looked at a suspicious snapshot and found the data right: it counts from now on."""
    found = [one for one in storage.book.snapshots(instance) if one.id == snapshot_id]
    if not found or found[0].verdict is not Verdict.SUSPICIOUS:
        raise InputError(_nothing_to_accept(snapshot_id))
    reasons = (*found[0].reasons, f"accepted by {storage.server.who} at {clock.show_time(clock.now())}")
    accepted = replace(found[0], verdict=Verdict.GOOD, reasons=reasons)
    store_record(storage.repository(accepted.repository), accepted)
    storage.book.write(accepted)
    return accepted


def outdated(storage: Storage, url: str, instance: str, policy: BackupPolicy) -> tuple[Snapshot, ...]:
    """What the policy no longer asks to keep in the repository at `url`."""
    recorded = storage.book.snapshots(instance, policy.service)
    known = [one for one in recorded if one.repository in ("", url)]
    return to_forget(known, policy.keep, clock.now())


def tidy(storage: Storage, repository: Repository, instance: str, policy: BackupPolicy) -> tuple[Snapshot, ...]:
    """Forget what the policy no longer asks to keep, and free its room; returns what went."""
    gone = outdated(storage, repository.url, instance, policy)
    if not gone:
        return ()
    tags = {f"backup={snapshot.id}" for snapshot in gone}
    listed = repository.snapshots([f"instance={instance}", f"service={policy.service}"])
    repository.forget([entry.id for entry in listed if tags & set(entry.tags)])
    for snapshot in gone:
        storage.book.forget(snapshot)
    if any(snapshot.verdict is not Verdict.FAILED for snapshot in gone):
        repository.prune()
    return gone


def snapshot_before_migration(
    storage: Storage, intent: Intent, *, progress: Progress = lambda _: None, fresh: float = 900.0
) -> Callable[[tuple[str, ...]], None]:
    """What `workflows.deploy.apply` needs as `snapshot`: a good snapshot of each service, or an error.

    A service with a good snapshot younger than `fresh` seconds is not backed up again, and this is said.
    """

    def snapshot(services: tuple[str, ...]) -> None:
        needed = []
        for service in services:
            newest = storage.book.newest_good(intent.app.instance, service)
            age = clock.now() - newest.started_at if newest else None
            if newest is not None and age is not None and age < fresh:
                progress(f"{service}: the snapshot {newest.id}, {age:.0f} s old and verified, is the safeguard")
            elif reason := _too_large(storage, intent, service, newest):
                progress(f"{service}: {reason}")
            else:
                needed.append(service)
        taken = back_up(storage, intent, needed, purpose="safeguard", progress=progress) if needed else ()
        if doubtful := [one for one in taken if not one.is_good]:
            raise FailedError([_doubtful(one) for one in doubtful])

    return snapshot


def _too_large(storage: Storage, intent: Intent, service: str, newest: Snapshot | None) -> str:
    """Why the user's `safeguard_limit` says to migrate without a snapshot of this service; empty where it does not."""
    limit = intent.app.migration.safeguard_limit if intent.app.migration else None
    if limit is None:
        return ""
    kind = kind_of(intent.project.service(service), policies_for(intent.app, intent.project, [service])[0])
    size = size_of(kind, place_of(storage.server, intent.app.instance, service), newest)
    if size is None or size <= limit:
        return ""
    latest = f"the newest good snapshot is {newest.id}" if newest else "there is no good snapshot"
    held = f"it holds {show_bytes(size)}, more than `safeguard_limit` ({show_bytes(limit)})"
    return f"{held}: no snapshot before the migration; {latest}"


def _failed(service: str, error: HavreError) -> list[Problem]:
    return [
        replace(problem, subject=problem.subject or service, summary=f"backup of {service} FAILED: {problem.summary}")
        for problem in error.problems
    ]


def _nothing_to_accept(snapshot_id: str) -> Problem:
    return Problem(
        summary=f"there is no suspicious snapshot {snapshot_id}",
        hint="`havre backup list` shows the ids; only suspicious snapshots can be accepted",
        code="snapshot-missing",
    )


def _doubtful(snapshot: Snapshot) -> Problem:
    return Problem(
        summary=f"the snapshot of {snapshot.service} before the migration is suspicious",
        evidence=snapshot.reasons,
        effect="the migration was not begun",
        hint="look at the data; when it is right, `havre backup accept " + snapshot.id + "` and deploy again",
        code="safeguard-suspicious",
    )

"""Backup: dump as a stream into the repository, prove what was stored, judge it against the last good one, then tidy.

Nothing counts as a backup before its record is stored, and nothing but a good backup ever makes an older one go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import takewhile

from havre.backups.book import judge, still_asked_for, store_record, store_record_of, tags_of
from havre.backups.choosing import kind_of, part_names, policies_for
from havre.backups.files import Directories
from havre.backups.place import Kind, Place, Provable, Taken
from havre.backups.reading import OpenPart
from havre.backups.repository import Produce, Repository, Stored
from havre.errors import FailedError, HavreError, InputError, Problem
from havre.host import clock
from havre.host.locks import exclusive
from havre.model.app import App
from havre.model.backup import BackupPolicy, Snapshot, Verdict
from havre.model.plan import Plan, Safeguard
from havre.model.project import Service
from havre.model.secrets_mask import mask_url
from havre.model.units import show_bytes
from havre.workflows.intent import Intent
from havre.workflows.places import place_of, standing_still, writers_of
from havre.workflows.room import refuse_backup_without_room, size_of
from havre.workflows.server import Server
from havre.workflows.storage import Storage
from havre.workflows.tidying import tidy

Progress = Callable[[str], None]


def back_up(
    storage: Storage, intent: Intent, services: Sequence[str] = (), *, live: bool = False, purpose: str = "backup",
    progress: Progress = lambda _: None,
) -> tuple[Snapshot, ...]:  # fmt: skip
    """Back up these services (all that have a policy or a known kind when none is named); all are tried.

    Raises RefusedError before the key is in a person's hands, FailedError with every service's problems: also where a
    snapshot is good, but not in every destination.
    """
    storage.vault.refuse_without_escrow()
    policies = policies_for(intent.app, intent.project, services)
    taken, problems = [], list[Problem]()
    lock = storage.server.state.lock(f"{intent.app.instance}.backup")
    with exclusive(lock, what=f"the backups of {intent.app.instance}", doing=purpose, wait=60.0):
        for policy in policies:
            one = _One(storage=storage, intent=intent, policy=policy, live=live, purpose=purpose, progress=progress)
            try:
                snapshot, lacking = one.take()
            except HavreError as error:
                problems += _failed(policy.service, error)
            else:
                taken.append(snapshot)
                problems += lacking
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

    def take(self) -> tuple[Snapshot, tuple[Problem, ...]]:
        """Take, prove, judge, record, copy, tidy; a failure is recorded too, and raised.

        Also gives what is wrong with destinations that lack it: a snapshot in one of them is a snapshot.
        """
        begun = self._begin()
        try:
            return self._take(begun)
        except HavreError as error:
            reasons = tuple(problem.summary for problem in error.problems)
            self.storage.book.write(replace(begun, ended_at=clock.now(), verdict=Verdict.FAILED, reasons=reasons))
            raise

    def _take(self, begun: Snapshot) -> tuple[Snapshot, tuple[Problem, ...]]:
        away: dict[str, HavreError] = {}
        snapshot = self._take_into_first(begun, away)
        problems = [problem for url in self.storage.urls(self.policy) for problem in self._copied(snapshot, url, away)]
        if snapshot.is_good:
            problems += tidy(self.storage, snapshot.instance, self.policy, but=away).problems
        [recorded] = [one for one in self.storage.book.snapshots(begun.instance, begun.service) if one.id == begun.id]
        return recorded, tuple(problems)

    def _take_into_first(self, begun: Snapshot, away: dict[str, HavreError]) -> Snapshot:
        """In the first destination that takes it; what is wrong with those before it is in `away` then."""
        for url in self.storage.urls(self.policy):
            try:
                return self._take_into(url, begun)
            except HavreError as error:
                if not all(is_of_destination(problem) for problem in error.problems):
                    raise
                away[url] = error
        raise FailedError([problem for error in away.values() for problem in error.problems])

    def _take_into(self, url: str, begun: Snapshot) -> Snapshot:
        repository = self.storage.made(url, begun.instance)
        kind = kind_of(self._service, self.policy)
        with ExitStack() as stack:
            place = place_of(self._server, begun.instance, begun.service)
            previous = self.storage.book.newest_good(begun.instance, begun.service)
            refuse_backup_without_room(self._server, [url], size_of(kind, place, previous), previous)
            stack.enter_context(self._still(kind))
            keeper = _Keeper(repository, begun)
            taken = kind.take(place, keeper)
        begun = replace(begun, repository=url, added=sum(stored.added for stored in keeper.stored))
        with ThreadPoolExecutor(1) as beside:  # reading back what is stored and opening the repository take their time
            settled = beside.submit(self._settle, begun, taken, OpenPart(repository))
            store_record_of(repository, begun, settled.result)
        self.storage.book.write(settled.result())
        return settled.result()

    def _settle(self, begun: Snapshot, taken: Taken, opened: OpenPart) -> Snapshot:
        kind = kind_of(self._service, self.policy)
        if isinstance(kind, Provable):
            taken = self._proven(kind, place_of(self._server, begun.instance, begun.service), taken, opened)
        return self._judged(begun, taken)

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
        """Files are copied while all who write them stand still, unless it was said that they may run."""
        instance = self.intent.app.instance
        if not isinstance(kind, Directories) or self.live:
            yield
            return
        with ExitStack() as stack:
            if self.purpose == "backup":
                lock = self._server.state.lock(instance)
                stack.enter_context(exclusive(lock, what=f"the instance {instance}", doing="backup", wait=600.0))
            writers = writers_of(self.intent.project, self._service, [path for _, path in kind.paths])
            stack.enter_context(
                standing_still(self._server, self.intent.project, instance, writers, progress=self.progress)
            )
            yield

    def _proven(self, kind: Provable, place: Place, taken: Taken, opened: OpenPart) -> Taken:
        for part in taken.parts:
            self.progress(f"{part.name}: {kind.prove(place, part, opened(part.restic, part.file, to_end=False))}")
        return replace(taken, checks=(*taken.checks, kind.proof))

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
        wanted = part_names(self._service, self.policy)
        return judge(snapshot, still_asked_for(previous, wanted) if previous else None, taken.doubts)

    def _copied(self, snapshot: Snapshot, url: str, away: dict[str, HavreError]) -> list[Problem]:
        """Bring a destination what it lacks; says why it cannot be brought, and that is `away` then."""
        lacking = self._lacking(snapshot, url)
        if lacking and url not in away:
            try:
                known = self.storage.book.snapshots(snapshot.instance, snapshot.service)
                there = next((replace(one, repository=url) for one in known if url in one.places), None)
                refuse_backup_without_room(self._server, [url], snapshot.size, there)
                target = self.storage.made(url, snapshot.instance)
                for one in lacking:
                    source = self.storage.repository(one.repository)
                    target.copy_from(source, [tag for tag in tags_of(one) if tag.startswith("backup=")])
                    self.storage.book.write(replace(one, copies=(*one.copies, url)))
                    self.progress(f"{one.id}: copied to {target.shown}")
            except HavreError as error:
                away[url] = error
        return [_not_there(snapshot, url, problem) for problem in away[url].problems] if url in away else []

    def _lacking(self, snapshot: Snapshot, url: str) -> Sequence[Snapshot]:
        """Those that a destination missed since it last got one, and this one unless it was taken into it."""
        known = self.storage.book.snapshots(snapshot.instance, snapshot.service)
        older = [one for one in known if one.parts and one.id != snapshot.id]
        missed = list(takewhile(lambda one: url not in one.places, older))
        found = missed[::-1] if len(missed) < len(older) else []
        return found if url == snapshot.repository else [*found, snapshot]

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
    for url in accepted.copies:
        store_record(storage.repository(url), accepted)
    return accepted


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


def refuse_safeguard_without_key(storage: Storage, app: App, plan: Plan) -> None:
    """RefusedError for a plan with a snapshot that would fail at that step, since nobody holds the backups' key.

    With a `safeguard_limit` only the snapshot itself knows whether it is taken.
    """
    is_certain = app.migration is None or app.migration.safeguard_limit is None
    if is_certain and any(isinstance(planned.step, Safeguard) for planned in plan.steps):
        storage.vault.refuse_without_escrow()


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


def is_of_destination(problem: Problem) -> bool:
    """Whether it is a destination's own trouble: another one may take what this one does not."""
    return problem.code.startswith("repository-") or problem.code in ("no-room", "restic-missing", "backup-truncated")


def _not_there(snapshot: Snapshot, url: str, problem: Problem) -> Problem:
    """A snapshot that is well lacks a copy."""
    return replace(
        problem,
        subject=snapshot.service,
        summary=f"{snapshot.id} is not in {mask_url(url)}: {problem.summary}",
        effect=f"it is {snapshot.verdict.value} in {mask_url(snapshot.repository)}, and nothing of it is lost",
    )


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

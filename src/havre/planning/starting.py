"""The part of a release in which nothing that serves is given up: snapshot, migrate, start beside, prove.

Services wait only for what they depend on, so independent work runs in parallel. Stop-first services (D11) are the
exception that the plan names: requests for them and for what calls them are held, the old replica is drained and
stopped, the new one started and proven; the old one is kept until the release has been verified, so that undoing can
start it again.

`update_config` counts for updates, not for first releases and added replicas: `parallelism` replicas of a service
start at a time (0: all), each must stay healthy for `monitor` seconds, and the next ones come `delay` seconds later.
A stop-first service stops all old replicas before any new one starts, since two versions must never write the same
data; `monitor` counts for it only where no requests are held meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from havre.model.app import App, Migration
from havre.model.observed import Observed, ObservedReplica
from havre.model.plan import (
    AwaitHealthy,
    Drain,
    Hold,
    Phase,
    Resume,
    RunTask,
    Safeguard,
    StartReplica,
    StopReplica,
    UndoMigration,
)
from havre.model.project import Condition, MountKind, Project, Service
from havre.planning.callers import Callers
from havre.planning.compare import Change, Leave, Start, needs_of
from havre.planning.draft import Draft
from havre.planning.facts import EdgeFacts, Slots, ordered
from havre.planning.order import everything_under, left_for_last
from havre.planning.preparing import Prepared
from havre.planning.reasons import interruption

JOB_TIMEOUT = 3600.0
"""Seconds a job may take: Compose knows no limit, but a release must end."""


class Starting:
    """Adds these steps to a draft. After `run`, `proof` holds the steps that prove all that is new."""

    def __init__(
        self,
        draft: Draft,
        prepared: Prepared,
        changes: Mapping[str, Change],
        edge: EdgeFacts,
        *,
        project: Project,
        observed: Observed,
        app: App | None,
        undo: UndoMigration | None = None,
    ) -> None:
        self._draft = draft
        self._prepared = prepared
        self._changes = changes
        self._services = {name: change.service for name, change in changes.items()}
        self._edge = edge
        self._project = project
        self._observed = observed
        self._app = app
        self._undo = undo
        self._started: dict[str, tuple[int, ...]] = {}
        self._ready: dict[str, tuple[int, ...]] = {}
        self._gate: tuple[int, ...] = ()
        self._snapshot: tuple[int, ...] = ()
        self._callers = Callers(project, edge.serving)
        self._waiting: dict[str, tuple[str, ...]] = {}
        self.held: set[str] = set()
        """Services whose requests wait for the switch."""
        self.leads_to: Slots = edge.now
        """Where the edge leads when these steps are done."""

    def run(self) -> None:
        """Add everything up to the proof of the last new replica."""
        if self._undo is not None:
            self._take_back(self._undo)
        migration = self._migration()
        last = left_for_last(self._changes)
        first = everything_under(migration.service, self._services) if migration else frozenset()
        if migration and self._can_snapshot_now(migration):
            self._safeguard(migration, after=self._prepared.images.values())
        self._start(name for name in self._changes if name in first)
        if migration:
            self._migrate(migration)
        self._start(name for name in self._changes if name not in first and name not in last)
        self._start_last(sorted(last - first, key=list(self._changes).index))

    @property
    def proof(self) -> tuple[int, ...]:
        """The steps after which every new replica is proven and every job done."""
        return tuple(number for ready in self._ready.values() for number in ready)

    # -- migration -----------------------------------------------------------------------------------------------

    def _migration(self) -> Migration | None:
        """It runs exactly when its service is made of something else (or new), not when a replica is repaired."""
        migration = self._app.migration if self._app else None
        change = self._changes.get(migration.service) if migration else None
        return migration if change is not None and change.replaced else None

    def _safeguarded(self, migration: Migration) -> tuple[str, ...]:
        """The services to snapshot: those named, else those with a backup that the migrated service depends on."""
        if not migration.safeguard:
            return ()
        under = everything_under(migration.service, self._services)
        stateful = tuple(name for name in self._changes if name in under and self._service(name).stateful_mounts)
        backed_up = {policy.service for policy in self._app.backups} if self._app else set()
        chosen = migration.safeguard_services or tuple(name for name in stateful if name in backed_up)
        return tuple(name for name in chosen if name in self._changes and self._holds_data(name))

    def _holds_data(self, name: str) -> bool:
        """False on a first release: there is nothing to lose yet."""
        change = self._changes[name]
        if change.keep or change.leave:
            return True
        keys = {mount.source for mount in change.service.mounts if mount.kind is MountKind.VOLUME}
        names = {volume.name for volume in self._project.volumes if volume.key in keys}
        return any(volume.name in names for volume in self._observed.volumes)

    def _can_snapshot_now(self, migration: Migration) -> bool:
        """True when all to be snapshot run: then it is done before any of them is replaced."""
        services = [self._changes[name] for name in self._safeguarded(migration)]
        return all(any(r.is_running for r in _all_replicas(change)) for change in services)

    def _safeguard(self, migration: Migration, after: Iterable[int]) -> None:
        services = self._safeguarded(migration)
        if services and not self._snapshot:
            step = Safeguard(services=services)
            reason = f"before {migration.service}'s migration may change them"
            self._snapshot = (self._draft.add(step, reason, phase=Phase.SAFEGUARD, after=after),)

    def _note_bare(self, migration: Migration) -> None:
        """A migration of live data without a snapshot is the user's choice, and is said every time."""
        under = everything_under(migration.service, self._services)
        holds = [n for n in self._changes if n in under and self._service(n).stateful_mounts and self._holds_data(n)]
        if holds and not self._safeguarded(migration):
            why = "no `backups:` in havre.yaml" if migration.safeguard else "`safeguard: false`"
            self._draft.note(f"the migration runs without a snapshot of {', '.join(holds)} ({why})")

    def _migrate(self, migration: Migration) -> None:
        change = self._changes[migration.service]
        self._note_bare(migration)
        self._safeguard(migration, after=[*self.proof, *self._images()])
        step = RunTask(
            service=change.service,
            command=migration.run,
            title="migrate",
            timeout=migration.timeout,
            fingerprint=change.fingerprint,
        )
        after = [*self._images(), *self._prepared.for_service(change.service), *self._dependencies(change.service)]
        reason = "nothing else starts unless it succeeds"
        self._gate = (self._draft.add(step, reason, phase=Phase.MIGRATE, after=[*after, *self._snapshot]),)

    def _take_back(self, undo: UndoMigration) -> None:
        """Before anything starts: what is to serve again cannot work with the newer schema."""
        self._safeguard(Migration(service=undo.service.name, run=undo.command), after=self._images())
        reason = "the release to return to had that schema" if undo.until else "asked for"
        self._gate = (self._draft.add(undo, reason, phase=Phase.MIGRATE, after=[*self._images(), *self._snapshot]),)

    # -- services ------------------------------------------------------------------------------------------------

    def _start(self, names: Iterable[str]) -> None:
        for name in names:
            change = self._changes[name]
            gate = self._gate or self._snapshot  # for a snapshot of files, services stop while requests are held
            after = (*self._prepared.for_service(change.service), *self._dependencies(change.service), *gate)
            if change.is_job:
                self._run_job(change, after)
            elif change.stops_first:
                self._replace_stopped(change, after)
                self._resume(change, slots=change.slots if change.service.name in self.held else ())
            elif change.start:
                self._start_beside(change, after)

    def _start_last(self, names: Sequence[str]) -> None:
        proof = self.proof
        for name in names:
            change = self._changes[name]
            after = (*self._prepared.for_service(change.service), *self._gate, *proof)
            self._replace_stopped(change, after)
            self._resume(change)  # the switch, which comes next, leads to itself

    def _run_job(self, change: Change, after: Sequence[int]) -> None:
        for start in change.start:
            step = RunTask(
                service=change.service,
                command=None,
                role="job",
                title="run job",
                timeout=JOB_TIMEOUT,
                fingerprint=change.fingerprint,
            )
            number = self._draft.add(step, start.reason, phase=Phase.START, after=after)
            self._started[change.service.name] = self._ready[change.service.name] = (number,)

    def _start_beside(self, change: Change, after: Sequence[int]) -> None:
        update = change.service.update
        is_update = change.replaced and not change.is_first
        size = update.parallelism if is_update and update.parallelism else len(change.start)
        started: list[int] = []
        ready: list[int] = []
        barrier = tuple(after)
        for at in range(0, len(change.start), size):
            is_last = at + size >= len(change.start)
            settle = update.monitor if is_last else max(update.monitor, update.delay)
            batch = [
                self._start_one(change, one, barrier, settle if is_update else 0.0)
                for one in change.start[at : at + size]
            ]
            started += [number for number, _ in batch]
            ready += [number for _, number in batch]
            barrier = tuple(number for _, number in batch)
        self._started[change.service.name] = tuple(started)
        self._ready[change.service.name] = tuple(ready)

    def _start_one(self, change: Change, start: Start, after: Sequence[int], settle: float) -> tuple[int, int]:
        step = StartReplica(service=change.service, slot=start.slot, fingerprint=change.fingerprint)
        started = self._draft.add(step, start.reason, phase=Phase.START, after=after)
        proof = AwaitHealthy(service=change.service, slot=start.slot, settle=settle)
        return started, self._draft.add(proof, "no traffic before", phase=Phase.START, after=[started])

    def _replace_stopped(self, change: Change, after: Sequence[int]) -> None:
        """Hold, drain, stop, start, prove. It waits for all images: a failing build must not cost an interruption."""
        service = change.service
        old = [leave for leave in change.leave if leave.is_alive]
        after = (*after, *self._images(), *self._snapshot)
        if service.name in self._edge.led:
            after = self._close_its_door(service, old, after)
        after = self._hold_callers(service, after)
        stopped = []
        for leave in old:
            stop = StopReplica(service=service.name, slot=leave.replica.slot, grace=service.stop_grace)
            stopped.append(self._draft.add(stop, leave.reason, phase=Phase.START, after=after))
        waiting = (*([service.name] if service.name in self.held else ()), *self._waiting[service.name])
        settle = 0.0 if waiting else service.update.monitor
        pairs = [self._start_one(change, start, stopped, settle) for start in change.start]
        self._started[service.name] = tuple(number for number, _ in pairs)
        self._ready[service.name] = tuple(number for _, number in pairs)
        self._draft.note(interruption(service, waiting=waiting, limit=self._edge.hold_limit))

    def _close_its_door(self, service: Service, old: Sequence[Leave], after: Sequence[int]) -> tuple[int, ...]:
        """Hold what comes to it by the edge and drain it, before what calls it has to wait."""
        hold = Hold(service=service.name, limit=self._edge.hold_limit)
        held = self._draft.add(hold, "it stops before its successor starts", phase=Phase.START, after=after)
        self.held.add(service.name)
        drained = []
        for leave in old:
            drain = Drain(service=service.name, slot=leave.replica.slot, limit=service.stop_grace)
            drained.append(self._draft.add(drain, leave.reason, phase=Phase.START, after=[held]))
        return tuple(drained)

    def _hold_callers(self, service: Service, after: Sequence[int]) -> tuple[int, ...]:
        """Inside the app a stop-first service is called without the edge: only its callers' requests can wait."""
        found = self._callers.of(service.name, led=self._edge.led, met=self._edge.met)
        self._waiting[service.name] = found
        if not found:
            return tuple(after)
        hold = Hold(service=service.name, callers=found, limit=self._edge.hold_limit)
        reason = f"{service.name} stops before its successor starts"
        return (self._draft.add(hold, reason, phase=Phase.START, after=after),)

    def _resume(self, change: Change, *, slots: tuple[int, ...] = ()) -> None:
        """Give requests back before the rest of the release, which may take long; to the service itself in `slots`."""
        name = change.service.name
        found = self._waiting[name]
        if not (found or slots):
            return
        step = Resume(service=name, callers=found, slots=slots, back=ordered(self._edge.now))
        resumed = self._draft.add(step, f"{name} is proven", phase=Phase.START, after=self._ready[name])
        self._ready[name] = (*self._ready[name], resumed)
        if slots:
            self.leads_to = ordered((*((s, led) for s, led in self.leads_to if s != name), (name, slots)))
            self.held.discard(name)

    # -- what to wait for ----------------------------------------------------------------------------------------

    def _dependencies(self, service: Service) -> list[int]:
        """The steps that meet `depends_on`; what already runs needs none."""
        found: list[int] = []
        for need in needs_of(service):
            met_by = self._started if need.condition is Condition.STARTED else self._ready
            found += met_by.get(need.service, ())
        return found

    def _images(self) -> tuple[int, ...]:
        return tuple(self._prepared.images.values())

    def _service(self, name: str) -> Service:
        return self._services[name]


def _all_replicas(change: Change) -> list[ObservedReplica]:
    return [*change.keep, *(leave.replica for leave in change.leave)]

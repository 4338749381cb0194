"""Keep a PostgreSQL server's log without a gap: receive it, ship it, take base backups, and begin anew after a gap.

Every run does what is due and no more, so that a timer, `havre backup` and a person may run it at any time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from havre.backups.choosing import kind_of, policies_for
from havre.backups.place import Look, Place
from havre.backups.postgres import Postgres, query, server_size
from havre.backups.replication import ServerLog, drop_slots, look, make_slot, take_base
from havre.backups.repository import Produce, Repository, Stored
from havre.backups.wal import to_drop
from havre.backups.wal_book import BASE_TAR_TAG, WalBook, base_tags, store_base_record
from havre.errors import FailedError, HavreError, InputError, Problem
from havre.host import clock
from havre.host.locks import exclusive
from havre.model.backup import BackupPolicy, PitrPolicy
from havre.model.pitr import Archive, Base, Chain
from havre.model.project import Service
from havre.model.units import show_bytes
from havre.workflows.intent import Intent
from havre.workflows.places import place_of, running_replica
from havre.workflows.receiver import Receiver, not_received
from havre.workflows.release_work import note
from havre.workflows.room import refuse_backup_without_room
from havre.workflows.shipping import Shipper
from havre.workflows.storage import Storage

Progress = Callable[[str], None]
CATCH_UP = 30.0
"""Seconds in which the receiver must get further, until it has what the server has written."""


def keep_wal(
    storage: Storage, intent: Intent, services: Sequence[str] = (), *, base: bool = False,
    progress: Progress = lambda _: None,
) -> tuple[tuple[str, Archive], ...]:  # fmt: skip
    """Do what is due for these services (all with `pitr` when none is named); with `base` a base backup is due.

    Raises FailedError with every service's problems, a gap among them even when it was mended.
    """
    policies = pitr_policies(intent, services)
    if not policies:
        raise InputError(_nothing(intent))
    storage.vault.refuse_without_escrow()
    found, problems = [], list[Problem]()
    for policy in policies:
        with wal_lock(storage, intent.app.instance):
            one = Keeper(storage, intent, policy, progress)
            try:
                archive, told = one.run(base=base)
                found.append((policy.service, archive))
                problems += told
            except HavreError as error:
                one.note_trouble(error)
                problems += [replace(problem, subject=problem.subject or policy.service) for problem in error.problems]
    if problems:
        raise FailedError(problems)
    return tuple(found)


def resume_receivers(storage: Storage, intent: Intent, *, progress: Progress = lambda _: None) -> tuple[Problem, ...]:
    """Let the receivers follow databases that were replaced or restarted; says what does not work.

    `keep_wal` mends that; the database keeps its log meanwhile.
    """
    problems = []
    for policy in pitr_policies(intent):
        keeper = Keeper(storage, intent, policy, progress)
        if keeper.archive.open_chain is not None:
            try:
                with wal_lock(storage, intent.app.instance):
                    keeper.resume()
            except HavreError as error:
                problems.append(_not_resumed(policy.service, error))
    return tuple(problems)


def wal_lock(storage: Storage, instance: str) -> AbstractContextManager[None]:
    """Held while anything of an instance's log is changed."""
    lock = storage.server.state.lock(f"{instance}.wal")
    return exclusive(lock, what=f"the write-ahead log of {instance}", doing="keep it", wait=120.0)


def pitr_policies(intent: Intent, services: Sequence[str] = ()) -> tuple[BackupPolicy, ...]:
    """The policies with `pitr`, of the named services or of all; InputError for a service that has none."""
    if services:
        found = policies_for(intent.app, intent.project, services)
        if without := [policy for policy in found if policy.pitr is None]:
            raise InputError([_not_kept(policy.service) for policy in without])
        return found
    present = intent.project.service_names
    return tuple(policy for policy in intent.app.backups if policy.pitr is not None and policy.service in present)


@dataclass(frozen=True, slots=True)
class Keeper:
    """The log of one service."""

    storage: Storage
    intent: Intent
    policy: BackupPolicy
    progress: Progress

    def run(self, *, base: bool = False) -> tuple[Archive, tuple[Problem, ...]]:
        """Receive, ship, take a base when one is due, copy, tidy.

        Also tells the gap that was found, and mended, and which destinations are away.
        """
        if not isinstance(kind_of(self._service, self.policy), Postgres):
            raise InputError(_not_postgres(self._service))
        place = self._place_or_ship()
        gap = self._end_broken(place)
        self.ship_rest()
        archive = self.archive
        chain = archive.open_chain or self._begin(place)
        archive = self._write(archive.with_chain(chain))
        self._receive(chain)
        archive = self._ship(place, archive, chain)
        if is_due := base or self._is_due(archive, chain):
            archive = self._take_base(place, archive, chain)
        archive, away = self._shipper.copy_rest(archive)
        self._write(archive)
        if not away:
            archive = self._tidy(archive, thorough=is_due)
        archive = self._write(replace(archive, trouble=away[0].summary if away else ""))
        return archive, (*([gap] if gap else []), *away)

    def resume(self) -> None:
        """Receive again, where a chain is open."""
        if (chain := self.archive.open_chain) is not None:
            self._receive(chain)

    def catch_up(self) -> None:
        """Ship what there is now of a chain that is well; nothing else."""
        place, archive = self._place_or_ship(), self.archive
        chain = archive.open_chain
        if chain is not None and _broken(chain, look(place, chain.slot)) is None:
            self._receive(chain)
            self._ship(place, archive, chain)

    def note_trouble(self, error: HavreError) -> None:
        """What is wrong is shown until a run goes well."""
        if self.archive.open_chain is not None or self.archive.trouble:
            self._write(replace(self.archive, trouble=error.problems[0].summary))

    @property
    def archive(self) -> Archive:
        """What is known of it."""
        return WalBook(self.storage.server.state.backups).read(self._instance, self._name)

    def end_chain(self, reason: str) -> None:
        """Nothing more is added to the chain; what was received of it is kept until it is shipped."""
        archive = self.archive
        if (chain := archive.open_chain) is not None:
            self._receiver.stop()
            ended = replace(chain, ended=clock.now(), reason=reason)
            self._write(replace(archive.with_chain(ended), known_until=0.0, shipped_to=0))
            note(self.storage.server, self._instance, f"write-ahead log of {self._name}", f"ended: {reason}")

    def ship_rest(self) -> None:
        """What was received of chains that have ended, and could not be shipped then."""
        for chain in self.archive.chains:
            if not chain.is_open and self._receiver.spool(chain).is_dir():
                self._write(self._shipper.ship(self.archive, chain))
                self._shipper.clear(chain)

    # -- the chain -------------------------------------------------------------------------------------------------

    def _place_or_ship(self) -> Place:
        """The database; where it does not run, what was received of it is shipped all the same."""
        try:
            return place_of(self.storage.server, self._instance, self._name)
        except FailedError:
            archive = self.archive
            if archive.open_chain is not None:
                self._write(self._shipper.ship(archive, archive.open_chain))
            raise

    def _end_broken(self, place: Place) -> Problem | None:
        """End the chain when the server's log cannot be added to it any more; says why."""
        archive = self.archive
        if (chain := archive.open_chain) is None:
            return None
        reason = (
            _broken(chain, look(place, chain.slot))
            or self._shipper.hole(archive, chain)
            or self._over_limit(place, chain)
        )
        if reason is None:
            return None
        self.progress(f"{self._name}: {reason}; a new base backup follows")
        self.end_chain(reason)
        drop_slots(place)
        return _gap(self._name, reason)

    def _over_limit(self, place: Place, chain: Chain) -> str | None:
        """The database must not run out of room for the sake of its backups. What can be shipped does not count."""
        if self._waiting(place, chain) > self._pitr.limit:
            with contextlib.suppress(HavreError):  # told by the next step, which ships too
                self._write(self._shipper.ship(self.archive, chain))
            if (waiting := self._waiting(place, chain)) > self._pitr.limit:
                return f"{show_bytes(waiting)} of log waited, more than the limit of {show_bytes(self._pitr.limit)}"
        return None

    def _waiting(self, place: Place, chain: Chain) -> int:
        return look(place, chain.slot).held + self._shipper.waiting(self.archive, chain)

    def _begin(self, place: Place) -> Chain:
        drop_slots(place)
        log, now = look(place), clock.now()
        chain = Chain(
            id=clock.stamp(now), system=log.system, segment=log.segment, timeline=log.timeline, start=0, began=now
        )
        self.progress(f"{self._name}: receiving its log from now on")
        return replace(chain, start=make_slot(place, chain.slot))

    def _receive(self, chain: Chain) -> None:
        database = running_replica(self.storage.server, self._instance, self._name)
        if self._receiver.ensure(chain, database):
            self.progress(f"{self._name}: started its receiver")

    def _caught_up(self, place: Place, chain: Chain) -> ServerLog:
        """Wait until the receiver has what the server had written when we came."""
        wanted, newest, deadline = look(place, chain.slot).written, -1, clock.elapsed() + CATCH_UP
        while (log := look(place, chain.slot)).received is None or log.received < wanted:
            if log.received is not None and log.received > newest:
                newest, deadline = log.received, clock.elapsed() + CATCH_UP
            if clock.elapsed() >= deadline:
                raise FailedError(not_received(self._receiver))
            clock.sleep(0.2)
        return replace(log, written=wanted)

    def _ship(self, place: Place, archive: Archive, chain: Chain) -> Archive:
        """Everything committed before this moment is in the repository afterwards."""
        at = clock.now()
        log = self._caught_up(place, chain)
        if log.written != archive.shipped_to:
            shipped = self._shipper.ship(archive, chain, until=at, position=log.written)
            archive = replace(shipped, shipped_to=log.written)
        return self._write(replace(archive, known_until=at))

    # -- base backups ----------------------------------------------------------------------------------------------

    def _is_due(self, archive: Archive, chain: Chain) -> bool:
        bases = archive.bases_of(chain.id)
        return not bases or clock.now() - bases[-1].ended >= self._pitr.base

    def _take_base(self, place: Place, archive: Archive, chain: Chain) -> Archive:
        """It counts when its files and the log up to its end are stored."""
        urls = self.storage.urls(self.policy)
        refuse_backup_without_room(self.storage.server, urls, server_size(place), next(iter(archive.bases[-1:]), None))
        repository, began = self._repository, clock.now()
        name = f"{self._name}-base-{clock.stamp(began)}"
        tags = [*base_tags(self._instance, self._name, name), BASE_TAR_TAG]

        def keep(file: str, produce: Produce, look: Look) -> Stored:
            return repository.store(file, tags, produce, look)

        taken = take_base(place, keep)
        ended = clock.now()
        archive = self._ship(place, archive, chain)
        base = Base(
            id=name, instance=self._instance, service=self._name, chain=chain, began=began, ended=ended,
            start=taken.start, end=taken.end, size=taken.stored.size, files=taken.files, repository=repository.url,
            restic=taken.stored.id, image=self._service.image, version=query(place, "template1", "SHOW server_version"),
            added=taken.stored.added,
        )  # fmt: skip
        store_base_record(repository, base)
        archive = self._shipper.to_copy(archive, name)
        self.progress(f"{name}: {base.files} files, {show_bytes(base.size)}, and the log up to its end")
        return self._write(replace(archive, bases=(*archive.bases, base)))

    def _tidy(self, archive: Archive, *, thorough: bool) -> Archive:
        if thorough:
            self._shipper.sweep()
        bases, shipments = to_drop(archive, self._pitr.keep, clock.now())
        gone = [*(one.id for one in bases), *(one.id for one in shipments)]
        self._shipper.forget(gone, prune=bool(bases))
        stay = tuple(base for base in archive.bases if base not in bases)
        log = tuple(shipment for shipment in archive.shipments if shipment not in shipments)
        used = {base.chain.id for base in stay}
        chains = tuple(chain for chain in archive.chains if chain.is_open or chain.id in used)
        return replace(archive, bases=stay, shipments=log, chains=chains)

    def _write(self, archive: Archive) -> Archive:
        WalBook(self.storage.server.state.backups).write(self._instance, self._name, archive)
        return archive

    # -- what it works with ----------------------------------------------------------------------------------------

    @property
    def _pitr(self) -> PitrPolicy:
        return self.policy.pitr or PitrPolicy()

    @property
    def _instance(self) -> str:
        return self.intent.app.instance

    @property
    def _name(self) -> str:
        return self.policy.service

    @property
    def _service(self) -> Service:
        return self.intent.project.service(self._name)

    @property
    def _receiver(self) -> Receiver:
        return Receiver(self.storage.server, self.intent.project, self._instance, self._service)

    @property
    def _repository(self) -> Repository:
        return self.storage.repository(self.storage.urls(self.policy)[0])

    @property
    def _shipper(self) -> Shipper:
        first, *others = (self.storage.repository(url) for url in self.storage.urls(self.policy))
        return Shipper(self._instance, self._name, self._receiver, first, tuple(others))


def _broken(chain: Chain, log: ServerLog) -> str | None:
    """Why the server's log is not the continuation of the chain's, or None."""
    if log.system != chain.system:
        return "another server's data is in its place"
    if log.timeline != chain.timeline:
        return "the server was taken back to an earlier moment"
    if log.slot_start is None:
        return "its replication slot was dropped"
    return "the server no longer had the log that was still needed" if log.is_lost else None


def _gap(service: str, reason: str) -> Problem:
    return Problem(
        summary=f"there is a gap in the write-ahead log of {service}: {reason}",
        subject=service,
        effect="no moment from then until the new base backup can be restored",
        hint="nothing more to do: a new base was taken; `havre backup status` shows what can be restored",
        code="wal-gap",
    )


def _not_resumed(service: str, error: HavreError) -> Problem:
    return Problem(
        summary=f"its log is not received yet: {error.problems[0].summary}",
        subject=service,
        effect="the database keeps it meanwhile, up to `limit`; nothing is lost yet",
        hint="run `havre backup wal` when the database is well",
        code="wal-not-received",
    )


def _nothing(intent: Intent) -> Problem:
    return Problem(
        summary="no service's write-ahead log is kept",
        subject=intent.app.instance,
        hint="add `pitr: true` to a PostgreSQL service under `backups:` in havre.yaml",
        code="pitr-off",
    )


def _not_kept(service: str) -> Problem:
    return Problem(
        summary=f"the write-ahead log of {service} is not kept",
        hint=f"add `pitr: true` under `backups.{service}` in havre.yaml, then `havre backup wal`",
        code="pitr-off",
    )


def _not_postgres(service: Service) -> Problem:
    return Problem(
        summary=f"`pitr` is for PostgreSQL, and {service.name} is no PostgreSQL",
        evidence=(f"its image is {service.image}",),
        hint=f"remove `pitr` from `backups.{service.name}`, or say `kind: postgres` where it is one",
        code="pitr-kind",
    )

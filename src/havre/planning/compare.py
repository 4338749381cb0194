"""Whether each replica can stay: what it was made from against what is asked for, and how it does (D12)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice

from havre.model.fingerprint import fingerprint
from havre.model.observed import Observed, ObservedImage, ObservedReplica, ReplicaState
from havre.model.project import Condition, Dependency, Project, Service
from havre.planning.reasons import what_changed, why_lost, why_stop_first


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A replica to come."""

    slot: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """A replica to go."""

    replica: ObservedReplica
    reason: str

    @property
    def is_alive(self) -> bool:
        """True when it must be stopped before it can be removed."""
        return self.replica.state in (ReplicaState.RUNNING, ReplicaState.RESTARTING, ReplicaState.PAUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What happens to one service; `replaced` says that it will be made of something else (or is new)."""

    service: Service
    fingerprint: str
    keep: tuple[ObservedReplica, ...] = ()
    start: tuple[Start, ...] = ()
    leave: tuple[Leave, ...] = ()
    replaced: bool = False
    is_job: bool = False
    """Runs to its end instead of staying up: `start` holds one entry when it must run."""

    @property
    def slots(self) -> tuple[int, ...]:
        """Where its replicas are in the end."""
        return tuple(sorted([r.slot for r in self.keep] + [s.slot for s in self.start]))

    @property
    def is_first(self) -> bool:
        """True when no replica of it was there before."""
        return not self.keep and not self.leave

    @property
    def stops_first(self) -> bool:
        """True when replicas must stop before their successors start (D11)."""
        return bool(self.start and any(leave.is_alive for leave in self.leave) and why_stop_first(self.service))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`Observed`, indexed: a plan asks for every service, and none of its answers may cost a walk over all.

    `jobs` are the records of successful runs, where the engine keeps them; `leftovers` are failed jobs and one-offs
    that were kept for inspection.
    """

    replicas: Mapping[str, tuple[ObservedReplica, ...]]
    jobs: Mapping[str, tuple[ObservedReplica, ...]]
    leftovers: tuple[ObservedReplica, ...]
    images: Mapping[str, ObservedImage]

    @classmethod
    def of(cls, observed: Observed) -> Snapshot:
        """Index one snapshot."""
        replicas: dict[str, list[ObservedReplica]] = {}
        jobs: dict[str, list[ObservedReplica]] = {}
        leftovers = []
        for replica in sorted(observed.replicas, key=lambda r: (r.service, r.slot, r.id)):
            if replica.role == "replica":
                replicas.setdefault(replica.service, []).append(replica)
            elif replica.state is not ReplicaState.EXITED:
                continue
            elif replica.role == "job" and replica.exit_code == 0:
                jobs.setdefault(replica.service, []).append(replica)
            else:
                leftovers.append(replica)
        return cls(
            replicas={name: tuple(them) for name, them in replicas.items()},
            jobs={name: tuple(them) for name, them in jobs.items()},
            leftovers=tuple(leftovers),
            images={image.reference: image for image in observed.images},
        )

    def image_id(self, service: Service) -> str | None:
        """The id of the image it shall run, or None when that is not here. A reference may itself be an id."""
        image = self.images.get(service.image)
        return image.id if image else None


def compare(
    project: Project,
    snapshot: Snapshot,
    *,
    files: Mapping[str, tuple[tuple[str, str], ...]],
    force: Mapping[str, str],
    scale: Mapping[str, int],
) -> dict[str, Change]:
    """What happens to each service of the project, in start order.

    `force` holds the reason for services whose replicas are all replaced although nothing changed; a service that
    asks for it (`depends_on: restart: true`) is replaced together with what it depends on.
    """
    jobs = project.jobs
    changes: dict[str, Change] = {}
    for service in project.in_start_order():
        mark = fingerprint(service, tuple(files.get(service.name, ())))
        if service.name in jobs:
            changes[service.name] = _compare_job(service, mark, snapshot)
            continue
        reason = force.get(service.name, "") or _restarted_with(service, changes)
        wanted = scale.get(service.name, service.replicas)
        changes[service.name] = _compare_service(service, mark, snapshot, forced=reason, wanted=wanted)
    return _with_needed_jobs(changes)


def needs_of(service: Service) -> tuple[Dependency, ...]:
    """What it depends on, including the service whose network it uses: that one's end is its own."""
    mode = service.network_mode or ""
    if not mode.startswith("service:"):
        return service.needs
    return (*service.needs, Dependency(service=mode.removeprefix("service:"), restart=True))


def _restarted_with(service: Service, changes: Mapping[str, Change]) -> str:
    for need in needs_of(service):
        change = changes.get(need.service)
        if need.restart and change is not None and change.replaced and not change.is_first:
            return f"{need.service} is replaced"
    return ""


def _compare_service(service: Service, mark: str, snapshot: Snapshot, *, forced: str, wanted: int) -> Change:
    replicas = snapshot.replicas.get(service.name, ())
    image_id = snapshot.image_id(service)
    made = {r.slot: what_changed(service, r, mark, image_id) or forced for r in replicas}
    reasons = {r.slot: made[r.slot] or ("" if _has_ended_well(service, r) else why_lost(r)) for r in replicas}
    good = [r for r in replicas if not reasons[r.slot]]
    keep, surplus = good[:wanted], good[wanted:]
    missing = wanted - len(keep)
    bad = [r for r in replicas if reasons[r.slot]]
    slots = _free_slots(replicas, missing)
    start = tuple(
        Start(slot=slot, reason=_why_start(number, wanted, replicas, bad, reasons, len(keep)))
        for number, slot in enumerate(slots)
    )
    leave = [Leave(replica=r, reason=_why_leave(service, r, n, slots, reasons)) for n, r in enumerate(bad)]
    leave += [Leave(replica=r, reason=f"scaled to {wanted}") for r in reversed(surplus)]
    return Change(
        service=service,
        fingerprint=mark,
        keep=tuple(keep),
        start=start,
        leave=tuple(leave),
        replaced=bool(start) and (not replicas or any(made.values())),
    )


def _has_ended_well(service: Service, replica: ObservedReplica) -> bool:
    """It did its work: starting it again would do that work twice."""
    return service.may_end and replica.state is ReplicaState.EXITED and replica.exit_code == 0


def _free_slots(replicas: Sequence[ObservedReplica], missing: int) -> tuple[int, ...]:
    taken = {replica.slot for replica in replicas}
    return tuple(islice((slot for slot in count(1) if slot not in taken), max(missing, 0)))


def _why_start(
    number: int,
    wanted: int,
    replicas: Sequence[ObservedReplica],
    bad: Sequence[ObservedReplica],
    reasons: Mapping[int, str],
    kept: int,
) -> str:
    if not replicas:
        return "first release"
    if number < len(bad):
        return reasons[bad[number].slot]
    return f"replica {kept + number + 1} of {wanted} missing"


def _why_leave(
    service: Service, replica: ObservedReplica, number: int, slots: Sequence[int], reasons: Mapping[int, str]
) -> str:
    if number < len(slots):
        return f"replaced by {service.name}.{slots[number]}"
    return reasons[replica.slot]


def _compare_job(service: Service, mark: str, snapshot: Snapshot) -> Change:
    """A job runs when the successful run on record was of something else; `_with_needed_jobs` adds the other rule."""
    image_id = snapshot.image_id(service)
    found = [what_changed(service, record, mark, image_id) for record in snapshot.jobs.get(service.name, ())]
    # Replicas of it stem from a time when nobody waited for its end.
    leave = tuple(Leave(replica=r, reason="it runs as a job now") for r in snapshot.replicas.get(service.name, ()))
    change = Change(service=service, fingerprint=mark, leave=leave, is_job=True)
    if not found or "" in found:
        return change
    return replace(change, start=(Start(slot=1, reason=found[-1]),), replaced=True)


def _with_needed_jobs(changes: dict[str, Change]) -> dict[str, Change]:
    """A job also runs once whenever a service that waits for it starts; dependents come first, for jobs of jobs."""
    done = dict(changes)
    waiting: dict[str, str] = {}
    for service in reversed(list(changes)):
        change = done[service]
        if change.is_job and not change.start and service in waiting:
            done[service] = replace(change, start=(Start(slot=1, reason=f"{waiting[service]} waits for it"),))
        if done[service].start:
            for need in needs_of(change.service):
                if need.condition is Condition.COMPLETED:
                    waiting[need.service] = service
    return done

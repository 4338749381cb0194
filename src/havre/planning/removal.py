"""Stopping, starting again and taking down: dependents before what they depend on, volumes only by name (I8)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from havre.model.observed import Observed, ObservedReplica
from havre.model.plan import (
    AwaitHealthy,
    Drain,
    Phase,
    Plan,
    RemoveNetwork,
    RemoveReplica,
    RemoveVolume,
    RestartReplica,
    StopReplica,
    Switch,
)
from havre.model.project import Project
from havre.planning.compare import Leave
from havre.planning.draft import Draft
from havre.planning.facts import EdgeFacts, Slots, ordered
from havre.planning.retiring import GRACE


def plan_down(observed: Observed, project: Project | None, edge: EdgeFacts, *, volumes: Collection[str] = ()) -> Plan:
    """Everything of the instance goes: routes first, then replicas, then networks; of volumes only those named."""
    draft = Draft(observed.instance)
    after = _lead_nowhere(draft, edge, "the app is taken down")
    removed = _stop_all(draft, observed.replicas, project, edge, after, reason="the app is taken down", remove=True)
    for network in sorted(observed.networks, key=lambda network: network.name):
        if network.instance == observed.instance:
            step = RemoveNetwork(name=network.name)
            draft.add(step, "nothing uses it any more", phase=Phase.RETIRE, after=removed or after)
    for volume in sorted(observed.volumes, key=lambda volume: volume.name):
        if volume.instance != observed.instance:
            continue
        if volume.name in volumes:
            step_ = RemoveVolume(name=volume.name)
            draft.add(step_, "asked for by name; its data is gone", phase=Phase.RETIRE, after=removed or after)
        else:
            draft.note(f"the volume {volume.name} is kept with its data")
    return draft.plan()


def plan_stop(observed: Observed, project: Project, edge: EdgeFacts, services: Collection[str]) -> Plan:
    """The replicas of `services` stop and stay, dependents first; the edge no longer leads to them."""
    draft = Draft(observed.instance)
    alive = [replica for replica in observed.replicas if replica.service in services and replica.is_running]
    alive = [replica for replica in alive if replica.role == "replica"]
    left = ordered(tuple((name, () if name in services else slots) for name, slots in edge.now))
    after: tuple[int, ...] = ()
    if left != ordered(edge.now):
        step = Switch(to=left, back=ordered(edge.now))
        after = (draft.add(step, "services are stopped", phase=Phase.SWITCH),)
    _stop_all(draft, alive, project, edge, after, reason="asked for", remove=False)
    for service in project.services:
        if service.name not in services:
            missing = sorted(need.service for need in service.needs if need.service in services)
            if missing:
                draft.note(f"{service.name} keeps running without {', '.join(missing)}")
    return draft.plan()


def plan_start(observed: Observed, project: Project, edge: EdgeFacts, services: Collection[str]) -> Plan:
    """The stopped replicas of `services` and of what they need start again, dependencies first; then the edge leads
    to them."""
    draft = Draft(observed.instance)
    proven: dict[str, list[int]] = {}
    slots: dict[str, tuple[int, ...]] = dict(edge.now)
    wanted = _with_needs(project, services)
    for service in project.in_start_order():
        if service.name not in wanted or service.name in project.jobs:
            continue
        for replica in _stopped_together(observed.of_service(service.name), slots.get(service.name, ())):
            after = [number for need in service.needs for number in proven.get(need.service, ())]
            start = RestartReplica(service=service.name, slot=replica.slot)
            started = draft.add(start, wanted[service.name], phase=Phase.START, after=after)
            wait = AwaitHealthy(service=service, slot=replica.slot)
            awaited = draft.add(wait, "no traffic before", phase=Phase.START, after=[started])
            proven.setdefault(service.name, []).append(awaited)
            if service.name in edge.services:
                slots[service.name] = tuple(sorted({*slots.get(service.name, ()), replica.slot}))
    to: Slots = ordered(tuple(slots.items()))
    if to != ordered(edge.now):
        everything = [number for numbers in proven.values() for number in numbers]
        step = Switch(to=to, back=ordered(edge.now))
        draft.add(step, "what was stopped runs again", phase=Phase.SWITCH, after=everything)
    return draft.plan()


def _with_needs(project: Project, services: Collection[str]) -> Mapping[str, str]:
    """The services and all that they need in turn, each with why it starts."""
    wanted = dict.fromkeys(services, "it was stopped")
    for service in reversed(tuple(project.in_start_order())):
        for need in service.needs if service.name in wanted else ():
            if need.required:
                wanted.setdefault(need.service, f"{service.name} needs it")
    return wanted


def _stopped_together(replicas: Sequence[ObservedReplica], led_to: Collection[int]) -> list[ObservedReplica]:
    """Those that do not run of the version that serves, or served last: not what a failed release left for inspection.

    It is the one in a slot that the edge leads to, even when all are down and another ended later.
    """
    last = max(replicas, key=lambda r: (r.slot in led_to, r.is_running, r.finished_at, -r.slot), default=None)
    return [
        replica
        for replica in replicas
        if not replica.is_running
        and last is not None
        and (replica.fingerprint, replica.image_id) == (last.fingerprint, last.image_id)
    ]


def _lead_nowhere(draft: Draft, edge: EdgeFacts, reason: str) -> tuple[int, ...]:
    if not edge.now and not edge.services:
        return ()
    return (draft.add(Switch(to=(), back=ordered(edge.now)), reason, phase=Phase.SWITCH),)


def _stop_all(
    draft: Draft,
    replicas: Collection[ObservedReplica],
    project: Project | None,
    edge: EdgeFacts,
    after: tuple[int, ...],
    *,
    reason: str,
    remove: bool,
) -> list[int]:
    """Drain, stop and (when asked) remove, every dependent before what it depends on; returns the last steps."""
    services = {service.name: service for service in project.in_start_order()} if project else {}
    depth = {name: position for position, name in enumerate(services)}
    users = _users(project)
    done: dict[str, list[int]] = {}
    last = []
    for replica in sorted(replicas, key=lambda r: (-depth.get(r.service, len(depth)), r.service, r.slot, r.role)):
        grace = services[replica.service].stop_grace if replica.service in services else GRACE
        waits = [*after, *(number for user in users.get(replica.service, ()) for number in done.get(user, ()))]
        if replica.is_running and edge.may_answer(replica.service, replica.slot):
            drain = Drain(service=replica.service, slot=replica.slot, limit=grace)
            waits = [draft.add(drain, reason, phase=Phase.RETIRE, after=waits)]
        if Leave(replica=replica, reason=reason).is_alive:
            stop = StopReplica(service=replica.service, slot=replica.slot, grace=grace)
            waits = [draft.add(stop, reason, phase=Phase.RETIRE, after=waits)]
        if remove:
            gone = RemoveReplica(service=replica.service, slot=replica.slot)
            waits = [draft.add(gone, reason, phase=Phase.RETIRE, after=waits)]
        done.setdefault(replica.service, []).extend(waits)
        last += waits
    return last


def _users(project: Project | None) -> Mapping[str, list[str]]:
    users: dict[str, list[str]] = {}
    for service in project.services if project else ():
        for need in service.needs:
            users.setdefault(need.service, []).append(service.name)
    return users

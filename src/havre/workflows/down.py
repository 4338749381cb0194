"""Take an app down: its routes, replicas and networks; its volumes only when their app's name was typed (I8)."""

from __future__ import annotations

from collections.abc import Sequence

from havre.errors import FailedError, RefusedError
from havre.host.locks import exclusive
from havre.model.app import App
from havre.model.observed import Observed
from havre.model.plan import Plan
from havre.model.project import Project
from havre.planning.facts import EdgeFacts
from havre.planning.removal import plan_down
from havre.workflows.disk import tidy
from havre.workflows.execute import Cancellation, Witness, execute
from havre.workflows.perform import Performer, Work, no_snapshot
from havre.workflows.receiver import end_receivers
from havre.workflows.record import Recorded, serving_configuration
from havre.workflows.release_work import note
from havre.workflows.server import Server, slots_by_service


def propose_down(server: Server, instance: str, *, every_volume: bool) -> Plan:
    """What taking the instance down would do."""
    observed, recorded = server.engine.observe(instance), _configuration(server, instance)
    return _plan(server, instance, observed, recorded, every_volume=every_volume)


def take_down(
    server: Server,
    instance: str,
    *,
    every_volume: bool,
    witnesses: Sequence[Witness] = (),
    wait: float = 0.0,
) -> Plan:
    """Do it; returns the plan that was carried out. Raises FailedError when a step failed: run it again."""
    lock = server.state.lock(instance)
    with exclusive(lock, what=f"the instance {instance}", doing="down", wait=wait):
        observed, recorded = server.engine.observe(instance), _configuration(server, instance)
        plan = _plan(server, instance, observed, recorded, every_volume=every_volume)
        end_receivers(server, instance)
        _carry_out(server, instance, plan, recorded, witnesses)
        if server.traffic.read(instance) is not None:
            server.traffic.remove(instance)
        server.state.instances.replace_claims(instance, ())
        server.state.releases.retire(instance)
        note(server, instance, "down, with its volumes" if every_volume else "down", "done")
        if every_volume:
            server.state.instances.forget(instance)
            tidy(server, instance)
        return plan


def _carry_out(
    server: Server, instance: str, plan: Plan, recorded: Recorded | None, witnesses: Sequence[Witness]
) -> None:
    cancellation = Cancellation()
    work = Work(
        app=recorded.app if recorded else App(name=instance),
        project=recorded.project if recorded else Project(name=instance),
        number=0,
        ports={},
        before=None,
        snapshot=no_snapshot,
        progress=lambda _: None,
        going_back=True,
    )

    def witness(step: object, state: object, error: str) -> None:
        for other in witnesses:
            other(step, state, error)  # type: ignore[arg-type]

    outcome = execute(plan, Performer(server=server, work=work, cancellation=cancellation), witness, cancellation)
    if outcome.interrupted:
        raise KeyboardInterrupt
    if outcome.error is not None:
        raise FailedError(outcome.error.problems)


def _plan(server: Server, instance: str, observed: Observed, recorded: Recorded | None, *, every_volume: bool) -> Plan:
    applied = server.traffic.read(instance)
    facts = EdgeFacts(now=tuple(sorted(slots_by_service(applied).items())))
    own = [volume.name for volume in observed.volumes if volume.instance == instance]
    project = recorded.project if recorded else None
    return plan_down(observed, project, facts, volumes=own if every_volume else ())


def _configuration(server: Server, instance: str) -> Recorded | None:
    try:
        return serving_configuration(server, instance)
    except RefusedError:
        return None

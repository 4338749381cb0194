"""What each step of a plan is called: people read it, and recovery recognises steps in the journal by it."""

from __future__ import annotations

import pytest

from havre.model.plan import (
    AwaitHealthy,
    BuildImage,
    CreateNetwork,
    CreateVolume,
    Drain,
    Hold,
    Phase,
    Plan,
    PlannedStep,
    PullImage,
    RemoveNetwork,
    RemoveReplica,
    RemoveVolume,
    RestartReplica,
    Resume,
    RunTask,
    Safeguard,
    StartReplica,
    Step,
    StopReplica,
    Switch,
    Verify,
)
from havre.model.project import Build, Network, Service, Volume

WEB = Service(name="web", image="web:1")


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (CreateNetwork(network=Network(key="default", name="shop_default")), "create network shop_default"),
        (CreateVolume(volume=Volume(key="data", name="shop_data")), "create volume shop_data"),
        (PullImage(reference="web:1"), "pull web:1"),
        (BuildImage(service="web", reference="web:1", build=Build(context=".")), "build web as web:1"),
        (RunTask(service=WEB, command=("db", "up"), title="migrate"), "migrate web: db up"),
        (RunTask(service=WEB, command=None, role="job", title="run job"), "run job web"),
        (StartReplica(service=WEB, slot=2), "start web.2"),
        (RestartReplica(service="web", slot=2), "start again web.2"),
        (AwaitHealthy(service=WEB, slot=2), "await web.2"),
        (AwaitHealthy(service=WEB, slot=2, settle=5.0), "await web.2 and 5 s more"),
        (StopReplica(service="web", slot=1), "stop web.1"),
        (RemoveReplica(service="web", slot=1), "remove web.1"),
        (RemoveNetwork(name="shop_old"), "remove network shop_old"),
        (RemoveVolume(name="shop_old"), "remove volume shop_old"),
        (Hold(service="db", limit=15.0), "hold requests for db, at most 15 s"),
        (Hold(service="db", callers=("web",), limit=7.0), "hold requests for web, which calls db, at most 7 s"),
        (
            Hold(service="db", callers=("api", "web")),
            "hold requests for api and web, which call db, at most 15 s",
        ),
        (Resume(service="db", callers=("api", "web")), "resume requests for api and web, which call db"),
        (Resume(service="db", callers=("web",)), "resume requests for web, which calls db"),
        (Resume(service="db", slots=(2,)), "resume requests for db"),
        (Resume(service="db", callers=("web",), slots=(2,)), "resume requests for db and web"),
        (Switch(to=(("api", (1, 2)), ("web", (3,)))), "route to api.1, api.2, web.3"),
        (Switch(to=(("web", ()),)), "remove all routes"),
        (Verify(checks=1), "verify through the edge (1 check)"),
        (Verify(checks=2), "verify through the edge (2 checks)"),
        (Drain(service="web", slot=1), "drain web.1"),
        (Safeguard(services=("db", "files")), "snapshot db, files"),
    ],
)
def test_every_step_says_what_it_does(step: Step, text: str) -> None:
    assert str(step) == text


def test_a_plan_reads_as_numbered_reasons_and_notes() -> None:
    first = PlannedStep(number=1, step=PullImage(reference="web:1"), reason="web runs it", phase=Phase.PREPARE)
    second = PlannedStep(number=2, step=StartReplica(service=WEB, slot=1), reason="first release", after=(1,))
    plan = Plan(instance="shop", steps=(first, second), notes=("web is new",))
    assert (
        str(plan)
        == """\
1. pull web:1: web runs it
2. start web.1: first release [after 1]
note: web is new"""
    )
    assert not plan.is_empty
    assert Plan(instance="shop", notes=("nothing to do",)).is_empty

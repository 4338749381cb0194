"""A server in memory on which plans are really run: the smallest interpreter, with faults at any step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from havre.engines.base import Context
from havre.engines.memory import Behaviour, MemoryEngine
from havre.engines.memory_edge import MemoryEdge
from havre.errors import FailedError, Problem
from havre.model.app import App
from havre.model.health import HealthState
from havre.model.observed import Observed
from havre.model.plan import (
    AwaitHealthy,
    Drain,
    Hold,
    Plan,
    PlannedStep,
    RestartReplica,
    Resume,
    Safeguard,
    StartReplica,
    Step,
    Switch,
    TryConfiguration,
    UndoMigration,
    Verify,
)
from havre.model.project import (
    Attachment,
    Condition,
    Dependency,
    Mount,
    MountKind,
    Network,
    Project,
    Service,
    Volume,
)
from havre.model.release import JournalEntry, StepState
from havre.planning.facts import EdgeFacts, Slots, ordered
from havre.planning.reasons import why_stop_first
from havre.planning.recover import Interrupted, Recovery, decide, plan_finish, plan_undo_interrupted
from havre.planning.rollout import plan_rollout
from havre.planning.undo import is_past_return, plan_undo

INSTANCE = "shop"
NETWORK = Network(key="default", name="shop_default")
PROBES = 50
Choose = Callable[[Sequence[int]], int]


class Killed(Exception):  # noqa: N818 - it is what `kill -9` does, not an error
    """The process is gone; nothing after this is done by it."""


def rolling(name: str, image: str = "", *needs: str, replicas: int = 1, **more: object) -> Service:
    """A stateless service on the default network whose needs must be healthy."""
    return replace(
        Service(
            name=name,
            image=image or f"{name}:1",
            networks=(Attachment(network="default"),),
            needs=tuple(Dependency(service=need, condition=Condition.HEALTHY) for need in needs),
            replicas=replicas,
        ),
        **more,  # type: ignore[arg-type]
    )


def stateful(name: str, image: str = "", *needs: str, **more: object) -> Service:
    """The same with a volume of its own: stop-first."""
    data = (Mount(kind=MountKind.VOLUME, target="/data", source=f"{name}data"),)
    return replace(rolling(name, image, *needs), mounts=data, **more)  # type: ignore[arg-type]


def project(*services: Service) -> Project:
    """A project of these services, with the network and the volumes that they use."""
    keys = sorted({m.source for s in services for m in s.mounts if m.kind is MountKind.VOLUME and m.source})
    volumes = tuple(Volume(key=key, name=f"{INSTANCE}_{key}") for key in keys)
    return Project(name=INSTANCE, services=services, networks=(NETWORK,), volumes=volumes)


@dataclass(slots=True, repr=False)
class World:
    """One instance on one server, and what Havre remembers of it."""

    led: frozenset[str] = frozenset()
    """Services that the edge leads to."""
    app: App | None = None
    engine: MemoryEngine = field(default_factory=MemoryEngine)
    choose: Choose = min
    """Which of the ready steps comes next: that is all the parallelism there is."""
    release: int = 0
    served: Project | None = None
    edge: MemoryEdge = field(init=False)
    journal: dict[int, JournalEntry] = field(default_factory=dict)
    before: Slots = ()
    verify_fails: bool = False
    seen: list[Callable[[Step], None]] = field(default_factory=list)
    """Called before each step that is performed."""
    story: list[str] = field(default_factory=list)
    """Everything that was done, for whoever has to understand a failure."""

    def __post_init__(self) -> None:
        self.edge = MemoryEdge(self.engine, INSTANCE)

    def __repr__(self) -> str:
        return f"<{' '.join(self.running())} led {self.edge.leads_to} of {sorted(self.led)}>"

    # -- looking -------------------------------------------------------------------------------------------------

    def observe(self, wanted: Project) -> Observed:
        """What planning sees."""
        return self.engine.observe(INSTANCE, references=[service.image for service in wanted.services])

    def facts(self, wanted: Project) -> EdgeFacts:
        """What planning knows of the edge."""
        routed = frozenset(wanted.service_names) & self.led
        now = ordered(tuple(self.edge.leads_to.items()))
        return EdgeFacts(routed=routed, now=now, met=self.met(), serving=self.served)

    def met(self) -> frozenset[str]:
        """What rolls, and is led to, is called through the edge inside the app too."""
        serving = self.served.services if self.served else ()
        return frozenset(s.name for s in serving if s.name in self.edge.leads_to and not why_stop_first(s))

    def calls(self, plan: Plan, wanted: Project) -> Mapping[str, set[str]]:
        """What `plan` replaces stop-first, and who serves now and needs it: its replicas run on."""
        found = {}
        starting = {step.step.service.name for step in plan.steps if isinstance(step.step, StartReplica)}
        starting &= {replica.service for replica in self.engine.observe(INSTANCE).replicas if replica.is_running}
        for name in (s.name for s in wanted.services if s.name in starting and why_stop_first(s)):
            found[name] = {
                user
                for user in self.edge.leads_to
                if _needs(self.served, user, name, self.met()) and not _needs(wanted, name, user, frozenset())
            }
        return found

    def complaints(self) -> str:
        """What the edge complained about, and how it came to that; empty when all was well."""
        return "\n".join([*self.edge.complaints, "after", *self.story]) if self.edge.complaints else ""

    def running(self) -> tuple[str, ...]:
        """`web.1`, … of everything that runs, sorted."""
        return tuple(f"{r.service}.{r.slot}" for r in self.engine.observe(INSTANCE).replicas if r.is_running)

    def volumes(self) -> set[str]:
        """The names of all volumes."""
        return {volume.name for volume in self.engine.observe(INSTANCE).volumes}

    # -- doing ---------------------------------------------------------------------------------------------------

    def propose(self, wanted: Project, **options: object) -> Plan:
        """The plan to get from what runs to `wanted`."""
        options.setdefault("app", self.app)
        return plan_rollout(
            wanted, self.observe(wanted), edge=self.facts(wanted), files={}, **options  # type: ignore[arg-type]
        )  # fmt: skip

    def deploy(self, wanted: Project, *, kill_at: int | None = None, kill_late: bool = False, **options: object) -> str:
        """Plan, run, and undo when it fails: `serves`, `undone` or, when it failed too late for that, `finished`.

        `kill_at` is the number of steps done before the process dies while it does the next one.
        """
        plan = self.propose(wanted, **options)
        self.begin()
        self.edge.expect(self.calls(plan, wanted))
        states = self.run(plan, wanted, kill_at=kill_at, kill_late=kill_late)
        if all(state is StepState.DONE for state in states.values()):
            self.served = wanted
            return "serves"
        self.story.append("-- undo")
        undo = plan_undo(plan, states, self.observe(wanted), before=self.served)
        assert_done(self.run(undo, wanted), undo)
        if is_past_return(plan, states):
            self.served = wanted
            return "finished"
        return "undone"

    def begin(self) -> None:
        """Open the next release."""
        self.release += 1
        self.story.append(f"-- release {self.release}")
        self.journal = {}
        self.before = ordered(tuple(self.edge.leads_to.items()))

    def recover(self, wanted: Project, *, kill_at: int | None = None) -> Recovery:
        """What the next command does when it finds a release cut short; that may be killed as well."""
        entries = tuple(self.journal.values())
        cut = Interrupted(release=self.release, entries=entries, targets_before=self.before, met=self.met())
        way = decide(cut.entries)
        self.story.append(f"-- recover: {way.value}")
        if way is Recovery.FINISH:
            observed, facts = self.observe(wanted), self.facts(wanted)
            plan = plan_finish(cut, wanted, observed, app=self.app, edge=facts, files={})
            self.served = wanted
        else:
            plan = plan_undo_interrupted(cut, self.observe(wanted), before=self.served)
        assert_done(self.run(plan, wanted, kill_at=kill_at), plan)
        return way

    def run(
        self, plan: Plan, wanted: Project, *, kill_at: int | None = None, kill_late: bool = False
    ) -> Mapping[int, StepState]:
        """Perform all steps, one at a time in an order that `choose` picks; stop at the first failure."""
        states = {step.number: StepState.PENDING for step in plan.steps}
        offset = len(self.journal)
        for step in plan.steps:
            self._record(step, StepState.PENDING, offset)
        context = Context(instance=INSTANCE, release=self.release, project=wanted)
        for count in range(len(plan.steps)):
            step = self._next(plan, states)
            states[step.number] = StepState.STARTED
            self._record(step, StepState.STARTED, offset)
            if count == kill_at and not kill_late:
                raise Killed
            try:
                self._perform(step.step, context)
            except FailedError:
                states[step.number] = StepState.FAILED
                self._record(step, StepState.FAILED, offset)
                return states
            if count == kill_at:
                raise Killed
            states[step.number] = StepState.DONE
            self._record(step, StepState.DONE, offset)
        return states

    def _next(self, plan: Plan, states: Mapping[int, StepState]) -> PlannedStep:
        ready = [
            step.number
            for step in plan.steps
            if states[step.number] is StepState.PENDING and all(states[n] is StepState.DONE for n in step.after)
        ]
        return plan.steps[self.choose(ready) - 1]

    def _record(self, step: PlannedStep, state: StepState, offset: int) -> None:
        self.journal[step.number + offset] = JournalEntry(
            release=self.release,
            number=step.number + offset,
            kind=type(step.step).__name__,
            text=str(step.step),
            phase=int(step.phase),
            state=state,
        )

    def _perform(self, step: Step, context: Context) -> None:
        self.story.append(str(step))
        for look in self.seen:
            look(step)
        match step:
            case Hold() | Resume() | Switch() | Drain():
                self.edge.perform(step)
            case AwaitHealthy(service=service, slot=slot):
                self._prove(service, slot, context)
            case Verify():
                if self.verify_fails:
                    raise FailedError(Problem(summary="not as promised", hint="correct it"))
            case Safeguard() | UndoMigration() | TryConfiguration():
                pass
            case _:
                if isinstance(step, StartReplica):
                    self.edge.proven.discard((step.service.name, step.slot))
                if isinstance(step, RestartReplica):
                    self.edge.proven.discard((step.service, step.slot))
                self.engine.perform(step, context)

    def _prove(self, service: Service, slot: int, context: Context) -> None:
        for _ in range(PROBES):
            if self.engine.probe(service, slot, context).state is HealthState.HEALTHY:
                self.edge.proven.add((service.name, slot))
                return
        raise FailedError(Problem(summary=f"{service.name}.{slot} is not healthy", hint="look at its log"))


def world(
    *services: Service, led: Sequence[str] = (), app: App | None = None, behaviour: Behaviour | None = None
) -> World:
    """A world in which these services were deployed already (none: an empty server)."""
    made = World(led=frozenset(led), app=app, engine=MemoryEngine(behaviour))
    if services:
        assert made.deploy(project(*services)) == "serves"
    return made


def _needs(wanted: Project | None, user: str, service: str, met: frozenset[str]) -> bool:
    """Whether a request for `user` reaches `service`, other than through the door of a third one."""
    if wanted is None or user not in wanted.service_names or user in wanted.jobs or service in met:
        return False
    others = [need.service for need in wanted.service(user).needs]
    return service in others or any(_needs(wanted, other, service, met) for other in others if other not in met)


def assert_done(states: Mapping[int, StepState], plan: Plan) -> None:
    """Every step of the plan was done."""
    failed = [str(step) for step in plan.steps if states[step.number] is not StepState.DONE]
    assert not failed, "\n".join([*failed, "of", str(plan)])

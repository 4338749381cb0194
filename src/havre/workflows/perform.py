"""Do one step of a release: ask the engine, the edge, or the replica itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import assert_never

from havre.checks.configurations import refusal
from havre.engines.base import Context, Progress
from havre.errors import FailedError, Problem
from havre.model.app import App, Verification
from havre.model.observed import Observed
from havre.model.plan import (
    AwaitHealthy,
    CreateNetwork,
    Drain,
    EdgeStep,
    Hold,
    Phase,
    PlannedStep,
    Resume,
    RunTask,
    Safeguard,
    StartReplica,
    Switch,
    TryConfiguration,
    UndoMigration,
    Verify,
)
from havre.model.project import Project, Service
from havre.model.route import AppEdge, Endpoint, Route, Upstream, route_for
from havre.workflows.configurations import try_configurations
from havre.workflows.execute import Cancellation
from havre.workflows.leading import OLD_WORKERS_LIMIT, Leading
from havre.workflows.migrate import Migrating
from havre.workflows.prove import prove, stay
from havre.workflows.record import Recorded
from havre.workflows.routing import Inside, app_edge, plan_inside
from havre.workflows.server import Server, called_through, slots_by_service, upstream_name, upstreams_for
from havre.workflows.verify import Target, verify

TakeSnapshot = Callable[[tuple[str, ...]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One release as the steps see it."""

    app: App
    project: Project
    number: int
    ports: Mapping[str, tuple[int, ...]]
    """Ports of each service that others call through the edge."""
    before: AppEdge | None
    """What the edge served when the release began."""
    snapshot: TakeSnapshot
    progress: Progress
    going_back: bool = False
    """True while undoing: traffic is led as `before` said, not as the manifest says."""
    known: tuple[Service, ...] = ()
    """Services of the release that served before, whose replicas may still be there."""
    held_since: dict[Endpoint, float] = field(default_factory=dict)
    """Since when requests wait at the edge, also for whoever takes the release back."""

    def taken_back(self, served: Recorded | None) -> Work:
        """The same release, being undone; `served` is the configuration that served before."""
        return replace(self, going_back=True, known=served.project.services if served else ())

    def service(self, name: str) -> Service:
        """The service of that name as it served before (while undoing), else as this release has it."""
        known = {service.name: service for service in (*self.project.services, *self.known)}
        return known[name]


@dataclass(slots=True)
class Performer:
    """Performs planned steps; safe to call from several threads."""

    server: Server
    work: Work
    cancellation: Cancellation
    schema_head: str | None = None
    """The revision after the migration, once one ran."""
    _meeting: Inside | None = None
    _early: dict[str, set[int]] = field(default_factory=dict)
    _is_open: bool = False
    _leading: Leading = field(init=False)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self._leading = Leading(
            traffic=self.server.traffic,
            instance=self.work.app.instance,
            before=self.work.before,
            cancellation=self.cancellation,
            patience=0.0 if self.work.going_back else OLD_WORKERS_LIMIT,
            since=self.work.held_since,
        )

    def __call__(self, planned: PlannedStep) -> None:
        """Do it; raises HavreErrors, and Cancelled when asked to stop while waiting."""
        match planned.step:
            case Hold() | Resume() | Switch() | Drain() as step:
                self._lead(step)
            case AwaitHealthy() as step:
                self._prove(step.service, step.slot, step.settle)
            case Verify():
                self._verify_through_edge()
            case Safeguard() as step:
                self.work.snapshot(step.services)
            case RunTask() as step if planned.phase is Phase.MIGRATE:
                self.schema_head = self._migrating(step.service).migrate(step)
            case UndoMigration() as step:
                self.schema_head = self._migrating(step.service).take_back(step)
            case TryConfiguration() as step:
                self._try_configuration(step.service)
            case StartReplica() | RunTask() as step:
                self.server.engine.perform(step, self.context(step.service), progress=self.work.progress)
            case CreateNetwork() as step:
                self.server.engine.perform(step, self.context(), progress=self.work.progress)
                with self._lock:
                    self._meeting = None
            case step:
                self.server.engine.perform(step, self.context(), progress=self.work.progress)

    def _migrating(self, service: Service) -> Migrating:
        return Migrating(
            server=self.server,
            app=self.work.app,
            project=self.work.project,
            context=self.context(service),
            progress=self.work.progress,
        )

    def _try_configuration(self, service: Service) -> None:
        observed = self.server.engine.observe(self.work.app.instance, references=[service.image])
        refused = try_configurations(self.server, self.work.app, self.work.project, observed)
        names = self.work.project.service_names
        problems = [refusal(file, names) for file in refused if file.service == service.name and file.is_certain]
        if problems:
            raise FailedError(problems)

    # -- the edge ------------------------------------------------------------------------------------------------

    def _inside(self) -> Inside:
        """The inside listeners; known once the networks exist."""
        with self._lock:
            if self._meeting is None:
                observed = self.server.engine.observe(self.work.app.instance)
                work = self.work
                self._meeting = meet_inside(
                    self.server, work.app, work.project, work.ports, observed, called_through(work.before)
                )
            return self._meeting

    def context(self, service: Service | None = None) -> Context:
        """What the engine needs to know; with `service`, including the names its replicas reach the edge by."""
        names = self._inside().names_for(service.name) if service is not None and self.work.ports else ()
        return Context(
            instance=self.work.app.instance, release=self.work.number, project=self.work.project, names=names
        )

    def _everything(self, to: Mapping[str, tuple[int, ...]]) -> AppEdge:
        """Routes, published ports and inside listeners, led to these slots."""
        inside = self._listeners()
        found = upstreams_for(self._wanted(inside, {}).endpoints, to, self._address)
        return self._wanted(inside, found)

    def _only_inside(self, to: Mapping[str, tuple[int, ...]]) -> AppEdge:
        """The inside listeners alone, led to these slots."""
        wanted = _without_outside(self._wanted(self._listeners(), {}))
        return _with(wanted, upstreams_for(wanted.endpoints, to, self._address))

    def _listeners(self) -> Inside:
        return self._inside() if self.work.ports else Inside()

    def _wanted(self, inside: Inside, upstreams: Mapping[Endpoint, tuple[Upstream, ...]]) -> AppEdge:
        return app_edge(self.work.app, self.work.project, inside, upstreams, ends_tls=self.server.ends_tls)

    def _address(self, service: str, slot: int) -> str:
        return self.server.engine.address(self.work.service(service), slot, self.context())

    def _lead(self, step: EdgeStep) -> None:
        match step:
            case Hold():
                self._leading.hold(step)
            case Resume():
                self._resume(step)
            case Switch():
                self._switch(dict(step.to))
            case Drain():
                self._leading.drain(step)
            case _:
                assert_never(step)

    def _switch(self, to: Mapping[str, tuple[int, ...]]) -> None:
        if self.work.going_back:
            self._switch_back(to)
            return
        wanted = self._everything(to)
        if wanted.endpoints or wanted.routes:
            self.server.traffic.ensure_running()
            self._leading.switch(wanted)
            for problem in self.server.traffic.secure(self.work.app.instance):
                self.work.progress(f"no certificate yet: {problem.summary}; {problem.hint}")
        elif self.server.traffic.read(self.work.app.instance) is not None:
            self.server.traffic.remove(self.work.app.instance)

    def _switch_back(self, to: Mapping[str, tuple[int, ...]]) -> None:
        before = self.work.before
        if before is None:
            self.server.traffic.remove(self.work.app.instance)
            return
        known = {one.name: one.address for _, replicas in before.upstreams for one in replicas}

        def address(service: str, slot: int) -> str:
            """Where it is, or was when it served: an undoing must not fail because something else is down too."""
            try:
                return self._address(service, slot)
            except FailedError:
                if upstream_name(service, slot) not in known:
                    raise
                return known[upstream_name(service, slot)]

        self._leading.switch(_with(before, upstreams_for(before.endpoints, to, address)))

    def _resume(self, step: Resume) -> None:
        """A door that the release does not want any more stays closed until the switch, which removes it."""
        before = self.work.before
        wanted = set(self._wanted(self._listeners(), {}).endpoints) if step.slots else set()
        own = [e for e in (before.endpoints if before else ()) if e[0] == step.service and e in wanted]
        found = upstreams_for(own, {step.service: step.slots}, self._address)
        self._leading.resume(step.service, step.callers, found)

    # -- proof ---------------------------------------------------------------------------------------------------

    def _prove(self, service: Service, slot: int, settle: float) -> None:
        context = self.context(service)
        is_new = service.name in self.work.ports and service.name not in slots_by_service(self.work.before)
        if is_new:
            self._open_early()
        prove(self.server.engine, service, slot, context, self.cancellation)
        stay(self.server.engine, service, slot, context, self.cancellation, settle)
        self._verify_directly(service, slot)
        if is_new:
            self._meet_early(service, slot)

    def _open_early(self) -> None:
        """The listeners of new services, with nobody behind them yet: the edge is reloaded while a replica starts."""
        with self._lock:
            if not self._is_open:
                self._is_open = True
                self._lead_early()

    def _meet_early(self, service: Service, slot: int) -> None:
        """Let dependents reach a service that nothing served before; its public routes wait for the switch."""
        with self._lock:
            self._early.setdefault(service.name, set()).add(slot)
            self._lead_early()

    def _lead_early(self) -> None:
        serving = slots_by_service(self.work.before)
        to = {**serving, **{name: tuple(sorted(slots)) for name, slots in self._early.items()}}
        early = self._only_inside(to)
        if early.inside:
            self._leading.meet(early)

    def _verify_directly(self, service: Service, slot: int) -> None:
        """Ask a new replica what the manifest promises of it, before it gets any traffic."""
        instance = f"{self.work.app.instance}/{service.name}.{slot}"
        routes = self.work.app.routes
        first = routes[0].host if routes else ""
        for check in self.work.app.verifications:
            route = route_for(check.host or first, check.path, routes)
            if route is None or route.service != service.name:
                continue
            target = Target(address=self._address(service.name, slot), port=route.port, scheme_seen="https")
            verify(
                [_as_seen_behind(check, route)],
                target,
                where=f"at {instance}",
                default_host=route.host,
                cancellation=self.cancellation,
            )

    def _verify_through_edge(self) -> None:
        address, http, https = self.server.traffic.entrance()
        tls = https is not None and self._wanted(Inside(), {}).tls.mode != "off"
        target = Target(
            address=address,
            port=https if tls and https is not None else http,
            tls=tls,
            scheme_seen="https" if tls else "http",
        )
        hosts = [route.host for route in self.work.app.routes]
        verify(
            self.work.app.verifications,
            target,
            where="through the edge",
            default_host=hosts[0] if hosts else "localhost",
            cancellation=self.cancellation,
        )


def meet_inside(
    server: Server,
    app: App,
    project: Project,
    ports: Mapping[str, tuple[int, ...]],
    observed: Observed,
    met: Collection[str],
) -> Inside:
    """The inside listeners of a project on the networks as they are observed; `met` have some now."""
    context = Context(instance=app.instance, release=0, project=project)
    return plan_inside(
        project,
        app,
        ports,
        lambda service, caller: server.engine.meeting_point(service, caller, context, observed),
        met,
    )


def no_snapshot(services: tuple[str, ...]) -> None:
    """Refuse to go on where a safeguard was planned and no backup is set up."""
    raise FailedError(
        Problem(
            summary=f"no snapshot of {', '.join(services)} can be taken before the migration",
            hint="set `release.migrate.safeguard: false` in havre.yaml to migrate without one",
            code="safeguard-missing",
        )
    )


def _as_seen_behind(check: Verification, route: Route) -> Verification:
    if not route.strip_prefix or route.path == "/":
        return check
    return replace(check, path=check.path.removeprefix(route.path.rstrip("/")) or "/")


def _without_outside(edge: AppEdge) -> AppEdge:
    return replace(edge, routes=(), tcp_ports=(), upstreams=())


def _with(edge: AppEdge, upstreams: Mapping[Endpoint, tuple[Upstream, ...]]) -> AppEdge:
    return replace(edge, upstreams=tuple(upstreams.items()))

"""What is wrong around the services: room, the edge, full databases, failing memory, names, open ports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from havre.checks.finding import Finding, Rank, way_to
from havre.checks.outside import outside
from havre.checks.reaching import LOOPBACK
from havre.checks.requirements import clock_runs_free
from havre.checks.room import room
from havre.errors import Problem, Severity
from havre.model.diagnosis import Facts, Fill
from havre.model.images import known
from havre.model.route import Route, TcpPort
from havre.model.units import show_bytes, show_seconds

FULL = 0.9
"""Share of a bound from which on it is told."""

CLOCK_SLACK = 60.0
"""Seconds that a clock may be set back without anybody minding."""

_EVERYBODY = ("0.0.0.0", "::", "")  # noqa: S104 - what is looked for


def surroundings(facts: Facts) -> Iterator[Finding]:
    """Everything that is not one replica's own."""
    yield from room(facts)
    yield from _edge(facts)
    yield from _fills(facts)
    yield from _near_limits(facts)
    yield from outside(facts)
    yield from _exposed(facts)
    yield from _clock(facts)
    if facts.serving is not None and facts.engine_at_boot is False:
        yield Finding(problem=_engine_stays_away(), rank=Rank.EXPOSED)
    if facts.serving is not None and not facts.comes_back:
        yield Finding(problem=_stays_away(facts), rank=Rank.EXPOSED)


def _edge(facts: Facts) -> Iterator[Finding]:
    applied = facts.edge.applied
    if applied is None:
        if facts.serving and facts.app.routes:
            yield Finding(problem=_nothing_applied(facts), rank=Rank.EDGE)
        return
    leads: list[Route | TcpPort] = [route for route in applied.routes if route.redirect_to is None]
    leads += applied.tcp_ports
    if not facts.edge.is_running and (leads or applied.inside):
        yield Finding(problem=_not_running(facts, len(leads)), rank=Rank.EDGE)
        return
    for endpoint in applied.endpoints:
        ways = [str(way) for way in leads if way.endpoint == endpoint]
        if not ways:
            continue
        service, port = endpoint
        if not applied.replicas(endpoint):
            yield _on_the_way(_leads_nowhere(service, ways), service)
        elif listens := _wrong_port(facts, service, port):
            yield _on_the_way(_not_listening(service, port, ways, listens), service)


def _on_the_way(problem: Problem, service: str) -> Finding:
    return Finding(problem=problem, rank=Rank.ROUTE, about=way_to(service), because=service)


def _clock(facts: Facts) -> Iterator[Finding]:
    """That it went back is told before that it may: times of releases are the only ones that others wrote here."""
    ahead = facts.last.started_at - facts.now if facts.last else 0.0
    system = facts.server.system if facts.server else None
    if ahead > CLOCK_SLACK and facts.last:
        yield Finding(problem=_clock_went_back(facts.last.number, ahead), rank=Rank.CERTIFICATE)
    elif system and system.clock_in_step is False:
        problem = replace(clock_runs_free(), code="doctor-clock", severity=Severity.NOTE)
        yield Finding(problem=problem, rank=Rank.EXPOSED)


def _clock_went_back(release: int, ahead: float) -> Problem:
    return Problem(
        summary=f"this server's clock went back by {show_seconds(ahead)} or more",
        subject="server",
        evidence=(f"release {release} began {show_seconds(ahead)} from now, by this clock",),
        effect="certificates look not yet valid, signed tokens and one-time passwords fail, timers run late",
        hint="`timedatectl` shows the time and what corrects it; where nothing does, `sudo apt-get install chrony`",
        code="doctor-clock",
        severity=Severity.WARNING,
    )


def _engine_stays_away() -> Problem:
    return Problem(
        summary="Docker is not started at boot",
        subject="server",
        evidence=("docker.service is not enabled",),
        effect="after a reboot no container of any app runs until somebody starts it",
        hint="`sudo systemctl enable docker`",
        code="doctor-engine-boot",
        severity=Severity.NOTE,
    )


def _stays_away(facts: Facts) -> Problem:
    by_cron = "`(crontab -l; havre boot cron) | crontab -`"
    return Problem(
        summary="nothing brings this server's apps back after a reboot",
        subject="server",
        effect="the edge and what it leads to stay away until somebody runs a command",
        hint="`havre boot install`" if facts.has_systemd else f"{by_cron} (no systemd runs here)",
        code="doctor-boot",
        severity=Severity.NOTE,
    )


def _nothing_applied(facts: Facts) -> Problem:
    return Problem(
        summary="the edge knows none of the app's routes",
        subject=facts.instance,
        evidence=tuple(f"route {route}" for route in facts.app.routes[:5]),
        effect="visitors get no answer from this app",
        hint="`havre deploy` applies them again",
        code="doctor-no-routes",
    )


def _not_running(facts: Facts, ways: int) -> Problem:
    return Problem(
        summary="the edge does not run",
        subject="edge",
        evidence=(f"nothing answers for it{f' at {facts.edge.entrance}' if facts.edge.entrance else ''}",),
        effect=f"no visitor reaches this server: {ways} routes and ports of {facts.instance}, and those of other apps",
        hint="`havre edge restart` brings back exactly the routes that were applied",
        code="doctor-edge-down",
    )


def _leads_nowhere(service: str, ways: list[str]) -> Problem:
    return Problem(
        summary=f"the edge has no replica of {service} to lead to",
        evidence=tuple(f"route {way}" for way in ways[:5]),
        effect="visitors get 503",
        hint="`havre deploy` leads the routes to what runs",
        code="doctor-no-upstream",
    )


def _wrong_port(facts: Facts, service: str, port: int) -> tuple[str, ...]:
    """Where the replicas listen instead; empty when one listens there, or nobody knows."""
    found = [one.listens for one in facts.of(service) if one.listens and one.replica.is_running]
    reachable = [(address, number) for listens in found for address, number in listens]
    if not reachable or any(number == port and not address.startswith(LOOPBACK) for address, number in reachable):
        return ()
    return tuple(dict.fromkeys(f"{address}:{number}" for address, number in reachable))


def _not_listening(service: str, port: int, ways: list[str], listens: tuple[str, ...]) -> Problem:
    own = next((where for where in listens if where.endswith(f":{port}")), "")
    other = listens[0].rpartition(":")[2]
    return Problem(
        summary=f"{service} listens on {own} only, inside itself: the edge cannot reach it"
        if own
        else f"the edge leads to {service} on port {port}, where nothing listens",
        evidence=(*(f"route {way}" for way in ways[:5]), f"{service} listens on {', '.join(listens)}"),
        effect="visitors get 503",
        hint=f"let {service} listen on 0.0.0.0 (its `HOST` or `--host`), then `havre deploy`"
        if own
        else f"write `to: {service}:{other}` in havre.yaml, then `havre deploy`",
        code="doctor-other-port",
    )


def _fills(facts: Facts) -> Iterator[Finding]:
    for fill in facts.fills:
        if (fill.limit and fill.used >= FULL * fill.limit) or (fill.kind == "postgres" and fill.policy):
            problem = _connections(facts, fill) if fill.kind == "postgres" else _redis_memory(fill)
            yield Finding(problem=problem, rank=Rank.FULL, about=fill.service)


def _connections(facts: Facts, fill: Fill) -> Problem:
    who = ", ".join(f"{name} {count}" for name, count in fill.by[:5])
    biggest = next((name for name, _ in fill.by if name in facts.project.service_names), "")
    taken = f"{fill.used} of {fill.limit} connections are taken" if fill.limit else "no connection is left"
    return Problem(
        summary=taken,
        subject=fill.service,
        evidence=tuple(line for line in (f"held by: {who}" if who else "", fill.policy) if line),
        effect="when none is left, every new connection is refused",
        hint=f"lower the pool of {biggest}, or raise `max_connections`; `havre restart {biggest}` frees what it holds"
        if biggest
        else "`havre doctor` names the holders as soon as one is free; lower their pools, or raise `max_connections`",
        code="doctor-connections",
        severity=Severity.ERROR if fill.used >= fill.limit - 3 else Severity.WARNING,
    )


def _redis_memory(fill: Fill) -> Problem:
    refuses = fill.policy == "noeviction"
    return Problem(
        summary=f"{show_bytes(fill.used)} of its {show_bytes(fill.limit)} are taken",
        subject=fill.service,
        evidence=(f"maxmemory-policy: {fill.policy}",) if fill.policy else (),
        effect="writes are refused when it is full" if refuses else "keys are dropped to make room",
        hint=f"`havre exec {fill.service} redis-cli --bigkeys` (with `-a PASSWORD` where it has one) shows what takes "
        "the room; raise `maxmemory`",
        code="doctor-redis-memory",
        severity=Severity.ERROR if refuses and fill.used >= fill.limit else Severity.WARNING,
    )


def _near_limits(facts: Facts) -> Iterator[Finding]:
    for one in facts.replicas:
        if not (one.memory and one.memory_limit and one.replica.is_running) or one.replica.oom_killed:
            continue
        if one.memory < 0.95 * one.memory_limit:
            continue
        problem = Problem(
            summary=f"uses {show_bytes(one.memory)} of its {show_bytes(one.memory_limit)}",
            subject=one.name,
            effect="the kernel will kill it when it asks for more",
            hint=f"raise `mem_limit` of {one.service}, then `havre deploy`; `havre budget` shows what the server has",
            code="doctor-near-limit",
            severity=Severity.WARNING,
        )
        yield Finding(problem=problem, rank=Rank.UNVERIFIED)


def _exposed(facts: Facts) -> Iterator[Finding]:
    for service in facts.project.services:
        image = known(service)
        if image is None or not image.is_private or not any(one.replica.is_running for one in facts.of(service.name)):
            continue
        for port in service.ports:
            if port.published and port.host_ip in _EVERYBODY:
                yield Finding(problem=_open_to_all(service.name, port.published, port.target), rank=Rank.EXPOSED)


def _open_to_all(service: str, published: str, target: int) -> Problem:
    return Problem(
        summary=f"port {published} of {service} is open to everybody",
        subject=service,
        evidence=(f"published on all addresses of this server: {published}:{target}",),
        effect="a firewall such as UFW does not see ports that Docker publishes",
        hint=f'write `"127.0.0.1:{published}:{target}"` in the Compose file, or remove the port; then `havre deploy`',
        code="doctor-open-port",
        severity=Severity.WARNING,
    )

"""How the server stands in the network: names, firewall, what is reachable that should not be, and the proxy."""

from __future__ import annotations

from havre.checks.claims import ANY_ADDRESS, read_port
from havre.checks.launch.item import (
    Item,
    Judgement,
    Level,
    beside_the_point,
    by_checks,
    of_visitors,
    once_deployed,
    only_a_person,
    problem,
    seen,
)
from havre.checks.launch.scene import Scene
from havre.errors import Problem
from havre.model.diagnosis import Facts
from havre.model.images import known
from havre.model.server import Claim, Listener, ServerFacts

SSH = 22
WATCHING = frozenset({"prometheus", "alertmanager", "exporter", "cadvisor", "grafana", "uptime-kuma"})
"""Kinds of well-known images that watch, or show what others saw."""

_WATCHING_PORTS = frozenset({9090, 9093, 9100, 9121, 9187})
"""Prometheus, Alertmanager and the exporters of machines, Redis and PostgreSQL, wherever they come from."""


def _dns(scene: Scene, facts: Facts) -> Judgement:
    """What the doctor found out: DNS itself is asked, never this machine's hosts file."""
    found = facts.names
    if not found.answers:
        return beside_the_point(f"{', '.join(scene.hosts)}: no name of the public DNS" if scene.hosts else "no routes")
    shown = tuple(f"{one.host}: {', '.join(one.addresses) or one.detail}" for one in found.answers)
    ours = f"this server: {', '.join(found.own) or 'no address but loopback'}"
    if silent := [one for one in found.answers if one.problem == "resolver"]:
        return Judgement(unseen=f"no DNS server answered: {silent[0].detail}", evidence=(ours, *shown))
    problems = [one for one in scene.findings if one.code == "doctor-dns"]
    doubtful = [
        one.host for one in found.answers if set(one.addresses) - {*found.own} and one.host not in scene.reached
    ]
    if doubtful and not found.is_certain and not problems:
        why = "this server has no public address of its own; write those that lead here as `addresses` in server.yaml"
        return only_a_person(f"{why} ({', '.join(doubtful)})", ours, *shown)
    return seen(ours, *shown, problems=problems)


def _firewall(scene: Scene) -> Judgement:
    found = scene.firewall
    if found.is_active is None:
        return only_a_person(f"this user may not look at the firewall{f' ({found.by})' if found.by else ''}")
    if found.is_active:
        return seen(f"{found.by}: what no rule lets in is refused", *(f"lets in: {line}" for line in found.opens))
    return seen(
        f"{found.by or 'no firewall'}: everything is let in",
        problems=[
            problem(
                "no firewall refuses anything",
                "`ufw default deny incoming; ufw allow 22,80,443/tcp; ufw enable` (the port of your SSH first)",
                subject="server",
                effect="every port that some program opens is open to the internet",
            )
        ],
    )


def reachable(scene: Scene) -> tuple[Listener, ...]:
    """What listens for the outside beside the edge and SSH: a firewall hides it, unless Docker publishes it."""
    server = scene.case.server
    if server is None:
        return ()
    edge = {scene.edge.http_port, scene.edge.https_port}
    return tuple(
        one
        for one in server.listeners
        if one.protocol == "tcp"
        and _is_open(one, server)
        and one.port not in edge | {SSH}
        and (not scene.firewall.is_active or one.program.startswith("docker-proxy"))
    )


def _is_open(one: Listener, server: ServerFacts) -> bool:
    public = server.system.public_addresses if server.system else ()
    return one.address in ANY_ADDRESS or one.address in public


def _own_ports_closed(scene: Scene) -> Judgement:
    """What this app opens beside the edge: other apps answer for theirs."""
    if scene.case.server is None:
        return Judgement(unseen="the listening sockets of this server were not read")
    instance = scene.case.app.instance
    own = [one for one in reachable(scene) if _owner(scene, one) == instance]
    held = ", ".join(sorted(claim.value for claim in _claims(scene) if claim.kind == "port")) or "none"
    return seen(f"ports that {instance} publishes: {held}", problems=[_open(scene, one) for one in own])


def _others_closed(scene: Scene) -> Judgement:
    """What programs and other apps of the server open: whoever comes in there is beside this app."""
    if scene.case.server is None:
        return Judgement(unseen="the listening sockets of this server were not read")
    others = [one for one in reachable(scene) if _owner(scene, one) != scene.case.app.instance]
    ports = [str(port) for port in (scene.edge.http_port, scene.edge.https_port, SSH) if port]
    evidence = f"{len(scene.case.server.listeners)} sockets listen; meant for all: {', '.join(ports)}"
    return seen(evidence, problems=[_open(scene, one) for one in others])


def _open(scene: Scene, one: Listener) -> Problem:
    owner = _owner(scene, one)
    return problem(
        f"port {one.port} is reachable from everywhere",
        _close(one, owner),
        subject=owner or one.program or "server",
        evidence=(f"{one.address}:{one.port}, {one}",),
        effect="a firewall such as UFW does not see ports that Docker publishes"
        if one.program.startswith("docker-proxy")
        else "whoever finds it can try to enter",
    )


def _owner(scene: Scene, one: Listener) -> str:
    """The app and service that claim it."""
    claims = scene.case.server.claims if scene.case.server else ()
    ports = [claim for claim in claims if claim.kind == "port" and read_port(claim.value)[1] == one.port]
    return ports[0].instance if ports else ""


def _close(one: Listener, owner: str) -> str:
    if owner or one.program.startswith("docker-proxy"):
        return f'publish it on this machine only (`"127.0.0.1:{one.port}:…"`), or not at all'
    return f"let it listen on 127.0.0.1 only, or refuse port {one.port} in the firewall"


def _watchers_private(scene: Scene) -> Judgement:
    services = {one.name: found.kind for one in scene.case.project.services if (found := known(one))}
    watching = sorted(name for name, kind in services.items() if kind in WATCHING)
    open_ports = [one for one in reachable(scene) if one.port in _WATCHING_PORTS]
    routed = [route for route in scene.case.app.routes if route.service in watching]
    bare = [
        route for route in routed if not route.basic_auth and not route.allow and _asks_nobody(services, route.service)
    ]
    metrics = _metrics_open(scene)
    if not watching and not open_ports and not scene.edge.metrics:
        return beside_the_point("nothing that watches runs here: no monitoring service, no metrics port")
    problems = [_open(scene, one) for one in open_ports] + metrics
    problems += [
        problem(
            f"everybody may see {route.service} at {route.host}{route.path}",
            "give the route `basic_auth` or `allow`",
            subject=route.service,
        )
        for route in bare
    ]
    shown = [f"services that watch: {', '.join(watching) or 'none'}"]
    shown += [f"metrics of the edge: {scene.edge.metrics}"] if scene.edge.metrics else []
    return seen(*shown, f"{len(open_ports) + len(metrics)} of their ports reachable from everywhere", problems=problems)


def _asks_nobody(kinds: dict[str, str], service: str) -> bool:
    """Grafana and Uptime Kuma have a login of their own; the others let everybody in."""
    return kinds[service] not in ("grafana", "uptime-kuma")


def _metrics_open(scene: Scene) -> list[Problem]:
    address = (scene.edge.metrics or "").rpartition(":")[0].strip("[]")
    if not scene.edge.metrics or address not in ("", "*", *ANY_ADDRESS):
        return []
    hint = "write `metrics: 127.0.0.1:PORT` in server.yaml"
    return [problem("the edge's metrics are open to everybody", hint, subject="edge")]


def _ports_free(scene: Scene) -> Judgement:
    claims = [claim for claim in _claims(scene) if claim.kind == "port"]
    held = ", ".join(sorted(claim.value for claim in claims)) or "none: the edge serves all of it"
    ids = ("port-taken", "port-claimed", "port-edge", "port-twice")
    return by_checks(scene, *ids, evidence=(f"ports of {scene.case.app.instance}: {held}",))


def _claims(scene: Scene) -> list[Claim]:
    claims = scene.case.server.claims if scene.case.server else ()
    return [claim for claim in claims if claim.instance == scene.case.app.instance]


def _proxy(scene: Scene, facts: Facts) -> Judgement:
    applied = facts.edge.applied
    wanted = {str(route) for route in scene.case.app.routes}
    there = {str(route) for route in applied.routes} if applied else set()
    codes = ("doctor-edge-down", "doctor-no-routes", "doctor-no-upstream", "doctor-other-port")
    problems = [found for found in scene.findings if found.code in codes]
    if not problems and wanted - there:
        missing = tuple(sorted(wanted - there))
        problems = [problem("the edge does not know all routes of the manifest", "`havre deploy`", evidence=missing)]
    return seen(f"the edge at {facts.edge.entrance} leads:", *sorted(there), problems=problems)


ITEMS = (
    Item(
        id="dns",
        title="the names lead to this server",
        doc=(
            "Every host is looked up in DNS. An address that is not one of this machine's is asked for its "
            "certificate: behind NAT it still shows ours."
        ),
        judge=once_deployed(_dns),
        promised=("C72", "C4"),
        looks=("reached",),
        asks="Do the names lead to this server?",
    ),
    Item(
        id="proxy",
        title="the proxy leads to the app",
        doc="The edge runs, knows every route of the manifest, and leads each to a replica that listens.",
        judge=of_visitors(once_deployed(_proxy)),
        promised=("L53", "T37"),
    ),
    Item(
        id="ports-free",
        title="the app's ports are its own",
        doc="The port checks of `havre check`, against the sockets that listen now and every other app's claims.",
        judge=_ports_free,
        promised=("L46",),
    ),
    Item(
        id="firewall",
        title="a firewall refuses what is not meant for the outside",
        doc="nftables, iptables and UFW as the kernel has them now: what no rule lets in must be dropped.",
        judge=_firewall,
        promised=("C73", "C7"),
        looks=("firewall",),
        asks="Does a firewall (of this server, or of its hosting) refuse all but SSH and the edge?",
    ),
    Item(
        id="ports-closed",
        title="the app opens no port of its own to everybody",
        doc=(
            "The ports that this app publishes, against the sockets that listen now for everybody. An active firewall "
            "hides those of ordinary programs; ports that Docker publishes bypass UFW and count always."
        ),
        judge=_own_ports_closed,
        promised=("C7", "L7"),
        looks=("firewall",),
    ),
    Item(
        id="server-ports",
        title="nothing else on this server is reachable from outside",
        doc="Every other socket that listens for everybody, beside the edge and SSH: of programs, and of other apps.",
        judge=_others_closed,
        promised=("C7",),
        looks=("firewall",),
        level=Level.RECOMMENDED,
    ),
    Item(
        id="monitoring-private",
        title="what watches is not shown to everybody",
        doc="Ports and routes of Prometheus, exporters, dashboards and the edge's own metrics.",
        judge=_watchers_private,
        promised=("T38",),
        looks=("firewall",),
    ),
)

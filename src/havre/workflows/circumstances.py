"""What surrounds a running instance, gathered for the doctor: DNS, visitors, the machine's load, images, room."""

from __future__ import annotations

import http.client
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from havre.checks.room import is_low
from havre.checks.slow import SLOW
from havre.edge.haproxy import Edge
from havre.engines.base import ImageDetails, Owners, Upkeep
from havre.errors import HavreError
from havre.host import clock
from havre.host.busy import measure
from havre.host.names import look_up
from havre.model.app import Verification
from havre.model.diagnosis import ImageFact, Load, NameAnswer, Names, Visit
from havre.model.hostnames import is_in_public_dns
from havre.model.project import Project
from havre.model.release import Release, ReleaseState
from havre.model.route import AppEdge, Route
from havre.model.server import ServerFacts, System
from havre.model.units import MIB
from havre.model.upkeep import Stored
from havre.workflows.disk import consumers
from havre.workflows.server import Server
from havre.workflows.settings import read_settings
from havre.workflows.verify import Target, ask

VISITED = 8
"""Routes that are visited at most."""

PATIENCE = 6.0
"""Seconds a visitor waits."""

BIG_IMAGE = 512 * MIB
"""Bytes from which on an image is looked into."""


def names_of(server: Server, applied: AppEdge | None, system: System) -> Names:
    """What DNS says of the hosts that the app answers for."""
    settings = read_settings(server.state.directory)
    hosts = [host for host in applied.hosts if is_in_public_dns(host)] if applied else []
    public = (*settings.addresses, *system.public_addresses)
    with ThreadPoolExecutor(VISITED) as pool:
        answers = tuple(pool.map(lambda host: look_up(_some(host), settings.resolvers), hosts[:VISITED]))
    return Names(
        answers=tuple(
            replace(_without_loopback(answer), host=host) for host, answer in zip(hosts, answers, strict=False)
        ),
        own=tuple(dict.fromkeys((*public, *system.addresses))),
        is_certain=bool(public),
    )


def visits_of(server: Server, applied: AppEdge | None) -> tuple[Visit, ...]:
    """One visit of each route, as a visitor of the edge; a slow one is made twice, and the faster one counts."""
    if applied is None or (isinstance(server.traffic, Edge) and not server.traffic.is_running()):
        return ()
    address, http_port, https_port = server.traffic.entrance()
    target = Target(address=address, port=https_port or http_port, tls=https_port is not None, scheme_seen="https")
    led = [route for route in applied.routes if route.redirect_to is None and not route.maintenance]
    with ThreadPoolExecutor(VISITED) as pool:
        return tuple(pool.map(lambda route: _patiently(route, target), led[:VISITED]))


def load_of(server: Server) -> Load:
    """Who uses this machine now; nobody is named where the engine is on another one."""
    return machine_load([server])


def machine_load(servers: Iterable[Server]) -> Load:
    """The same for several engines of one machine."""
    known = [server.engine.owners() if isinstance(server.engine, Owners) else {} for server in servers]
    here = [owners for owners in known if owners is not None]
    return measure({key: owner for owners in here for key, owner in owners.items()}) if here else Load()


def images_of(server: Server, instance: str, project: Project, serving: Release | None) -> Iterator[ImageFact]:
    """The size of what serves beside what served before it, and what is in the big ones."""
    if serving is None or not isinstance(server.engine, Upkeep):
        return
    sizes = {image.id: image.size for image in server.engine.images_here()}
    before = _images_before(server.state.releases.list(instance), serving)
    for pin in serving.images:
        size = sizes.get(pin.image_id)
        if size is None or pin.service not in project.service_names:
            continue
        earlier = sizes.get(before.get(pin.service, ""))
        fact = ImageFact(service=pin.service, reference=pin.reference, size=size, before=earlier)
        is_bigger = earlier is not None and size > earlier + BIG_IMAGE // 2
        yield _looked_into(server, pin.image_id, fact) if size >= BIG_IMAGE or is_bigger else fact


def room_of(server: Server, facts: ServerFacts) -> tuple[Stored, ...]:
    """What takes room; measured only where a disk is nearly full, because measuring reads everything once."""
    if not any(is_low(disk) for disk in facts.disks):
        return ()
    try:
        return consumers(server)
    except HavreError:  # a full disk has its finding even when nobody can say what is on it
        return ()


def _some(host: str) -> str:
    """A host itself, or one of those that a wildcard stands for."""
    return host.replace("*.", "havre.", 1)


def _without_loopback(answer: NameAnswer) -> NameAnswer:
    """Some systems write their own name with a loopback address into the hosts file: that says nothing."""
    return replace(answer, here=tuple(one for one in answer.here if not one.startswith("127.0.1.")))


def _patiently(route: Route, target: Target) -> Visit:
    first = _visit(route, target)
    if first.error or first.seconds < SLOW:
        return first
    return min(first, _visit(route, target), key=lambda visit: visit.seconds)


def _visit(route: Route, target: Target) -> Visit:
    check = Verification(path=route.path, timeout=PATIENCE)
    host = _some(route.host)
    began = clock.elapsed()
    status, error = None, ""
    try:
        status = ask(check, target, host).status
    except TimeoutError:
        error = f"none within {PATIENCE:g} s"
    except (OSError, http.client.HTTPException) as failure:
        error = str(failure) or type(failure).__name__
    return Visit(
        route=f"{route.host}{route.path}",
        service=route.service,
        seconds=clock.elapsed() - began,
        status=status,
        error=error,
    )


def _images_before(releases: Sequence[Release], serving: Release) -> Mapping[str, str]:
    """Service -> image id in the release that served before this one."""
    earlier = [one for one in releases if one.number < serving.number and one.state is ReleaseState.SUPERSEDED]
    return {pin.service: pin.image_id for pin in earlier[0].images} if earlier else {}


def _looked_into(server: Server, image_id: str, fact: ImageFact) -> ImageFact:
    if not isinstance(server.engine, ImageDetails):
        return fact
    layers, libraries = server.engine.look_into(image_id)
    return replace(fact, layers=layers, gpu_libraries=libraries)

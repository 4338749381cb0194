"""Checks of what the manifest says about services: routes, verifications, migration, backups and processes."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from havre.checks.case import Case, Check
from havre.errors import Problem, Severity
from havre.model.hostnames import is_local
from havre.model.images import known, listening_ports
from havre.model.project import Service


def _services(case: Case) -> Iterator[Problem]:
    for path, name in _mentioned(case):
        if name not in case.project.service_names:
            yield Problem(
                summary=f"there is no service `{name}`",
                subject=path,
                at=case.app.place(path),
                hint=_closest(name, case.project.service_names),
            )


def _mentioned(case: Case) -> Iterator[tuple[str, str]]:
    """(manifest path, service) of every place that names a service."""
    app = case.app
    for index, route in enumerate(app.routes):
        if route.redirect_to is None:
            yield f"routes[{index}].to", route.service
    if app.migration:
        yield "release.migrate.service", app.migration.service
        for index, name in enumerate(app.migration.safeguard_services):
            yield f"release.migrate.safeguard_services[{index}]", name
    for backup in app.backups:
        yield f"backups.{backup.service}", backup.service
    for process in app.processes:
        yield f"processes.{process.service}", process.service
    for policy in app.autoscale:
        yield f"autoscale.{policy.service}", policy.service


def _autoscaled(case: Case) -> Iterator[Problem]:
    by_name = {service.name: service for service in case.project.services}
    for policy in case.app.autoscale:
        service = by_name.get(policy.service)
        if service and policy.most > 1 and (service.stateful_mounts or service.held_alone):
            held = service.held_alone[0] if service.held_alone else "the volume that it writes"
            yield Problem(
                summary=f"{service.name} cannot have more than one replica: {held} is for one alone",
                subject=service.name,
                at=case.app.place(f"autoscale.{service.name}.max"),
                effect="`havre scale --auto` would start two that spoil each other's data",
                hint="remove it from `autoscale`",
            )
        if service and policy.memory and not service.resources.memory:
            yield Problem(
                summary=f"autoscale aims at a share of {service.name}'s memory limit, and it has none",
                subject=service.name,
                at=case.app.place(f"autoscale.{service.name}.memory"),
                effect="its memory would scale nothing",
                hint=f"give {service.name} a `mem_limit`, or aim at `cpu` alone",
            )


def _unheard(case: Case) -> Iterator[Problem]:
    if case.app.notify:
        yield Problem(
            summary="`notify` has no effect yet: nothing is sent to anybody",
            subject="notify",
            at=case.app.place("notify"),
            effect="a release that fails, or a server in trouble, tells nobody by itself",
            hint="remove it, and let an Alertmanager among the services tell people",
        )


def _closest(name: str, names: tuple[str, ...]) -> str:
    close = get_close_matches(name, names, n=1)
    return f"did you mean `{close[0]}`?" if close else f"the services are {', '.join(sorted(names))}"


def _ports(case: Case) -> Iterator[Problem]:
    by_name = {service.name: service for service in case.project.services}
    for index, route in enumerate(case.app.routes):
        service = by_name.get(route.service)
        if service is None:
            continue
        ports = _known_ports(service, case)
        if ports and route.port not in ports:
            yield Problem(
                summary=f"nothing says that {service.name} listens on {route.port}",
                subject=service.name,
                at=case.app.place(f"routes[{index}].to"),
                evidence=(f"its files name {', '.join(map(str, sorted(ports)))}",),
                effect="the edge would answer 503 when nothing listens there",
                hint=f"did you mean `{service.name}:{min(ports, key=lambda port: abs(port - route.port))}`?",
            )


def _known_ports(service: Service, case: Case) -> frozenset[int]:
    image = case.observed.image(service.image) if case.observed else None
    return listening_ports(service, image.exposed if image else ())


def _reachable(case: Case) -> Iterator[Problem]:
    by_name = {service.name: service for service in case.project.services}
    for index, route in enumerate(case.app.routes):
        service = by_name.get(route.service)
        if service is None:
            continue
        why = None
        if service.name in case.project.jobs:
            why = f"{service.name} is a job: it runs once per release and then ends"
        elif service.network_mode == "none":
            why = f"{service.name} has `network_mode: none`"
        elif service.replicas == 0:
            why = f"{service.name} has 0 replicas"
        if why:
            yield Problem(
                summary=f"{route.host}{route.path} leads to nothing: {why}",
                subject=service.name,
                at=case.app.place(f"routes[{index}].to"),
                effect="the edge would answer 503",
                hint="lead the route to a service that stays up, or remove it",
            )


def _verifications(case: Case) -> Iterator[Problem]:
    hosts = {route.host for route in case.app.routes}
    for index, check in enumerate(case.app.verifications):
        path = f"release.verify[{index}]"
        if not hosts:
            yield Problem(
                summary="a verification needs a route: it asks through the edge, as a user would",
                subject=path,
                at=case.app.place(path),
                hint="add the route it should go through, or remove it",
            )
        elif check.host and not any(_answers(host, check.host) for host in hosts):
            yield Problem(
                summary=f"no route answers for {check.host}",
                subject=path,
                at=case.app.place(f"{path}.host"),
                effect="the verification would fail, and the release with it",
                hint=_closest(check.host, tuple(hosts)).replace("the services are", "the hosts are"),
            )


def _answers(host: str, asked: str) -> bool:
    return host == asked or (host.startswith("*.") and asked.partition(".")[2] == host[2:])


def _wildcards(case: Case) -> Iterator[Problem]:
    if case.app.tls.mode not in ("auto", "acme") or case.app.tls.dns_hook:
        return
    for index, route in enumerate(case.app.routes):
        if route.host.startswith("*.") and not is_local(route.host):
            yield Problem(
                summary=f"a certificate for {route.host} needs `tls.dns_hook`",
                subject=route.host,
                at=case.app.place(f"routes[{index}].host"),
                effect="authorities give wildcard certificates only to who can set DNS records",
                hint="name the command that sets a TXT record, or list the hosts one by one",
            )


def _unreached(case: Case) -> Iterator[Problem]:
    """Nothing leads in: likely a forgotten route, unless the app is a worker or publishes a port itself."""
    if case.app.routes:
        return
    web = [service for service in case.services() if _serves_http(service)]
    if web and not any(port.published for service in case.services() for port in service.ports):
        yield Problem(
            summary=f"nothing leads to {web[0].name} from outside: there are no routes",
            subject=web[0].name,
            hint="add `routes` to havre.yaml; `havre init` proposes some",
        )


def _serves_http(service: Service) -> bool:
    facts = known(service)
    line = " ".join(service.health.test) if service.health else ""
    return bool((facts and facts.speaks_http and not facts.is_private) or "http://" in line)


CHECKS = (
    Check(
        id="manifest-service",
        severity=Severity.ERROR,
        title="the manifest names services that exist",
        doc="Routes, migration, backups, processes and autoscale name services of the Compose files.",
        find=_services,
    ),
    Check(
        id="notify-unheard",
        severity=Severity.WARNING,
        title="nobody relies on `notify`",
        doc="The key is kept for what is to come: nothing is sent to what it names.",
        find=_unheard,
    ),
    Check(
        id="autoscale",
        severity=Severity.ERROR,
        title="what is scaled by its load can be",
        doc="A service that holds data or an address of its own stays one; a share of memory needs a limit.",
        find=_autoscaled,
    ),
    Check(
        id="route-port",
        severity=Severity.WARNING,
        title="routes lead to ports their services listen on",
        doc="Compared with `ports`, `expose`, the image, the health check and the command; silent where none tells.",
        find=_ports,
    ),
    Check(
        id="route-dead",
        severity=Severity.ERROR,
        title="routes lead to services that stay up and can be reached",
        doc="A job, a service without a network or without replicas answers nobody.",
        find=_reachable,
    ),
    Check(
        id="verify-host",
        severity=Severity.ERROR,
        title="verifications ask hosts that a route answers for",
        doc="A release is proven through the edge, so the host it asks must have a route.",
        find=_verifications,
    ),
    Check(
        id="route-wildcard",
        severity=Severity.ERROR,
        title="wildcard hosts have a way to their certificate",
        doc="HTTP-01 cannot prove a wildcard name; DNS-01 needs a command that sets a record.",
        find=_wildcards,
    ),
    Check(
        id="route-none",
        severity=Severity.NOTE,
        title="web services have a route",
        doc="A note only: an app may be meant for inside use.",
        find=_unreached,
    ),
)

"""Finds addresses that hold on the server and not between its containers: `localhost`, and published ports."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from havre.checks.case import Case, Check
from havre.checks.dockerfile import instructions
from havre.errors import Location, Problem, Severity
from havre.model.calls import Target, targets
from havre.model.images import Known, known, listening_ports
from havre.model.project import Service

_HERE = r"(?:localhost|127\.0\.0\.1|\[::1\])"
_URL = re.compile(rf"^(?:jdbc:)?([a-z][a-z0-9]*)(?:\+[a-z0-9]+)?://(?:[^@/\s]*@)?{_HERE}(?=[:/?]|$)", re.IGNORECASE)
_KINDS: Mapping[str, str] = {
    "postgres": "postgres", "postgresql": "postgres", "pg": "postgres", "mysql": "mysql", "mariadb": "mysql",
    "redis": "redis", "rediss": "redis", "valkey": "redis", "amqp": "rabbitmq", "amqps": "rabbitmq",
    "rabbitmq": "rabbitmq", "mongodb": "mongo", "mongo": "mongo", "memcached": "memcached",
}  # fmt: skip
"""By the scheme of a URL, or by the first word of a variable such as REDIS_HOST."""

_DATABASES = ("postgres", "mysql", "mongo")
_HOST = re.compile(
    r"^(?:[A-Z0-9]+_)*?(DB|DATABASE|POSTGRES|PG|MYSQL|MARIADB|REDIS|VALKEY|MONGO|RABBITMQ)_?HOST(?:NAME)?$"
)


def _here(case: Case) -> Iterator[Problem]:
    for service in case.project.services:
        if service.network_mode or _is_joined(service, case):
            continue
        itself = known(service)
        for name, value in service.environment:
            kinds = _sought(name, value or "")
            if itself and itself.kind in kinds:  # its own server is meant
                continue
            other = next((one for one in case.project.services if _is(one, kinds)), None)
            is_published = case.on_the_server and other and any(port.published for port in other.ports)
            if other and other.name != service.name and not is_published:
                is_used = bool(_URL.match(value or "")) or kinds[0] in _DATABASES
                yield _elsewhere(case, service, name, other, is_used=is_used)


def _is_joined(service: Service, case: Case) -> bool:
    """Another container shares its network: `localhost` may be that one."""
    return any(one.network_mode == f"service:{service.name}" for one in case.project.services)


def _sought(name: str, value: str) -> tuple[str, ...]:
    """The kinds of server that a variable looks for at this very place; empty where it looks elsewhere."""
    url = _URL.match(value)
    if url:
        return (_KINDS[url[1].lower()],) if url[1].lower() in _KINDS else ()
    host = _HOST.match(name)
    if host is None or not re.fullmatch(_HERE, value):
        return ()
    kind = _KINDS.get(host[1].lower())
    return (kind,) if kind else _DATABASES


def _is(service: Service, kinds: tuple[str, ...]) -> bool:
    facts: Known | None = known(service)
    return facts is not None and facts.kind in kinds


def _elsewhere(case: Case, service: Service, name: str, other: Service, *, is_used: bool) -> Problem:
    """An error, unless frameworks write such a variable whether the app uses that server or not (REDIS_HOST)."""
    return Problem(
        summary=f"{name} looks for {other.name} on localhost, which is {service.name} itself",
        subject=service.name,
        at=_written(case, service, name),
        evidence=(f"{other.name} ({other.image}) is a container of its own",),
        effect="every connection is refused, though both run",
        hint=f"write `{other.name}` where it says localhost, and the port inside that container"
        f"{_port(other)}, not a published one",
        severity=Severity.ERROR if is_used else Severity.WARNING,
    )


def _outside(case: Case) -> Iterator[Problem]:
    for service in () if case.on_the_server else case.project.services:
        if service.network_mode == "host":
            continue
        for target in targets(case.project, service):
            other = case.project.service(target.service)
            inside = {port.target for port in other.ports if port.published == str(target.port)}
            is_other = other.name != service.name and not _names_hosts(service, other)
            if inside and is_other and target.port not in listening_ports(other, _said_to_open(case, other)):
                yield _published(case, service, target, min(inside))


def _names_hosts(service: Service, other: Service) -> bool:
    """Its `extra_hosts` lead that name elsewhere, such as to the server, where the published port is right."""
    return any(re.split("[:=]", entry)[0] in (other.name, other.container_name) for entry in service.extra_hosts)


def _said_to_open(case: Case, service: Service) -> Iterator[int]:
    """Ports that its image is said to open, or that its own settings name: it may well listen on them too."""
    image = case.observed.image(service.image) if case.observed else None
    yield from image.exposed if image else ()
    texts = (fact.text or "" for fact in case.files.builds if fact.service == service.name)
    for line in (one.words for text in texts for one in instructions(text) if one.name == "EXPOSE"):
        yield from map(int, re.findall(r"\b(\d+)\b(?!/udp)", line))
    settings = (value or "" for _, value in service.environment)
    words = " ".join((*settings, *(service.entrypoint or ()), *(service.command or ())))
    yield from map(int, re.findall(r"(?<![\w.])\d{2,5}(?![\w.])", words))


def _published(case: Case, service: Service, target: Target, inside: int) -> Problem:
    return Problem(
        summary=f"{target.setting} asks {target.service} on {target.port}, where it listens only outside",
        subject=service.name,
        at=_written(case, service, target.setting),
        evidence=(f"{target.service} publishes {target.port} on the server, and listens on {inside} itself",),
        effect="every connection is refused, though both run",
        hint=f"write `{target.service}:{inside}`",
    )


def _written(case: Case, service: Service, setting: str) -> Location | None:
    """Where the value was written: at the one variable that it comes from, else in the Compose file."""
    path = f"services.{service.name}.environment.{setting}"
    uses = case.uses(path)
    return uses[0].at if len(uses) == 1 and uses[0].at else case.place(path)


def _port(other: Service) -> str:
    facts = known(other)
    return f" ({facts.port})" if facts and facts.port else ""


CHECKS = (
    Check(
        id="localhost-elsewhere",
        severity=Severity.ERROR,
        title="databases are not looked for on localhost",
        doc=(
            "What works on a developer's machine does not between containers: there, `localhost` is the container "
            "itself. URLs and `…_HOST` variables of databases, caches and queues that are services of the project."
        ),
        find=_here,
    ),
    Check(
        id="published-port-inside",
        severity=Severity.ERROR,
        title="services call each other on the ports they listen on",
        doc=(
            '`ports: ["5433:5432"]` makes 5433 a port of the server; other services still reach the container on 5432. '
            "Addresses and `…_HOST`/`…_PORT` pairs in the variables are held against it."
        ),
        find=_outside,
    ),
)

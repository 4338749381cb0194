"""Finds well-known servers that would start with the login of their documentation, because none of their own is given.

A password that is given and is one of those that everybody tries is `variable-placeholder`'s to tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from havre.checks.case import Case, Check
from havre.checks.reaching import LOOPBACK
from havre.errors import Problem, Severity
from havre.model.images import image_name, known
from havre.model.project import Service


@dataclass(frozen=True, slots=True)
class _FirstLogin:
    """Who may log in at first; one of `settings`, or one of the `files`, says otherwise.

    `written` is what to write into the environment, with the generated secret in it; empty: the first setting.
    """

    user: str
    settings: tuple[str, ...]
    files: tuple[str, ...] = ()
    secret: str = ""
    written: str = ""

    @property
    def generated(self) -> str:
        """The secret to generate."""
        return self.secret or self.settings[0]

    @property
    def lines(self) -> str:
        """What the service's environment then says."""
        return self.written or f"{self.generated}: ${{{self.generated}}}"


_FIRST: Mapping[str, _FirstLogin] = {
    "grafana": _FirstLogin(
        "admin",
        (
            "GF_SECURITY_ADMIN_PASSWORD",
            "GF_SECURITY_ADMIN_PASSWORD__FILE",
            "GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION",
            "GF_AUTH_DISABLE_LOGIN_FORM",
            "GF_PATHS_CONFIG",
        ),
        ("/etc/grafana/grafana.ini",),
    ),
    "rabbitmq": _FirstLogin(
        "guest",
        (
            "RABBITMQ_DEFAULT_PASS",
            "RABBITMQ_DEFAULT_PASS_FILE",
            "RABBITMQ_CONFIG_FILE",
            "RABBITMQ_PASSWORD",
            "RABBITMQ_PASSWORD_FILE",
        ),
        ("/etc/rabbitmq/rabbitmq.conf", "/etc/rabbitmq/conf.d", "/etc/rabbitmq/definitions.json"),
    ),
    "minio": _FirstLogin(
        "minioadmin",
        (
            "MINIO_ROOT_PASSWORD",
            "MINIO_ROOT_PASSWORD_FILE",
            "MINIO_SECRET_KEY",
            "MINIO_SECRET_KEY_FILE",
            "MINIO_CONFIG_ENV_FILE",
        ),
        written="MINIO_ROOT_USER: root`, `MINIO_ROOT_PASSWORD: ${MINIO_ROOT_PASSWORD}",
    ),
    "neo4j": _FirstLogin(
        "neo4j",
        ("NEO4J_AUTH", "NEO4J_AUTH_FILE", "NEO4J_AUTH_PATH", "NEO4J_PASSWORD"),
        ("/var/lib/neo4j/conf/neo4j.conf",),
        secret="NEO4J_PASSWORD",  # noqa: S106 - the name of one
        written="NEO4J_AUTH: neo4j/${NEO4J_PASSWORD}",
    ),
    "activemq-classic": _FirstLogin(
        "admin",
        ("ACTIVEMQ_WEB_PASSWORD", "ACTIVEMQ_CONNECTION_PASSWORD"),
        ("/opt/apache-activemq/conf/users.properties",),
        written="ACTIVEMQ_WEB_USER: admin`, `ACTIVEMQ_WEB_PASSWORD: ${ACTIVEMQ_WEB_PASSWORD}",
    ),
}
"""By the name of the image."""


def _first_logins(case: Case) -> Iterator[Problem]:
    routed = {route.service for route in case.app.routes}
    for service in case.services():
        first = None if service.build else _FIRST.get(_name(service))
        if first is None or _is_settled(service, first):
            continue
        open_to_all = (port for port in service.ports if port.published and not port.host_ip.startswith(LOOPBACK))
        ways = [*(f"port {port.published}" for port in open_to_all), *["a route"] * (service.name in routed)]
        yield Problem(
            summary=f"nothing gives {first.user} a password: it starts with the one that everybody knows",
            subject=service.name,
            at=case.place(f"services.{service.name}.environment") or case.place(f"services.{service.name}"),
            evidence=(
                f"image: {service.image}; {first.settings[0]} is not set",
                *([f"led to by {', '.join(ways)}"] if ways else []),
            ),
            effect=f"whoever reaches it is {first.user}, unless somebody changed the password by hand since",
            hint=f"`havre secrets generate {first.generated}`, and in its `environment` `{first.lines}`",
            severity=Severity.ERROR if ways and case.is_production else Severity.WARNING,
        )


def _name(service: Service) -> str:
    """Editions of a program start with one login; images of which nothing more is known, by their own name."""
    facts = known(service)
    return facts.kind if facts and facts.kind in _FIRST else image_name(service.image)


def _is_settled(service: Service, first: _FirstLogin) -> bool:
    values = dict(service.environment)
    if any(values.get(name) for name in first.settings):
        return True
    targets = [mount.target for mount in service.mounts] + [grant.target for grant in service.configs]
    return any(_holds(target, file) or _holds(file, target) for target in targets for file in first.files)


def _holds(directory: str, path: str) -> bool:
    return f"{path}/".startswith(f"{directory.rstrip('/')}/")


CHECKS = (
    Check(
        id="first-login",
        severity=Severity.ERROR,
        title="no server starts with the login of its documentation",
        doc=(
            "Grafana, RabbitMQ, MinIO, Neo4j and ActiveMQ start with a login that everybody knows unless they are "
            "given one. An error in production where a route or a published port leads to it, else a warning; a "
            "mounted configuration of its own is not judged. The checklist tries these logins for real."
        ),
        find=_first_logins,
    ),
)

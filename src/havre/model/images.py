"""What is known of well-known images: what they need, what they are, and which port they listen on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from havre.model.project import Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Facts about one well-known image.

    `needs` is a set of variables of which one must have a value, or the image refuses to start; `password`
    names the variables that set the password clients use, `user` and its default the account they belong to.
    """

    kind: str
    port: int = 0
    is_private: bool = False
    """It holds data or shows the server's inside: it has no business on a public address."""
    needs: tuple[str, ...] = ()
    user: tuple[str, ...] = ()
    default_user: str = ""
    password: tuple[str, ...] = ()
    speaks_http: bool = False
    program: str = ""
    """What a command of its own must mention to be the server still, and not a client that borrows the image."""


_POSTGRES = Known(
    kind="postgres",
    program=r"\bpostgres\b(?!:|@)",
    port=5432,
    is_private=True,
    needs=("POSTGRES_PASSWORD", "POSTGRES_PASSWORD_FILE"),
    user=("POSTGRES_USER",),
    default_user="postgres",
    password=("POSTGRES_PASSWORD",),
)
_MYSQL = Known(
    kind="mysql",
    program=r"\b(?:mysqld|mariadbd)(?:[-_]safe)?\b|docker-entrypoint",
    port=3306,
    is_private=True,
    needs=(
        "MYSQL_ROOT_PASSWORD", "MYSQL_ROOT_PASSWORD_FILE", "MYSQL_ALLOW_EMPTY_PASSWORD", "MYSQL_RANDOM_ROOT_PASSWORD",
        "MARIADB_ROOT_PASSWORD", "MARIADB_ROOT_PASSWORD_FILE", "MARIADB_ROOT_PASSWORD_HASH",
        "MARIADB_ALLOW_EMPTY_ROOT_PASSWORD", "MARIADB_RANDOM_ROOT_PASSWORD",
    ),
    user=("MYSQL_USER", "MARIADB_USER"),
    password=("MYSQL_PASSWORD", "MARIADB_PASSWORD"),
)  # fmt: skip
_REDIS = Known(kind="redis", program="(?:redis|valkey)-(?:server|sentinel)", port=6379, is_private=True)
_GRAFANA = Known(kind="grafana", port=3000, speaks_http=True)
_ELASTIC = Known(kind="elasticsearch", port=9200, is_private=True, speaks_http=True)

KNOWN: Mapping[str, Known] = {
    "postgres": _POSTGRES,
    "postgis": _POSTGRES,
    "pgvector": _POSTGRES,
    "timescaledb": _POSTGRES,
    "mysql": _MYSQL,
    "mysql-server": _MYSQL,
    "mariadb": _MYSQL,
    "mariadb-galera": _MYSQL,
    "percona": _MYSQL,
    "percona-server": _MYSQL,
    "redis": _REDIS,
    "valkey": _REDIS,
    "mongo": Known(
        kind="mongo",
        port=27017,
        is_private=True,
        user=("MONGO_INITDB_ROOT_USERNAME",),
        password=("MONGO_INITDB_ROOT_PASSWORD",),
    ),
    "elasticsearch": _ELASTIC,
    "opensearch": _ELASTIC,
    "memcached": Known(kind="memcached", port=11211, is_private=True),
    "rabbitmq": Known(
        kind="rabbitmq",
        port=5672,
        is_private=True,
        user=("RABBITMQ_DEFAULT_USER",),
        default_user="guest",
        password=("RABBITMQ_DEFAULT_PASS",),
    ),
    "prometheus": Known(kind="prometheus", port=9090, is_private=True, speaks_http=True),
    "alertmanager": Known(kind="alertmanager", port=9093, is_private=True, speaks_http=True),
    "node-exporter": Known(kind="exporter", port=9100, is_private=True, speaks_http=True),
    "cadvisor": Known(kind="cadvisor", port=8080, is_private=True, speaks_http=True),
    "pgadmin4": Known(
        kind="pgadmin",
        port=80,
        speaks_http=True,
        needs=("PGADMIN_DEFAULT_PASSWORD", "PGADMIN_DEFAULT_PASSWORD_FILE"),
    ),
    "grafana": _GRAFANA,
    "grafana-oss": _GRAFANA,
    "grafana-enterprise": _GRAFANA,
    "uptime-kuma": Known(kind="uptime-kuma", port=3001, speaks_http=True),
    "keycloak": Known(kind="keycloak", port=8080, speaks_http=True),
    "nginx": Known(kind="nginx", port=80, speaks_http=True),
    "httpd": Known(kind="httpd", port=80, speaks_http=True),
    "caddy": Known(kind="caddy", port=80, speaks_http=True),
    "traefik": Known(kind="traefik", port=80, speaks_http=True),
    "minio": Known(kind="minio", port=9000, speaks_http=True),
    "ollama": Known(kind="ollama", port=11434, speaks_http=True),
}
PROXIES = frozenset({"nginx", "caddy", "traefik", "httpd"})
DATABASES = frozenset({"postgres", "mysql", "redis", "mongo", "elasticsearch"})


def known(service: Service) -> Known | None:
    """What is known of the image a service runs; nothing of one that is built, or that runs something else."""
    facts = None if service.build else KNOWN.get(image_name(service.image))
    words = [*(service.entrypoint or ()), *(service.command or ())]
    if facts and facts.program and words and not words[0].startswith("-"):
        return facts if any(re.search(facts.program, word) for word in words) else None
    return facts


def image_name(reference: str) -> str:
    """`postgres` of `docker.io/library/postgres:16-alpine@sha256:…`."""
    return image_tag(reference)[0].rsplit("/", 1)[-1].lower()


def image_tag(reference: str) -> tuple[str, str | None]:
    """(repository, tag or None); a digest counts as a tag."""
    repository, at, digest = reference.partition("@")
    head, colon, tag = repository.rpartition(":")
    if colon and "/" not in tag:
        return head, digest or tag
    return repository, digest if at else None


def listening_ports(service: Service, exposed: Iterable[int] = ()) -> frozenset[int]:
    """The TCP ports a service listens on, as far as its entry and image tell; `exposed` is the image's EXPOSE."""
    ports = {port.target for port in service.ports if port.protocol == "tcp"} | set(exposed)
    ports |= {int(number) for text in service.expose for number in re.findall(r"^(\d+)(?:/tcp)?$", text)}
    facts = known(service)
    ports |= {facts.port} if facts and facts.port else set()
    ports |= {port for port, _ in health_pages(service)}
    ports |= {port_number(value or "") for name, value in service.environment if name == "PORT"} - {0}
    words = " ".join([*(service.entrypoint or ()), *(service.command or ())])
    ports |= {int(port) for port in re.findall(r"(?:--port[ =]|--bind[ =][\d.]*:|-p )(\d+)\b", words)}
    return frozenset(ports)


def port_number(text: str) -> int:
    """The port that a text is; 0 where it is none."""
    return int(text) if re.fullmatch(r"[0-9]{1,5}", text) else 0


def health_pages(service: Service) -> tuple[tuple[int, str], ...]:
    """(port, path) of every address of its own that the service's health check asks."""
    line = " ".join(service.health.test) if service.health else ""
    pattern = r"(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\]):(\d+)(/[^\s\"'|;&)?]*)?"
    return tuple((int(port), path or "/") for port, path in re.findall(pattern, line))

"""Ask the databases of an instance how full they are: connections, memory, and who lets others wait."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence

from havre.checks.passwords import redis_password
from havre.errors import HavreError
from havre.model.diagnosis import Fill, ReplicaFacts
from havre.model.images import known
from havre.model.project import Project, Service
from havre.workflows.server import Server

QUESTION = 5.0
"""Seconds that a database may take to answer."""

_CONNECTIONS = (
    "select 'limit', '', current_setting('max_connections')::int union all"
    " select 'client', coalesce(host(client_addr), 'local'), count(*)::int from pg_stat_activity"
    " where backend_type = 'client backend' group by 2 union all"
    " select 'blocker', coalesce(host(b.client_addr), 'local') || ' ' || b.state,"
    " max(extract(epoch from now() - b.state_change))::int from pg_stat_activity w"
    " cross join lateral unnest(pg_blocking_pids(w.pid)) as x(pid) join pg_stat_activity b on b.pid = x.pid"
    " where cardinality(pg_blocking_pids(b.pid)) = 0 group by b.pid, 2"
)


def fills_of(server: Server, instance: str, project: Project, replicas: Sequence[ReplicaFacts]) -> Iterator[Fill]:
    """Ask the databases that run how full they are; one that does not answer in time has other findings."""
    names = {address: one.service for one in replicas for _, address in one.replica.addresses if address}
    for one in replicas:
        if not one.replica.is_running or one.replica.role != "replica" or one.service not in project.service_names:
            continue
        service = project.service(one.service)
        facts = known(service)
        ask = {"postgres": _ask_postgres, "redis": _ask_redis}.get(facts.kind if facts else "")
        if ask is not None:
            with contextlib.suppress(HavreError):
                yield from ask(server, instance, service, one.replica.slot, names)


def _ask_postgres(
    server: Server, instance: str, service: Service, slot: int, names: Mapping[str, str]
) -> Iterator[Fill]:
    values = dict(service.environment)
    user = values.get("POSTGRES_USER") or "postgres"
    database = values.get("POSTGRES_DB") or user
    command = ("psql", "-U", user, "-d", database, "-XAtc", _CONNECTIONS)
    secret = (("PGPASSWORD", values.get("POSTGRES_PASSWORD") or ""),)
    done = server.engine.execute(instance, service.name, slot, command, environment=secret, timeout=QUESTION)
    if done.exit_code != 0:
        if re.search(r"too many clients|remaining connection slots", done.output):
            yield Fill(service=service.name, kind="postgres", used=0, limit=0, policy=done.output.strip())
        return
    yield _read_postgres(service.name, done.output, names)


def _read_postgres(service: str, output: str, names: Mapping[str, str]) -> Fill:
    """The rows of the question: `limit||N`, `client|ADDRESS|N` and `blocker|ADDRESS state|SECONDS`."""
    limit, by, blocked = 0, dict[str, int](), list[tuple[str, str, int]]()
    for line in output.splitlines():
        kind, _, rest = line.partition("|")
        who, _, number = rest.rpartition("|")
        address, _, state = who.partition(" ")
        if not number.isdigit():
            continue
        if kind == "limit":
            limit = int(number)
        elif kind == "client":
            by[names.get(address, address)] = by.get(names.get(address, address), 0) + int(number)
        elif kind == "blocker":
            blocked.append((names.get(address, address), state, int(number)))
    ranked = tuple(sorted(by.items(), key=lambda entry: -entry[1]))
    return Fill(service=service, kind="postgres", used=sum(by.values()), limit=limit, by=ranked, blocked=tuple(blocked))


def _ask_redis(server: Server, instance: str, service: Service, slot: int, names: Mapping[str, str]) -> Iterator[Fill]:
    del names
    secret = (("REDISCLI_AUTH", redis_password(service) or ""),) if redis_password(service) else ()
    command = ("redis-cli", "INFO", "memory")
    done = server.engine.execute(instance, service.name, slot, command, environment=secret, timeout=QUESTION)
    pairs = dict(line.strip().partition(":")[::2] for line in done.output.splitlines())
    used, limit = (int(text) if (text := pairs.get(name, "")).isdigit() else 0 for name in ("used_memory", "maxmemory"))
    limit = limit or service.resources.memory or 0
    yield Fill(service=service.name, kind="redis", used=used, limit=limit, policy=pairs.get("maxmemory_policy", ""))

"""Tries the logins that everybody knows, for real: databases from inside their own replica, others from here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from http.client import HTTPException

from havre.engines.base import Context, Engine
from havre.errors import HavreError
from havre.model.images import Known, known
from havre.model.launch import ANYBODY, Login
from havre.model.observed import Observed
from havre.model.project import Project, Service
from havre.workflows.live.doors import DOORS, Door
from havre.workflows.live.replicas import first_running

PATIENCE = 20.0
GUESSES = ("postgres", "password", "changeme")
"""What examples say, beside the user's own name; few, because the server writes a line for each that it refuses."""

_TRY_POSTGRES = """
host=$0 user=$1; shift
export PGCONNECT_TIMEOUT=5
try() { psql -w -h "$host" -U "$user" -d postgres -Atc 'select 1' >/dev/null 2>&1; }
try && { echo open:; exit 0; }
for word in "$@"; do PGPASSWORD=$word try && echo "open:$word"; done
exit 0
"""
"""At the replica's own address: from 127.0.0.1 many servers let in everybody."""


def try_logins(engine: Engine, project: Project, observed: Observed) -> Iterator[Login]:
    """Every running service of a kind whose first login is known."""
    context = Context(instance=observed.instance, release=0, project=project)
    for service, replica in first_running(project, observed):
        facts = known(service)
        if facts is None or facts.kind not in ("postgres", "redis", *DOORS):
            continue
        try:
            address = engine.address(service, replica.slot, context)
            yield from _tried(engine, observed.instance, service, replica.slot, facts, address)
        except HavreError as error:
            yield Login(service=service.name, way=ANYBODY, error=error.problems[0].summary)


def _tried(engine: Engine, instance: str, service: Service, slot: int, facts: Known, address: str) -> Iterator[Login]:
    if facts.kind in DOORS:
        yield from _knocked(service, DOORS[facts.kind], address)
    elif facts.kind == "redis":
        done = engine.execute(instance, service.name, slot, ["redis-cli", "-h", address, "ping"], timeout=PATIENCE)
        yield Login(service=service.name, way=ANYBODY, is_open="PONG" in done.output)
    else:
        yield from _postgres(engine, instance, service, slot, _user(service, facts), address)


def _postgres(engine: Engine, instance: str, service: Service, slot: int, user: str, address: str) -> Iterator[Login]:
    words = dict.fromkeys((user, *GUESSES))
    command = ["sh", "-c", _TRY_POSTGRES, address, user, *words]
    done = engine.execute(instance, service.name, slot, command, timeout=PATIENCE)
    if done.exit_code != 0:
        yield Login(service=service.name, way=ANYBODY, error=f"psql: {done.output.strip()[:80]}")
        return
    found = [line.removeprefix("open:") for line in done.output.splitlines() if line.startswith("open:")]
    yield Login(service=service.name, way=ANYBODY, is_open="" in found)
    way = f"{user} with its own name, or a word of examples, as its password"
    yield Login(service=service.name, way=way, is_open=any(found))


def _user(service: Service, facts: Known) -> str:
    values = dict(service.environment)
    return next((values[name] or "" for name in facts.user if values.get(name)), facts.default_user)


def _knocked(service: Service, doors: Sequence[Door], address: str) -> Iterator[Login]:
    """Each door until one opens: behind that, the others tell nothing."""
    for door in doors:
        found = _knocked_at(service, door, address)
        yield found
        if found.is_open:
            return


def _knocked_at(service: Service, door: Door, address: str) -> Login:
    try:
        return Login(service=service.name, way=door.who, is_open=door.knock(address, door.port))
    except (OSError, HTTPException) as error:
        return Login(service=service.name, way=door.who, error=f"port {door.port}: {error}")

"""Tries the logins that everybody knows, for real: databases from inside their own replica, pages with one request."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from http.client import HTTPException
from urllib.parse import urlencode

import msgspec

from havre.engines.base import Context, Engine
from havre.errors import HavreError
from havre.model.app import Verification
from havre.model.images import Known, known
from havre.model.launch import ANYBODY, Login
from havre.model.observed import Observed
from havre.model.project import Project, Service
from havre.workflows.live.replicas import first_running
from havre.workflows.verify import Target, ask

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


def _basic(user: str, password: str, path: str) -> Verification:
    word = base64.b64encode(f"{user}:{password}".encode()).decode()
    return Verification(path=path, headers=(("Authorization", f"Basic {word}"),), timeout=PATIENCE)


def _posted(path: str, kind: str, body: str) -> Verification:
    return Verification(method="POST", path=path, headers=(("Content-Type", kind),), body=body, timeout=PATIENCE)


_FORM = "application/x-www-form-urlencoded"
_KEYCLOAK = {"grant_type": "password", "client_id": "admin-cli", "username": "admin", "password": "admin"}
_MINIO = {"accessKey": "minioadmin", "secretKey": "minioadmin"}
_PAGES: Mapping[str, tuple[str, int, Verification]] = {
    "grafana": ("admin with its first password", 3000, _basic("admin", "admin", "/api/user")),
    "keycloak": (
        "admin with the password of examples", 8080,
        _posted("/realms/master/protocol/openid-connect/token", _FORM, urlencode(_KEYCLOAK)),
    ),
    "rabbitmq": ("guest with its first password", 15672, _basic("guest", "guest", "/api/whoami")),
    "minio": (
        "minioadmin with its first password", 9001,
        _posted("/api/v1/login", "application/json", msgspec.json.encode(_MINIO).decode()),
    ),
    "elasticsearch": (ANYBODY, 9200, Verification(path="/_security/_authenticate", timeout=PATIENCE)),
}  # fmt: skip
"""By kind of image: who logs in, on which port, and the request that succeeds only where that still works."""

_LET_IN, _TURNED_AWAY = (200, 204), (400, 401, 403)


def try_logins(engine: Engine, project: Project, observed: Observed) -> Iterator[Login]:
    """Every running service of a kind whose first login is known."""
    context = Context(instance=observed.instance, release=0, project=project)
    for service, replica in first_running(project, observed):
        facts = known(service)
        if facts is None or facts.kind not in ("postgres", "redis", *_PAGES):
            continue
        try:
            address = engine.address(service, replica.slot, context)
            yield from _tried(engine, observed.instance, service, replica.slot, facts, address)
        except HavreError as error:
            yield Login(service=service.name, way=ANYBODY, error=error.problems[0].summary)


def _tried(engine: Engine, instance: str, service: Service, slot: int, facts: Known, address: str) -> Iterator[Login]:
    if facts.kind in _PAGES:
        yield _asked(service, *_PAGES[facts.kind], address)
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


def _asked(service: Service, who: str, port: int, question: Verification, address: str) -> Login:
    try:
        answer = ask(question, Target(address=address, port=port), f"{address}:{port}")
    except (OSError, HTTPException) as error:
        return Login(service=service.name, way=who, error=f"no answer on port {port}: {error}")
    if answer.status not in (*_LET_IN, *_TURNED_AWAY):
        return Login(service=service.name, way=who, error=f"{question.path} answers {answer.status}")
    return Login(service=service.name, way=who, is_open=answer.status in _LET_IN)

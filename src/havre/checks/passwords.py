"""Finds services that log in with another password than the one their server was given; values are only compared."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from havre.checks.case import Case, Check
from havre.errors import Problem, Severity
from havre.model.images import known
from havre.model.project import Project, Service

_URL = re.compile(
    r"(?:[a-z][a-z0-9+.-]*:)?//(?:(?P<user>[^:/@\s]*)(?::(?P<password>[^@\s]*))?@)?(?P<host>[a-zA-Z0-9._-]+)(?=[:/?,]|$)",
    re.IGNORECASE,
)
_HOST_ENDS = ("_HOST", "_HOSTNAME", "_SERVER", "_ADDR", "_URL", "_ENDPOINT", "HOST")
_PASSWORD_ENDS = ("_PASSWORD", "_PASS", "_PASSWD", "_PWD", "PASSWORD")
_USER_ENDS = ("_USER", "_USERNAME", "_LOGIN", "USER")


@dataclass(frozen=True, slots=True)
class _Server:
    """A server with a password: who may log in, and by which setting."""

    service: Service
    user: str
    password: str | None = field(repr=False)
    setting: str = ""


@dataclass(frozen=True, slots=True)
class _Login:
    """How a client logs in; `user` is empty where it does not say."""

    service: Service
    host: str
    user: str
    password: str | None = field(repr=False)
    setting: str = ""


def _disagreements(case: Case) -> Iterator[Problem]:
    servers = _by_host(case)
    for service in case.project.services:
        for login in _logins(service, servers):
            server = servers[login.host]
            if login.user and server.user and login.user != server.user:
                continue
            if login.password != server.password and not (login.password is None and server.password is None):
                yield _differ(case, server, login)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A server that was given a password: its service, kind (`postgres`, `redis`, …) and the account it belongs to."""

    service: str
    kind: str
    user: str


def holders_of(project: Project, password: str) -> tuple[Holder, ...]:
    """The servers of a project whose password this is."""
    found = []
    for service in project.services:
        server, facts = _server(service), known(service)
        if server and facts and password and server.password == password:
            found.append(Holder(service=service.name, kind=facts.kind, user=server.user))
    return tuple(found)


def redis_password(service: Service) -> str | None:
    """What `--requirepass` says, or None; in a shell line the word behind it."""
    words = [*(service.entrypoint or ()), *(service.command or ())]
    for index, word in enumerate(words):
        if word == "--requirepass" and index + 1 < len(words):
            return words[index + 1].strip("\"'") or None
        inside = re.search(r"--requirepass[ =]+(\"[^\"]*\"|'[^']*'|\S+)", word)
        if inside:
            return _expand(inside[1].strip("\"'"), service) or None
    return None


def _by_host(case: Case) -> dict[str, _Server]:
    found: dict[str, _Server] = {}
    for service in case.project.services:
        server = _server(service)
        if server:
            aliases = [alias for network in service.networks for alias in network.aliases]
            for name in (service.name, service.container_name, service.hostname, *aliases):
                if name:
                    found.setdefault(name, server)
    return found


def _server(service: Service) -> _Server | None:
    facts = known(service)
    if not facts:
        return None
    if facts.kind == "redis":
        if any(mount.target.endswith(".conf") for mount in service.mounts) or service.configs:
            return None
        return _Server(service, "", redis_password(service), "--requirepass")
    values = dict(service.environment)
    setting = next((name for name in facts.password if values.get(name)), None)
    if not setting:
        return None
    user = next((values[name] or "" for name in facts.user if values.get(name)), facts.default_user)
    return _Server(service, user, values[setting], setting)


def _logins(service: Service, servers: Mapping[str, _Server]) -> Iterator[_Login]:
    values = {name: value for name, value in service.environment if value is not None}
    for name, value in values.items():
        for match in _URL.finditer(value):
            host = match["host"]
            if host not in servers or servers[host].service.name == service.name:
                continue
            beside = _beside(values, name)
            if match["password"] is not None:
                yield _Login(service, host, unquote(match["user"]), unquote(match["password"]) or None, name)
            elif beside:
                yield _Login(service, host, *beside)
            elif _is_redis(servers[host]) and value.startswith("redis"):
                yield _Login(service, host, "", None, name)
        if value in servers and name.endswith(_HOST_ENDS) and servers[value].service.name != service.name:
            beside = _beside(values, name)
            if beside:
                yield _Login(service, value, *beside)


def _beside(values: Mapping[str, str], host_name: str) -> tuple[str, str | None, str] | None:
    """(user, password, setting) of the variables that share the prefix of a host's: DB_HOST, DB_USER, DB_PASSWORD."""
    for end in _HOST_ENDS:
        if not host_name.endswith(end):
            continue
        prefix = host_name.removesuffix(end)
        password = next((prefix + last for last in _PASSWORD_ENDS if prefix + last in values), None)
        user = next((values[prefix + last] for last in _USER_ENDS if prefix + last in values), "")
        if password:
            return user, values[password] or None, password
    return None


def _is_redis(server: _Server) -> bool:
    return server.setting == "--requirepass"


def _expand(word: str, service: Service) -> str:
    """`$REDIS_PASSWORD` in a shell line means the service's own variable."""
    match = re.fullmatch(r"\$\{?(\w+)(?::?[-?][^}]*)?\}?", word)
    return (dict(service.environment).get(match[1]) or "") if match else word


def _differ(case: Case, server: _Server, login: _Login) -> Problem:
    client, name = login.service.name, server.service.name
    if server.password is None:
        summary = f"{client} logs in to {name} with a password, and {name} has none"
    elif login.password is None:
        summary = f"{client} calls {name} without the password that {name} asks for"
    else:
        summary = f"{client} and {name} disagree about the password"
    inside = "command" if _is_redis(server) else f"environment.{server.setting}"
    there = case.place(f"services.{name}.{inside}")
    return Problem(
        summary=summary,
        subject=client,
        at=case.place(f"services.{client}.environment.{login.setting}"),
        evidence=(
            f"{client}: {login.setting}{f' (user {login.user})' if login.user else ''}",
            f"{name}: {server.setting}{f' at {there}' if there else ''}; the two values differ (they are not shown)",
        ),
        effect=f"every connection from {client} to {name} would be refused",
        hint="let both use one variable, as in `${" + _variable(server) + "}`",
    )


def _variable(server: _Server) -> str:
    return "REDIS_PASSWORD" if _is_redis(server) else server.setting


CHECKS = (
    Check(
        id="password-disagrees",
        severity=Severity.ERROR,
        title="a client and its server agree about the password",
        doc=(
            "The password in a service's URL or variables is compared with the one its database or cache is given. "
            "Neither is shown. A database keeps the password of its first start: change it with `havre secrets rotate`."
        ),
        find=_disagreements,
    ),
)

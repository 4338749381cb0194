"""Writes a first havre.yaml from a Compose project: routes, migration, backups and secrets, each with its reason."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from havre.model.backup_kinds import DATABASE_KINDS
from havre.model.images import PROXIES, health_pages, known, listening_ports
from havre.model.project import Condition, Port, Project, Service
from havre.model.secrets_mask import is_secret_name
from havre.model.server import BuildFact

_PROCFILE = "Procfile"
_FRONT = re.compile(r"front|^web$|www|^ui$|client|site|portal|^app$|next|nuxt")
_API = re.compile(r"back|api|server|django|flask|rails|express")
_HTTP_PORTS = frozenset({80, 3000, 3001, 4000, 4200, 5000, 5173, 8000, 8001, 8080, 8081, 8888, 9000})
_BACKUP_KINDS = {
    "postgres": '{schedule: "0 2 * * *", keep: {daily: 30}, drill: monthly}',
    "mysql": '{schedule: "0 2 * * *", keep: {daily: 30}, drill: monthly}',
    "redis": '{schedule: "30 2 * * *", keep: {daily: 7}}',
}
_ISSUED = re.compile(
    r"GOOGLE|GITHUB|GITLAB|FACEBOOK|TWITTER|APPLE|MICROSOFT|AZURE|AWS|S3|SCW|STRIPE|PAYPAL|SENDGRID|MAILGUN|SMTP|EMAIL|"
    r"MAIL|SENTRY|OPENAI|ANTHROPIC|SUPABASE|SLACK|TELEGRAM|TWILIO|CLOUDFLARE|DATADOG|FIREBASE|ANALYTICS|WEBHOOK|OAUTH"
)
_NOT_SECRET = re.compile(r"PUBLIC|ANON|CLIENT_ID|SITE_?KEY|_URL$|_URI$|_HOST$|_USER$|_EMAIL$|_DSN$")
_MIGRATIONS = (
    ("alembic.ini", "alembic upgrade head", "alembic downgrade -1"),
    ("manage.py", "python manage.py migrate --noinput", None),
    ("prisma/schema.prisma", "npx prisma migrate deploy", None),
    ("knexfile.js", "npx knex migrate:latest", "npx knex migrate:rollback"),
    ("artisan", "php artisan migrate --force", "php artisan migrate:rollback --force"),
    ("bin/rails", "bin/rails db:migrate", "bin/rails db:rollback"),
)
"""(a file in the build context, the migration it means, what takes it back)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InferredSecret:
    """A variable that must be secret; somebody else issues it where `can_generate` is False."""

    name: str
    can_generate: bool


@dataclass(frozen=True, slots=True)
class _Path:
    service: str
    port: int
    host: str
    path: str
    why: str


def infer_manifest(
    project: Project,
    *,
    app: str,
    compose: Iterable[str] = (),
    env_files: Iterable[str] = (),
    variables: Iterable[str] = (),
    builds: Iterable[BuildFact] = (),
) -> str:
    """The text of a first manifest; the same input gives the same text, and `parse_app` accepts it.

    `variables` are the names the Compose files use, in any order; `builds` what lies in the build contexts. A
    Procfile among `compose` stands for a Compose file; without a Dockerfile its processes run from source.
    """
    routes = _routes(project, app)
    secrets = infer_secrets(variables)
    files, found = tuple(compose), tuple(builds)
    sections = [
        _head(app, files, tuple(env_files)),
        _engine_lines(files, found),
        _route_lines(routes, app),
        _release_lines(project, routes, found),
        _backup_lines(project),
        _secret_lines(secrets),
        _health_lines(project, routes, files),
        _environment_lines(routes),
    ]
    return "\n".join("\n".join(lines) + "\n" for lines in sections if lines)


def infer_secrets(variables: Iterable[str]) -> tuple[InferredSecret, ...]:
    """Which variables must be secret, by name; those that can be made here first."""
    names = sorted({name for name in variables if is_secret_name(name) and not _NOT_SECRET.search(name.upper())})
    found = [InferredSecret(name=name, can_generate=not _ISSUED.search(name.upper())) for name in names]
    return tuple(sorted(found, key=lambda secret: not secret.can_generate))


def app_name(text: str) -> str:
    """A valid app name made of a directory's or a project's name."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40].strip("-")
    return name or "app"


def _routes(project: Project, app: str) -> list[_Path]:
    """One way in per service that users talk to; the app's own name leads to its front."""
    web = [service for service in project.services if _is_web(service, project)]
    main = f"{app}.localhost"
    proxy = next((service for service in web if _is_proxy(service)), None)
    if proxy:
        why = f"{proxy.name} in the Compose file leads on from here"
        beside = [service for service in web if known(service) and not _is_proxy(service)]
        return [_Path(proxy.name, _port(proxy), main, "/", why), *(_own_name(service, main) for service in beside)]
    built = [service for service in web if not known(service)]
    front = next((service for service in built if _FRONT.search(service.name)), None)
    api = next((service for service in built if _API.search(service.name) and service != front), None)
    ways = [(front, "/"), (api, "/api")] if front else [(api or next(iter(built), None), "/")]
    found = [_Path(service.name, _port(service), main, path, _why(service)) for service, path in ways if service]
    taken = {way.service for way in found}
    return [*found, *(_own_name(service, main) for service in web if service.name not in taken)]


def _own_name(service: Service, main: str) -> _Path:
    return _Path(service.name, _port(service), f"{app_name(service.name)}.{main}", "/", _why(service))


def _is_proxy(service: Service) -> bool:
    facts = known(service)
    return facts is not None and facts.kind in PROXIES and bool(_published(service))


def _is_web(service: Service, project: Project) -> bool:
    """Whether browsers or API clients are likely to talk to it."""
    if service.name in project.jobs or service.network_mode in ("none", "host") or service.replicas == 0:
        return False
    facts = known(service)
    if facts:
        return facts.speaks_http and not facts.is_private
    ports = listening_ports(service)
    is_http = bool(health_pages(service)) or bool(ports & _HTTP_PORTS) or (service.name == "web" and bool(ports))
    return is_http and (bool(_published(service)) or bool(_FRONT.search(service.name) or _API.search(service.name)))


def _published(service: Service) -> tuple[Port, ...]:
    return tuple(port for port in service.ports if port.protocol == "tcp")


def _port(service: Service) -> int:
    """Where it listens: what it publishes, else what its health check asks, else the likeliest it names."""
    if published := _published(service):
        return min((port.target for port in published), key=lambda port: (port not in _HTTP_PORTS, port))
    if pages := health_pages(service):
        return pages[0][0]
    return min(listening_ports(service), key=lambda port: (port not in _HTTP_PORTS, port))


def _why(service: Service) -> str:
    if published := _published(service):
        shown = published[0].published
        return f"it publishes {shown}:{published[0].target}" if shown else f"it publishes {published[0].target}"
    pages = health_pages(service)
    return f"its health check asks {pages[0][0]}{pages[0][1]}" if pages else f"it listens on {_port(service)}"


def _head(app: str, compose: tuple[str, ...], env_files: tuple[str, ...]) -> list[str]:
    said, source = ("the Procfile",) * 2 if compose == (_PROCFILE,) else ("Compose", "the Compose files")
    lines = [
        f"# What {said} cannot say about {app}: how users reach it, how it is released, how it is kept safe.",
        f"# Written by `havre init` from {source}; it is yours now. `havre schema` describes every key.",
        f"app: {app}",
    ]
    lines += [f"compose: [{', '.join(map(_quoted, compose))}]"] if compose else []
    lines += [f"env_file: [{', '.join(map(_quoted, env_files))}]"] if env_files else []
    return lines


def _engine_lines(compose: tuple[str, ...], builds: tuple[BuildFact, ...]) -> list[str]:
    if _PROCFILE not in compose or any(fact.text is not None for fact in builds):
        return []
    return [
        "# There is no Dockerfile here: the processes run from their source, without containers.",
        "engine: process",
    ]


def _route_lines(routes: list[_Path], app: str) -> list[str]:
    if not routes:
        return [
            "# No service looks as if browsers talked to it. A route leads a host name to a service and its port:",
            "# routes:",
            f"#   - {{host: {app}.localhost, to: SERVICE:PORT}}",
        ]
    lines = [
        "# Names below .localhost lead to this machine. Put your own domain here; its certificate comes by itself.",
        "routes:",
    ]
    for route in routes:
        path = f", path: {route.path}" if route.path != "/" else ""
        lines.append(f"  # {route.why}")
        lines.append(f"  - {{host: {route.host}{path}, to: {route.service}:{route.port}}}")
    return lines


def _release_lines(project: Project, routes: list[_Path], builds: tuple[BuildFact, ...]) -> list[str]:
    migration = _migration_lines(builds)
    checks = [_verification(project, route) for route in routes if route.path == "/"][:1]
    if not migration and not checks:
        return []
    lines = ["release:", *migration]
    if checks:
        lines += ["  # Asked through the edge, as a user would, before a release counts as done.", "  verify:"]
        lines += [f"    - {check}" for check in checks]
    return lines


def _migration_lines(builds: tuple[BuildFact, ...]) -> list[str]:
    for fact in builds:
        for file, run, undo in _MIGRATIONS:
            if file in (fact.files or ()):
                back = f", undo: {undo}" if undo else ""
                return [
                    f"  # {fact.service} has {file}. It runs from the new image; when it fails, nothing else happens.",
                    f"  migrate: {{service: {fact.service}, run: {run}{back}}}",
                ]
    return []


def _verification(project: Project, route: _Path) -> str:
    service = project.service(route.service)
    pages = [path for port, path in health_pages(service) if port == route.port]
    return f"{{get: {pages[0] if pages else '/'}, host: {route.host}, expect: {{status: 200}}}}"


def _backup_lines(project: Project) -> list[str]:
    lines, noted = [], []
    for service in project.services:
        facts = known(service)
        policy = _BACKUP_KINDS.get(facts.kind) if facts else None
        if policy and (service.stateful_mounts or (facts and facts.kind in DATABASE_KINDS)):
            lines.append(f"  {service.name}: {policy}")
        elif service.stateful_mounts and service.name not in project.jobs:
            kept = ", ".join(str(mount.source) for mount in service.stateful_mounts)
            noted.append(f"  # {service.name} writes {kept}; to keep it:")
            noted.append(f'  # {service.name}: {{schedule: "0 3 * * *"}}')
    if lines:
        why = "# Every backup is checked; a drill restores one into a throw-away database and says how long it took."
        return [why, "backups:", *lines, *noted]
    return ["# What services write, and nothing keeps yet:", "# backups:", *noted] if noted else []


def _secret_lines(secrets: tuple[InferredSecret, ...]) -> list[str]:
    made = [f"  - {secret.name}" for secret in secrets if secret.can_generate]
    issued = [f"  # - {secret.name}" for secret in secrets if not secret.can_generate]
    if not secrets:
        return []
    lines = ["# Kept sealed, not in a file: `havre secrets generate` makes those that have no value yet."]
    lines += ["secrets:", *made] if made else ["# secrets:"]
    if issued:
        lines += ["  # Issued by others: take the # away, then `havre secrets set NAME`.", *issued]
    return lines


def _health_lines(project: Project, routes: list[_Path], compose: tuple[str, ...]) -> list[str]:
    waited = {need.service for one in project.services for need in one.needs if need.condition is Condition.HEALTHY}
    wanted = waited | {route.service for route in routes}
    lines = []
    for service in project.services:
        if service.name in wanted and service.health is None:
            lines += [f"#   {service.name}:", f"#     healthcheck: {{test: {_health_test(service)}, interval: 10s}}"]
    if not lines:
        return []
    said = "# Health checks that the Compose file lacks; a release is only as well proven as they are. Add there:"
    if compose == (_PROCFILE,):
        said = (
            "# A Procfile has no health checks, and a release is only as well proven as they are. Put them into a\n"
            "# compose.yaml that stands beside it, and write `compose: [Procfile, compose.yaml]` above:\n"
            "# services:"
        )
    return [said, *lines]


def _health_test(service: Service) -> str:
    facts = known(service)
    if facts and facts.kind == "postgres":
        return '["CMD-SHELL", "pg_isready -h 127.0.0.1 -U $$POSTGRES_USER"]'
    if facts and facts.kind == "mysql":
        return '["CMD-SHELL", "mariadb-admin ping -h 127.0.0.1 || mysqladmin ping -h 127.0.0.1"]'
    if facts and facts.kind == "redis":
        return '["CMD-SHELL", "redis-cli ping | grep -q PONG"]'
    ports = listening_ports(service)
    port = _port(service) if ports else "PORT"
    return f'["CMD-SHELL", "wget -q --spider http://127.0.0.1:{port}/ || exit 1"]'


def _environment_lines(routes: list[_Path]) -> list[str]:
    target = f"{routes[0].service}:{routes[0].port}" if routes else "SERVICE:PORT"
    return [
        "# Another environment of the same app, with its own names, data and secrets: `havre deploy -e staging`.",
        "# environments:",
        "#   staging:",
        "#     env_file: [.env.staging]",
        f"#     routes: [{{host: staging.example.org, to: {target}}}]",
    ]


def _quoted(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9._/][A-Za-z0-9._/-]*", text) else json.dumps(text)

"""Checks for variables that are set and that nothing reads: a name that was misremembered (F41); a heuristic."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher

from havre.checks.case import Case, Check
from havre.checks.sources import spelled
from havre.errors import Problem, Severity
from havre.model.images import known
from havre.model.project import Service
from havre.model.server import Mentions

_READ_BY_OTHERS = re.compile(
    r"^(?:PATH|HOME|USER|HOST|HOSTNAME|PORT|TZ|LANG|LC_\w+|LANGUAGE|TERM|DEBUG|LOG_LEVEL|CI|NODE_\w+|NPM_\w+|YARN_\w+|PNPM_\w+"
    r"|PYTHON\w+|PIP_\w+|UV_\w+|VIRTUAL_ENV|UVICORN_\w+|GUNICORN_\w+|HYPERCORN_\w+|WEB_CONCURRENCY|FORWARDED_ALLOW_IPS"
    r"|DJANGO_\w+|FLASK_\w+|CELERY_\w+|RAILS_\w+|RACK_\w+|SECRET_KEY_BASE|BUNDLE_\w+|GEM_\w+|RUBY\w*|PUMA_\w+|MALLOC_\w+|JEMALLOC\w+"
    r"|SPRING_\w+|SERVER_PORT|QUARKUS_\w+|MICRONAUT_\w+|JAVA_\w+|JDK_\w+|JVM_\w+|MAVEN_\w+|GRADLE_\w+|CATALINA_\w+|KC_\w+"
    r"|GO\w+|CGO_\w+|RUST_\w+|CARGO_\w+|MIX_\w+|ERL_\w+|RELEASE_\w+|PHX_\w+|PHP_\w+|COMPOSER_\w+|APP_(?:ENV|KEY|DEBUG|URL)|SYMFONY_\w+"
    r"|DOTNET_\w+|ASPNETCORE_\w+|ConnectionStrings\w+|PG\w+|LD_\w+|SSL_CERT_\w+|REQUESTS_CA_BUNDLE|CURL_\w+|GIT_\w+"
    r"|\w*(?:HTTP|HTTPS|NO|ALL)_PROXY|AWS_\w+|AZURE_\w+|GOOGLE_(?:APPLICATION|CLOUD)\w+|GCP_\w+|GCLOUD_\w+|OTEL_\w+|SENTRY_\w+|DD_\w+"
    r"|NEW_RELIC_\w+|OPENAI_\w+|ANTHROPIC_\w+|HF_\w+|HUGGING\w+|TRANSFORMERS_\w+|CUDA_\w+|NVIDIA_\w+|OMP_\w+|MKL_\w+|TOKENIZERS_\w+"
    r"|NEXT_\w+|NEXTAUTH_\w+|AUTH_\w+|NUXT_\w+|VITE_\w+|REACT_APP_\w+|GATSBY_\w+|EXPO_\w+|VUE_APP_\w+|PUBLIC_\w+|CLERK_\w+|STRIPE_\w+"
    r"|PRISMA_\w+|PROMETHEUS_MULTIPROC_DIR|DBUS_\w+|DISPLAY|XDG_\w+|PUID|PGID|UID|GID|UMASK|VIRTUAL_HOST|LETSENCRYPT_\w+|SOURCE_DATE_EPOCH"
    r"|COMPOSE_\w+|DOCKER_\w+|BUILDKIT_\w+)$"
)
"""Read by interpreters, frameworks and libraries, whose sources are not in the build context."""

_ADDRESS_READERS = frozenset(
    {"prisma", "rails", "ecto", "typeorm", "drizzle", "sequelize", "djdatabaseurl", "sqlx", "diesel"}
)
"""Libraries that read DATABASE_URL by themselves."""

_DOCUMENTED: Mapping[str, tuple[str, frozenset[str]]] = {
    "postgres": (
        r"^POSTGRES_",
        frozenset(
            {
                "POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB", "POSTGRES_INITDB_ARGS", "POSTGRES_INITDB_WALDIR",
                "POSTGRES_HOST_AUTH_METHOD", "POSTGRES_MULTIPLE_DATABASES", "POSTGRES_EXTENSIONS",
            }
        ),
    ),
    "mysql": (
        r"^(?:MYSQL|MARIADB)_",
        frozenset(
            f"{brand}_{name}"
            for brand in ("MYSQL", "MARIADB")
            for name in (
                "ROOT_PASSWORD", "ROOT_HOST", "DATABASE", "USER", "PASSWORD", "ALLOW_EMPTY_PASSWORD",
                "ALLOW_EMPTY_ROOT_PASSWORD", "RANDOM_ROOT_PASSWORD", "ONETIME_PASSWORD", "INITDB_SKIP_TZINFO",
                "ROOT_PASSWORD_HASH", "PASSWORD_HASH", "MYSQL_LOCALHOST_USER", "MYSQL_LOCALHOST_GRANTS", "AUTO_UPGRADE",
                "DISABLE_UPGRADE_BACKUP", "REPLICATION_USER", "REPLICATION_PASSWORD", "MASTER_HOST", "MASTER_PORT",
            )
        ),
    ),
    "mongo": (
        r"^MONGO_INITDB_",
        frozenset({"MONGO_INITDB_ROOT_USERNAME", "MONGO_INITDB_ROOT_PASSWORD", "MONGO_INITDB_DATABASE"}),
    ),
    "redis": (r"^(?:REDIS_|VALKEY_)", frozenset({"REDISCLI_AUTH", "REDIS_ARGS", "VALKEY_EXTRA_FLAGS"})),
}  # fmt: skip
"""(the names an image would care about, those that it documents), by its kind; `_FILE` variants count too."""

_ALIKE = 0.62


def _unread(case: Case) -> Iterator[Problem]:
    yield from _unread_by_sources(case)
    for service in case.project.services:
        yield from _unread_by_image(case, service)


def _unread_by_sources(case: Case) -> Iterator[Problem]:
    """A variable is judged only when no service that gets it mentions it, and all of them could be looked into."""
    mentions = {fact.service: fact.mentions for fact in case.files.builds}
    users: dict[str, list[Service]] = {}
    for service in case.project.services:
        for name, value in service.environment:
            if value is not None and not _READ_BY_OTHERS.match(name):
                users.setdefault(name, []).append(service)
    for name, services in users.items():
        found = [mentions.get(service.name) for service in services]
        looked = [one for one in found if one is not None and one.words]
        if len(looked) < len(found) or any(_may_read(one, name) for one in looked):
            continue
        if any(name in _own_words(service) or not _is_in_compose(case, service, name) for service in services):
            continue
        likely = _likely(name, looked, services)
        if likely or not any(one.by_any_name for one in looked):
            yield _problem(case, services, name, likely)


def _may_read(mentions: Mentions, name: str) -> bool:
    if name == "DATABASE_URL" and not _ADDRESS_READERS.isdisjoint(mentions.words):
        return True
    return spelled(name) in mentions.words


def _own_words(service: Service) -> str:
    """Where a shell, not a program, may read a variable: commands and the health check."""
    health = service.health.test if service.health else ()
    return " ".join([*(service.entrypoint or ()), *(service.command or ()), *health])


def _is_in_compose(case: Case, service: Service, name: str) -> bool:
    """Written for this service; what comes by `env_file` is often meant for others."""
    at = case.place(f"services.{service.name}.environment.{name}")
    return at is not None and at.file.endswith((".yml", ".yaml"))


def _likely(name: str, looked: list[Mentions], services: list[Service]) -> str | None:
    """The variable that was probably meant: read, not set, and much like this one."""
    is_set = {known for service in services for known, _ in service.environment}
    reads = sorted({read for one in looked for read in one.reads} - is_set)
    best = max(reads, key=lambda read: _likeness(name, read), default="")
    return best if best and _likeness(name, best) >= _ALIKE else None


def _likeness(one: str, other: str) -> float:
    """Of the letters, or of the words where one abbreviates the other (`SERVER_ENV`, `ENVIRONMENT`)."""
    whole = SequenceMatcher(None, one, other).ratio()
    mine, theirs = one.split("_"), other.split("_")
    short, long = sorted((mine, theirs), key=len)
    shared = sum(any(_abbreviates(word, with_) for with_ in long) for word in short)
    return max(whole, 0.7 if len(short) == 1 and shared and len(short[0]) > 2 else shared / len(long))


def _abbreviates(one: str, other: str) -> bool:
    shorter, longer = sorted((one, other), key=len)
    return len(shorter) > 2 and longer.startswith(shorter)


def _unread_by_image(case: Case, service: Service) -> Iterator[Problem]:
    facts = known(service)
    if facts is None or facts.kind not in _DOCUMENTED:
        return
    pattern, documented = _DOCUMENTED[facts.kind]
    scripts = any("initdb" in mount.target for mount in service.mounts)
    for name, value in service.environment:
        base = name.removesuffix("_FILE")
        if value is None or not re.match(pattern, name) or base in documented or name in _own_words(service) or scripts:
            continue
        if not _is_in_compose(case, service, name):
            continue
        likely = max(documented, key=lambda read: (_likeness(name, read), read))
        yield _problem(case, [service], name, likely if _likeness(name, likely) >= _ALIKE else None, service.image)


def _problem(case: Case, services: list[Service], name: str, likely: str | None, image: str = "") -> Problem:
    built = " and ".join(service.name for service in services)
    unread = f"{image} does not read it" if image else f"nothing in the sources of {built} reads it"
    hint = f"did you mean {likely}, which is read and not set?" if likely else "correct its name, or remove it"
    return Problem(
        summary=f"{name} is set, and {unread}",
        subject=services[0].name,
        at=case.place(f"services.{services[0].name}.environment.{name}"),
        evidence=("found by looking for the name in any spelling; a heuristic, not a proof",),
        effect="the setting has no effect, and a default is used instead",
        hint=f"{hint} (if a library reads it, waive `variable-unread`)",
        severity=Severity.WARNING,
    )


CHECKS = (
    Check(
        id="variable-unread",
        severity=Severity.WARNING,
        title="variables that are set are read by somebody (a heuristic)",
        doc=(
            "The sources in the build context are searched for each variable that a service is given in the Compose "
            "file, in any spelling; of PostgreSQL, MySQL, MariaDB, MongoDB and Redis images the documented variables "
            "are known. Only a warning: libraries may read what no source mentions. Names that common frameworks "
            "read are passed over, and so are services whose sources put names together, unless a variable of a "
            "similar name is read and not set: then that one was probably meant."
        ),
        find=_unread,
    ),
)

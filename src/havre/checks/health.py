"""Checks of health checks: missing ones, ones that cannot fail, ones that ask nothing, and tools that are not there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from havre.checks.case import Case, Check
from havre.checks.passwords import redis_password
from havre.errors import Problem, Severity
from havre.model.images import DATABASES, known
from havre.model.project import Condition, Service

_ALWAYS_TRUE = re.compile(r"(?:\|\||;|&&)\s*(?:true|:|exit\s+0)\s*;?\s*$|^\s*(?:true|:|exit\s+0|echo\b[^|;&]*)\s*$")
_SWALLOWED = re.compile(r"\|\s*(?:cat|tee|head|tail|wc|tr|sed|awk|cut|xargs)\b[^|;&]*$")
_DOCUMENTS = re.compile(
    r"https?://[^\s\"'/]+(/(?:docs|redoc|openapi\.json|swagger[\w./-]*|robots\.txt|favicon\.ico))\b"
)
_BUILT_IN = frozenset(
    {
        "exit", "test", "[", "[[", "true", "false", ":", "echo", "cd", "export", "set", "kill", "read", "if", "then",
        "else", "fi", "for", "do", "done", "while", "!", "exec", "wait", "eval", "printf", "command", "type",
    }
)  # fmt: skip
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_OPERATORS = frozenset({"|", "||", "&&", ";", "&", "(", ")"})


def _cannot_fail(case: Case) -> Iterator[Problem]:
    for service in case.project.services:
        why = _why_it_cannot_fail(service, case)
        if why:
            summary, hint = why
            yield Problem(
                summary=summary,
                subject=service.name,
                at=case.place(f"services.{service.name}.healthcheck.test"),
                evidence=(f"health check: {shown_test(service)}",),
                effect="a broken replica would count as healthy and get traffic",
                hint=hint,
            )


def _why_it_cannot_fail(service: Service, case: Case) -> tuple[str, str] | None:
    line = _line(service)
    if not line:
        return None
    if _ALWAYS_TRUE.search(line):
        return (
            "its health check always succeeds",
            "remove what makes it succeed (`|| true`, `exit 0`) and ask the service",
        )
    swallowed = _SWALLOWED.search(line)
    if swallowed:
        return (
            "its health check ends in a pipe whose last command always succeeds",
            "test with `grep -q`, or drop the pipe",
        )
    if re.search(r"\bredis-cli\b|\bvalkey-cli\b", line):
        return _redis_check(service, line, case)
    return None


def _redis_check(service: Service, line: str, case: Case) -> tuple[str, str] | None:
    """redis-cli ends with 0 even when the server answers with an error such as NOAUTH."""
    judged = re.search(r"\|\s*grep\b|(?:redis|valkey)-cli\s[^|;&]*-e\b", line)
    if judged or not (redis_password(service) or _is_asked_with_password(service, case)):
        return None
    summary = "its health check cannot fail: without a password the answer is NOAUTH, and redis-cli ends with 0"
    if re.search(r"REDISCLI_AUTH| -a | --pass ", line) or "REDISCLI_AUTH" in dict(service.environment):
        summary = "its health check cannot fail: redis-cli ends with 0 whatever the server answers"
    return summary, 'use `REDISCLI_AUTH="$REDIS_PASSWORD" redis-cli -e ping | grep -q PONG`'


def _is_asked_with_password(service: Service, case: Case) -> bool:
    return known(service) is not None and any(
        re.search(rf"rediss?://[^/\s]*:[^@\s]+@{re.escape(service.name)}\b", value or "")
        for other in case.project.services
        for _, value in other.environment
    )


def _empty(case: Case) -> Iterator[Problem]:
    for service in case.project.services:
        if service.health and not service.health.test:
            yield Problem(
                summary="its health check names nothing to run",
                subject=service.name,
                at=case.place(f"services.{service.name}.healthcheck.test"),
                effect="it fails every time: the service never counts as healthy, and its release is undone",
                hint='write the program behind `CMD` or `CMD-SHELL`, or `["NONE"]` for no health check',
            )


def _missing(case: Case) -> Iterator[Problem]:
    routed = {route.service for route in case.app.routes}
    for service in case.services():
        if service.health or (service.health_disabled and service.name not in routed) or _image_checks(service, case):
            continue
        waiting = [other.name for other in case.project.services if _waits_for(other, service.name)]
        if waiting:
            yield Problem(
                summary=f"{_names(waiting)} for it to be healthy, and it has no health check",
                subject=service.name,
                at=case.place(f"services.{service.name}"),
                effect="its process and port are all that is looked at; Compose itself would wait for ever",
                hint=f"add a `healthcheck` to {service.name}{_proposal(service)}",
                severity=Severity.WARNING,
            )
        elif service.name in routed:
            yield Problem(
                summary="it is reached from outside and has no health check",
                subject=service.name,
                at=case.place(f"services.{service.name}"),
                effect="a release moves traffic to it as soon as its port opens",
                hint=f"add a `healthcheck` to {service.name}{_proposal(service)}",
                severity=Severity.WARNING,
            )


def _never_ends(case: Case) -> Iterator[Problem]:
    """A server's image with its own command; with another one it may well end."""
    servers = {one.name: one for one in case.project.services if known(one) and not (one.command or one.entrypoint)}
    for service in case.project.services:
        for need in service.needs:
            if need.condition is Condition.COMPLETED and need.service in servers:
                right = "service_healthy" if servers[need.service].health else "service_started"
                yield Problem(
                    summary=f"{service.name} waits for {need.service} to end, and a server never ends by itself",
                    subject=service.name,
                    at=case.place(f"services.{service.name}.depends_on.{need.service}"),
                    evidence=(f"{need.service} runs {servers[need.service].image}",),
                    effect=f"{service.name} never starts: the release waits until its time is over",
                    hint=f"write `condition: {right}`",
                )


def _image_checks(service: Service, case: Case) -> bool:
    """The image may bring its own check; where nobody looked at a built image, nothing is said of it."""
    image = case.observed.image(service.image) if case.observed else None
    return not service.health_disabled and bool(image and image.health)


def _waits_for(other: Service, name: str) -> bool:
    return any(need.service == name and need.condition is Condition.HEALTHY for need in other.needs)


def _names(services: list[str]) -> str:
    return f"{' and '.join(services)} wait{'s' if len(services) == 1 else ''}"


def _proposal(service: Service) -> str:
    facts = known(service)
    tests = {
        "postgres": "pg_isready -h 127.0.0.1 -U $$POSTGRES_USER",
        "redis": "redis-cli ping | grep -q PONG",
        "mysql": "mysqladmin ping -h 127.0.0.1",
        "mongo": "mongosh --quiet --eval 'db.runCommand({ping:1}).ok' | grep -q 1",
    }
    test = tests.get(facts.kind) if facts else None
    return f': `test: ["CMD-SHELL", "{test}"]`' if test else ""


def _no_dependency(case: Case) -> Iterator[Problem]:
    stores = {one.name for one in case.project.services if (facts := known(one)) and facts.kind in DATABASES}
    for service in case.project.services:
        match = _DOCUMENTS.search(_line(service))
        uses = sorted(stores & {need.service for need in service.needs})
        if match and uses:
            yield Problem(
                summary=f"its health check asks {match[1]}, which answers while {' and '.join(uses)} is down",
                subject=service.name,
                at=case.place(f"services.{service.name}.healthcheck.test"),
                evidence=(f"health check: {shown_test(service)}",),
                effect="a release that cannot reach its data would count as healthy",
                hint="ask a page that uses the database, such as `/health`",
            )


def _weak(case: Case) -> Iterator[Problem]:
    for service in case.project.services:
        line = _line(service)
        call = re.search(r"\bcurl\b([^|;&]*)", line)
        if (
            call
            and not re.search(r"(?:^|\s)(?:-[a-zA-Z]*f[a-zA-Z]*|--fail(?:-with-body)?)\b", call[1])
            and "|" not in line
        ):
            yield Problem(
                summary="its health check takes any HTTP answer for good, 500 included",
                subject=service.name,
                at=case.place(f"services.{service.name}.healthcheck.test"),
                evidence=(f"health check: {shown_test(service)}",),
                hint="add `-f` to curl: it then fails on 400 and above",
            )


def _tools(case: Case) -> Iterator[Problem]:
    for service in case.project.services:
        for program in programs(service):
            if case.has_tool(service, program) is False and not _is_mounted(program, service):
                yield Problem(
                    summary=f"its health check runs `{program}`, which its image does not have",
                    subject=service.name,
                    at=case.place(f"services.{service.name}.healthcheck.test"),
                    evidence=(f"image: {service.image}", f"health check: {shown_test(service)}"),
                    effect="the check fails for ever, however well the service works",
                    hint=_instead(program, service, case),
                )


def programs(service: Service) -> tuple[str, ...]:
    """The programs a health check needs from the image, `sh` included where it is a shell line."""
    if service.health is None or not service.health.test:
        return ()
    if not service.health.shell:
        first = service.health.test[0]
        inner = _shell_argument(service.health.test)
        return tuple(dict.fromkeys([first, *(_commands(inner) if inner else ())]))
    return tuple(dict.fromkeys(["sh", *_commands(service.health.test[0])]))


def _shell_argument(test: tuple[str, ...]) -> str:
    is_shell = len(test) > 2 and test[0].rsplit("/", 1)[-1] in ("sh", "bash", "ash") and test[1] == "-c"
    return test[2] if is_shell else ""


def _commands(line: str) -> Iterator[str]:
    """The words of a shell line in which a program's name stands; nothing where the line is too clever to read."""
    try:
        lexer = shlex.shlex(line, posix=True, punctuation_chars="();|&")
        lexer.whitespace_split = True
        words = list(lexer)
    except ValueError:
        return
    expected = True
    for word in words:
        if word in _OPERATORS or not word.strip("();|&"):
            expected = True
        elif expected and not _ASSIGNMENT.match(word):
            if word not in _BUILT_IN and re.fullmatch(r"[\w./-]+", word):
                yield word
            expected = word in ("!", "if", "then", "else", "do", "while", "exec", "command")


def _is_mounted(program: str, service: Service) -> bool:
    """A script that a mount or config brings is in no image."""
    targets = [mount.target for mount in service.mounts] + [grant.target for grant in service.configs]
    return any(program == target or program.startswith(target.rstrip("/") + "/") for target in targets)


def _instead(program: str, service: Service, case: Case) -> str:
    others = {"curl": "wget -q --spider URL", "wget": "curl -fsS URL"}
    other = others.get(program)
    if other and case.has_tool(service, other.split()[0]):
        return f"the image has {other.split()[0]}: use `{other}`"
    for runtime, call in (
        ("python3", "python3 -c 'import urllib.request as r; r.urlopen(\"URL\")'"),
        ("python", "python -c 'import urllib.request as r; r.urlopen(\"URL\")'"),
        ("node", "node -e 'fetch(\"URL\").then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))'"),
    ):
        if other and case.has_tool(service, runtime):
            return f"the image has {runtime}: use `{call}`"
    return f"install `{program}` in the image, or use a program it has"


def shown_test(service: Service) -> str:
    """The health check as a line, without the values of options that carry passwords."""
    line = _line(service)
    return re.sub(r"(\s(?:-a|--pass|-p|--password)[ =]?)(?!\$)(\S+)", r"\1***", line)


def _line(service: Service) -> str:
    if service.health is None or not service.health.test:
        return ""
    return (
        service.health.test[0]
        if service.health.shell
        else _shell_argument(service.health.test) or " ".join(service.health.test)
    )


CHECKS = (
    Check(
        id="health-cannot-fail",
        severity=Severity.ERROR,
        title="no health check passes whatever happens",
        doc="A check that ends in `|| true`, or `redis-cli ping` against a server with a password, proves nothing.",
        find=_cannot_fail,
    ),
    Check(
        id="health-empty",
        severity=Severity.ERROR,
        title="every health check names what to run",
        doc="`CMD` or `CMD-SHELL` alone is a form without a program: Docker takes it, and it fails every time.",
        find=_empty,
    ),
    Check(
        id="health-missing",
        severity=Severity.WARNING,
        title="services that others wait for, or that users reach, have a health check",
        doc="Without one, all that can be known before traffic moves is that a process runs and a port is open.",
        find=_missing,
    ),
    Check(
        id="waits-for-ever",
        severity=Severity.ERROR,
        title="nobody waits for a server to end",
        doc="`service_completed_successfully` is for jobs such as migrations; a server is never completed.",
        find=_never_ends,
    ),
    Check(
        id="health-no-dependency",
        severity=Severity.WARNING,
        title="health checks exercise what the service depends on",
        doc="Pages such as /docs are static: they are served while the database is down.",
        find=_no_dependency,
    ),
    Check(
        id="health-any-status",
        severity=Severity.WARNING,
        title="HTTP health checks look at the status",
        doc="curl ends with 0 on any HTTP answer unless told `-f`.",
        find=_weak,
    ),
    Check(
        id="health-tool",
        severity=Severity.ERROR,
        title="the programs of a health check are in the image",
        doc="curl is in neither node:alpine nor python:slim; the container is then unhealthy for ever.",
        find=_tools,
    ),
)

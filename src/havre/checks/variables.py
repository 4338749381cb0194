"""Checks of variables: required ones without a value, placeholders, commands nothing runs, passwords that differ."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from havre.checks.case import Case, Check, variable_place
from havre.checks.placeholders import URL_PASSWORD, is_unfinished, placeholder
from havre.errors import Location, Problem, Severity
from havre.model.images import known
from havre.model.secrets_mask import is_secret_name

ELSEWHERE = ("two quote characters", "a command that nothing runs")
"""Answers of `placeholder` that have a check of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Setting:
    """A variable of a service: where it really got its value, and under which name the user knows it."""

    service: str
    name: str
    value: str
    shown: str
    at: Location | None


def settings(case: Case) -> Iterator[_Setting]:
    """Every variable of every service, led back to the env file's line where it was made of one variable."""
    for service in case.project.services:
        for name, value in service.environment:
            if value is None:
                continue
            path = f"services.{service.name}.environment.{name}"
            at, shown, uses = case.place(path), name, case.uses(path)
            if len(uses) == 1:
                at, shown = uses[0].at or at, uses[0].name
            yield _Setting(service=service.name, name=name, value=value, shown=shown, at=at)


def _unset(case: Case) -> Iterator[Problem]:
    for service in case.project.services:
        facts = known(service)
        values = dict(service.environment)
        if not facts or not facts.needs or any(values.get(name) for name in facts.needs):
            continue
        if facts.kind == "postgres" and values.get("POSTGRES_HOST_AUTH_METHOD") == "trust":
            continue
        there = next((name for name in facts.needs if name in values), facts.needs[0])
        yield Problem(
            summary=f"{there} is required by {service.image} and has no value",
            subject=service.name,
            at=case.place(f"services.{service.name}.environment.{there}"),
            evidence=(f"one of {', '.join(facts.needs[:3])} must be set",),
            effect="the container would exit at its first start, again and again",
            hint=f"give it a value: `havre secrets generate {there}`, and pass it to {service.name}",
        )


def _placeholders(case: Case) -> Iterator[Problem]:
    users: dict[tuple[str, Location | None, str, bool], list[str]] = {}
    for setting in settings(case):
        why = _unmeant(setting)
        if why:
            in_url = URL_PASSWORD.match(setting.value) is not None
            users.setdefault((setting.shown, setting.at, why, in_url), []).append(setting.service)
    for (name, at, why, in_url), services in users.items():
        generate = f"`havre secrets generate {name}` makes one, `havre secrets set {name}` takes yours"
        yield Problem(
            summary=f"the password in {name} is {why}" if in_url else f"the value of {name} is {why}",
            subject=name,
            at=at,
            evidence=(f"used by {', '.join(dict.fromkeys(services))}",),
            effect="anybody can guess it",
            hint="write the password as `${VARIABLE}`, and generate that variable" if in_url else generate,
            severity=Severity.ERROR if case.is_production else Severity.WARNING,
        )


def _unmeant(setting: _Setting) -> str | None:
    """Why a secret's value is not one; an empty one may be on purpose (an optional feature left off)."""
    if not setting.value or not (is_secret_name(setting.name) or URL_PASSWORD.match(setting.value)):
        return None
    why = placeholder(setting.value)
    return None if why in (*ELSEWHERE, "an empty password in the URL") else why


def _unfinished(case: Case) -> Iterator[Problem]:
    users: dict[tuple[str, Location | None], list[str]] = {}
    for setting in settings(case):
        if not is_secret_name(setting.name) and is_unfinished(setting.value):
            users.setdefault((setting.shown, setting.at), []).append(setting.service)
    for (name, at), services in users.items():
        yield Problem(
            summary=f"the value of {name} is what its template said",
            subject=name,
            at=at,
            evidence=(f"used by {', '.join(dict.fromkeys(services))}",),
            effect="links, mails or calls go to a place that is not yours",
            hint="write the real value",
        )


def _commands(case: Case) -> Iterator[Problem]:
    told = set()
    for variable in case.variables:
        if variable.file and "$(" in variable.value:
            told.add(variable.value)
            yield _command_problem(variable.name, variable_place(variable))
    for setting in settings(case):
        if re.search(r"\$\([a-z]", setting.value) and not any(value in setting.value for value in told):
            yield _command_problem(setting.shown, setting.at)


def _command_problem(name: str, at: Location | None) -> Problem:
    return Problem(
        summary=f"the value of {name} is a command in `$(…)`, which env files never run",
        subject=name,
        at=at,
        effect="the text itself would be the value, the same in every place that copied it",
        hint=f"`havre secrets generate {name}` makes 64 random hexadecimal characters; or write the value itself",
    )


def _quotes(case: Case) -> Iterator[Problem]:
    for setting in settings(case):
        if setting.value in ('""', "''") or re.search(r":(?:\"\"|'')@", setting.value):
            yield _quote_problem(setting.shown, setting.service, setting.at)
    for service in case.project.services:
        if any(word in ('""', "''") for word in service.command or ()):
            yield _quote_problem("an argument", service.name, case.place(f"services.{service.name}.command"))


def _quote_problem(name: str, service: str, at: Location | None) -> Problem:
    return Problem(
        summary=f"the value of {name} is two quote characters, not empty",
        subject=service,
        at=at,
        effect="a password of two quotes is sent and asked for",
        hint='a default is taken literally: write `${NAME:-}` instead of `${NAME:-""}`',
    )


CHECKS = (
    Check(
        id="variable-required",
        severity=Severity.ERROR,
        title="variables an image cannot start without have a value",
        doc="Some images exit at once when a variable is missing: PostgreSQL without POSTGRES_PASSWORD, for one.",
        find=_unset,
    ),
    Check(
        id="variable-placeholder",
        severity=Severity.ERROR,
        title="no secret is a placeholder or a well-known default",
        doc=(
            "A password that was copied from an example (`changeme`, `your-secret-key`, `admin123`) works, which is "
            "why nobody notices it. An error in production, a warning elsewhere; all of them are listed at once."
        ),
        find=_placeholders,
    ),
    Check(
        id="variable-unfinished",
        severity=Severity.WARNING,
        title="no address or name is left as its template had it",
        doc="`https://your-domain.com` or `<region>` in a variable that is no secret: a warning.",
        find=_unfinished,
    ),
    Check(
        id="variable-command",
        severity=Severity.ERROR,
        title="no value is a command nothing runs",
        doc="`SECRET=$(openssl rand -hex 32)` in an env file is not executed: the text itself becomes the secret.",
        find=_commands,
    ),
    Check(
        id="variable-quotes",
        severity=Severity.ERROR,
        title="no default is a pair of quotes",
        doc='`${REDIS_PASSWORD:-""}` does not mean empty: its default is two quote characters.',
        find=_quotes,
    ),
)

"""Checks of secrets that leave the server: in browser bundles, in images, in git (F43)."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from havre.checks.case import Case, Check, variable_place
from havre.checks.placeholders import placeholder
from havre.errors import Location, Problem, Severity
from havre.model.secrets_mask import is_secret_name

PUBLIC_PREFIXES = (
    "NEXT_PUBLIC_", "VITE_", "REACT_APP_", "NUXT_PUBLIC_", "PUBLIC_", "GATSBY_", "EXPO_PUBLIC_", "VUE_APP_",
)  # fmt: skip
_MEANT_FOR_ALL = re.compile(
    r"ANON|PUBLISHABLE|PUBLIC|SITE_?KEY|CLIENT_ID|DSN|MEASUREMENT|ANALYTICS|GA_|MAPS?_|_HOST$|_URL$|CLIENT_KEY|APP_KEY"
)
_CERTAIN = re.compile(r"SERVICE|SECRET|PASSWORD|PASSWD|PRIVATE|ADMIN|ROOT|MASTER|CREDENTIAL|JWT")
_ROTATE = "remove it from there, then `havre secrets rotate` it: whoever saw it once has it"


def _in_browsers(case: Case) -> Iterator[Problem]:
    for name, at, services in _public_names(case):
        bare = _bare(name)
        if not is_secret_name(bare) or _MEANT_FOR_ALL.search(bare):
            continue
        yield Problem(
            summary=f"{name} is built into what browsers download, and by its name it is a secret",
            subject=name,
            at=at,
            evidence=(f"used by {', '.join(services)}",) if services else (),
            effect="everybody can read it",
            hint=f"read it on the server only, under a name without {name.removesuffix(bare)}; {_ROTATE}",
            severity=Severity.ERROR if _CERTAIN.search(bare) else Severity.WARNING,
        )


def _public_names(case: Case) -> Iterator[tuple[str, Location | None, tuple[str, ...]]]:
    """Every variable meant for browsers: its name, its place, and the services that get it."""
    found: dict[str, tuple[Location | None, list[str]]] = {}
    for variable in case.variables:
        if variable.file and variable.name.startswith(PUBLIC_PREFIXES) and variable.value:
            found.setdefault(variable.name, (variable_place(variable), []))
    for service in case.project.services:
        pairs = [(name, value, f"services.{service.name}.environment.{name}") for name, value in service.environment]
        if service.build:
            pairs += [(name, value, f"services.{service.name}.build.args.{name}") for name, value in service.build.args]
        for name, value, path in pairs:
            if value and name.startswith(PUBLIC_PREFIXES):
                found.setdefault(name, (case.place(path), []))[1].append(service.name)
    return ((name, at, tuple(dict.fromkeys(services))) for name, (at, services) in found.items())


def _bare(name: str) -> str:
    prefix = next(prefix for prefix in PUBLIC_PREFIXES if name.startswith(prefix))
    return name.removeprefix(prefix)


def _leaked_values(case: Case) -> Iterator[Problem]:
    """The value of a server's secret under a public name: a leak whatever the public name says."""
    secret = {
        value: name
        for service in case.project.services
        for name, value in service.environment
        if value and len(value) >= 12 and is_secret_name(name) and not name.startswith(PUBLIC_PREFIXES)
        and not _MEANT_FOR_ALL.search(name)
    }  # fmt: skip
    for service in case.project.services:
        args = service.build.args if service.build else ()
        for name, value in (*service.environment, *args):
            if value in secret and name.startswith(PUBLIC_PREFIXES):
                yield Problem(
                    summary=f"{name}, which browsers download, has the value of the secret {secret[value]}",
                    subject=name,
                    at=case.place(f"services.{service.name}.environment.{name}"),
                    effect="everybody can read it",
                    hint=_ROTATE,
                )


def _in_images(case: Case) -> Iterator[Problem]:
    for service in case.project.services:
        for name, value in service.build.args if service.build else ():
            if value and is_secret_name(name) and not name.startswith(PUBLIC_PREFIXES):
                yield Problem(
                    summary=f"the build argument {name} stays readable in the image's history",
                    subject=service.name,
                    at=case.place(f"services.{service.name}.build.args.{name}"),
                    effect="whoever gets the image has the secret",
                    hint="pass it as a build secret (`build.secrets`, `RUN --mount=type=secret`), or at run time",
                )


def _in_git(case: Case) -> Iterator[Problem]:
    for path in sorted(case.files.tracked):
        shown = path.removeprefix(case.app.directory.rstrip("/") + "/")
        name = posixpath.basename(path)
        if not re.match(r"\.env|.*\.env$", name):
            kind = "a database" if re.search(r"\.(?:db|sqlite3?)$", name) else "a private key"
            yield _tracked(shown, f"git tracks {shown}, which looks like {kind}", ())
            continue
        secrets = _secrets_in(case, path)
        if secrets:
            yield _tracked(shown, f"git tracks {shown}, which holds secrets", (f"variables: {', '.join(secrets)}",))


def _secrets_in(case: Case, path: str) -> list[str]:
    """The names of real secrets a file sets (a template full of placeholders may be committed)."""
    feeding = _feeding_secrets(case)
    return [
        variable.name
        for variable in case.variables
        if posixpath.join(case.app.directory, variable.file) == path
        and (is_secret_name(variable.name) or variable.name in feeding)
        and placeholder(variable.value) is None
    ]


def _feeding_secrets(case: Case) -> frozenset[str]:
    """Variables that a secret of some service is made of, whatever they are called: `JWT_SECRET: ${JWT}`."""
    return frozenset(
        use.name
        for service in case.project.services
        for name, _ in service.environment
        if is_secret_name(name)
        for use in case.uses(f"services.{service.name}.environment.{name}")
    )


def _tracked(shown: str, summary: str, evidence: tuple[str, ...]) -> Problem:
    return Problem(
        summary=summary,
        subject=shown,
        at=Location(shown),
        evidence=evidence,
        effect="everybody with the repository, now and later, has them",
        hint=f"`git rm --cached {shown}`, add it to .gitignore, and rotate every secret it ever held",
    )


def _not_ignored(case: Case) -> Iterator[Problem]:
    for path in sorted(case.files.exposed):
        shown = path.removeprefix(case.app.directory.rstrip("/") + "/")
        yield Problem(
            summary=f"{shown} is not ignored by git",
            subject=shown,
            at=Location(shown),
            effect="the next `git add .` publishes its secrets",
            hint=f"add `{shown}` to .gitignore",
        )


def _in_files(case: Case) -> Iterator[Problem]:
    listed = set(case.app.secret_names)
    for variable in case.variables:
        if variable.file and variable.name in listed and variable.value:
            yield Problem(
                summary=f"{variable.name} is listed as a secret, and stands in {variable.file} in the clear",
                subject=variable.name,
                at=variable_place(variable),
                effect="everybody who reads the file, or a backup of it, has it",
                hint=f"`havre secrets import {variable.file}` seals it; then remove the line",
            )


CHECKS = (
    Check(
        id="secret-in-browser",
        severity=Severity.ERROR,
        title="no secret has a name that is built into browser code",
        doc="NEXT_PUBLIC_, VITE_ and similar prefixes mean: put this into the JavaScript everybody downloads.",
        find=_in_browsers,
    ),
    Check(
        id="secret-leaked",
        severity=Severity.ERROR,
        title="no public variable has the value of a secret",
        doc="Compared value by value; the value itself is never shown.",
        find=_leaked_values,
    ),
    Check(
        id="secret-in-image",
        severity=Severity.WARNING,
        title="no secret is a build argument",
        doc="Build arguments are kept in the image's history.",
        find=_in_images,
    ),
    Check(
        id="secret-in-git",
        severity=Severity.ERROR,
        title="git tracks no secrets, databases or private keys",
        doc="Env files with real values, SQLite databases and key files do not belong in a repository.",
        find=_in_git,
    ),
    Check(
        id="secret-in-file",
        severity=Severity.WARNING,
        title="listed secrets are sealed",
        doc="What the manifest lists under `secrets` belongs into the sealed store, not into an env file.",
        find=_in_files,
    ),
    Check(
        id="secret-not-ignored",
        severity=Severity.WARNING,
        title="env files are ignored by git",
        doc="An env file that git neither tracks nor ignores is one careless command away from being published.",
        find=_not_ignored,
    ),
)

"""Checks of builds before they start: contexts, COPY sources and lock files, all in one list (F40)."""

from __future__ import annotations

import fnmatch
import json
import posixpath
import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from havre.checks.case import Case, Check
from havre.checks.dockerfile import Copied, built_upon, copied, instructions, stages
from havre.errors import Location, Problem, Severity
from havre.model.server import BuildFact

_LOCKS = (
    (re.compile(r"\bnpm ci\b"), ("package-lock.json", "npm-shrinkwrap.json"), "npm install"),
    (re.compile(r"\bpnpm (?:i|install)\b.*--frozen-lockfile"), ("pnpm-lock.yaml",), "pnpm install"),
    (re.compile(r"\byarn\b.*--(?:frozen-lockfile|immutable)"), ("yarn.lock",), "yarn install"),
    (re.compile(r"\buv sync\b.*--(?:frozen|locked)"), ("uv.lock",), "uv lock"),
    (re.compile(r"\bpoetry (?:install|sync)\b"), ("poetry.lock",), "poetry lock"),
    (re.compile(r"\bpipenv (?:sync|install)\b.*(?:--deploy)?"), ("Pipfile.lock",), "pipenv lock"),
    (re.compile(r"\bbundle install\b"), ("Gemfile.lock",), "bundle lock"),
    (re.compile(r"\bcargo build\b.*--locked"), ("Cargo.lock",), "cargo generate-lockfile"),
)
"""(what a RUN says, the lock files one of which it needs, what writes it)."""

_RUNS_FROM_SOURCE = frozenset({"Procfile", "requirements.txt", "pyproject.toml", "package.json"})
"""What tells an engine without images how to prepare and run a source tree."""

_PACKAGES = frozenset({"node_modules", ".venv", "venv"})


def _contexts(case: Case) -> Iterator[Problem]:
    for fact in case.files.builds:
        if not fact.context_exists:
            build = next(one.build for one in case.project.services if one.name == fact.service)
            yield Problem(
                summary=f"the build context {build.context if build else ''} does not exist",
                subject=fact.service,
                at=case.place(f"services.{fact.service}.build"),
                hint="correct `build.context`; it is relative to the Compose file",
            )
        elif fact.text is None:
            yield Problem(
                summary=f"{fact.dockerfile} does not exist",
                subject=fact.service,
                at=case.place(f"services.{fact.service}.build"),
                hint=_without_dockerfile(fact),
            )


def _without_dockerfile(fact: BuildFact) -> str:
    if _RUNS_FROM_SOURCE.isdisjoint(fact.files or ()):
        return "correct `build.dockerfile`; it is relative to the build context"
    return "Docker runs images: write a Dockerfile, or run the source itself with `--engine process`"


def _images(case: Case) -> Iterator[Problem]:
    commanded = {spec.service for spec in case.app.processes if spec.command}
    for service in case.services():
        known = case.knows_images(service.image) if service.build is None and service.name not in commanded else ""
        if known:
            yield Problem(
                summary=f"the process engine does not know the image {service.image}",
                subject=service.name,
                at=case.place(f"services.{service.name}.image"),
                evidence=(f"it knows: {known}",),
                hint=(
                    f"say how to run it (`processes: {{{service.name}: {{command: …, source: …}}}}` in havre.yaml), "
                    "give it a `build:`, or use the Docker engine"
                ),
            )


def _sources(case: Case) -> Iterator[Problem]:
    for fact in case.files.builds:
        if fact.files is None or fact.text is None:
            continue
        for one in copied(fact.text):
            if not _is_there(one.source, fact.files):
                yield _missing(fact, one, fact.files)


def _is_there(source: str, files: frozenset[str]) -> bool:
    wanted = posixpath.normpath(source.lstrip("/") or ".")
    if _is_whole(source):
        return True
    if re.search(r"[*?\[]", wanted):
        depth = wanted.count("/") + 1
        starts = {"/".join(path.split("/")[:depth]) for path in files if path.count("/") + 1 >= depth}
        return any(fnmatch.fnmatchcase(start, wanted) for start in starts)
    return any(path == wanted or path.startswith(wanted + "/") for path in files)


def _is_whole(source: str) -> bool:
    return posixpath.normpath(source.lstrip("/") or ".") == "."


def _missing(fact: BuildFact, one: Copied, files: frozenset[str]) -> Problem:
    at = Location(fact.dockerfile, one.line)
    if _is_there(one.source, fact.ignored):
        return Problem(
            summary=f"COPY {one.source}: {fact.ignore_file} keeps it from the builder",
            subject=fact.service,
            at=at,
            effect="the build would fail",
            hint=f"add `!{one.source}` to {fact.ignore_file}, or do not copy it",
        )
    name = posixpath.basename(posixpath.normpath(one.source))
    known = {posixpath.basename(path): path for path in sorted(files, reverse=True)}
    close = [known[name]] if name in known else [known[word] for word in get_close_matches(name, known, n=1)]
    return Problem(
        summary=f"COPY {one.source}: it is not in the build context",
        subject=fact.service,
        at=at,
        evidence=tuple(f"similar: {path}" for path in close),
        effect="the build would fail",
        hint=f"did you mean {close[0]}?"
        if close
        else "add the file, or correct the path; it is relative to the context",
    )


def _of_this_machine(case: Case) -> Iterator[Problem]:
    """Where everything is copied, what no other machine has goes along."""
    for fact in case.files.builds:
        build = case.project.service(fact.service).build
        kept = built_upon(stages(fact.text or ""), build.target if build else None)
        lines = {step.line for stage in kept for step in stage.steps}
        for whole in copied(fact.text or ""):
            names = [name for name in fact.of_this_machine if whole.line in lines or name in _PACKAGES]
            if _is_whole(whole.source) and names:
                yield _along(fact, whole, names, stays=whole.line in lines)
                break


def _state(case: Case) -> Iterator[Problem]:
    for fact in case.files.builds:
        if fact.state:
            yield Problem(
                summary=f"Havre's own directory {fact.state} lies in the build context",
                subject=fact.service,
                at=case.place(f"services.{fact.service}.build"),
                effect="it changes all the time, so every deploy would build anew; its keys would reach the builder",
                hint=f"write `{fact.state}` into {fact.ignore_file}, or keep it elsewhere with --state",
            )


def _along(fact: BuildFact, whole: Copied, names: Sequence[str], *, stays: bool) -> Problem:
    """What does not stay in the image matters only where it hides what that stage installs."""
    effects = ["the image is bigger, and another one whenever they change"] if stays else []
    if not _PACKAGES.isdisjoint(names):
        effects.append("what this machine installed hides what the build installs")
    return Problem(
        summary=f"COPY {whole.source} takes {', '.join(names)} of this machine along",
        subject=fact.service,
        at=Location(fact.dockerfile, whole.line),
        effect="; ".join(effects),
        hint=f"write {' and '.join(f'`**/{name}`' for name in names)}, a line each, into {fact.ignore_file}",
    )


def _locks(case: Case) -> Iterator[Problem]:
    for fact in case.files.builds:
        if fact.text is None or fact.files is None:
            continue
        names = {posixpath.basename(path) for path in fact.files}
        for one in instructions(fact.text):
            for pattern, locks, writes in _LOCKS if one.name == "RUN" else ():
                if pattern.search(one.words) and not names.intersection(locks):
                    yield Problem(
                        summary=f"the build needs {' or '.join(locks)}, which is not in the context",
                        subject=fact.service,
                        at=Location(fact.dockerfile, one.line),
                        effect="the build would fail, or take versions nobody has tried",
                        hint=f"run `{writes}` and commit the file",
                    )


def _steps(case: Case) -> Iterator[Problem]:
    """package.json and package-lock.json say different things: `npm ci` refuses that, after the download."""
    for fact in case.files.builds:
        texts = dict(fact.texts)
        for path in sorted(path for path in texts if posixpath.basename(path) == "package.json"):
            lock = posixpath.join(posixpath.dirname(path), "package-lock.json")
            differing = _differing(texts[path], texts.get(lock, ""))
            if differing:
                yield Problem(
                    summary=f"{lock} is out of step with {path}",
                    subject=fact.service,
                    at=Location(posixpath.join(posixpath.dirname(fact.dockerfile), lock)),
                    evidence=(f"differing: {', '.join(differing[:8])}",),
                    effect="`npm ci` would refuse it",
                    hint="run `npm install` there and commit both files",
                )


def _differing(package: str, lock: str) -> list[str]:
    try:
        wanted, locked = json.loads(package), json.loads(lock).get("packages", {}).get("")
    except (ValueError, AttributeError):
        return []
    if not isinstance(locked, dict) or not isinstance(wanted, dict):
        return []
    names = set()
    for kind in ("dependencies", "devDependencies", "optionalDependencies"):
        one, other = wanted.get(kind) or {}, locked.get(kind) or {}
        names |= {name for name in {*one, *other} if one.get(name) != other.get(name)}
    return sorted(names)


CHECKS = (
    Check(
        id="build-context",
        severity=Severity.ERROR,
        title="build contexts and Dockerfiles exist",
        doc="Looked at before anything is built.",
        find=_contexts,
    ),
    Check(
        id="image-unknown",
        severity=Severity.ERROR,
        title="the engine knows how to run every image",
        doc="Without Docker: PostgreSQL, Redis and Valkey, and whatever has a command in havre.yaml.",
        find=_images,
    ),
    Check(
        id="build-source",
        severity=Severity.ERROR,
        title="everything a Dockerfile copies is in its context",
        doc="Every COPY and ADD source that is missing, or kept back by .dockerignore, in one list.",
        find=_sources,
    ),
    Check(
        id="build-holds-state",
        severity=Severity.WARNING,
        title="Havre's own directory is in no build context",
        doc="With `--state` inside the app's directory: its database, keys and backups would go to the builder.",
        find=_state,
    ),
    Check(
        id="build-of-this-machine",
        severity=Severity.WARNING,
        title="no image takes this machine's history and packages along",
        doc=(
            "`COPY . .` takes .git, node_modules, .venv and the like where no .dockerignore leaves them out: they hide "
            "what the image installs, and every commit makes another image. Of stages that only build for others, only "
            "installed packages are told. Waive it where a build needs its history."
        ),
        find=_of_this_machine,
    ),
    Check(
        id="build-lock",
        severity=Severity.ERROR,
        title="lock files that a build relies on are there",
        doc="`npm ci`, `pnpm install --frozen-lockfile`, `uv sync --locked` and similar need their lock file.",
        find=_locks,
    ),
    Check(
        id="build-lock-step",
        severity=Severity.ERROR,
        title="package-lock.json says what package.json says",
        doc="`npm ci` refuses a lock file that is out of step.",
        find=_steps,
    ),
)

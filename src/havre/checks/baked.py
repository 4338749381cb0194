"""Checks of secrets that are written where they stay: in images, in sources, in the Compose file (M43)."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from havre.checks.case import Case, Check
from havre.checks.dockerfile import Copied, Instruction, built_upon, copied, instructions, stages
from havre.checks.exposure import PUBLIC_PREFIXES
from havre.checks.placeholders import placeholder
from havre.errors import Location, Problem, Severity
from havre.model.secrets_mask import is_secret_name
from havre.model.server import BuildFact

_KEY_FILES = re.compile(r"^(?:id_(?:rsa|dsa|ecdsa|ed25519)|.+\.(?:pem|key|p12|pfx|jks)|\.netrc|\.pgpass)$")
_TEMPLATE = re.compile(
    r"example|sample|template|\.dist$|defaults|\.pub$|public|test|^ca\b|cert(?!.*key)|bundle|chain", re.IGNORECASE
)
_PUBLISHED = re.compile(r"GPG|PGP|PUBLIC|FINGERPRINT|CHECKSUM|SHA\d|KEY_?IDS?$|KEYRING|KEYSERVER")
"""Names with a key in them that everybody may know."""


def final_stage(text: str) -> tuple[Instruction, ...]:
    """The instructions whose results are in the image: the last stage, and the stages it is built upon."""
    return tuple(step for stage in built_upon(stages(text)) for step in stage.steps)


def _copied_files(case: Case) -> Iterator[Problem]:
    for fact in case.files.builds:
        secret = sorted(path for path in fact.files or () if _is_secret_file(path, fact))
        lines = {one.line for one in final_stage(fact.text or "")}
        for one in copied(fact.text or "") if secret else ():
            taken = [path for path in secret if one.line in lines and _takes(one, path)]
            if taken:
                yield _copied_problem(fact, one, taken)


def _is_secret_file(path: str, fact: BuildFact) -> bool:
    name = posixpath.basename(path)
    if _TEMPLATE.search(path) or "node_modules/" in path:
        return False
    return path in fact.env_secrets or _KEY_FILES.match(name) is not None


def _takes(one: Copied, path: str) -> bool:
    wanted = posixpath.normpath(one.source.lstrip("/") or ".")
    return wanted in (".", path) or path.startswith(wanted + "/")


def _copied_problem(fact: BuildFact, one: Copied, taken: list[str]) -> Problem:
    return Problem(
        summary=f"COPY {one.source} puts {', '.join(taken)} into the image",
        subject=fact.service,
        at=Location(fact.dockerfile, one.line),
        effect="whoever gets the image, or a layer of it, has the secrets in it; deleting it later changes nothing",
        hint=f"add `{posixpath.basename(taken[0])}` to {fact.ignore_file}, and rotate what an image already holds",
    )


def _set_in_dockerfiles(case: Case) -> Iterator[Problem]:
    for fact in case.files.builds:
        for one in instructions(fact.text or ""):
            for name, value in _assigned(one):
                if is_kept_secret(name) and value and "$" not in value and placeholder(value) is None:
                    yield Problem(
                        summary=f"{one.name} {name} writes a secret into the Dockerfile and the image",
                        subject=fact.service,
                        at=Location(fact.dockerfile, one.line),
                        effect="whoever gets the image or the repository has it",
                        hint=f"remove the value, give {name} at run time, and rotate it",
                    )


def _assigned(one: Instruction) -> Iterator[tuple[str, str]]:
    if one.name not in ("ENV", "ARG"):
        return
    pairs = re.findall(r"([A-Za-z_]\w*)=(\"[^\"]*\"|'[^']*'|\S*)", one.words)
    if not pairs and one.name == "ENV":
        name, _, value = one.words.partition(" ")
        pairs = [(name, value)]
    yield from ((name, value.strip().strip("\"'")) for name, value in pairs)


def _hard_coded(case: Case) -> Iterator[Problem]:
    told: set[Location] = set()
    for fact in case.files.builds:
        for written in fact.written:
            if written.at in told:  # two services built from the same sources
                continue
            told.add(written.at)
            yield Problem(
                summary=f"{written.what} is written into the source",
                subject=fact.service,
                at=written.at,
                effect="everybody with the repository or the image has it, and it cannot be rotated without a build",
                hint="read it from the environment, keep it with `havre secrets set`, and rotate this one",
                severity=Severity.ERROR if written.is_certain and case.is_production else Severity.WARNING,
            )


def _in_compose(case: Case) -> Iterator[Problem]:
    for service in case.project.services:
        for name, value in service.environment:
            path = f"services.{service.name}.environment.{name}"
            at = case.place(path)
            if at is None or not at.file.endswith((".yml", ".yaml")) or case.uses(path) or not value:
                continue
            if is_secret_name(name) and not name.startswith(PUBLIC_PREFIXES) and _looks_chosen(value):
                yield Problem(
                    summary=f"the value of {name} is written into the Compose file",
                    subject=service.name,
                    at=at,
                    effect="everybody with the repository has it",
                    hint=f"write `${{{name}}}` there, and keep the value: `havre secrets set {name}`",
                )


def _looks_chosen(value: str) -> bool:
    """Long enough and mixed, as secrets are; not a path, an address, a mode or a placeholder (which is told anyway)."""
    is_mixed = re.search(r"\d", value) and re.search(r"[A-Za-z]", value)
    is_other = re.match(r"^(?:/|\./|https?://[^@]*$|[\w.-]+@[\w.-]+$|[\w-]+(?:\.[\w-]+)+$)", value)
    return len(value) >= 12 and bool(is_mixed) and not is_other and placeholder(value) is None


def holds_secret(name: str, value: str) -> bool:
    """Whether a setting that is written into an image is a secret somebody chose."""
    return is_kept_secret(name) and _looks_chosen(value)


def is_kept_secret(name: str) -> bool:
    """Whether a name is that of a secret which nobody is meant to read: not a published key, not a browser's."""
    return is_secret_name(name) and not _PUBLISHED.search(name) and not name.startswith(PUBLIC_PREFIXES)


def _in_images(case: Case) -> Iterator[Problem]:
    for service, what in case.baked:
        yield Problem(
            summary=f"its image holds {what}",
            subject=service,
            at=case.place(f"services.{service}.image") or case.place(f"services.{service}.build"),
            evidence=("in its environment, labels or layers (`docker history`); the value is not shown",),
            effect="whoever gets the image has it, whatever is set at run time",
            hint="build the image without it (build secrets, or run time), and rotate what it holds",
        )


CHECKS = (
    Check(
        id="secret-baked",
        severity=Severity.WARNING,
        title="no image holds a secret in its environment or history",
        doc=(
            "Images on the server are looked into once: `ENV` values, labels, build arguments, and the commands of "
            "their layers (`docker history`), where tokens, passwords in URLs and assignments stay readable."
        ),
        find=_in_images,
    ),
    Check(
        id="secret-file-in-image",
        severity=Severity.ERROR,
        title="no env file or private key is copied into an image",
        doc=(
            "Env files with real secrets, private keys and credential files that reach the builder (after "
            ".dockerignore) and that a COPY or ADD of the final stage takes; templates and public parts are passed "
            "over."
        ),
        find=_copied_files,
    ),
    Check(
        id="secret-in-dockerfile",
        severity=Severity.ERROR,
        title="no secret is set in a Dockerfile",
        doc="`ENV` and the default of `ARG` stay readable in the image (`docker history`), and in the repository.",
        find=_set_in_dockerfiles,
    ),
    Check(
        id="secret-hard-coded",
        severity=Severity.ERROR,
        title="no secret is written into the sources",
        doc=(
            "Keys and tokens of well-known providers and private keys are errors in production; other literals that "
            "are assigned to a secret's name, or stand in a URL, are warnings. Tests, fixtures, documentation and "
            "placeholders are passed over. The value is never shown."
        ),
        find=_hard_coded,
    ),
    Check(
        id="secret-in-compose",
        severity=Severity.WARNING,
        title="no secret is written into the Compose file",
        doc="A value that looks like a secret and is not made of a variable belongs into the sealed store.",
        find=_in_compose,
    ),
)

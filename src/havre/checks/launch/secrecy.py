"""Secrets: generated, not committed, not well-known, rotated; and who did what."""

from __future__ import annotations

from havre.checks.launch.item import Item, Judgement, Level, beside_the_point, by_checks, only_a_person, problem, seen
from havre.checks.launch.scene import Scene
from havre.checks.placeholders import placeholder
from havre.errors import Problem
from havre.model.secrets_mask import is_secret_name
from havre.model.units import show_seconds

WEAK = 12
"""Characters below which a password can be tried out."""

PLACEHOLDERS = (
    "variable-placeholder",
    "variable-required",
    "variable-command",
    "variable-quotes",
    "password-disagrees",
)
LEAKS = ("secret-in-git", "secret-not-ignored")


def _secrets(scene: Scene) -> list[tuple[str, str, str]]:
    """(service, variable, value) of everything secret that the services are given."""
    return [
        (service.name, name, value)
        for service in scene.case.project.services
        for name, value in service.environment
        if value and is_secret_name(name)
    ]


def _generated(scene: Scene) -> Judgement:
    names = sorted({name for _, name, _ in _secrets(scene)})
    if not names:
        return beside_the_point("no service is given a secret")
    sealed = sorted(set(names) & set(scene.case.app.secret_names))
    evidence = (
        f"{len(names)} secrets: {', '.join(names)}",
        f"{len(sealed)} of them sealed, the others from env files",
    )
    return by_checks(scene, *PLACEHOLDERS, evidence=evidence)


def _in_git(scene: Scene) -> Judgement:
    if not scene.case.files.is_complete:
        return Judgement(unseen="the project's files were not looked at")
    if not scene.case.files.in_git:
        return beside_the_point("the project does not lie in a git work tree")
    files = ", ".join(scene.case.app.env_files or (".env",))
    return by_checks(scene, *LEAKS, evidence=(f"git was asked which of {files}, databases and keys it tracks",))


def _kept_safe(scene: Scene) -> Judgement:
    names = sorted({name for _, name, _ in _secrets(scene)})
    ids = ("secret-in-browser", "secret-in-file", "secret-in-image", "secret-leaked")
    if not names:
        return by_checks(scene, *ids, evidence=("no service is given a secret",))
    sealed = sorted(set(names) & set(scene.case.app.secret_names))
    judged = by_checks(
        scene, *ids, evidence=(f"{len(sealed)} of {len(names)} secrets are sealed or come from a vault",)
    )
    plain = sorted(set(names) - set(sealed))
    if not plain:
        return judged
    return Judgement(evidence=judged.evidence, waived=judged.waived, problems=(*judged.problems, _in_the_clear(plain)))


def _in_the_clear(names: list[str]) -> Problem:
    return problem(
        f"{len(names)} secrets lie in files in the clear",
        "`havre secrets import .env` seals them; then list them under `secrets:` in havre.yaml",
        evidence=(", ".join(names),),
    )


def _passwords(scene: Scene) -> Judgement:
    """What the services that run were given, not what the files say today."""
    serving = scene.facts.project if scene.facts else scene.case.project
    found = [
        (service.name, name, value)
        for service in serving.services
        for name, value in service.environment
        if value is not None and is_secret_name(name) and "PASS" in name.upper()
    ]
    if not found:
        return beside_the_point("no service is given a password")
    bad = [(service, name, why) for service, name, value in found if (why := _too_easy(value))]
    shown = f"what running services were given: {', '.join(sorted({name for _, name, _ in found}))}"
    return seen(shown, problems=[_weak(*one) for one in bad])


def _too_easy(value: str) -> str:
    return placeholder(value) or (f"shorter than {WEAK} characters" if len(value) < WEAK else "")


def _weak(service: str, name: str, why: str) -> Problem:
    return problem(
        f"{name} is {why}",
        f"`havre secrets rotate {name}` changes it in the server and in all that use it",
        subject=service,
        effect="it is among the first that are tried",
    )


def _rotated(scene: Scene) -> Judgement:
    what, at = scene.rotated
    if not _secrets(scene):
        return beside_the_point("no service is given a secret")
    if not at:
        return only_a_person("no rotation is in the audit log of this server")
    return only_a_person(
        "keys of other services are rotated where they were made", f"{what}, {show_seconds(scene.now - at)} ago"
    )


def _audited(scene: Scene) -> Judgement:
    if not scene.trail.lines:
        hint = "`havre deploy` writes the first line; see `havre audit`"
        return seen(problems=[problem("the audit log knows nothing of this app", hint)])
    age = show_seconds(scene.now - scene.trail.newest)
    return seen(
        f"{scene.trail.lines} lines, the newest {age} old (`havre audit`)", "every request: the edge's access log"
    )


ITEMS = (
    Item(
        id="secrets-generated",
        title="secrets are set, and none is a placeholder",
        doc="What the services are given, by name: empty, well-known and placeholder values are found.",
        judge=_generated,
        promised=("L47", "M43"),
    ),
    Item(
        id="secrets-out-of-git",
        title="git has none of them",
        doc="git itself is asked which env files, databases and private keys it tracks or would add.",
        judge=_in_git,
        promised=("L48", "M43"),
    ),
    Item(
        id="secrets-sealed",
        title="secrets are in the sealed store or a vault",
        doc="Every secret the services are given is sealed or comes from a command; none reaches browsers or images.",
        judge=_kept_safe,
        promised=("S33",),
    ),
    Item(
        id="passwords",
        title="passwords were changed",
        doc="The passwords that running services were given: well-known ones, placeholders and short ones are found.",
        judge=_passwords,
        promised=("T36",),
    ),
    Item(
        id="key-rotation",
        title="keys are rotated",
        doc="The audit log knows which secrets were rotated here; keys of other services only a person can vouch for.",
        judge=_rotated,
        promised=("M45",),
        looks=("rotated",),
        level=Level.RECOMMENDED,
        asks="Were API keys and passwords rotated within the last months?",
        days=90,
    ),
    Item(
        id="audit-log",
        title="it is recorded who did what",
        doc="The audit log of this server has lines of this app.",
        judge=_audited,
        promised=("S37",),
        looks=("trail",),
        level=Level.RECOMMENDED,
    ),
)

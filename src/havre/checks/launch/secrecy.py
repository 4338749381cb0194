"""Secrets: generated, not committed, not well-known, rotated; and who did what."""

from __future__ import annotations

from havre.checks.launch.item import Item, Judgement, Level, beside_the_point, by_checks, only_a_person, problem, seen
from havre.checks.launch.scene import Scene
from havre.checks.placeholders import placeholder
from havre.errors import Problem
from havre.model.launch import ANYBODY, Login
from havre.model.secrets_mask import is_secret_name
from havre.model.units import show_seconds

ROTATE_AFTER = 365 * 86400
"""Seconds after which a secret should have been changed."""

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


def _logins(scene: Scene) -> Judgement:
    """Every login that everybody knows was tried; what only its own networks reach may do without a password."""
    if not scene.logins:
        return beside_the_point("nothing that runs here has a default login that is known")
    tried = [one for one in scene.logins if one.is_open is not None]
    shown = [f"{one.service}: {one.way}: {_outcome(one)}" for one in scene.logins]
    if not tried:
        return Judgement(unseen="; ".join(shown))
    apart = _reached_from_inside_only(scene)
    let_in = [one for one in tried if one.is_open and not (one.way == ANYBODY and one.service in apart)]
    return seen(*shown, problems=[_lets_in(one) for one in let_in])


def _outcome(one: Login) -> str:
    return f"not tried: {one.error}" if one.is_open is None else "LETS IN" if one.is_open else "refused"


def _reached_from_inside_only(scene: Scene) -> frozenset[str]:
    """Services that nothing but the app's own services can call: no port of theirs is published, no network shared."""
    project = scene.case.project
    shared = {network.key for network in project.networks if network.external}
    routed = {route.service for route in scene.case.app.routes}
    return frozenset(
        service.name
        for service in project.services
        if not any(port.published for port in service.ports)
        and not any(place.network in shared for place in service.networks)
        and service.network_mode != "host"
        and service.name not in routed
    )


def _lets_in(one: Login) -> Problem:
    change = f"change it in {one.service} itself, then `havre secrets set`; what it was given first counts there, not "
    hint = "give it a password" if one.way == ANYBODY else f"{change}what its variables say today"
    return problem(
        f"it lets in {one.way}",
        hint,
        subject=one.service,
        evidence=("tried just now",),
        effect="it is the first thing that anybody tries",
    )


def _rotated(scene: Scene) -> Judgement:
    given = {name for _, name, _ in _secrets(scene)}
    if not given:
        return beside_the_point("no service is given a secret")
    known = [(name, origin, scene.now - at) for name, origin, at in scene.sealed if name in given]
    shown = [f"{name}: {origin} {show_seconds(age)} ago" for name, origin, age in known]
    old = [name for name, _, age in known if age > ROTATE_AFTER]
    if not old and (unknown := sorted(given - {name for name, _, _ in known})):
        return only_a_person(f"how old they are, this server does not know: {', '.join(unknown)}", *shown)
    return seen(*shown, problems=[_too_old(name) for name in old])


def _too_old(name: str) -> Problem:
    return problem(
        f"{name} has been the same for more than {ROTATE_AFTER // 86400} days",
        f"`havre secrets rotate {name}`; a key of another service is made there, then `havre secrets set {name}`",
        subject=name,
        effect="whoever saw it once, in a log, a backup or as a colleague, still has it",
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
        id="default-logins",
        title="no login that everybody knows is let in",
        doc=(
            "Tried for real: PostgreSQL with the passwords of examples and without any, Redis without one, and the "
            "first logins of Grafana, Keycloak, RabbitMQ (over AMQP), MinIO (over S3) and Elasticsearch. What only the "
            "app's own services reach may do without a password. What a database was made with counts, not what its "
            "variables say today."
        ),
        judge=_logins,
        promised=("T36",),
        looks=("logins",),
    ),
    Item(
        id="key-rotation",
        title="keys are rotated",
        doc=(
            "The sealed store knows when the value of each secret was last changed: within a year. How old a value in "
            "a file is, only a person can say."
        ),
        judge=_rotated,
        promised=("M45",),
        looks=("sealed",),
        level=Level.RECOMMENDED,
        asks="Were all keys and passwords rotated within the last year?",
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

"""What keeps the data: backups that run by themselves, verified and encrypted, drills, and the database's own locks."""

from __future__ import annotations

import shlex

from havre.checks.launch.item import (
    Item,
    Judgement,
    Level,
    beside_the_point,
    of_databases,
    only_a_person,
    problem,
    seen,
)
from havre.checks.launch.scene import Scene
from havre.errors import Problem
from havre.model.images import known
from havre.model.launch import Automation, Database, Kept
from havre.model.project import MountKind
from havre.model.units import show_seconds

DATA = frozenset({"postgres", "mysql", "redis", "mongo"})
_HANDS_OUT_TABLES = ("supabase", "postgrest", "hasura", "pgrst")
"""What lets visitors ask tables themselves: then only row level security keeps them apart."""


def _holders(scene: Scene) -> tuple[str, ...]:
    """The services whose data would be lost with the server."""
    found = []
    for service in scene.case.services():
        facts = known(service)
        writes = any(mount.kind is MountKind.VOLUME and not mount.read_only for mount in service.mounts)
        if writes and (facts is None or facts.kind in DATA or facts.kind not in ("prometheus", "grafana")):
            found.append(service.name)
    return tuple(found)


def _scheduled(scene: Scene) -> Judgement:
    holders = _holders(scene)
    if not holders and not scene.case.app.backups:
        return beside_the_point("no service keeps data in a volume")
    kept = {one.service: one for one in scene.kept}
    shown, problems = [], []
    for name in dict.fromkeys((*holders, *(policy.service for policy in scene.case.app.backups))):
        one = kept.get(name)
        if one is None or one.schedule is None:
            problems.append(_no_schedule(name))
            continue
        runs = _that_runs(scene, ("backup", "take"), name)
        shown.append(f"{name}: {one.schedule}, {f'run by {runs.place}' if runs else 'run by nobody'}; {_newest(one)}")
        problems += [] if runs else [_not_installed(name, one.schedule, "backup")]
        problems += [_not_well(name, text) for text in one.problems if "drill" not in text and "restore" not in text]
    return seen(*shown, problems=problems)


def _newest(one: Kept) -> str:
    if one.age is None:
        return "no verified backup"
    return f"newest verified {one.newest}, {show_seconds(one.age)} old ({'; '.join(one.checks)})"


def _that_runs(scene: Scene, action: tuple[str, ...], service: str) -> Automation | None:
    """What this server runs by itself for that service of this very manifest; the daemon does all that is in it."""
    for one in scene.automations:
        words = _words(one.command)
        if not one.runs or not any("havre" in word for word in words):
            continue
        if _has(words, (*action, service)) and _is_ours(scene, words):
            return one
        if "serve" in words:
            return one
    return None


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:
        return command.split()


def _has(words: list[str], wanted: tuple[str, ...]) -> bool:
    return any(tuple(words[at : at + len(wanted)]) == wanted for at in range(len(words)))


def _is_ours(scene: Scene, words: list[str]) -> bool:
    """Whether a command is for this app in this environment."""
    app = scene.case.app
    names = [words[at + 1] for at, word in enumerate(words[:-1]) if word in ("-m", "--manifest")]
    environments = [words[at + 1] for at, word in enumerate(words[:-1]) if word in ("-e", "--environment")]
    here = any(name.startswith(app.directory.rstrip("/") + "/") for name in names) if names else False
    return here and (environments or ["production"])[-1] == app.environment


def _no_schedule(service: str) -> Problem:
    return problem(
        "nothing says when it is backed up",
        f'add `backups: {{{service}: {{schedule: "0 2 * * *", drill: monthly}}}}` to havre.yaml',
        subject=service,
        effect="its data is lost with the server",
    )


def _not_installed(service: str, schedule: str, what: str) -> Problem:
    return problem(
        f"its {what} is planned ({schedule}) and nothing runs it",
        "`havre backup timers systemd --to /etc/systemd/system` (or `cron`), then enable the timers",
        subject=service,
        evidence=("no timer that is enabled and no cron line of this server runs it",),
    )


def _not_well(service: str, text: str) -> Problem:
    hint = f"`havre backup take {service}` takes one now and says what is wrong"
    return problem(f"its backup: {text}", hint, subject=service)


def _drilled(scene: Scene) -> Judgement:
    kept = [one for one in scene.kept if one.schedule or one.newest]
    if not kept:
        return beside_the_point("nothing is backed up here") if not _holders(scene) else seen(
            problems=[_never_proven(name) for name in _holders(scene)]
        )  # fmt: skip
    shown = [f"{one.service}: {_drill(scene, one)}" for one in kept]
    problems = []
    for one in kept:
        if one.drill_at is None:
            problems.append(_never_proven(one.service))
            continue
        problems += [_not_well(one.service, text) for text in one.problems if "drill" in text or "restore" in text]
        if not one.drill_passed and not one.problems:
            problems.append(_not_well(one.service, "its last restore drill failed"))
    return seen(*shown, problems=problems)


def _drill(scene: Scene, one: Kept) -> str:
    if one.drill_at is None:
        return "no restore was ever tried"
    word = "passed" if one.drill_passed else "FAILED"
    return f"{word} {show_seconds(scene.now - one.drill_at)} ago, a restore took {show_seconds(one.drill_took)}"


def _never_proven(service: str) -> Problem:
    return problem(
        "nobody ever restored a backup of it",
        f"`havre drill restore {service}` restores it beside the live data and measures how long it takes",
        subject=service,
        effect="a backup that was never restored is a hope",
    )


def _encrypted(scene: Scene) -> Judgement:
    if not any(one.newest or one.schedule for one in scene.kept):
        return beside_the_point("nothing is backed up here")
    places = ", ".join(dict.fromkeys(one.repository for one in scene.kept if one.repository)) or "no repository yet"
    if not scene.escrowed:
        return seen(f"restic repositories: {places}", problems=[_no_escrow()])
    return seen(f"restic repositories, encrypted: {places}", "a person has the key outside this server")


def _no_escrow() -> Problem:
    return problem(
        "the key of the backups is nowhere but on this server",
        "`havre backup export-key`, and keep it elsewhere",
        effect="when the server is lost, so are its backups",
    )


def _automated(scene: Scene) -> Judgement:
    """Every schedule of the manifest is run by something."""
    wanted = [(one, "backup", ("backup", "take"), one.schedule) for one in scene.kept if one.schedule]
    wanted += [
        (one, "restore drill", ("drill", "restore"), one.drill_schedule) for one in scene.kept if one.drill_schedule
    ]
    if not wanted:
        return beside_the_point("the manifest plans nothing: no backup schedule, no drill")
    shown, problems = [], []
    for one, what, action, schedule in wanted:
        runs = _that_runs(scene, action, one.service)
        shown.append(f"{what} of {one.service} ({schedule}): {runs.place if runs else 'run by nobody'}")
        problems += [] if runs else [_not_installed(one.service, str(schedule), what)]
    return seen(*shown, problems=problems)


def _rls(scene: Scene) -> Judgement:
    if not scene.databases and _hands_out_tables(scene):
        return only_a_person("the database is not on this server, so its tables cannot be asked")
    return of_databases(_tables_kept_apart)(scene)


def _tables_kept_apart(scene: Scene, asked: tuple[Database, ...]) -> Judgement:
    shown = [f"{one.service}: {_rls_line(one)}" for one in asked]
    shown += [f"{one.service}: {one.error}" for one in scene.databases if one.error]
    problems = [_no_rls(one, bare) for one in asked if (bare := [name for name, on in one.tables if not on])]
    if problems and not _hands_out_tables(scene) and not any(on for one in asked for _, on in one.tables):
        return beside_the_point("no table uses row level security, and nothing hands tables to visitors", *shown)
    return seen(*shown, problems=problems)


def _hands_out_tables(scene: Scene) -> bool:
    """By image, or by the variables that Supabase's clients read."""
    for service in scene.case.project.services:
        words = [service.image, *(name for name, _ in service.environment)]
        if any(hint in word.lower() for hint in _HANDS_OUT_TABLES for word in words):
            return True
    return False


def _rls_line(one: Database) -> str:
    listed = ", ".join(f"{name} {'on' if on else 'OFF'}" for name, on in one.tables[:12])
    more = f" and {len(one.tables) - 12} more" if len(one.tables) > 12 else ""
    return f"row level security: {listed or 'no table in schema public'}{more}"


def _no_rls(one: Database, bare: list[str]) -> Problem:
    return problem(
        f"row level security is off on {len(bare)} of {len(one.tables)} tables of schema public",
        f"`ALTER TABLE {bare[0]} ENABLE ROW LEVEL SECURITY;` and a policy for each of them, in a migration",
        subject=one.service,
        evidence=tuple(bare[:10]),
        effect="whoever may ask a table sees the rows of everybody",
    )


def _ssl_only(scene: Scene, asked: tuple[Database, ...]) -> Judgement:
    published = {
        service.name: port.host_ip
        for service in scene.case.project.services
        for port in service.ports
        if port.published and not (port.host_ip or "0.0.0.0").startswith(("127.", "::1"))  # noqa: S104
    }
    shown = [f"{one.service}: ssl {'on' if one.ssl else 'off'}, {_reach(one, published)}" for one in asked]
    bare = [one for one in asked if one.service in published and not one.ssl]
    if not any(one.service in published or one.ssl for one in asked):
        return beside_the_point("it is reached on this machine's own networks only: nothing leaves the server", *shown)
    return seen(*shown, problems=[_plain_database(one) for one in bare])


def _reach(one: Database, published: dict[str, str]) -> str:
    return "published for other machines" if one.service in published else "not published"


def _plain_database(one: Database) -> Problem:
    return problem(
        "other machines reach it without TLS",
        "turn `ssl` on and let pg_hba.conf have `hostssl` lines only, or do not publish its port",
        subject=one.service,
        effect="passwords and rows travel in the clear",
    )


def _least_roles(_scene: Scene, asked: tuple[Database, ...]) -> Judgement:
    used = [(one, user, is_super) for one in asked for user, is_super in one.users]
    if not used:
        return Judgement(unseen="no client is connected, so nobody knows as whom the app comes")
    shown = [f"{one.service}: {user}{' (superuser)' if is_super else ''}" for one, user, is_super in used]
    return seen(*shown, problems=[_superuser(one, user) for one, user, is_super in used if is_super])


def _superuser(one: Database, user: str) -> Problem:
    return problem(
        f"the app is connected as the superuser {user}",
        f"make a role that owns its tables only, and let the app use it; {user} stays for backups",
        subject=one.service,
        effect="one injection in the app can read files of the server and drop everything",
    )


ITEMS = (
    Item(
        id="backups",
        title="backups run by themselves and are verified",
        doc=(
            "Every service with data has a schedule, something enabled on this server runs it, and the newest verified "
            "snapshot is not overdue."
        ),
        judge=_scheduled,
        promised=("L57", "C74", "S38", "T40", "S26"),
        looks=("kept", "automations"),
    ),
    Item(
        id="restore-drill",
        title="a restore was proven",
        doc="The report of the newest restore drill of each service that is backed up.",
        judge=_drilled,
        promised=("C86",),
        looks=("kept",),
    ),
    Item(
        id="backups-encrypted",
        title="backups are encrypted, and the key is safe",
        doc="Repositories are restic's, which are always encrypted; a person must have the key outside this server.",
        judge=_encrypted,
        promised=("M53",),
        looks=("kept", "escrowed"),
    ),
    Item(
        id="schedules",
        title="everything that is planned is run by something",
        doc="Each schedule of the manifest against the cron lines and systemd timers that are installed and enabled.",
        judge=_automated,
        promised=("C82",),
        looks=("kept", "automations"),
    ),
    Item(
        id="row-level-security",
        title="row level security is on",
        doc=(
            "Each PostgreSQL is asked for the tables of schema public. It applies where some table uses it already, "
            "or where visitors ask tables themselves (Supabase, PostgREST, Hasura)."
        ),
        judge=_rls,
        promised=("S34", "S21", "S22"),
        looks=("databases",),
        asks="Is row level security on for every table that visitors can ask?",
    ),
    Item(
        id="database-tls",
        title="databases that other machines reach speak TLS only",
        doc="PostgreSQL is asked whether `ssl` is on, where its port is published beyond this machine.",
        judge=of_databases(_ssl_only),
        promised=("M51",),
        looks=("databases",),
    ),
    Item(
        id="database-roles",
        title="the app's database role may not do everything",
        doc="The roles that clients are connected as now; a superuser is too much.",
        judge=of_databases(_least_roles),
        promised=("M52", "M46"),
        looks=("databases",),
        level=Level.RECOMMENDED,
    ),
)

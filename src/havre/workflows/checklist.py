"""The production checklist: look at the live server, judge each item by what was just seen, remember what passed.

Only the looks that the wanted items need are taken, side by side. Nothing on the server is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

from havre.checks.launch import ITEM_IDS, ITEMS, Checklist, Item, Scene, State, judge
from havre.checks.registry import ALL
from havre.checks.report import run_checks
from havre.engines.base import PolicyLook
from havre.errors import HavreError, InputError, Problem, RefusedError
from havre.host import clock
from havre.host.automations import automations_here, read_startup
from havre.host.firewall import read_firewall
from havre.host.members import operators_of
from havre.model.diagnosis import Facts
from havre.model.launch import AppliedPolicy, Confirmation, Handshake, Inside, Kept, Trail, WayBack, WebAnswer
from havre.model.observed import Observed
from havre.model.route import EdgeSettings
from havre.workflows.backup_status import ServiceStatus, status_of
from havre.workflows.check import gather, today
from havre.workflows.doctor import examine
from havre.workflows.intent import Intent
from havre.workflows.live import names, replicas, web
from havre.workflows.live.logins import try_logins
from havre.workflows.live.neighbours import neighbours_of
from havre.workflows.live.pages import look_at_pages
from havre.workflows.live.tls import Place, shake_hands
from havre.workflows.record import unseal_configuration
from havre.workflows.release_work import look, note
from havre.workflows.rollback import target
from havre.workflows.secrets import vault_of
from havre.workflows.server import Server
from havre.workflows.storage import Storage
from havre.workflows.verify import Target

LOOKERS = 6
MOST_AUDIT = 1000
PLAIN, SECURE = 80, 443


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What every look may use."""

    server: Server
    intent: Intent
    observed: Observed
    edge: EdgeSettings
    facts: Facts | None = None
    burst: bool = True

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts of the routes, wildcards left out: nobody can ask those."""
        hosts = dict.fromkeys(route.host for route in self.intent.app.routes)
        return tuple(host for host in hosts if not host.startswith("*."))

    @property
    def plain(self) -> Target:
        """Where visitors without TLS come in."""
        address, http, _ = self.server.traffic.entrance()
        return Target(address=address, port=http, scheme_seen="https" if not self.server.ends_tls else "http")

    def secure(self, host: str) -> Place | None:
        """Where the TLS of a host ends: here, or wherever DNS leads to."""
        address, _, https = self.server.traffic.entrance()
        if https is not None:
            return Place(address, https)
        try:
            return Place(names.addresses_of(host)[0], SECURE)
        except OSError:
            return None


def check_launch(
    server: Server, intent: Intent, edge: EdgeSettings, items: Sequence[Item] = ITEMS, *, burst: bool = True
) -> Checklist:
    """The list as it stands now; what passed is remembered with the time."""
    observed = look(server, intent)
    case = gather(server, intent, observed)
    diagnosis = examine(server, intent.app.instance)
    ground = Ground(server=server, intent=intent, observed=observed, edge=edge, facts=diagnosis.facts, burst=burst)
    book = server.state.confirmations
    scene = Scene(
        case=case,
        report=run_checks(case, ALL, today=today(), also_known=ITEM_IDS),
        today=today(),
        now=clock.now(),
        facts=diagnosis.facts,
        findings=diagnosis.problems,
        edge=edge,
        confirmations=book.list(intent.app.instance),
        passed=book.passed(intent.app.instance),
    )
    found = judge(replace(scene, **_looked(ground, items)), items)
    passed = [line.item.id for line in found.lines if line.state is State.PASSED]
    book.remember_passed(intent.app.instance, passed, scene.now)
    return found


def choose(wanted: Sequence[str]) -> tuple[Item, ...]:
    """The items with these ids, all without any; raises InputError for one that does not exist."""
    problems = [_unknown(name) for name in wanted if name not in ITEM_IDS]
    if problems:
        raise InputError(problems)
    return tuple(item for item in ITEMS if not wanted or item.id in wanted)


def confirm(server: Server, instance: str, item_id: str, text: str, until: str | None = None) -> Confirmation:
    """Record a person's answer, and until when it counts; raises RefusedError for what the server itself judges."""
    (item,) = choose([item_id])
    if not item.asks:
        raise RefusedError(_judged_by_server(item))
    if until is not None and until < today():
        raise InputError(_in_the_past(until))
    now = clock.now()
    last_day = until or clock.show_time(now + item.days * 86400)[:10]
    said = Confirmation(item=item.id, at=now, by=server.who, note=text, until=last_day)
    server.state.confirmations.write(instance, said)
    note(server, instance, f"checklist: {item.id} confirmed until {said.until}: {text}", "recorded")
    return said


def withdraw(server: Server, instance: str, item_id: str) -> None:
    """Take a person's answer back; raises InputError when there is none."""
    (item,) = choose([item_id])
    if not server.state.confirmations.forget(instance, item.id):
        raise InputError(_never_confirmed(instance, item))
    note(server, instance, f"checklist: {item.id} withdrawn", "recorded")


def _looked(ground: Ground, items: Sequence[Item]) -> dict[str, Any]:
    """Scene's fields by name, and of each look that failed why."""
    wanted = list(dict.fromkeys(look for item in items for look in item.looks))
    with ThreadPoolExecutor(LOOKERS) as pool:
        found = list(pool.map(partial(_one_look, ground), wanted))
    seen = {name: value for name, value, why in found if not why}
    return {**seen, "unseen": tuple((name, why) for name, _, why in found if why)}


def _one_look(ground: Ground, name: str) -> tuple[str, Any, str]:
    try:
        return name, LOOKS[name](ground), ""
    except HavreError as error:
        return name, None, error.problems[0].summary


def _handshakes(ground: Ground) -> tuple[Handshake, ...]:
    places = [(host, ground.secure(host)) for host in ground.hosts]
    return tuple(shake_hands(host, place) for host, place in places if place is not None)


def _answers(ground: Ground) -> tuple[WebAnswer, ...]:
    found: list[WebAnswer] = []
    for host in ground.hosts:
        place = ground.secure(host)
        routes = [route for route in ground.intent.app.routes if route.host == host]
        secure = Target(address=place.address, port=place.port, tls=True) if place else None
        plain = ground.plain if ground.server.ends_tls or place is None else Target(address=place.address, port=PLAIN)
        found += web.ask_routes(routes, plain, secure)
    return tuple(found)


def _inside_door(ground: Ground) -> Target:
    """The edge as this machine reaches it: with TLS where it ends TLS."""
    address, http, https = ground.server.traffic.entrance()
    if https is not None:
        return Target(address=address, port=https, tls=True)
    return Target(address=address, port=http, scheme_seen="https")


def _promises(ground: Ground) -> tuple[str, ...]:
    if not ground.hosts:
        return ()
    return tuple(web.broken_promises(ground.intent.app.verifications, _inside_door(ground), ground.hosts[0]))


def _kept(ground: Ground) -> tuple[Kept, ...]:
    storage = Storage(server=ground.server)
    policies = {policy.service: policy for policy in ground.intent.app.backups}
    found = []
    for status in status_of(storage, ground.intent, clock.now()):
        policy = policies.get(status.service)
        found.append(_kept_one(status, policy.schedule if policy else None, policy.drill if policy else None))
    return tuple(found)


def _kept_one(status: ServiceStatus, schedule: str | None, drill: str | None) -> Kept:
    newest, proven = status.newest, status.drill
    return Kept(
        service=status.service,
        schedule=schedule,
        drill_schedule=drill,
        newest=newest.id if newest else "",
        age=status.age,
        checks=newest.checks if newest else (),
        drill_at=proven.at if proven else None,
        drill_passed=bool(proven and proven.passed),
        drill_took=proven.rto if proven else 0.0,
        problems=status.problems,
        repository=newest.repository if newest else "",
    )


def _escrowed(ground: Ground) -> bool:
    vault = Storage(server=ground.server).vault
    if not vault.path.exists():
        return False
    try:
        vault.refuse_without_escrow()
    except RefusedError:
        return False
    return True


def _way_back(ground: Ground) -> WayBack | None:
    """The release that `havre rollback` would take, and what is gone of it; None when there is none before."""
    server, instance = ground.server, ground.intent.app.instance
    try:
        release = target(server, instance, None)
    except RefusedError:
        return None
    observed = server.engine.observe(instance, references=sorted({pin.image_id for pin in release.images}))
    gone = [
        f"image of {pin.service}: {pin.reference}" for pin in release.images if observed.image(pin.image_id) is None
    ]
    try:
        unseal_configuration(server, instance, release.number)
    except RefusedError as error:
        gone.append(error.problems[0].summary)
    return WayBack(number=release.number, missing=tuple(gone))


def _trail(ground: Ground) -> Trail:
    lines = ground.server.state.instances.audit(instance=ground.intent.app.instance, limit=MOST_AUDIT)
    return Trail(lines=len(lines), newest=lines[0].at if lines else 0.0)


def _sealed(ground: Ground) -> tuple[tuple[str, str, float], ...]:
    listed = vault_of(ground.server.state, ground.intent.app.instance).list()
    return tuple((one.name, one.origin, one.changed_at) for one in listed)


def _reached(ground: Ground) -> tuple[str, ...]:
    """Only where TLS ends here: elsewhere another proxy's certificate would be compared with itself."""
    if ground.facts is None or not ground.server.ends_tls or not ground.hosts:
        return ()
    return tuple(names.reached_all_the_same(ground.facts.names, ground.secure(ground.hosts[0])))


def _policies(ground: Ground) -> tuple[AppliedPolicy, ...]:
    engine: object = ground.server.engine
    return engine.policies(ground.intent.app.instance) if isinstance(engine, PolicyLook) else ()


def _inside(ground: Ground) -> tuple[Inside, ...]:
    """Where replicas are plain processes they have this machine's files, which are not theirs alone."""
    if ground.server.engine.name != "docker":
        return ()
    return tuple(replicas.look_inside(ground.server.engine, ground.intent.project, ground.observed))


def _engine_socket(ground: Ground) -> Path | None:
    """The file behind which the engine listens; None where there is no engine, or none behind a file."""
    host = getattr(ground.server.engine, "host", "")
    return Path(host.removeprefix("unix://")) if host.startswith("unix://") else None


LOOKS: Mapping[str, Callable[[Ground], Any]] = {
    "handshakes": _handshakes,
    "answers": _answers,
    "promises": _promises,
    "origins": lambda g: tuple(web.ask_as_foreign_page(g.intent.app.routes, _inside_door(g))),
    "bursts": lambda g: tuple(web.try_limits(g.intent.app.routes, g.plain, wanted=g.burst)),
    "reached": _reached,
    "firewall": lambda _: read_firewall(),
    "automations": lambda _: automations_here(),
    "startup": lambda _: read_startup(),
    "operators": lambda g: operators_of(_engine_socket(g)),
    "policies": _policies,
    "inside": _inside,
    "databases": lambda g: tuple(replicas.ask_databases(g.server, g.intent.project, g.observed)),
    "kept": _kept,
    "escrowed": _escrowed,
    "way_back": _way_back,
    "trail": _trail,
    "sealed": _sealed,
    "logins": lambda g: tuple(try_logins(g.server.engine, g.intent.project, g.observed)),
    "neighbours": lambda g: tuple(neighbours_of(g.server, g.intent.app, g.intent.project)),
    "pages": lambda g: tuple(look_at_pages(g.intent.app)),
    "watchers": lambda g: tuple(replicas.ask_watchers(g.server.engine, g.intent.project, g.observed, g.edge.metrics)),
}
"""How each field of Scene that items ask for is gathered."""


def _unknown(name: str) -> Problem:
    close = get_close_matches(name, sorted(ITEM_IDS), n=1)
    return Problem(
        summary=f"there is no item `{name}` on the checklist",
        hint=f"did you mean `{close[0]}`?" if close else "`havre checklist --list` shows all of them",
        code="checklist-unknown",
    )


def _judged_by_server(item: Item) -> Problem:
    return Problem(
        summary=f"`{item.id}` is judged by what the server shows, so nobody can confirm it",
        evidence=(item.title,),
        hint=f"`havre checklist --only {item.id}` says what is missing; waive it in havre.yaml to set it aside",
        code="checklist-judged",
    )


def _in_the_past(until: str) -> Problem:
    return Problem(summary=f"{until} is over", hint="give a day to come, as 2027-03-31", code="checklist-until")


def _never_confirmed(instance: str, item: Item) -> Problem:
    return Problem(
        summary=f"nobody confirmed `{item.id}`", subject=instance, hint="`havre checklist` shows what is",
        code="checklist-unconfirmed",
    )  # fmt: skip

"""Finds which service a program wanted to reach, and why it did not: stopped, other port, other network, password."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches

from havre.checks.case import Case
from havre.checks.passwords import CHECKS as PASSWORD_CHECKS
from havre.checks.refusals import refusal
from havre.checks.symptoms import Symptom
from havre.errors import Problem
from havre.model.calls import Target, targets
from havre.model.diagnosis import Facts, ReplicaFacts
from havre.model.health import HealthState
from havre.model.images import known
from havre.model.observed import ReplicaState
from havre.model.route import InsideListener

YOUNG = 90.0
"""Seconds during which a server may still be initialising."""

LOOPBACK = ("127.", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Blame:
    """Why a service was not reached: a problem of its own, or (`because`) the trouble of another service."""

    because: str = ""
    problem: Problem | None = None


def blame(facts: Facts, one: ReplicaFacts, symptom: Symptom) -> Blame:
    """Who or what is behind a failed connection of `one`; an empty Blame when nothing is known to be wrong now."""
    service = facts.project.service(one.service)
    known_targets = [target for target in targets(facts.project, service) if target.service != service.name]
    meant = _meant(facts, one, symptom, known_targets)
    if not meant:
        return _nowhere(facts, one, symptom)
    for target in meant:
        found = _look_at(facts, one, symptom, target)
        if found.because or found.problem:
            return found
    return Blame()


def _meant(facts: Facts, one: ReplicaFacts, symptom: Symptom, declared: list[Target]) -> list[Target]:
    """The service a log line is about: by its name, address or port; else every one it has to do with."""
    by_name = {name: service.name for name, service in facts.project.called.items() if service.name != one.service}
    by_address = {address: other.service for other in facts.replicas for _, address in other.replica.addresses}
    words = set(re.findall(r"[\w.-]+", symptom.line))
    ports = [int(port) for port in re.findall(r"(?::|port[ =]|, )(\d{2,5})\b", symptom.line)]
    found = [by_name[word] for word in by_name if word in words]
    found += [by_address[word] for word in by_address if word in words and by_address[word] != one.service]
    found += [inside.service for inside in _inside(facts) if inside.address in words and inside.port in ports]
    named = [Target(name, next((port for port in ports if port), _declared_port(name, declared)), "") for name in found]
    by_port = [target for target in declared if target.port in ports]
    if named or by_port:
        return list(dict.fromkeys([*named, *by_port]))
    if symptom.kind == "no-such-host" and _unknown_host(facts, symptom):
        return []
    needs = [Target(need.service, 0, "") for need in facts.project.service(one.service).needs]
    return [*declared, *(need for need in needs if need.service not in {target.service for target in declared})]


def _declared_port(name: str, declared: list[Target]) -> int:
    return next((target.port for target in declared if target.service == name), 0)


def _inside(facts: Facts) -> tuple[InsideListener, ...]:
    return facts.edge.applied.inside if facts.edge.applied else ()


def _nowhere(facts: Facts, one: ReplicaFacts, symptom: Symptom) -> Blame:
    """It asks for a name that no service has."""
    host = _unknown_host(facts, symptom) if symptom.kind == "no-such-host" else ""
    if not host:
        return Blame()
    close = get_close_matches(host, list(facts.project.called), n=1)
    return Blame(
        problem=Problem(
            summary=f"looks for the host `{host}`, which is no service of this app and has no address",
            subject=one.name,
            evidence=(f"log: {symptom.line}", f"services: {', '.join(facts.project.service_names)}"),
            hint=(f"did you mean `{close[0]}`? correct the setting" if close else "correct the setting")
            + " that names it, then `havre deploy`",
            code="doctor-no-such-host",
        )
    )


def _unknown_host(facts: Facts, symptom: Symptom) -> str:
    found = re.search(
        r"(?:ENOTFOUND|EAI_AGAIN|lookup|host name|upstream|bad address|UnknownHostException:?) [\"']?([\w.-]+)",
        symptom.line,
    )
    return found[1] if found and found[1] not in facts.project.called else ""


def _look_at(facts: Facts, one: ReplicaFacts, symptom: Symptom, target: Target) -> Blame:
    if target.service not in facts.project.service_names:
        return Blame()
    others = facts.of(target.service)
    running = [other for other in others if other.replica.is_running]
    if symptom.kind in ("too-many", "server-full") or not running:
        return Blame(because=target.service)
    if symptom.kind in ("not-let-in", "no-such-database", "no-such-role"):
        return Blame(problem=refusal(facts, one, symptom, target.service))
    if symptom.kind == "wrong-password":
        return Blame(problem=_password(facts, one, symptom, target))
    if symptom.kind != "refused" and (problem := _no_shared_network(facts, one, symptom, target)):
        return Blame(problem=problem)
    if problem := _other_port(one, symptom, target, running[0]):
        return Blame(problem=problem)
    if _is_initialising(facts, running[0]) or symptom.kind == "not-ready":
        return Blame(problem=_initialising(facts, one, symptom, running[0]))
    if any(other.probe and other.probe.state is HealthState.UNHEALTHY for other in running):
        return Blame(because=target.service)
    return Blame()


def _no_shared_network(facts: Facts, one: ReplicaFacts, symptom: Symptom, target: Target) -> Problem | None:
    here, there = facts.project.service(one.service), facts.project.service(target.service)
    if here.network_mode or there.network_mode:
        return None
    mine, theirs = ({place.network for place in service.networks} for service in (here, there))
    if mine & theirs:
        return None
    return Problem(
        summary=f"cannot reach {there.name}: the two share no network",
        subject=one.name,
        evidence=(
            f"log: {symptom.line}",
            f"networks of {here.name}: {', '.join(sorted(mine)) or 'none'}",
            f"networks of {there.name}: {', '.join(sorted(theirs)) or 'none'}",
        ),
        effect=f"every call from {here.name} to {there.name} fails",
        hint="add one network to both under `networks:` in the Compose file, then `havre deploy`",
        code="doctor-no-shared-network",
    )


def _other_port(one: ReplicaFacts, symptom: Symptom, target: Target, other: ReplicaFacts) -> Problem | None:
    if not other.listens or not target.port:
        return None
    there = [address for address, port in other.listens if port == target.port]
    if any(not address.startswith(LOOPBACK) for address in there):
        return None
    setting = f" (set by {target.setting})" if target.setting else ""
    listens = ", ".join(dict.fromkeys(f"{address}:{port}" for address, port in other.listens))
    if there:
        summary = f"cannot reach {target.service}: it listens on {there[0]}:{target.port} only, inside itself"
        hint = f"let {target.service} listen on 0.0.0.0, then `havre deploy`"
    else:
        summary = f"calls {target.service} on port {target.port}, where nothing listens"
        port = next(port for _, port in other.listens)
        hint = f"call it on port {port}{setting}, then `havre deploy`"
    return Problem(
        summary=summary,
        subject=one.name,
        evidence=(f"log: {symptom.line}", f"{other.name} listens on {listens}"),
        effect=f"every call from {one.service} to {target.service} fails",
        hint=hint,
        code="doctor-other-port",
    )


def _is_initialising(facts: Facts, other: ReplicaFacts) -> bool:
    is_young = facts.now - other.replica.started_at < YOUNG
    is_proven = other.probe is not None and other.probe.state is HealthState.HEALTHY
    return other.replica.state is ReplicaState.RUNNING and is_young and not is_proven


def _initialising(facts: Facts, one: ReplicaFacts, symptom: Symptom, other: ReplicaFacts) -> Problem:
    age = max(0.0, facts.now - other.replica.started_at)
    said = (f"{other.name} says: {other.lines[-1][1]}",) if other.lines else ()
    return Problem(
        summary=f"waits for {other.service}, which is still initialising",
        subject=one.name,
        evidence=(f"log: {symptom.line}", f"{other.name} was started {age:.0f} s ago", *said),
        hint=f"`havre logs -f {other.service}` shows how far it is; "
        f"`depends_on: {{{other.service}: {{condition: service_healthy}}}}` lets a deploy wait for it",
        code="doctor-initialising",
    )


def _password(facts: Facts, one: ReplicaFacts, symptom: Symptom, target: Target) -> Problem:
    """Both values are compared in memory and never shown."""
    case = Case(app=facts.app, project=facts.project)
    differing = [problem for check in PASSWORD_CHECKS for problem in check.find(case)]
    mine = next((p for p in differing if p.subject == one.service and target.service in p.summary.split()), None)
    if mine:
        return Problem(
            summary=mine.summary,
            subject=one.name,
            evidence=(f"log: {symptom.line}", *mine.evidence),
            effect=mine.effect,
            hint=f"{mine.hint}; then `havre deploy`",
            code="doctor-wrong-password",
        )
    return Problem(
        summary=f"is not let in by {target.service}: wrong user or password",
        subject=one.name,
        evidence=(
            f"log: {symptom.line}",
            f"in the configuration the two agree: {target.service} may have kept the password of its first start",
        ),
        effect=f"every connection from {one.service} to {target.service} is refused",
        hint=f"`havre secrets rotate {_setting(facts, target)}` changes it in {target.service} and in all that use it",
        code="doctor-wrong-password",
    )


def _setting(facts: Facts, target: Target) -> str:
    """The variable by which the server was given its password."""
    server = facts.project.service(target.service)
    image, values = known(server), dict(server.environment)
    return next((name for name in (image.password if image else ()) if values.get(name)), "NAME")

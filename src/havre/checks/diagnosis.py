"""From everything that is known of an instance now to what is wrong with it: one problem per cause, likeliest first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from havre.checks.advice import advice
from havre.checks.finding import Finding, Rank, one_per_cause, only
from havre.checks.procfile import with_place
from havre.checks.reaching import Blame, blame
from havre.checks.slow import busy, pools, visits
from havre.checks.surroundings import surroundings
from havre.checks.symptoms import REACHING, Symptom, exit_words, read_reaching, read_symptom
from havre.errors import Problem, Severity
from havre.model.diagnosis import Facts, ReplicaFacts
from havre.model.health import HealthState
from havre.model.observed import ReplicaState
from havre.model.project import Service
from havre.model.release import ReleaseState
from havre.model.units import show_bytes, show_seconds

RECENT = 300.0
"""Seconds: a log line, or a restart, that is older says nothing about now."""

SHOWN_LINES = 3
LOOP = 3
"""Restarts from which on a replica that is up for less than RECENT is called looping."""

COMPLAINS = "doctor-complains"
REFUSES = frozenset({"server-full"})
"""What a client says of a server that may look well by itself: it is told even when nothing else is found."""

LOST_STATES = (ReleaseState.FAILED, ReleaseState.UNDONE, ReleaseState.INTERRUPTED)
_MIB = 1024**2
_STEPS = tuple(size * _MIB for size in (
    32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384, 24576, 32768,
))  # fmt: skip


def diagnose(facts: Facts) -> tuple[Problem, ...]:
    """Every problem, the most likely cause first; empty when all is well."""
    found = [*_services(facts), *_kept(facts), *surroundings(facts), *pools(facts)]
    found += visits(facts, found)
    found += busy(facts, found)
    told = one_per_cause(only(found, facts.only) if facts.only else found)
    return tuple(with_place(problem, facts.processes, facts.app.compose) for problem in told)


def proposed_limit(limit: int) -> int:
    """A third more, up to the next usual size: 384 MiB becomes 512 MiB."""
    wanted = limit + limit // 3
    return next((step for step in _STEPS if step >= wanted), wanted)


def _services(facts: Facts) -> Iterator[Finding]:
    if facts.serving is None:
        return
    for service in facts.project.services:
        found = facts.of(service.name)
        if service.name in facts.project.jobs:
            continue
        if not found and service.replicas:
            yield _missing(facts, service)
        if not found and service.name in facts.emptied:
            yield _scaled_to_nothing(service)
        for one in found:
            finding = _finding(facts, service, one)
            if finding is not None:
                yield finding


def _finding(facts: Facts, service: Service, one: ReplicaFacts) -> Finding | None:
    """The first of these that holds is what is wrong with a replica; the others follow from it."""
    if one.replica.oom_killed or one.kills or any(death.oom for death in one.deaths):
        return _out_of_memory(service, one)
    symptom = read_symptom(one.lines)
    if not one.replica.is_running or _is_looping(facts, one):
        return _explained(facts, one, symptom, _ended(facts, one, symptom))
    if one.probe is not None and one.probe.state is HealthState.UNVERIFIED:
        return _unverified(one)
    if one.probe is not None and one.probe.state in (HealthState.UNHEALTHY, HealthState.STARTING):
        return _explained(facts, one, symptom, _unhealthy(facts, one, symptom))
    return _complaining(facts, one) or _crashed_lately(facts, one)


def _missing(facts: Facts, service: Service) -> Finding:
    number = facts.serving.number if facts.serving else 0
    problem = Problem(
        summary="has no replica",
        subject=service.name,
        evidence=(f"release {number} serves and wants {service.replicas}",),
        hint="`havre deploy` starts what is missing",
        code="doctor-missing",
    )
    return Finding(problem=problem, rank=Rank.DOWN, about=service.name)


def _scaled_to_nothing(service: Service) -> Finding:
    """Meant so, and forgotten easily: nothing else shows a service without a replica."""
    problem = Problem(
        summary="runs nowhere: it is scaled to 0",
        subject=service.name,
        hint=f"`havre scale {service.name}=1` starts it again, `havre scale {service.name}=file` asks the files",
        severity=Severity.NOTE,
        code="doctor-scaled-to-0",
    )
    return Finding(problem=problem, rank=Rank.EXPOSED, about=service.name)


def _out_of_memory(service: Service, one: ReplicaFacts) -> Finding:
    limit = one.memory_limit or service.resources.memory
    kills = [death for death in one.deaths if death.oom]
    times = f", {one.kills} times since it was started" if one.kills > 1 else ""
    if len(kills) > 1:
        times = f", {len(kills)} times in {show_seconds(max(1.0, kills[-1].at - kills[0].at))}"
    if limit is None:
        hint = f"give {service.name} a `mem_limit` that fits this server (`havre budget` shows it), then `havre deploy`"
        evidence: tuple[str, ...] = ("it has no limit of its own: the server itself had no memory left",)
    else:
        wanted = f"{proposed_limit(limit) // _MIB}m"
        hint = f"raise the limit of {service.name} to `mem_limit: {wanted}` in the Compose file, then `havre deploy`"
        peak = min(limit, one.memory_peak or limit)
        evidence = (f"peak {show_bytes(peak)} of {show_bytes(limit)}",)
    is_child = not one.replica.oom_killed and all(death.exit_code is None for death in kills)
    who = "a process inside was" if is_child else "was"
    evidence = (*evidence, f"{_state(one)}, {_times(one.replica.restarts, 'restart')}")
    problem = Problem(
        summary=f"{who} killed by the kernel: out of memory{times}",
        subject=one.name,
        evidence=evidence,
        effect="it is not a crash of the program: whatever it was doing was cut off",
        hint=hint,
        code="doctor-oom",
    )
    return Finding(problem=problem, rank=Rank.MEMORY, about=one.service)


def _is_looping(facts: Facts, one: ReplicaFacts) -> bool:
    if one.replica.state is ReplicaState.RESTARTING:
        return True
    return one.replica.restarts >= LOOP and facts.now - one.replica.started_at < RECENT


def _ended(facts: Facts, one: ReplicaFacts, symptom: Symptom | None) -> Finding:
    replica = one.replica
    if _is_looping(facts, one):
        summary, rank = f"restarts again and again: {_times(replica.restarts, 'restart')}", Rank.CRASH
    elif replica.state is ReplicaState.EXITED and replica.exit_code not in (0, 143, None):
        summary, rank = f"ended with {exit_words(replica.exit_code)}", Rank.CRASH
    else:
        summary, rank = f"is stopped ({_state(one)})", Rank.DOWN
    is_crash = rank is Rank.CRASH
    problem = Problem(
        summary=summary + (_guess(symptom) if is_crash else ""),
        subject=one.name,
        evidence=_words_of(one, symptom) if is_crash else (),
        hint=advice(one.service, symptom) if is_crash else f"`havre start {one.service}`",
        code="doctor-crash" if is_crash else "doctor-stopped",
    )
    return Finding(problem=problem, rank=rank, about=one.service)


def _unhealthy(facts: Facts, one: ReplicaFacts, symptom: Symptom | None) -> Finding:
    probe = one.probe
    assert probe is not None
    code = "" if probe.exit_code is None else f" (exit code {probe.exit_code})"
    output = [f"  {line}" for line in probe.output.strip().splitlines()[-SHOWN_LINES:]]
    telling = symptom if symptom and facts.now - symptom.at < RECENT else None
    problem = Problem(
        summary=f"runs, and its health check fails{_guess(telling)}",
        subject=one.name,
        evidence=(f"health check: {probe.asked}{code}", *output, *(_words_of(one, telling) if telling else ())),
        hint=advice(one.service, telling)
        if telling
        else f"`havre logs --tail 100 {one.service}` shows what it does instead",
        code="doctor-unhealthy",
    )
    return Finding(problem=problem, rank=Rank.UNHEALTHY, about=one.service)


def _unverified(one: ReplicaFacts) -> Finding:
    probe = one.probe
    assert probe is not None
    problem = Problem(
        summary="its health check passes without asking anything: it cannot fail",
        subject=one.name,
        evidence=(f"health check: {probe.asked}", *(f"  {line}" for line in probe.output.splitlines()[-SHOWN_LINES:])),
        effect="nobody knows whether it is well",
        hint="`havre check` says how to write it; for Redis with a password: "
        '`REDISCLI_AUTH="$REDIS_PASSWORD" redis-cli ping | grep -q PONG`',
        code="doctor-unverified",
        severity=Severity.WARNING,
    )
    return Finding(problem=problem, rank=Rank.UNVERIFIED, about=one.service)


def _complaining(facts: Facts, one: ReplicaFacts) -> Finding | None:
    """It is well by its own health check, and says that it does not reach another service."""
    symptom = read_reaching([entry for entry in one.lines if facts.now - entry[0] < RECENT])
    if symptom is None:
        return None
    found = blame(facts, one, symptom)
    if not found.because and not found.problem:
        return None
    refuses = symptom.kind in REFUSES
    standing = Problem(
        summary=f"complains: {symptom.words}",
        subject=one.name,
        evidence=(f"log: {symptom.line}",),
        hint=advice(one.service, symptom) if refuses else f"`havre doctor {found.because or one.service}`",
        code=COMPLAINS,
        severity=Severity.WARNING,
    )
    stands = refuses or found.problem is not None
    finding = Finding(problem=standing, rank=Rank.REACHING, about=one.service, stands=stands)
    return _blamed(finding, found, symptom)


def _crashed_lately(facts: Facts, one: ReplicaFacts) -> Finding | None:
    """It is well now, and was started again after it had ended by itself: perhaps only under traffic."""
    crashes = [death for death in one.deaths if death.exit_code not in (0, 143, None)]
    if not crashes or not one.replica.restarts:
        return None
    last = crashes[-1]
    before = tuple(entry for entry in one.lines if entry[0] <= last.at + 1)
    symptom = read_symptom(before)
    ago = show_seconds(max(1.0, facts.now - last.at))
    problem = Problem(
        summary=f"ended with {exit_words(last.exit_code)}, {ago} ago, and was started again{_guess(symptom)}",
        subject=one.name,
        evidence=(f"ended by itself {_times(len(crashes), 'time')} in the last hour", *_words_of(one, symptom)),
        effect="whoever it served at that moment got an error",
        hint=advice(one.service, symptom),
        code="doctor-crashed-lately",
        severity=Severity.WARNING,
    )
    return Finding(problem=problem, rank=Rank.UNVERIFIED, about=one.service)


def _explained(facts: Facts, one: ReplicaFacts, symptom: Symptom | None, standing: Finding) -> Finding:
    """The same finding, told as what it is when the trouble is another service."""
    if symptom is None or symptom.kind not in REACHING or standing.rank is Rank.DOWN:
        return standing
    return _blamed(standing, blame(facts, one, symptom), symptom)


def _blamed(standing: Finding, found: Blame, symptom: Symptom) -> Finding:
    if found.problem:
        # What the replica does because of it is evidence too: it restarts, its health check fails.
        state = () if standing.problem.code == COMPLAINS else (f"state: {standing.problem.summary}",)
        problem = replace(found.problem, evidence=(*found.problem.evidence, *state))
        return replace(standing, problem=problem, rank=Rank.REACHING)
    if found.because:
        summary = f"cannot work with {found.because} ({symptom.words})"
        return replace(standing, problem=replace(standing.problem, summary=summary), because=found.because)
    return standing


def _kept(facts: Facts) -> Iterator[Finding]:
    """What failed in the last release and was kept, while an earlier one serves, or none does."""
    last = facts.last
    if last is None or last.state not in LOST_STATES:
        return
    failed = [one for one in facts.replicas if one.replica.release == last.number and not one.replica.is_running]
    for one in failed:
        if one.replica.role != "replica" and one.replica.exit_code == 0:
            continue
        yield _failed(facts, one)
    if not failed:
        problem = Problem(
            summary=f"release {last.number} did not succeed ({last.state.value}); {_serves(facts)}",
            subject=facts.instance,
            evidence=tuple(last.result.splitlines()[:4]),
            hint=f"`havre releases {last.number}` shows the step that failed",
            code="doctor-release-failed",
            severity=Severity.WARNING,
        )
        yield Finding(problem=problem, rank=Rank.RELEASE)


def _failed(facts: Facts, one: ReplicaFacts) -> Finding:
    last = facts.last
    assert last is not None
    symptom = read_symptom(one.lines)
    cause = "out of memory" if one.replica.oom_killed else exit_words(one.replica.exit_code)
    problem = Problem(
        summary=f"failed in release {last.number} ({cause}){_guess(symptom)}; {_serves(facts)}",
        subject=one.name if one.replica.role == "replica" else f"{one.service} ({one.replica.role})",
        evidence=_words_of(one, symptom),
        hint=f"`havre logs --failed {one.service}` has all of it; correct that, then `havre deploy`",
        code="doctor-release-failed",
        severity=Severity.WARNING if facts.serving else Severity.ERROR,
    )
    return Finding(problem=problem, rank=Rank.RELEASE if facts.serving else Rank.CRASH, about=one.service)


def _serves(facts: Facts) -> str:
    return f"release {facts.serving.number} serves" if facts.serving else "no release serves"


def _guess(symptom: Symptom | None) -> str:
    if symptom is None:
        return ""
    return f"; probably {symptom.words}{f' {symptom.name}' if symptom.name else ''}"


def _words_of(one: ReplicaFacts, symptom: Symptom | None) -> tuple[str, ...]:
    """The line that shows the class (a guess from its words), else the last lines."""
    if symptom is not None:
        return (f"log: {symptom.line}",)
    if not one.lines:
        return ("it wrote no log line",)
    return ("last log lines:", *(f"  {text}" for _, text in one.lines[-SHOWN_LINES:]))


def _state(one: ReplicaFacts) -> str:
    if one.replica.is_running:
        return "running"
    code = one.replica.exit_code
    return one.replica.state.value if code is None else f"{one.replica.state.value}, {exit_words(code)}"


def _times(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"

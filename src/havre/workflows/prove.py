"""Prove a replica: run its health check at once and often, and say what it said when it does not pass (D14)."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

from havre.checks.advice import ADVICE, advice
from havre.checks.diagnosis import proposed_limit
from havre.checks.symptoms import Symptom, exit_words, read_symptom
from havre.engines.base import CloseLook, Context, Engine, LogQuery
from havre.errors import FailedError, HavreError, Problem
from havre.host import clock
from havre.model.health import HealthState, ProbeResult
from havre.model.images import known, listening_ports
from havre.model.observed import ObservedReplica
from havre.model.project import Service
from havre.model.units import MIB, show_bytes, show_seconds
from havre.workflows.execute import Cancellation

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 1.0
_GLANCE = 0.02
"""Seconds between two tries whether a replica has opened its port."""

INITIALISING = frozenset({"postgres", "mysql"})
"""Kinds whose images run a server for themselves alone while they make the first database."""

DEFAULT_PATIENCE = 60.0
"""Seconds a service without a health check may take to open its port."""

LEAST_PATIENCE = 20.0
"""Seconds at the least: a check with a 1 s interval and 3 retries still gets time to start on a busy server."""

SETTLE = 1.0
"""Seconds that a replica with neither health check nor port must stay up to count as started."""


def prove(engine: Engine, service: Service, slot: int, context: Context, cancellation: Cancellation) -> None:
    """Return when the replica is proven healthy.

    Raises FailedError with the probe's last output and the replica's last log lines when it exits, or is not
    healthy within the health check's own patience; raises Cancelled when asked to stop.
    """
    started = clock.elapsed()
    patience = max(service.health.patience, LEAST_PATIENCE) if service.health else DEFAULT_PATIENCE
    pause = FIRST_PAUSE
    doorstep = Doorstep(engine, service, slot, context, cancellation)
    while True:
        cancellation.check()
        result = _seen_from_outside(engine, service, slot, context, engine.probe(service, slot, context))
        waited = clock.elapsed() - started
        if result.state is HealthState.HEALTHY:
            return
        if result.state is HealthState.NONE and waited >= SETTLE:
            return
        if result.state is HealthState.UNVERIFIED:
            raise FailedError(_unverified(service, slot, context, result))
        dead = _gone(engine, service, slot, context)
        if dead is not None and service.may_end and dead.exit_code == 0:
            return
        if dead is not None:
            raise FailedError(_exited(engine, service, dead, context))
        if waited >= patience:
            raise FailedError(_never_healthy(engine, service, slot, context, result, waited))
        doorstep.rest(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE)


class Doorstep:
    """Where one waits between two looks: the next one comes at once when the replica opens its port meanwhile."""

    def __init__(self, engine: Engine, service: Service, slot: int, context: Context, cancel: Cancellation) -> None:
        self._ports = listening_ports(service) if service.network_mode != "none" else frozenset()
        self._find = partial(engine.address, service, slot, context)
        self._cancel = cancel
        self._was_open = False

    def rest(self, seconds: float) -> None:
        """At most so many seconds; raises Cancelled when asked to stop."""
        until = clock.elapsed() + seconds
        address = self._address()
        while (left := until - clock.elapsed()) > 0:
            self._cancel.pause(min(_GLANCE, left) if address else left)
            if address and _is_open(address, self._ports, within=FIRST_PAUSE):
                self._was_open = True
                return

    def _address(self) -> str:
        """Empty where there is nothing to watch: no port is known, or it is open already."""
        if self._was_open or not self._ports:
            return ""
        try:
            return self._find()
        except HavreError:  # it ended meanwhile: the next look finds that out
            return ""


def _seen_from_outside(
    engine: Engine, service: Service, slot: int, context: Context, result: ProbeResult
) -> ProbeResult:
    """A database that is being made answers inside already, over its socket file: healthy is what listens to others."""
    facts = known(service)
    if result.state is not HealthState.HEALTHY or facts is None or facts.kind not in INITIALISING:
        return result
    if service.network_mode == "none" or not isinstance(engine, CloseLook):
        return result
    try:
        if engine.listens(context.instance, service.name, slot) != () or _accepts(engine, service, slot, context):
            return result
    except HavreError:  # it ended meanwhile: whoever waits finds that out, with its last words
        return result
    told = f"{result.output}\n(it passes, but nothing listens on a port yet: the database is still being made)"
    return replace(result, state=HealthState.STARTING, output=told.strip())


def _accepts(engine: Engine, service: Service, slot: int, context: Context) -> bool:
    """Where this user may not see who listens, calling tells."""
    return _is_open(engine.address(service, slot, context), listening_ports(service))


def _is_open(address: str, ports: Iterable[int], *, within: float = 1.0) -> bool:
    for port in ports:
        try:
            socket.create_connection((address, port), timeout=within).close()
        except OSError:
            continue
        return True
    return False


def stay(
    engine: Engine, service: Service, slot: int, context: Context, cancellation: Cancellation, seconds: float
) -> None:
    """Watch a proven replica for so many seconds (`update_config` monitor and delay), then prove it once more.

    Raises FailedError as `prove` does, at once when the replica ends.
    """
    started = clock.elapsed()
    while clock.elapsed() - started < seconds:
        cancellation.pause(min(LONGEST_PAUSE, seconds))
        dead = _gone(engine, service, slot, context)
        if dead is not None:
            raise FailedError(_exited(engine, service, dead, context))
    if seconds:
        prove(engine, service, slot, context, cancellation)


def last_lines(engine: Engine, context: Context, service: str, slot: int, count: int = 8) -> tuple[str, ...]:
    """The last lines that replica wrote, for a message."""
    query = LogQuery(services=(service,), tail=count * 3)
    lines = [line.text for line in engine.logs(context.instance, query) if line.slot == slot]
    return tuple(lines[-count:])


def _gone(engine: Engine, service: Service, slot: int, context: Context) -> ObservedReplica | None:
    for replica in engine.observe(context.instance).of_service(service.name):
        if replica.slot == slot:
            return None if replica.is_running else replica
    return None


def _name(service: Service, slot: int, context: Context) -> str:
    return f"{context.instance}/{service.name}.{slot}"


def _see_more(service: Service) -> str:
    return f"see all of it with `havre logs --failed {service.name}`"


def _exited(engine: Engine, service: Service, replica: ObservedReplica, context: Context) -> Problem:
    lines = last_lines(engine, context, service.name, replica.slot)
    if replica.oom_killed:
        limit = service.resources.memory
        at = f" at its limit of {show_bytes(limit)}" if limit else ""
        return Problem(
            summary=f"was killed by the kernel: out of memory{at}",
            subject=_name(service, replica.slot, context),
            evidence=lines,
            hint=f"{_more_memory(service)}, or make it use less, then deploy again",
            code="replica-oom",
        )
    return Problem(
        summary=f"exited with code {replica.exit_code} before it was healthy{_guess(lines)}",
        subject=_name(service, replica.slot, context),
        evidence=lines or (f"it wrote nothing; {exit_words(replica.exit_code)}",),
        hint=f"{_advice(service, lines) or 'correct what the lines above say'}; {_see_more(service)}",
        code="replica-exited",
    )


def _never_healthy(
    engine: Engine, service: Service, slot: int, context: Context, result: ProbeResult, waited: float
) -> Problem:
    lines = last_lines(engine, context, service.name, slot)
    return Problem(
        summary=f"did not become healthy within {show_seconds(waited)}{_guess(lines)}",
        subject=_name(service, slot, context),
        evidence=(*_probe_evidence(result), *_log_evidence(lines)),
        hint=f"{_advice(service, lines) or _look_closer(service, result)}; {_see_more(service)}",
        code="replica-unhealthy",
    )


def _look_closer(service: Service, result: ProbeResult) -> str:
    """Where nothing was run inside, there is nothing to run by hand: the port is wrong, or the program."""
    if service.health is None and result.exit_code is None:
        return (
            f"let {service.name} listen on that port, or name the one it has (`to:` in havre.yaml, `expose`, `ports`)"
        )
    return "run the check by hand with `havre exec`"


def _unverified(service: Service, slot: int, context: Context, result: ProbeResult) -> Problem:
    return Problem(
        summary="its health check passes without asking anything: it cannot fail",
        subject=_name(service, slot, context),
        evidence=_probe_evidence(result),
        effect="a broken replica would count as healthy, so it is not accepted as proof",
        hint=(
            "make the check fail on that answer; for Redis with a password: "
            '`REDISCLI_AUTH="$REDIS_PASSWORD" redis-cli ping | grep -q PONG`'
        ),
        code="replica-unverified",
    )


def _guess(lines: Sequence[str]) -> str:
    """The class of trouble that the last telling line shows, called a guess."""
    symptom = _symptom(lines)
    return f"; probably {symptom.words}{f' {symptom.name}' if symptom.name else ''}" if symptom else ""


def _advice(service: Service, lines: Sequence[str]) -> str:
    symptom = _symptom(lines)
    return advice(service.name, symptom) if symptom and symptom.kind in ADVICE else ""


def _symptom(lines: Sequence[str]) -> Symptom | None:
    return read_symptom((0.0, line) for line in lines)


def _more_memory(service: Service) -> str:
    limit = service.resources.memory
    wanted = f" to `mem_limit: {proposed_limit(limit) // MIB}m`" if limit else ""
    return f"raise the memory limit of {service.name}{wanted}"


def _probe_evidence(result: ProbeResult) -> tuple[str, ...]:
    code = "" if result.exit_code is None else f" (exit code {result.exit_code})"
    output = result.output.strip().splitlines()[-5:]
    return (f"health check: {result.asked}{code}", *(f"  {line}" for line in output))


def _log_evidence(lines: Sequence[str]) -> tuple[str, ...]:
    return ("last log lines:", *(f"  {line}" for line in lines)) if lines else ("it wrote no log line",)

"""Ask a replica how it is, now, and explain what an unfit answer comes from."""

from __future__ import annotations

import urllib.error
import urllib.request

from havre.engines.base import Executed
from havre.engines.docker.probe import judge, listens
from havre.engines.process import proctable
from havre.engines.process.execution import run_in
from havre.engines.process.images import Image
from havre.engines.process.probing import (
    Question,
    explain_listening,
    health_check,
    is_missing_program,
    plain_url,
    question_of,
)
from havre.engines.process.records import CHECKED
from havre.engines.process.replicas import Found, Replicas
from havre.errors import FailedError
from havre.model.health import HealthCheck, HealthState, ProbeResult
from havre.model.project import Service

_TIMEOUT = 30.0
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Never through a proxy: the replica is on this machine."""


def probe_replica(replicas: Replicas, found: Found | None, service: Service, image: Image | None) -> ProbeResult:
    """Its health check at its own address; without one, whether it listens where it should."""
    if found is None or not found.is_running:
        return _not_up(found)
    result = _asked(replicas, found, service, image)
    if not found.launch.port or result.state is HealthState.UNVERIFIED:
        return result
    explanation = _explanation(found)
    if explanation is None:
        return result
    state = HealthState.UNHEALTHY if result.state is HealthState.HEALTHY else result.state
    told = "\n".join(filter(None, (result.output, explanation)))
    return ProbeResult(state=state, asked=result.asked, output=told, exit_code=result.exit_code)


def seen_health(found: Found) -> HealthState:
    """What the supervisor's own regular checks say, judged by the same rule."""
    if not found.launch.health or not found.is_running:
        return HealthState.NONE
    if found.status.health == "failed":
        return HealthState.UNHEALTHY
    if found.status.health != "passed":
        return HealthState.STARTING
    said = found.directory / CHECKED
    output = said.read_text(errors="replace")[-4096:] if said.exists() else ""
    return judge("", Executed(exit_code=0, output=output)).state


def _asked(replicas: Replicas, found: Found, service: Service, image: Image | None) -> ProbeResult:
    check = health_check(service, image)
    if check is not None:
        return _run_check(replicas, found, check)
    if found.launch.port:
        return listens(found.launch.address, found.launch.port)
    return ProbeResult(state=HealthState.NONE, asked="is it running", output="it runs; it has no health check")


def _run_check(replicas: Replicas, found: Found, check: HealthCheck) -> ProbeResult:
    question = question_of(check.test, shell=check.shell, address=found.launch.address)
    timeout = check.timeout or _TIMEOUT
    try:
        done = run_in(replicas, found, question.argv, timeout=timeout)
    except FailedError as error:
        return ProbeResult(state=HealthState.UNHEALTHY, asked=question.asked, output=error.problems[0].summary)
    url = plain_url(question)
    if url is not None and is_missing_program(done.exit_code, done.output, question):
        return _fetched(question, url, timeout)
    return judge(question.asked, done)


def _fetched(question: Question, url: str, timeout: float) -> ProbeResult:
    """The same request, made by us: the check's own program is in its image, but not on this server."""
    asked = f"GET {url} (for `{question.asked}`: that program is not on this server)"
    try:
        with _DIRECT.open(url, timeout=timeout) as answer:
            return judge(asked, Executed(exit_code=0, output=f"answered {answer.status}"))
    except urllib.error.HTTPError as error:
        error.close()
        return judge(asked, Executed(exit_code=22, output=f"answered {error.code}"))
    except OSError as error:
        return judge(asked, Executed(exit_code=7, output=f"no answer: {error}"))


def _explanation(found: Found) -> str | None:
    launch, status = found.launch, found.status
    pids = proctable.members(launch.mark, status.pid, status.namespace)
    return explain_listening(proctable.listening(pids), launch.address, launch.port)


def _not_up(found: Found | None) -> ProbeResult:
    if found is None:
        return ProbeResult(state=HealthState.UNHEALTHY, asked="is it running", output="there is no such replica")
    status = found.status
    told = f"it is {status.state}, exit code {status.exit_code}"
    if status.oom_killed:
        told += ", killed because it used more memory than its limit"
    if status.restarts:
        told += f", restarted {status.restarts} times"
    return ProbeResult(state=HealthState.UNHEALTHY, asked="is it running", output=told, exit_code=status.exit_code)

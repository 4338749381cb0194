"""What runs: all of it, healthily, within bounds, back after a reboot, and with a way back."""

from __future__ import annotations

from havre.checks.launch.item import (
    Item,
    Judgement,
    beside_the_point,
    not_deployed,
    once_deployed,
    only_a_person,
    problem,
    seen,
)
from havre.checks.launch.scene import Scene
from havre.errors import Problem, Severity
from havre.model.diagnosis import Facts, ReplicaFacts
from havre.model.health import HealthState
from havre.model.images import known
from havre.model.launch import AppliedPolicy, Inside
from havre.model.log_level import level_of

BOUNDED = frozenset({"local", "journald", "none", "syslog", "fluentd", "gelf", "awslogs", "gcplogs", "splunk"})
"""Log drivers that bound what they keep here, or keep nothing here."""

COMES_BACK = frozenset({"always", "unless-stopped"})


def _services_run(scene: Scene, facts: Facts) -> Judgement:
    shown, problems = [], []
    for service in scene.case.services():
        running = [one for one in facts.of(service.name) if one.replica.is_running]
        restarts = sum(one.replica.restarts for one in running)
        shown.append(f"{service.name}: {len(running)} of {service.replicas} run, {restarts} restarts")
        if len(running) < service.replicas:
            problems.append(_too_few(service.name, len(running), service.replicas))
    codes = ("doctor-crash", "doctor-oom", "doctor-missing", "doctor-release-failed", "doctor-initialising")
    problems += [found for found in scene.findings if found.code in codes and found.severity is Severity.ERROR]
    assert facts.serving is not None
    return seen(f"release {facts.serving.number} serves", *shown, problems=problems)


def _too_few(service: str, running: int, wanted: int) -> Problem:
    return problem(f"{running} of {wanted} replicas run", f"`havre doctor {service}` says why", subject=service)


def _health(scene: Scene, facts: Facts) -> Judgement:
    shown, problems = [], []
    for service in scene.case.services():
        asked = [one for one in facts.of(service.name) if one.probe is not None]
        shown += [f"{one.name}: {_health_word(one)}" for one in asked]
        problems += [_nobody(service.name)] if service.replicas and not asked else []
        problems += [_unhealthy(one) for one in asked if _state(one) not in (HealthState.HEALTHY, HealthState.NONE)]
        if (
            service.health is None
            and _serves(scene, service.name)
            and any(_state(one) is HealthState.NONE for one in asked)
        ):
            problems.append(_unchecked(service.name))
    return seen(*shown, problems=problems)


def _state(one: ReplicaFacts) -> HealthState:
    return one.probe.state if one.probe else HealthState.NONE


def _serves(scene: Scene, service: str) -> bool:
    return any(route.service == service for route in scene.case.app.routes)


def _health_word(one: ReplicaFacts) -> str:
    assert one.probe is not None
    return f"{one.probe.state.value} ({one.probe.asked or 'no health check'})"[:160]


def _unhealthy(one: ReplicaFacts) -> Problem:
    assert one.probe is not None
    return problem(
        f"its health check says {one.probe.state.value}",
        f"`havre doctor {one.service}` says why",
        subject=one.name,
        evidence=tuple(one.probe.output.strip().splitlines()[-3:]),
    )


def _nobody(service: str) -> Problem:
    return problem("no replica runs that could be asked", f"`havre doctor {service}` says why", subject=service)


def _unchecked(service: str) -> Problem:
    return problem(
        "it serves visitors and has no health check",
        "add a `healthcheck` that asks the service itself",
        subject=service,
    )


def _logs_readable(scene: Scene, facts: Facts) -> Judgement:
    shown, problems = [], []
    for service in scene.case.services():
        lines = [text for one in facts.of(service.name) for _, text in one.lines if text.strip()]
        if not lines:
            shown.append(f"{service.name}: wrote nothing")
            continue
        stated = sum(level_of(line) is not None for line in lines)
        shown.append(f"{service.name}: {stated} of the last {len(lines)} lines state their level")
        if service.build is not None and known(service) is None and stated * 2 < len(lines):
            problems.append(_unstructured(service.name, stated, lines))
    return seen(*shown, "all of them: havre logs; by level: havre logs --level error", problems=problems)


def _unstructured(service: str, stated: int, lines: list[str]) -> Problem:
    return problem(
        f"only {stated} of its last {len(lines)} log lines state a level",
        "let the application log JSON, or at least the level of each line",
        subject=service,
        effect="`havre logs --level error` cannot find its errors",
    )


def _rotation(scene: Scene) -> Judgement:
    if not scene.policies:
        return not_deployed()
    shown = tuple(f"{one.service}.{one.slot}: {_bounds(one)}" for one in scene.policies)
    endless = [one for one in scene.policies if one.log_driver not in BOUNDED and not one.log_size]
    return seen(*shown, "the edge: 4 files of 64 MiB at most", problems=[_endless(one) for one in endless])


def _bounds(one: AppliedPolicy) -> str:
    return f"{one.log_driver}, {one.log_files or '1'} x {one.log_size}" if one.log_size else one.log_driver


def _endless(one: AppliedPolicy) -> Problem:
    return problem(
        f"the log of its running replica grows without end ({one.log_driver} without max-size)",
        'add `logging: {driver: json-file, options: {max-size: "10m", max-file: "3"}}`, then `havre deploy`',
        subject=f"{one.service}.{one.slot}",
        effect="one noisy service can fill the disk of all apps",
    )


def _reboot(scene: Scene) -> Judgement:
    """Docker, the containers, and the edge must all come back without a person."""
    if not scene.policies:
        return not_deployed()
    shown = [f"{one.service}.{one.slot}: restart {one.restart}" for one in scene.policies]
    problems = [_stays_down(one) for one in scene.policies if one.restart not in COMES_BACK]
    engine_problems, engine_line = _engine_at_boot(scene)
    boots = [one for one in scene.automations if one.brings_back()]
    shown += [engine_line, *(f"{one.place} runs at boot: {one.command}" for one in boots)]
    if not boots:
        problems.append(_edge_stays_down(scene))
    return seen(*shown, problems=[*problems, *engine_problems])


def _engine_at_boot(scene: Scene) -> tuple[list[Problem], str]:
    start = scene.startup
    if not scene.case.server or not scene.case.server.engine:
        return [], "the engine's replicas are brought back by havre itself"
    if start.docker_enabled:
        return [], f"Docker is started at boot by {start.init}"
    hint = "`systemctl enable docker`"
    return [problem("Docker is not started at boot", hint, subject="server")], f"process 1 is {start.init or 'unknown'}"


def _stays_down(one: AppliedPolicy) -> Problem:
    return problem(
        f"it stays down after a reboot (restart: {one.restart})",
        "add `restart: unless-stopped`, then `havre deploy`",
        subject=f"{one.service}.{one.slot}",
    )


def _edge_stays_down(scene: Scene) -> Problem:
    hint = "`havre boot install` enables a unit; without systemd put the line of `havre boot cron` into the crontab"
    effect = "after a reboot nothing answers until somebody runs a command" if scene.case.app.routes else ""
    return problem("nothing brings the edge and its routes back after a reboot", hint, subject="edge", effect=effect)


def _way_back(scene: Scene, facts: Facts) -> Judgement:
    if scene.way_back is None:
        assert facts.serving is not None
        return beside_the_point(f"release {facts.serving.number} is the first: there is nothing to go back to")
    back = scene.way_back
    if back.missing:
        return seen(problems=[_no_way_back(back.number, back.missing)])
    return seen(f"release {back.number} can be brought back: its images are here, its configuration is sealed")


def _no_way_back(number: int, missing: tuple[str, ...]) -> Problem:
    return problem(
        f"release {number} cannot be brought back",
        "keep its images (do not prune), or raise `keep_releases`",
        evidence=missing,
        effect="when this release turns out to be bad, there is no quick way back",
    )


def _cpu_only(scene: Scene, _facts: Facts) -> Judgement:
    looked = [one for one in scene.inside if one.frameworks is not None]
    if not looked:
        return only_a_person("no replica's files could be listed")
    shown = tuple(f"{one.service}: {_libraries(one)}" for one in looked)
    wants_gpu = {service.name for service in scene.case.project.services if _reserves_gpu(service.options)}
    heavy = [one for one in looked if one.accelerators and one.service not in wants_gpu]
    return seen(*shown, problems=[_gpu_libraries(one) for one in heavy])


def _libraries(one: Inside) -> str:
    frameworks = ", ".join(one.frameworks or ()) or "no machine-learning framework"
    return f"{frameworks}; {len(one.accelerators)} GPU libraries"


def _reserves_gpu(options: object) -> bool:
    return "nvidia" in str(options) or "'gpu'" in str(options)


def _gpu_libraries(one: Inside) -> Problem:
    return problem(
        "its image carries GPU libraries that nothing here uses",
        "install the CPU build: `pip install torch --index-url https://download.pytorch.org/whl/cpu`",
        subject=one.service,
        evidence=one.accelerators[:6],
        effect="gigabytes more to store and to pull with every release",
    )


ITEMS = (
    Item(
        id="services-run",
        title="all services run",
        doc="Replicas that run now against those wanted, and what the doctor says of crashes and kills for memory.",
        judge=once_deployed(_services_run),
        promised=("L50", "C81"),
    ),
    Item(
        id="health-checks",
        title="health checks pass",
        doc="Every replica's own health check, run now; a service that visitors reach must have one.",
        judge=once_deployed(_health),
        promised=("L51", "C76"),
    ),
    Item(
        id="logs-readable",
        title="logs can be read and filtered",
        doc="The last lines of every replica: services built here must state levels, as JSON or as a word.",
        judge=once_deployed(_logs_readable),
        promised=("L55",),
    ),
    Item(
        id="log-bounds",
        title="logs are rotated",
        doc="The log driver and its bounds that the engine applied to every running replica, not what the files say.",
        judge=_rotation,
        promised=("C80", "T39"),
        looks=("policies",),
    ),
    Item(
        id="reboot",
        title="everything comes back after a reboot",
        doc="Docker is enabled at boot, running replicas have a restart policy, and something brings the edge back.",
        judge=_reboot,
        promised=("C81", "C5"),
        looks=("policies", "startup", "automations"),
    ),
    Item(
        id="rollback",
        title="there is a way back to the release before",
        doc="The earlier release's images are looked for on this server, and its sealed configuration is opened.",
        judge=once_deployed(_way_back),
        promised=("L58",),
        looks=("way_back",),
    ),
    Item(
        id="cpu-only",
        title="images carry no GPU libraries that nothing uses",
        doc=(
            "The files of a running replica of each service are searched for CUDA, ROCm and GPU builds of "
            "machine-learning frameworks; services that reserve a GPU may have them."
        ),
        judge=once_deployed(_cpu_only),
        promised=("L49",),
        looks=("inside",),
        asks="Do the images carry CPU builds only?",
    ),
)

"""Who watches and who knows what to do: what can be seen of it, and what only a person can say."""

from __future__ import annotations

from collections.abc import Callable

from havre.checks.launch.item import Item, Judgement, Level, by_checks, only_a_person, problem, seen
from havre.checks.launch.scene import Scene

Look = Callable[[Scene], Judgement]


def _monitoring(scene: Scene) -> Judgement:
    if not scene.watchers:
        return only_a_person("nothing that watches runs on this server")
    shown = tuple(f"{one.name} at {one.place}: {'answers' if one.answers else one.detail}" for one in scene.watchers)
    silent = [one for one in scene.watchers if not one.answers]
    hint = "`havre doctor` says why"
    return seen(*shown, problems=[problem("it does not answer", hint, subject=one.name) for one in silent])


def _alerting(scene: Scene) -> Judgement:
    told = scene.case.app.notify
    managers = [one for one in scene.watchers if one.name.startswith("alertmanager")]
    if managers and all(one.answers for one in managers):
        return seen(*(f"{one.name} answers at {one.place}" for one in managers))
    if told:
        return seen(f"{len(told)} receivers in `notify`")
    return only_a_person("no Alertmanager runs here and `notify` names nobody")


def _status_page(scene: Scene) -> Judgement:
    page = scene.case.app.support.status_page
    return only_a_person(
        "a page about this server is best kept on another", *([f"support.status_page: {page}"] if page else [])
    )


def _written(key: str, what: str) -> Look:
    def judge(scene: Scene) -> Judgement:
        place = getattr(scene.case.app.support, key)
        return only_a_person(
            f"whether {what} is right, only a person can say", *([f"support.{key}: {place}"] if place else [])
        )

    return judge


def _asked(reason: str) -> Look:
    return lambda _scene: only_a_person(reason)


def _updates(scene: Scene) -> Judgement:
    by = scene.startup.updates
    return (
        seen(f"security updates are installed by {by}") if by else only_a_person("nothing installs updates by itself")
    )


def _intrusion(scene: Scene) -> Judgement:
    by = scene.startup.intrusion
    return seen(f"{by} runs") if by else only_a_person("no fail2ban, CrowdSec or the like runs here")


def _server_fits(scene: Scene) -> Judgement:
    server = scene.case.server
    system = server.system.name if server and server.system else "unknown"
    evidence = (f"{system}, {server.cpus} CPUs, {server.engine or 'no Docker'}",) if server else ()
    ids = ("server-needs", "server-system", "memory-admission", "disk-space")
    return by_checks(scene, *ids, evidence=evidence)


ITEMS = (
    Item(
        id="server",
        title="the server has what the app needs",
        doc="`server.needs`, the operating system, memory admission and disk space, as `havre check` judges them.",
        judge=_server_fits,
        promised=("C3", "S1", "T6", "T49"),
    ),
    Item(
        id="monitoring",
        title="it is monitored",
        doc="Monitoring services of the app and the edge's metrics are asked; of others only a person knows.",
        judge=_monitoring,
        promised=("L56", "C75", "S39"),
        looks=("watchers",),
        asks="What monitors this app?",
    ),
    Item(
        id="external-monitor",
        title="somebody outside looks too",
        doc="A monitor on this server cannot tell that the server is gone.",
        judge=_asked("what watches from outside is not on this server"),
        promised=("C84",),
        asks="Which service outside asks the app, and how often?",
    ),
    Item(
        id="alerting",
        title="somebody is told",
        doc="An Alertmanager that answers, or receivers in `notify`.",
        judge=_alerting,
        promised=("C85",),
        looks=("watchers",),
        asks="Who is told at night, and was it tried?",
    ),
    Item(
        id="status-page",
        title="users can see whether it works",
        doc="`support.status_page` names it.",
        judge=_status_page,
        promised=("C89", "C70"),
        asks="Where is the public status page?",
        level=Level.RECOMMENDED,
    ),
    Item(
        id="security-updates",
        title="security updates are installed",
        doc="unattended-upgrades or dnf-automatic, enabled; else a person says how.",
        judge=_updates,
        promised=("M54",),
        looks=("startup",),
        asks="Who installs security updates, and how often?",
        days=60,
    ),
    Item(
        id="intrusion",
        title="attempts to break in are noticed",
        doc="fail2ban, CrowdSec, sshguard or an intrusion detection system that runs.",
        judge=_intrusion,
        promised=("M50",),
        looks=("startup",),
        asks="What notices attempts to break in?",
        level=Level.RECOMMENDED,
    ),
    Item(
        id="firewall-web",
        title="a web application firewall, where one is needed",
        doc="Whether the app needs one is a decision of people.",
        judge=_asked("whether one is needed is a decision"),
        promised=("M48",),
        asks="Is a web application firewall needed, and where is it?",
        level=Level.RECOMMENDED,
        days=365,
    ),
    Item(
        id="environments-apart",
        title="environments have their own variables",
        doc="Staging must not hold production's secrets.",
        judge=_asked("whether another environment shares this one's secrets, its own files say"),
        promised=("M44",),
        asks="Has every environment secrets and keys of its own?",
        level=Level.RECOMMENDED,
    ),
    Item(
        id="documentation",
        title="the documentation is current",
        doc="`support.documentation` names it.",
        judge=_written("documentation", "the documentation"),
        promised=("C83",),
        asks="Is the documentation right for this release?",
        days=90,
    ),
    Item(
        id="runbook",
        title="there is a runbook for incidents",
        doc="`support.runbook` names it.",
        judge=_written("runbook", "the runbook"),
        promised=("C87",),
        asks="Where is the incident runbook, and was it tried?",
    ),
    Item(
        id="team-trained",
        title="the team knows the procedures",
        doc="Deploy, rollback, restore: somebody other than the author has done each once.",
        judge=_asked("no server knows what people know"),
        promised=("C88",),
        asks="Who was trained on deploy, rollback and restore?",
    ),
)

"""Who watches and who knows what to do: what can be seen of it, and what only a person can say."""

from __future__ import annotations

from urllib.parse import urlsplit

from havre.checks.launch.item import Item, Judge, Judgement, Level, by_checks, only_a_person, problem, seen
from havre.checks.launch.scene import Scene
from havre.checks.requirements import clock_runs_free
from havre.errors import Problem
from havre.model.launch import Neighbour, Operators, Page, Watcher
from havre.model.units import show_seconds

STALLED_AFTER = 8 * 86400
"""Seconds; what installs updates by itself does so every day."""

MANY_ATTEMPTS = 50
"""Failed logins a day that are more than mistyped passwords."""


def _monitoring(scene: Scene) -> Judgement:
    if not scene.watchers:
        return only_a_person("nothing that watches runs on this server")
    shown = tuple(f"{one.name} at {one.place}: {'answers' if one.answers else one.detail}" for one in scene.watchers)
    silent = [one for one in scene.watchers if not one.answers]
    return seen(*shown, problems=[_silent(one) for one in silent])


def _alerting(scene: Scene) -> Judgement:
    managers = [one for one in scene.watchers if one.name.startswith("alertmanager")]
    if not managers:
        unheard = ["`notify` of havre.yaml sends nothing yet"] if scene.case.app.notify else []
        return only_a_person("no Alertmanager runs here", *unheard)
    shown = tuple(f"{one.name} at {one.place}: {'answers' if one.answers else one.detail}" for one in managers)
    silent = [one for one in managers if not one.answers]
    return seen(*shown, problems=[_silent(one) for one in silent])


def _silent(one: Watcher) -> Problem:
    return problem("it does not answer", f"`havre doctor {one.name}` says why", subject=one.name)


def _status_page(scene: Scene) -> Judgement:
    page = _page(scene, "status_page")
    if page is None:
        return only_a_person("`support.status_page` in havre.yaml names none")
    if page.problem:
        return seen(problems=[_not_found(page)])
    host = urlsplit(page.place).hostname
    if host in scene.hosts:
        return seen(problems=[_on_this_server(page)])
    return seen(f"{page.place} answers")


def _on_this_server(page: Page) -> Problem:
    return problem(
        f"the status page {page.place} is served by this very server",
        "keep it elsewhere, and name that in `support.status_page`",
        effect="when the server is gone, so is the page that would say it",
    )


def _written(key: str, what: str) -> Judge:
    """A place that is named must be there; whether what it says is right, a person knows."""

    def judge(scene: Scene) -> Judgement:
        page = _page(scene, key)
        if page is not None and page.problem:
            return seen(problems=[_not_found(page)])
        named = [f"support.{key}: {page.place}"] if page else [f"`support.{key}` in havre.yaml names no place"]
        return only_a_person(f"whether {what} is right, only a person can say", *named)

    return judge


def _page(scene: Scene, key: str) -> Page | None:
    return next((one for one in scene.pages if one.key == key), None)


def _not_found(page: Page) -> Problem:
    return problem(
        f"{page.place} cannot be found",
        f"put it there, or correct `support.{page.key}` in havre.yaml",
        evidence=(page.problem,),
        effect="whoever has to help at night looks there first",
    )


def _asked(reason: str) -> Judge:
    return lambda _scene: only_a_person(reason)


def _updates(scene: Scene) -> Judgement:
    start = scene.startup
    if start.awaits_reboot:
        return seen(problems=[_reboot_first()])
    if not start.updates:
        return only_a_person("nothing installs updates by itself")
    age = scene.now - start.updated if start.updated is not None else 0.0
    last = f", last {show_seconds(age)} ago" if start.updated is not None else ""
    stalled = [_stalled(start.updates, age)] if age > STALLED_AFTER else []
    return seen(f"security updates are installed by {start.updates}{last}", problems=stalled)


def _reboot_first() -> Problem:
    return problem(
        "an update that is installed waits for a reboot",
        "reboot when it suits; `havre boot` says whether all comes back by itself",
        subject="server",
        evidence=("/run/reboot-required is there",),
        effect="until then the old kernel or library runs, with its holes",
    )


def _stalled(by: str, age: float) -> Problem:
    return problem(
        f"{by} is enabled and has done nothing for {show_seconds(age)}",
        "`systemctl list-timers 'apt-*'` and `unattended-upgrade --dry-run -v` say why",
        subject="server",
        effect="known holes stay open",
    )


def _intrusion(scene: Scene) -> Judgement:
    start = scene.startup
    shown = [f"{start.attempts} logins failed within a day"] if start.attempts is not None else []
    if start.intrusion:
        return seen(f"{start.intrusion} runs", *shown)
    if start.attempts is not None and start.attempts > MANY_ATTEMPTS:
        return seen(*shown, problems=[_unnoticed(start.attempts)])
    return only_a_person("no fail2ban, CrowdSec or the like runs here", *shown)


def _unnoticed(attempts: int) -> Problem:
    return problem(
        f"{attempts} logins to this server failed within a day, and nothing notices them",
        "install fail2ban (`apt-get install fail2ban`), or allow SSH by key only",
        subject="server",
        effect="somebody may try passwords for as long as it takes",
    )


def _operators(scene: Scene) -> Judgement:
    """Whoever may use Docker is as good as root; nobody should have to be root to deploy."""
    who = scene.operators
    admins = f"may become root: {', '.join(who.admins) or 'nobody but root'}"
    if not who.socket:
        return only_a_person("no Docker Engine's socket is shared with a group here", admins)
    if who.is_open_to_all:
        return seen(admins, problems=[_open_socket(who)])
    if not who.users:
        return only_a_person(f"only root may use {who.socket}: group {who.group} has no members", admins)
    return seen(f"may use Docker: {', '.join(who.users)} (group {who.group})", admins)


def _open_socket(who: Operators) -> Problem:
    return problem(
        f"everybody with an account on this server may use {who.socket}",
        f"`sudo chmod o-rw {who.socket}`, and `sudo usermod -aG {who.group} USER` for who deploys",
        subject="server",
        effect="any program of any account here can become root through Docker",
    )


def _apart(scene: Scene) -> Judgement:
    if not scene.neighbours:
        return only_a_person("no other environment of this app runs on this server")
    shown = tuple(f"{one.instance} shares {', '.join(one.shared) or 'no secret'}" for one in scene.neighbours)
    return seen(*shown, problems=[_shares(one) for one in scene.neighbours if one.shared])


def _shares(one: Neighbour) -> Problem:
    return problem(
        f"{one.instance} has the same value of {', '.join(one.shared)}",
        f"`havre secrets rotate {one.shared[0]}` here gives this environment a value of its own",
        subject=one.instance,
        effect="whoever gets into the one environment is in the other as well",
    )


def _server_fits(scene: Scene) -> Judgement:
    server = scene.case.server
    system = server.system.name if server and server.system else "unknown"
    evidence = (f"{system}, {server.cpus} CPUs, {server.engine or 'no Docker'}",) if server else ()
    ids = ("server-needs", "server-system", "memory-admission", "disk-space")
    return by_checks(scene, *ids, evidence=evidence)


def _clock(scene: Scene) -> Judgement:
    system = scene.case.server.system if scene.case.server else None
    if system is None or system.clock_in_step is None:
        return only_a_person("this system does not say what keeps its clock")
    if not system.clock_in_step:
        return Judgement(problems=(clock_runs_free(),))
    return Judgement(evidence=("the kernel's clock is kept in step",))


ITEMS = (
    Item(
        id="server",
        title="the server has what the app needs",
        doc="`server.needs`, the operating system, memory admission and disk space, as `havre check` judges them.",
        judge=_server_fits,
        promised=("C3", "S1", "T6", "T49"),
    ),
    Item(
        id="clock",
        title="the server's clock is right",
        doc="The kernel is asked whether chrony, systemd-timesyncd, ntpd or the like corrects its clock.",
        judge=_clock,
        promised=("C5",),
        asks="What keeps this server's clock right?",
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
        doc="An Alertmanager of the app must answer; who is told by other means, only a person knows.",
        judge=_alerting,
        promised=("C85",),
        looks=("watchers",),
        asks="Who is told at night, and was it tried?",
    ),
    Item(
        id="status-page",
        title="users can see whether it works",
        doc="`support.status_page` names it; it is asked, and must not be served by this server itself.",
        judge=_status_page,
        promised=("C89", "C70"),
        looks=("pages",),
        asks="Where is the public status page?",
        level=Level.RECOMMENDED,
    ),
    Item(
        id="security-updates",
        title="security updates are installed",
        doc=(
            "unattended-upgrades or dnf-automatic, enabled, at work within a week, and no update that waits for a "
            "reboot; else a person says how."
        ),
        judge=_updates,
        promised=("M54",),
        looks=("startup",),
        asks="Who installs security updates, and how often?",
        days=60,
    ),
    Item(
        id="intrusion",
        title="attempts to break in are noticed",
        doc=(
            "fail2ban, CrowdSec, sshguard or an intrusion detection system that runs. Where none does and more than 50 "
            "logins failed within a day, somebody is trying and nothing notices."
        ),
        judge=_intrusion,
        promised=("M50",),
        looks=("startup",),
        asks="What notices attempts to break in?",
        level=Level.RECOMMENDED,
    ),
    Item(
        id="operators",
        title="those who deploy may use the engine, and nobody else",
        doc=(
            "The members of the group that owns Docker's socket, and of sudo, wheel or admin, by the book of groups. A "
            "socket that everybody may write to fails: Docker is as good as root."
        ),
        judge=_operators,
        promised=("C6",),
        looks=("operators",),
        asks="Who deploys, and as which user?",
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
        doc="The secrets of every environment of the app on this server are compared; the values are never shown.",
        judge=_apart,
        promised=("M44",),
        looks=("neighbours",),
        asks="Has every environment secrets and keys of its own?",
        level=Level.RECOMMENDED,
    ),
    Item(
        id="documentation",
        title="the documentation is current",
        doc="What `support.documentation` names must be there; whether it is right, a person says.",
        judge=_written("documentation", "the documentation"),
        promised=("C83",),
        looks=("pages",),
        asks="Is the documentation right for this release?",
        days=90,
    ),
    Item(
        id="runbook",
        title="there is a runbook for incidents",
        doc="What `support.runbook` names must be there; whether it is right, a person says.",
        judge=_written("runbook", "the runbook"),
        promised=("C87",),
        looks=("pages",),
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

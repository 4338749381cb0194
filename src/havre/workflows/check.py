"""Check: gather facts about the server, files and images, and say all that is wrong before anything is touched."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from havre.checks.binds import paths_of
from havre.checks.case import Case
from havre.checks.claims import claims_of
from havre.checks.launch import ITEM_IDS
from havre.checks.registry import ALL
from havre.checks.report import Report, Waived, run_checks
from havre.checks.sources import mentions_in
from havre.checks.written import is_env_with_secrets, secrets_written
from havre.compose.environment import Environment, read_variables
from havre.compose.findings import Findings
from havre.compose.keys import OLDEST_API
from havre.compose.report import Report as ComposeReport
from havre.compose.report import compose_report
from havre.compose.tree import Sources
from havre.edge.certificate_files import own_problems
from havre.engines.base import AddressPools
from havre.engines.images import context_files, dockerfile_path, ignore_file, ignore_rules, is_remote
from havre.engines.process.known import family_of, known_images
from havre.errors import HavreError, Problem, Severity
from havre.host import clock
from havre.host.commands import find_program, run
from havre.host.schedule import longest_gap
from havre.model.app import App
from havre.model.fingerprint import fingerprint
from havre.model.observed import Observed
from havre.model.project import Build, Project
from havre.model.server import BuildFact, DiskNeed, FileFacts, PathFact, ServerFacts, VariableFact
from havre.store.instances import StoredClaim
from havre.workflows.configurations import try_configurations
from havre.workflows.disk_needs import disk_needs
from havre.workflows.image_programs import find_programs
from havre.workflows.image_secrets import find_secrets
from havre.workflows.intent import Intent
from havre.workflows.ledger import places_of_data, server_now
from havre.workflows.routing import Inside, app_edge
from havre.workflows.server import Server
from havre.workflows.settings import read_settings
from havre.workflows.sources import read_script, scripts_among, source_texts

MOST_FILES = 20_000
"""Entries of a build context, or of the project's directory, beyond which nobody looks."""

WAIVED = "waived"
"""The code of notes about problems that the user set aside."""

PROGRAMS_FILE = "image-programs.json"
SECRETS_FILE = "secrets-in-images.json"
_INSTALLED = frozenset({"package.json", "package-lock.json"})
_OF_THIS_MACHINE = (".git", "node_modules", ".venv", "venv", "__pycache__", ".next")
_NOT_SOURCES = frozenset({".git", "node_modules", ".venv", "__pycache__", ".next", "dist"})
_SENSITIVE = ("*.env", ".env*", "*.db", "*.sqlite", "*.sqlite3", "*.pem", "*.key", "id_rsa", "id_ed25519")
_TEMPLATES = ("example", "sample", "template", "dist", "defaults")


def check(server: Server, intent: Intent, observed: Observed) -> Sequence[Problem]:
    """What `propose` asks: the Compose keys that are refused, the checks' problems, errors first; what is waived."""
    found = report(server, intent, observed)
    return (*treatment_of_keys(server, intent).problems, *found.problems, *map(_waived, found.waived))


def _waived(waived: Waived) -> Problem:
    """A waiver at work is shown with every plan, and the release records it."""
    until = f" until {waived.waiver.until}" if waived.waiver.until else ""
    return replace(
        waived.problem,
        summary=f"{waived.problem.code} waived{until}: {waived.problem.summary}",
        evidence=(f"reason: {waived.waiver.reason}",),
        severity=Severity.NOTE,
        code=WAIVED,
    )


def treatment_of_keys(server: Server, intent: Intent) -> ComposeReport:
    """What becomes of every Compose key on this server's engine; nothing to say of a release's record."""
    api_version = getattr(server.engine, "api_version", OLDEST_API)
    if intent.loaded is None:
        return ComposeReport(engine=server.engine.name, api_version=api_version, uses=())
    return compose_report(intent.loaded, server.engine.name, api_version)


def report(server: Server, intent: Intent, observed: Observed) -> Report:
    """Every check over everything known, with waivers applied."""
    return run_checks(gather(server, intent, observed), ALL, today=today(), also_known=ITEM_IDS)


def gather(server: Server, intent: Intent, observed: Observed) -> Case:
    """All facts, gathered now."""
    address, http, https = server.traffic.entrance()
    needs = disk_needs(server, intent, observed)
    return Case.of(
        intent.app,
        intent.project,
        intent.loaded,
        server=look_at_server(server, needs),
        disk_needs=needs,
        pools=server.engine.address_pools() if isinstance(server.engine, AddressPools) else (),
        observed=observed,
        files=look_at_files(
            intent.app, intent.project, from_source=server.engine.name == "process", state=server.state.directory
        ),
        variables=read_env_files(intent.app),
        has_tool=find_programs(server.engine, intent.project, observed, server.state.directory / PROGRAMS_FILE),
        refused=try_configurations(server, intent.app, intent.project, observed),
        certificate=own_problems(app_edge(intent.app, intent.project, Inside(), {}, ends_tls=server.ends_tls)),
        baked=find_secrets(server.engine, intent.project, observed, server.state.directory / SECRETS_FILE),
        peaks=_peaks(server, intent),
        between_backups=_between_backups(intent.app),
        **(_without_docker(intent, observed) if server.engine.name == "process" else {}),
        edge_address=address,
        edge_ports=(http, https) if https else (http,),
        reserve=read_settings(server.state.directory).reserve,
        changed=frozenset(_replaced(intent, observed)),
    )


def _between_backups(app: App) -> tuple[tuple[str, float], ...]:
    now = clock.now()
    return tuple(
        (policy.service, longest_gap(policy.schedule, now))
        for policy in app.backups
        if policy.schedule and policy.rpo is not None
    )


def _without_docker(intent: Intent, observed: Observed) -> Mapping[str, Any]:
    """What is different where services are plain processes: an image must be prepared, promoted, or one it knows."""
    here = {name for name, _ in intent.named} | {image.reference for image in observed.images}

    def what_is_known(image: str) -> str:
        return "" if image in here or family_of(image) else known_images()

    what = {"bounded_logs": True, "on_the_server": True, "own_addresses": True}
    return {**what, "knows_images": what_is_known}


def look_at_server(server: Server, needs: Sequence[DiskNeed] = ()) -> ServerFacts:
    """The machine and the claims of every instance on it."""
    facts = server_now(server.state, places_of_data(server.state, [server.engine], needs))
    is_docker = server.engine.name == "docker"
    return replace(facts, engine=server.engine.describe().partition(" (")[0]) if is_docker else facts


def claims_to_keep(case: Case) -> tuple[StoredClaim, ...]:
    """What a release of this case claims, for the server-wide book."""
    return tuple(
        StoredClaim(instance=claim.instance, kind=claim.kind, value=claim.value, detail=claim.detail)
        for claim in claims_of(case)
    )


def look_at_files(app: App, project: Project, *, from_source: bool = False, state: Path | None = None) -> FileFacts:
    """The files around a project: mounts, build contexts, and what git knows of sensitive ones.

    `from_source` is for an engine that needs no Dockerfile to run what lies in a build context.
    """
    directory = Path(app.directory)
    in_git, tracked, exposed = _look_at_git(directory)
    return FileFacts(
        is_complete=True,
        paths=tuple(_path_fact(Path(path), directory) for path in paths_of(project)),
        builds=tuple(_build_facts(project, directory, state, from_source=from_source)),
        in_git=in_git,
        tracked=tracked,
        exposed=exposed,
    )


def read_env_files(app: App) -> tuple[VariableFact, ...]:
    """What the app's env files set, with the lines that set it; files that cannot be read are loading's to tell."""
    shown = app.env_files or (".env",)
    paths = [(Path(app.directory) / name, name) for name in shown]
    contents = [(path.read_bytes(), name) for path, name in paths if path.is_file()]
    found = read_variables(contents, Environment.of({}), Findings(Sources()))
    return tuple(
        VariableFact(
            name=name,
            value=variable.value,
            source=variable.source,
            file=variable.at.file if variable.at else "",
            line=variable.at.line if variable.at else 0,
        )
        for name, variable in sorted(found.items())
    )


def today() -> str:
    """The date by this server's clock, as waivers write it."""
    return clock.show_time(clock.now())[:10]


def _replaced(intent: Intent, observed: Observed) -> Iterator[str]:
    """The services of which new replicas will run beside old ones."""
    for service in intent.project.services:
        image = observed.image(service.image)
        wanted = (fingerprint(service, tuple(intent.files.get(service.name, ()))), image.id if image else "")
        running = [replica for replica in observed.of_service(service.name) if replica.is_running]
        if any((replica.fingerprint, replica.image_id) != wanted for replica in running):
            yield service.name


def _peaks(server: Server, intent: Intent) -> tuple[tuple[str, int], ...]:
    """The most memory any replica of each service has used; asked only where some service has no limit."""
    peaks: dict[str, int] = {}
    if all(service.resources.memory for service in intent.project.services):
        return ()
    for usage in server.engine.usage(intent.app.instance):
        peaks[usage.service] = max(peaks.get(usage.service, 0), usage.memory_peak or usage.memory or 0)
    return tuple(sorted(peaks.items()))


def _path_fact(path: Path, directory: Path) -> PathFact:
    try:
        mode = path.stat().st_mode
    except OSError:
        return PathFact(path=str(path), kind="missing", similar=tuple(_similar(path, directory)))
    kind = "directory" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "other"
    script = read_script(path, _shown(path, directory)) if kind == "file" else None
    return PathFact(path=str(path), kind=kind, script=script)


def _similar(path: Path, directory: Path) -> list[str]:
    """Files of that name elsewhere in the project, nearest first; else of a name much like it."""
    files = list(_files_below(directory))
    same = [found for found in files if found.name == path.name]
    if not same:
        by_name = {found.name: found for found in reversed(files)}
        same = [by_name[name] for name in get_close_matches(path.name, by_name, n=2, cutoff=0.8)]
    return [str(found) for found in sorted(same, key=lambda found: (len(found.parts), str(found)))[:3]]


def _files_below(directory: Path) -> Iterator[Path]:
    left = MOST_FILES
    for folder, folders, names in os.walk(directory):
        folders[:] = sorted(set(folders) - _NOT_SOURCES)
        for name in sorted(names):
            yield Path(folder) / name
            left -= 1
        if left < 0:
            return


def _build_facts(project: Project, directory: Path, state: Path | None, *, from_source: bool) -> Iterator[BuildFact]:
    """One for each service that is built here; a context that several share is read once."""
    seen: dict[tuple[str, str, str | None], BuildFact] = {}
    for service in project.services:
        build = service.build
        if build is None or is_remote(build.context):
            continue
        read = (build.context, build.dockerfile, build.dockerfile_inline)
        if read not in seen:
            seen[read] = _build_fact(service.name, build, directory, from_source=from_source)
        yield replace(seen[read], service=service.name, state=_state_within(build, state))


def _state_within(build: Build, state: Path | None) -> str:
    """Where Havre's own directory lies in a context that takes it along; empty otherwise."""
    context = Path(build.context).absolute()
    if state is None or not state.absolute().is_relative_to(context):
        return ""
    name = state.absolute().relative_to(context).as_posix()
    return "" if ignore_rules(build).ignores(name) else name


def _build_fact(service: str, build: Build, directory: Path, *, from_source: bool) -> BuildFact:
    context, dockerfile = Path(build.context), dockerfile_path(build)
    shown = _shown(dockerfile, directory)
    if not context.is_dir():
        return BuildFact(service=service, dockerfile=shown, context_exists=False)
    text = build.dockerfile_inline
    if text is None and dockerfile.is_file():
        text = dockerfile.read_text(errors="replace")
    if text is None and from_source:
        text = ""
    entries = tuple(context_files(build))
    sent = {entry.name for entry in entries}
    sources = tuple(source_texts(entries))
    present = {str(path.relative_to(context)) for path in _files_below(context)}
    is_listed = len(sent) < MOST_FILES
    return BuildFact(
        service=service,
        dockerfile=shown,
        text=text,
        files=frozenset(sent) if is_listed else None,
        ignored=frozenset(present - sent),
        texts=tuple(
            (name, (context / name).read_text(errors="replace")) for name in sorted(sent) if _says_packages(name)
        ),
        mentions=mentions_in(text for _, text in sources),
        context="" if context == directory else _shown(context, directory),
        ignore_file=_shown(ignore_file(build), directory),
        of_this_machine=tuple(name for name in _OF_THIS_MACHINE if any(_lies_in(path, name) for path in sent)),
        scripts=tuple(scripts_among(entries)),
        written=secrets_written(sources, _shown(context, directory)),
        env_secrets=frozenset(name for name, text in sources if is_env_with_secrets(name, text)),
    )


def _lies_in(path: str, name: str) -> bool:
    return path == name or path.startswith(f"{name}/") or f"/{name}/" in path


def _shown(path: Path, directory: Path) -> str:
    return str(path.relative_to(directory)) if path.is_relative_to(directory) else str(path)


def _says_packages(name: str) -> bool:
    return name.rsplit("/", 1)[-1] in _INSTALLED and "node_modules/" not in name


def _look_at_git(directory: Path) -> tuple[bool, frozenset[str], frozenset[str]]:
    """(in a work tree, sensitive files git tracks, env files it neither tracks nor ignores)."""
    if find_program("git") is None:
        return False, frozenset(), frozenset()
    # Root looks at a user's work tree: say that it is meant, and run nothing the work tree names.
    base = ["git", "-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-C", str(directory), "ls-files", "-z"]
    patterns = [f":(glob)**/{pattern}" for pattern in _SENSITIVE]
    try:
        tracked = run([*base, "--", *patterns], check=False, timeout=10)
        exposed = run([*base, "--others", "--exclude-standard", "--", *patterns[:2]], check=False, timeout=10)
    except HavreError:
        return False, frozenset(), frozenset()
    return tracked.exit_code == 0, _names(tracked.stdout, directory), _names(exposed.stdout, directory)


def _names(output: str, directory: Path) -> frozenset[str]:
    names = [name for name in output.split("\0") if name]
    return frozenset(str(directory / name) for name in names if not any(word in name for word in _TEMPLATES))

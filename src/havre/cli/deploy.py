"""`havre plan` and `havre deploy`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import click

from havre.cli.boot import survive_reboots
from havre.cli.options import Chosen, app_options, json_option, wait_option, yes_option
from havre.cli.progress import Progress
from havre.cli.recover import settle_first
from havre.cli.session import engine_found, environment, load, open_server
from havre.cli.show import is_terminal, problem_as_dict, say, show_json, show_problem, show_problems, wrapped
from havre.errors import Problem, RefusedError, Severity
from havre.model.plan import Plan, Safeguard
from havre.model.release import Release
from havre.model.units import show_seconds
from havre.workflows.check import check
from havre.workflows.deploy import Choices, Proposal, apply, propose
from havre.workflows.perform import TakeSnapshot
from havre.workflows.server import Server


def plan_options(function: click.decorators.FC) -> click.decorators.FC:
    """What `plan` and `deploy` both accept."""
    function = click.option(
        "--force",
        multiple=True,
        metavar="SERVICE",
        help="Replace this service even if unchanged; repeatable.",
    )(function)
    function = click.option("--pull", is_flag=True, help="Ask the registry for newer images first.")(function)
    return click.option("--keep-orphans", is_flag=True, help="Leave services that are no longer in the file running.")(
        function
    )


@click.command("plan")
@plan_options
@json_option
@app_options
def plan_command(chosen: Chosen, force: tuple[str, ...], pull: bool, keep_orphans: bool, as_json: bool) -> None:
    """Say what a deploy would do: every step, why, and what waits for what. Nothing is changed.

    \b
    Examples:
      havre plan
      havre plan -e staging
      havre plan --json | jq '.steps[].step'
    """
    intent = load(chosen)
    server = open_server(chosen, intent.app)
    proposal = propose(server, intent, Choices(force=force, pull=pull, remove_orphans=not keep_orphans), check=check)
    if as_json:
        show_json(_as_json(proposal))
    else:
        show_engine(engine_found(chosen, intent.app, server))
        show_proposal(proposal)
        _warn_without_key(server, proposal)


@click.command("deploy")
@plan_options
@yes_option
@wait_option
@json_option
@app_options
def deploy_command(
    chosen: Chosen,
    force: tuple[str, ...],
    pull: bool,
    keep_orphans: bool,
    yes: bool,
    wait: float,
    as_json: bool,
) -> None:
    """Make this server match the Compose file.

    New replicas start beside the old ones and are proven; then all traffic moves in one step, is verified as a
    user would reach it, and the old replicas drain. When anything fails before that step, the new replicas
    go and the old ones keep serving; when it fails after, the routes go back.

    \b
    Examples:
      havre deploy                 show the plan, ask, do it
      havre deploy -y -e staging   for scripts and CI
    """
    intent = load(chosen)
    server = open_server(chosen, intent.app)
    settle_first(server, intent.app.instance, wait=wait, quiet=as_json)
    proposal = propose(server, intent, Choices(force=force, pull=pull, remove_orphans=not keep_orphans), check=check)
    if not as_json:
        show_engine(engine_found(chosen, intent.app, server))
    release_as_proposed(server, proposal, ask="Apply to", yes=yes, wait=wait, as_json=as_json)


def release_as_proposed(server: Server, proposal: Proposal, *, ask: str, yes: bool, wait: float, as_json: bool) -> None:
    """How every command that releases something ends: show the plan, ask, carry it out, say what serves.

    The first release of an app, by whatever command, is also made to survive reboots.
    """
    if not as_json:
        show_proposal(proposal)
    if proposal.plan.is_empty:
        if as_json:
            show_json({"instance": proposal.intent.app.instance, "changed": False})
        return
    _refuse_without_key(server, proposal)
    confirm(server, yes=yes, what=f"{ask} {server.machine}?")
    release = carry_out(server, proposal, wait=wait, quiet=as_json)
    if as_json:
        show_json(release)
    else:
        show_release(release)
    survive_reboots(server.state, release, quiet=as_json)


def confirm(server: Server, *, yes: bool, what: str) -> None:
    """Ask, naming the machine; `--yes` answers, and where nobody can answer it is needed."""
    confirm_here(yes=yes, what=what, where=f" ({server.machine})")


def confirm_here(*, yes: bool, what: str, where: str = "") -> None:
    """The same before anything is known of this machine."""
    if yes:
        return
    if not is_terminal():
        raise click.UsageError(f"there is no terminal to ask on{where}: give --yes")
    click.confirm(what, abort=True)


def carry_out(server: Server, proposal: Proposal, *, wait: float, quiet: bool = False) -> Release:
    """Apply a proposal with its progress on the screen."""
    with Progress(live=is_terminal() and not quiet) as progress:
        witness = [] if quiet else [progress]
        line = (lambda _: None) if quiet else progress.line
        snapshot = _safeguard(server, proposal, line)
        release = apply(server, proposal, wait=wait, witnesses=witness, progress=line, snapshot=snapshot)
        _resume_receivers(server, proposal, line)
        return release


def _safeguard(server: Server, proposal: Proposal, line: Callable[[str], None]) -> TakeSnapshot:
    """How the snapshot before a migration is taken; imported only where a plan may need it."""
    from havre.workflows.backup import snapshot_before_migration
    from havre.workflows.storage import Storage

    storage = Storage(server=server, variables=environment())
    return snapshot_before_migration(storage, proposal.intent, progress=line)


def _refuse_without_key(server: Server, proposal: Proposal) -> None:
    """A snapshot that nobody could read is refused before anything begins; imported only where a plan has one."""
    if any(isinstance(planned.step, Safeguard) for planned in proposal.plan.steps):
        from havre.workflows.backup import refuse_safeguard_without_key
        from havre.workflows.storage import Storage

        refuse_safeguard_without_key(Storage(server=server), proposal.intent.app, proposal.plan)


def _warn_without_key(server: Server, proposal: Proposal) -> None:
    """`havre plan` shows what a deploy would refuse, and ends well."""
    try:
        _refuse_without_key(server, proposal)
    except RefusedError as error:
        show_problems(replace(problem, severity=Severity.WARNING) for problem in error.problems)


def show_engine(note: Problem | None) -> None:
    """Which engine was taken, where that was not the user's word."""
    if note is not None:
        show_problem(note)


def _resume_receivers(server: Server, proposal: Proposal, line: Callable[[str], None]) -> None:
    """A database that was replaced is followed again, where its log is kept; imported only there."""
    if any(policy.pitr for policy in proposal.intent.app.backups):
        from havre.workflows.storage import Storage
        from havre.workflows.wal import resume_receivers

        storage = Storage(server=server, variables=environment())
        for problem in resume_receivers(storage, proposal.intent, progress=line):
            line(f"{problem.subject}: {problem.summary}")


def show_proposal(proposal: Proposal) -> None:
    """Warnings, then the plan or that there is nothing to do."""
    show_problems(proposal.warnings)
    serving = f" (release {proposal.serving.number})" if proposal.serving else ""
    nothing = f"nothing to do, the server matches{serving}"
    show_plan(proposal.intent.app.instance, proposal.plan, nothing=nothing)


def show_plan(instance: str, plan: Plan, *, nothing: str) -> None:
    """Every step with its reason and what it waits for, then the notes."""
    if plan.is_empty:
        say(f"{instance}: {nothing}")
    else:
        say(f"{instance}: {len(plan.steps)} steps", bold=True)
    for step in plan.steps:
        after = f" [after {', '.join(map(str, step.after))}]" if step.after else ""
        number = f"{step.number}."
        say(wrapped(f"{number:>4} {step.step}: {step.reason}{after}", hang="     "))
    for note in plan.notes:
        say(wrapped(f"note: {note}", hang="      "), colour="cyan")


def show_release(release: Release) -> None:
    """One line for the release, one for where the time went."""
    took = show_seconds((release.ended_at or release.started_at) - release.started_at)
    say(f"release {release.number} of {release.instance} serves, after {took}", bold=True, colour="green")
    if release.phases:
        say("  " + ", ".join(f"{name} {show_seconds(seconds)}" for name, seconds in release.phases))


def _as_json(proposal: Proposal) -> dict[str, object]:
    return {
        "instance": proposal.intent.app.instance,
        "steps": [
            {
                "number": step.number,
                "kind": type(step.step).__name__,
                "step": str(step.step),
                "reason": step.reason,
                "after": list(step.after),
                "phase": step.phase.name.lower(),
            }
            for step in proposal.plan.steps
        ],
        "notes": list(proposal.plan.notes),
        "warnings": [problem_as_dict(problem) for problem in proposal.warnings],
    }

"""`havre doctor`: what is wrong now and what to do; `havre support-bundle`: all of it in one file, secrets hidden."""

from __future__ import annotations

from pathlib import Path

import click

from havre.cli.options import Chosen, app_options, json_option
from havre.cli.session import load, load_app, open_instance, open_server
from havre.cli.show import problem_as_dict, say, show_json, show_problem
from havre.errors import HavreError, Severity
from havre.host import clock
from havre.model.diagnosis import Facts
from havre.workflows.doctor import Diagnosis, examine
from havre.workflows.support_bundle import write_bundle


@click.command("doctor")
@click.argument("service", required=False)
@json_option
@app_options
def doctor_command(chosen: Chosen, service: str | None, as_json: bool) -> int:
    """Say what is wrong with the app that runs, or with one SERVICE of it: the likeliest cause first, one finding
    per cause, each with what was seen and one command to run next. Nothing is changed.

    It looks at states, exit codes, memory, log lines, health checks (run now), connections between services,
    databases, disks, the edge, what visitors of each route get, DNS and certificates. The exit code is 1 when
    something is wrong.

    \b
    Examples:
      havre doctor
      havre doctor backend
      havre doctor --json
    """
    server, instance = open_instance(chosen)
    found = examine(server, instance, service)
    if as_json:
        problems = [problem_as_dict(problem) for problem in found.problems]
        show_json({"instance": instance, "healthy": found.is_well, "problems": problems})
    else:
        show_diagnosis(found)
    return 0 if found.is_well else 1


@click.command("support-bundle")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Where to.")
@app_options
def support_bundle_command(chosen: Chosen, output: Path | None) -> None:
    """Put everything that helps somebody else to help into one .tar.gz: what runs, releases, the last plan, the last
    500 log lines of each service, how Compose keys are treated, the doctor's findings, versions.

    Every text in it has its secrets hidden: known values, and whatever looks like one.

    \b
    Examples:
      havre support-bundle
      havre support-bundle -o /tmp/shop.tar.gz
    """
    app = load_app(chosen)
    server = open_server(chosen, app)
    try:
        intent = load(chosen, strict=False)
    except HavreError as error:
        intent, unreadable = None, str(error)
    else:
        unreadable = ""
    path = output or Path(f"havre-support-{app.instance}-{clock.stamp(clock.now())}.tar.gz")
    names = write_bundle(server, app.instance, path, intent=intent, unreadable=unreadable)
    say(f"{path}: {len(names)} files, secrets hidden")
    say("look through it before you send it: tar -tzf shows the names, tar -xzOf FILE NAME one of them")


def show_diagnosis(found: Diagnosis) -> None:
    """The findings, or one line when there are none."""
    if found.facts is None:
        say(f"{found.instance}: nothing was deployed yet. Next: havre plan")
        return
    for problem in found.problems:
        show_problem(problem, error=False)
    if found.is_well:
        say(_all_is_well(found.facts))
        return
    count = sum(problem.severity is not Severity.NOTE for problem in found.problems)
    say(f"{found.instance}: {count} finding{'' if count == 1 else 's'}, the likeliest cause first", bold=True)


def _all_is_well(facts: Facts) -> str:
    if facts.serving is None:
        return f"{facts.instance}: it was taken down, no release serves. Next: havre deploy"
    running = sum(one.replica.is_running for one in facts.replicas)
    about = f"{facts.instance}/{facts.only}" if facts.only else facts.instance
    return f"{about}: all is well: release {facts.serving.number} serves, {running} replicas run, nothing complains"

"""Run a command once in a throw-away replica of a service: its image, environment, networks and mounts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from havre.engines.base import Context
from havre.errors import InputError, Problem
from havre.model.plan import BuildImage, PullImage, RunTask
from havre.model.project import Service
from havre.workflows.execute import Cancellation
from havre.workflows.intent import Intent
from havre.workflows.perform import Performer, Work, no_snapshot
from havre.workflows.routing import inside_ports
from havre.workflows.server import Server


def run_once(
    server: Server,
    intent: Intent,
    service_name: str,
    command: Sequence[str],
    *,
    timeout: float,
    output: Callable[[str], None],
) -> None:
    """Run `command` (or the service's own) and wait; its lines go to `output` as they come.

    Raises InputError for an unknown service, FailedError with exit code and last lines when it fails.
    """
    service = service_or_problem(intent, service_name)
    observed = server.engine.observe(intent.app.instance, references=[service.image])
    performer = Performer(
        server=server,
        work=Work(
            app=intent.app,
            project=intent.project,
            number=0,
            ports=inside_ports(intent.project, intent.app, {}),
            before=server.traffic.read(intent.app.instance),
            snapshot=no_snapshot,
            progress=output,
        ),
        cancellation=Cancellation(),
    )
    if observed.image(service.image) is None:
        _fetch(server, service, performer.context(), output)
    task = RunTask(service=service, command=tuple(command) or None, title="run", timeout=timeout)
    server.engine.perform(task, performer.context(service), progress=output)


def service_or_problem(intent: Intent, name: str) -> Service:
    """The service called `name`; raises InputError with the known names."""
    from difflib import get_close_matches

    try:
        return intent.project.service(name)
    except KeyError:
        close = get_close_matches(name, intent.project.service_names, n=1)
        raise InputError(
            Problem(
                summary=f"there is no service `{name}`",
                subject=intent.app.instance,
                evidence=(f"services: {', '.join(intent.project.service_names)}",),
                hint=f"did you mean `{close[0]}`?" if close else "use one of the names above",
                code="service-unknown",
            )
        ) from None


def _fetch(server: Server, service: Service, context: Context, output: Callable[[str], None]) -> None:
    if service.build is not None:
        step = BuildImage(service=service.name, reference=service.image, build=service.build)
        server.engine.perform(step, context, progress=output)
    else:
        server.engine.perform(PullImage(reference=service.image), context, progress=output)

"""Checks of what keeps a service well over months: log rotation, restart policy, fixed image versions."""

from __future__ import annotations

from collections.abc import Iterator

from havre.checks.case import Case, Check
from havre.errors import Problem, Severity
from havre.model.images import image_tag

_UNBOUNDED = frozenset({"json-file"})


def _logs(case: Case) -> Iterator[Problem]:
    for service in () if case.bounded_logs else case.services():
        if service.logging and (
            service.logging.driver not in _UNBOUNDED or dict(service.logging.options).get("max-size")
        ):
            continue
        yield Problem(
            summary="nothing bounds the log",
            subject=service.name,
            at=case.place(f"services.{service.name}.logging") or case.place(f"services.{service.name}"),
            effect="one noisy service can fill the disk of all apps",
            hint='add `logging: {driver: json-file, options: {max-size: "10m", max-file: "3"}}`',
        )


def _restart(case: Case) -> Iterator[Problem]:
    for service in case.services():
        if service.restart.policy == "no":
            yield Problem(
                summary="nothing starts it again after a crash",
                subject=service.name,
                at=case.place(f"services.{service.name}.restart") or case.place(f"services.{service.name}"),
                evidence=("its restart policy is `no`, which is Compose's default",),
                effect="one crash, or a reboot of the server, ends it until somebody comes",
                hint="add `restart: unless-stopped`",
            )


def _latest(case: Case) -> Iterator[Problem]:
    for service in case.project.services:
        tag = image_tag(service.image)[1]
        if service.build is None and tag in (None, "latest"):
            yield Problem(
                summary="its image has no version: every pull may bring another one",
                subject=service.name,
                at=case.place(f"services.{service.name}.image"),
                evidence=(f"image: {service.image}",),
                effect="two servers, or two days, run different software; each release still pins what it ran",
                hint="put the version behind the name, as in `image: NAME:1.2.3`",
            )


CHECKS = (
    Check(
        id="log-rotation",
        severity=Severity.WARNING,
        title="logs are bounded",
        doc="The json-file driver keeps everything unless `max-size` is given.",
        find=_logs,
    ),
    Check(
        id="restart-policy",
        severity=Severity.WARNING,
        title="services are started again",
        doc="Without a restart policy a crash, or a reboot of the server, ends a service for good.",
        find=_restart,
    ),
    Check(
        id="image-latest",
        severity=Severity.WARNING,
        title="images have a version",
        doc="`latest`, or no tag at all, means whatever is newest when somebody pulls.",
        find=_latest,
    ),
)

"""Why a database server that answers does not let a client in: no such database or user, protected mode, TLS."""

from __future__ import annotations

from havre.checks.symptoms import Symptom
from havre.errors import Problem
from havre.model.diagnosis import Facts, ReplicaFacts
from havre.model.images import known

_MADE = {"postgres": ("POSTGRES_DB", "POSTGRES_USER"), "mysql": ("MYSQL_DATABASE", "MYSQL_USER")}
"""The variables by which an image makes its first database and user, at the first start alone."""


def refusal(facts: Facts, one: ReplicaFacts, symptom: Symptom, server: str) -> Problem:
    """The problem of a client that `server` refused, told where it can be mended."""
    summary, evidence, hint = _told(facts, symptom, server)
    return Problem(
        summary=summary,
        subject=one.name,
        evidence=(f"log: {symptom.line}", *evidence),
        effect=f"every connection from {one.service} to {server} is refused",
        hint=hint,
        code=f"doctor-{symptom.kind}",
    )


def _told(facts: Facts, symptom: Symptom, server: str) -> tuple[str, tuple[str, ...], str]:
    """(summary, evidence, hint)."""
    image = known(facts.project.service(server))
    kind = image.kind if image else ""
    variables = _MADE.get(kind, ("", ""))
    if symptom.kind == "no-such-database":
        return _absent("database", symptom.name, variables[0], facts, server)
    if symptom.kind == "no-such-role":
        return _absent("user", symptom.name, variables[1], facts, server)
    if "protected mode" in symptom.line:
        return (
            f"is refused by {server}: its protected mode lets nobody in from outside its own container",
            (),
            f"give {server} a password (`--requirepass`) and use it in the client, then `havre deploy`",
        )
    if "SSL" in symptom.line or "encryption" in symptom.line:
        return (
            f"disagrees with {server} about TLS",
            (),
            f"write `sslmode=disable` in the client's URL (inside the app), or give {server} a certificate",
        )
    return (
        f"is not allowed in by {server}'s own rules",
        (),
        f"`havre exec {server} sh` shows them (pg_hba.conf, users); allow the app's network there",
    )


def _absent(what: str, name: str, variable: str, facts: Facts, server: str) -> tuple[str, tuple[str, ...], str]:
    made = dict(facts.project.service(server).environment).get(variable) if variable else None
    evidence = (f"{variable} of {server}: {made}",) if made else ()
    hint = f"use {made} in the setting that names it" if made and made != name else f"create it in {server}"
    if variable:
        hint += f", or create it: `havre exec {server} create{'db' if what == 'database' else 'user'} …`"
        if made == name:
            hint += f" ({variable} counts at the first start of an empty volume alone)"
    return f"asks {server} for the {what} {name}, which does not exist there", evidence, hint

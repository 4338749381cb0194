"""Rotate a secret: a new value in the server it belongs to and in every dependent, in one release, or none of it.

begin    the new value is kept beside the old one; killed here, the next rotation takes up the same pair
change   the running PostgreSQL or Redis takes the new password (Redis keeps the old one valid until its restart)
release  everything that uses the secret is replaced
confirm  the old value is forgotten; when anything failed, server and store go back to it
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from havre.checks.passwords import Holder, holders_of
from havre.engines.base import Executed
from havre.errors import FailedError, HavreError, InputError, Problem
from havre.model.release import Release
from havre.secrets.vault import Vault, random_value
from havre.secrets.verifier import postgres_verifier
from havre.workflows.intent import Intent
from havre.workflows.server import Server

TIMEOUT = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """What was done: the servers whose password changed, and the release that passed it on."""

    name: str
    holders: tuple[Holder, ...]
    release: Release


def rotate(
    server: Server,
    vault: Vault,
    name: str,
    *,
    load: Callable[[], Intent],
    release: Callable[[Intent], Release],
    value: str | None = None,
) -> Rotation:
    """Give secret `name` a new value everywhere.

    `load` reads the intent with the store's values, `release` deploys one; both are called once the new value is
    kept. Raises InputError when the store has no such secret, FailedError after everything was taken back.
    """
    _refuse_unusual(name, value)
    old, new = vault.begin_rotation(name, value or random_value())
    changed: list[Holder] = []
    try:
        intent = load()
        for holder in holders_of(intent.project, new):
            _change(server, intent.app.instance, holder, old=old, new=new)
            changed.append(holder)
        done = release(intent)
    except (HavreError, KeyboardInterrupt):
        _take_back(server, vault, name, changed, old=old, new=new)
        raise
    vault.confirm_rotation(name)
    return Rotation(name=name, holders=tuple(changed), release=done)


def _take_back(server: Server, vault: Vault, name: str, changed: list[Holder], *, old: str, new: str) -> None:
    for holder in changed:
        _change(server, vault.instance, holder, old=new, new=old)
    vault.undo_rotation(name)


def _change(server: Server, instance: str, holder: Holder, *, old: str, new: str) -> None:
    """Let a running server take the new password; one that does not run learns it from its next start."""
    slots = [one.slot for one in server.engine.observe(instance).of_service(holder.service) if one.is_running]
    for slot in slots:
        if holder.kind == "postgres":
            _change_postgres(server, instance, holder, slot, old=old, new=new)
        elif holder.kind == "redis":
            _change_redis(server, instance, holder, slot, old=old, new=new)
        else:
            raise FailedError(_unknown(holder))


def _change_postgres(server: Server, instance: str, holder: Holder, slot: int, *, old: str, new: str) -> None:
    role = holder.user.replace('"', '""')
    statement = f"ALTER ROLE \"{role}\" PASSWORD '{postgres_verifier(new)}';\n".encode()
    done = Executed(exit_code=1, output="")
    for host in ("127.0.0.1", holder.service):
        for password in (old, new):
            command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", host, "-U", holder.user, "-d", "postgres"]
            done = server.engine.execute(
                instance, holder.service, slot, command, stdin=statement, environment=[("PGPASSWORD", password)],
                timeout=TIMEOUT,
            )  # fmt: skip
            if done.exit_code == 0:
                return
    raise FailedError(_not_changed(holder, done))


def _change_redis(server: Server, instance: str, holder: Holder, slot: int, *, old: str, new: str) -> None:
    """Both passwords are valid until the server is restarted with the new one, so no client is turned away."""
    done = Executed(exit_code=1, output="")
    for password in (old, new):
        done = server.engine.execute(
            instance, holder.service, slot, ["redis-cli"], stdin=f"ACL SETUSER default >{new} >{old}\n".encode(),
            environment=[("REDISCLI_AUTH", password)], timeout=TIMEOUT,
        )  # fmt: skip
        if done.output.strip().endswith("OK"):
            return
    raise FailedError(_not_changed(holder, done))


def _refuse_unusual(name: str, value: str | None) -> None:
    if value is not None and not (value.isascii() and value.isprintable() and " " not in value):
        raise InputError(
            Problem(
                summary=f"the new value for {name} has spaces, line breaks or other than ASCII characters",
                hint="use letters, digits and punctuation, or give none: one is made",
                code="secret-value",
            )
        )


def _not_changed(holder: Holder, done: Executed) -> Problem:
    return Problem(
        summary=f"{holder.service} did not take the new password",
        subject=holder.service,
        evidence=tuple(done.output.strip().splitlines()[-3:]),
        effect="nothing was released, and the old password is still the one in use",
        hint=f"see what it says: `havre logs {holder.service}`; then rotate again",
        code="rotation-failed",
    )


def _unknown(holder: Holder) -> Problem:
    return Problem(
        summary=f"Havre cannot change the password of a running {holder.kind}",
        subject=holder.service,
        effect="nothing was changed",
        hint=f"change it in {holder.service} by hand, then `havre secrets set` and `havre deploy`",
        code="rotation-unsupported",
    )

"""Key escrow: somebody has shown that a copy of the server's key lies elsewhere, before anything depends on it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from havre.errors import InputError, Problem, RefusedError
from havre.host.files import write_atomic
from havre.secrets.sealing import public_key, read_identity

FILE = "escrow.json"


class Escrow(msgspec.Struct, frozen=True, kw_only=True):
    """Who showed a copy of the key, when (seconds since the epoch), and of which key."""

    by: str
    at: float
    public_key: str


def confirm_escrow(keys: Path, copy: str, *, by: str, at: float) -> Escrow:
    """Record that `copy`, the text of the file kept elsewhere, is this server's key; InputError when it is not."""
    shown = str(read_identity(copy).to_public())
    if shown != public_key(keys):
        raise InputError(_another_key(shown))
    escrow = Escrow(by=by, at=at, public_key=shown)
    write_atomic(keys / FILE, msgspec.json.encode(escrow), mode=0o600)
    return escrow


def read_escrow(keys: Path) -> Escrow | None:
    """The confirmation for the key now in use; None when there is none, or it was for another key."""
    try:
        escrow = msgspec.json.decode((keys / FILE).read_bytes(), type=Escrow)
    except FileNotFoundError:
        return None
    return escrow if escrow.public_key == public_key(keys) else None


def require_escrow(keys: Path) -> Escrow:
    """The confirmation; raises RefusedError when nobody has shown a copy of the key yet."""
    escrow = read_escrow(keys)
    if escrow is None:
        raise RefusedError(_not_confirmed())
    return escrow


def _another_key(shown: str) -> Problem:
    return Problem(
        summary="this is the key of another server",
        evidence=(f"its public key is {shown}",),
        hint="show the copy that `havre secrets export-key` wrote here",
        code="escrow-mismatch",
    )


def _not_confirmed() -> Problem:
    return Problem(
        summary="nobody has shown yet that a copy of this server's key is kept elsewhere",
        effect="after a loss of this server, encrypted backups could not be opened by anybody",
        hint="`havre secrets export-key > KEY`, keep it in another place, then `havre secrets confirm-key KEY`",
        code="escrow-missing",
    )

"""Seals bytes with the server's age key; whoever has the exported key can open them with the `age` tool alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from havre.errors import FailedError, InputError, Problem, UnavailableError
from havre.host.files import private_directory, write_atomic
from havre.host.locks import exclusive

if TYPE_CHECKING:
    from pyrage.x25519 import Identity  # type: ignore[import-untyped]

KEY_FILE = "server.agekey"


def seal(keys: Path, content: bytes) -> bytes:
    """`content` encrypted for the key in the directory `keys`, which is made when there is none."""
    import pyrage  # type: ignore[import-untyped]

    return bytes(pyrage.encrypt(content, [_identity(keys).to_public()]))


def unseal(keys: Path, content: bytes) -> bytes:
    """What was sealed; raises FailedError when it was sealed with another key or is damaged."""
    import pyrage

    identity = _existing(keys)
    if identity is None:
        raise UnavailableError(_no_key(keys))
    try:
        return bytes(pyrage.decrypt(content, [identity]))
    except pyrage.DecryptError as error:
        raise FailedError(_not_opened(keys)) from error


def public_key(keys: Path) -> str:
    """`age1…`: what others seal for; it opens nothing."""
    return str(_identity(keys).to_public())


def export_key(keys: Path) -> str:
    """The key file's text: the one thing to keep in another safe place, since nothing is opened without it."""
    _identity(keys)
    return (keys / KEY_FILE).read_text()


def read_identity(text: str) -> Identity:
    """The key in the text of a key file; raises InputError when there is none in it."""
    import pyrage

    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    try:
        return pyrage.x25519.Identity.from_str(lines[0] if len(lines) == 1 else "")
    except pyrage.IdentityError as error:
        raise InputError(_no_identity()) from error


def import_key(keys: Path, text: str) -> None:
    """Make an exported key this server's, on a new server; raises InputError where there is another one."""
    wanted = read_identity(text)
    with exclusive(keys / "lock", what="the server's key", doing="import", wait=10):
        existing = _existing(keys)
        if existing is not None and str(existing) != str(wanted):
            raise InputError(_other_key(keys))
        _write(keys, wanted)


def _identity(keys: Path) -> Identity:
    existing = _existing(keys)
    if existing is not None:
        return existing
    import pyrage

    private_directory(keys)
    with exclusive(keys / "lock", what="the server's key", doing="creation", wait=10):
        made_meanwhile = _existing(keys)
        if made_meanwhile is not None:
            return made_meanwhile
        identity = pyrage.x25519.Identity.generate()
        _write(keys, identity)
        return identity


def _existing(keys: Path) -> Identity | None:
    try:
        text = (keys / KEY_FILE).read_text()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnavailableError(_unreadable(keys, error)) from error
    return read_identity(text)


def _write(keys: Path, identity: Identity) -> None:
    text = f"# The key of this Havre server. Without it no secret and no release can be opened.\n{identity}\n"
    write_atomic(private_directory(keys) / KEY_FILE, text, mode=0o600)


def _no_key(keys: Path) -> Problem:
    return Problem(
        summary=f"there is no key at {keys / KEY_FILE}, so nothing that was sealed can be opened",
        hint="bring it back from where it was kept: `havre secrets import-key FILE`",
        code="key-missing",
    )


def _unreadable(keys: Path, error: OSError) -> Problem:
    return Problem(
        summary=f"the key at {keys / KEY_FILE} cannot be read: {error.strerror}",
        hint="run the command as the user who owns the state directory",
        code="key-unreadable",
    )


def _no_identity() -> Problem:
    return Problem(
        summary="this is not an age key",
        hint="a key file has one line that begins with AGE-SECRET-KEY-1; `havre secrets export-key` prints it",
        code="key-invalid",
    )


def _other_key(keys: Path) -> Problem:
    return Problem(
        summary=f"this server already has another key at {keys / KEY_FILE}",
        effect="what it has sealed could no longer be opened",
        hint="move that file away first if nothing sealed with it is needed any more",
        code="key-exists",
    )


def _not_opened(keys: Path) -> Problem:
    return Problem(
        summary="this was sealed with another key, or is damaged",
        hint=f"the key in use is {keys / KEY_FILE}; bring back the one that was in use when it was sealed",
        code="seal-broken",
    )

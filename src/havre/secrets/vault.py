"""The sealed store of one instance's secrets: one file, opened only in memory, of which lists show names and ages."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from havre.errors import InputError, Problem
from havre.host import clock
from havre.host.files import private_directory, write_atomic
from havre.host.locks import exclusive
from havre.secrets.sealing import seal, unseal

GENERATED_BYTES = 32
"""64 hexadecimal characters, as `openssl rand -hex 32` makes."""


class Secret(msgspec.Struct, frozen=True, kw_only=True):
    """One secret; times are seconds since the epoch. Its value has no place in a `repr`."""

    name: str
    value: str
    created_at: float
    changed_at: float
    origin: str
    """`generated`, `set`, `imported` or `rotated`."""
    previous: str | None = None
    """The value before the last rotation, until that is confirmed in the server it belongs to."""

    def __repr__(self) -> str:
        return f"Secret({self.name}, {self.origin})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """What may be shown of a secret."""

    name: str
    origin: str
    created_at: float
    changed_at: float
    rotation_pending: bool = False


@dataclass(frozen=True, slots=True)
class Vault:
    """The secrets of one instance."""

    directory: Path
    """Where the sealed files of all instances are."""
    keys: Path
    instance: str
    now: Callable[[], float] = field(default=clock.now, repr=False)

    @property
    def file(self) -> Path:
        """The sealed file; `age -d -i KEY` opens it too."""
        return self.directory / f"{self.instance}.age"

    def values(self) -> Mapping[str, str]:
        """Name to value, for those who pass them on to a service."""
        return {secret.name: secret.value for secret in self._read().values()}

    def list(self) -> tuple[Listed, ...]:
        """Names and ages, by name."""
        return tuple(
            Listed(
                name=one.name,
                origin=one.origin,
                created_at=one.created_at,
                changed_at=one.changed_at,
                rotation_pending=one.previous is not None,
            )
            for one in sorted(self._read().values(), key=lambda secret: secret.name)
        )

    def generate(self, names: Iterable[str]) -> tuple[str, ...]:
        """Make a random value for each name that has none; the names that were made."""
        with self._changing() as known:
            made = tuple(name for name in dict.fromkeys(names) if name not in known)
            for name in made:
                self._put(known, name, random_value(), "generated")
        return made

    def put(self, values: Mapping[str, str], *, origin: str = "set") -> tuple[str, ...]:
        """Keep these values, over what was there; the names whose value changed."""
        problems = [problem for name, value in values.items() for problem in _unusable(name, value)]
        if problems:
            raise InputError(problems)
        with self._changing() as known:
            changed = tuple(name for name, value in values.items() if name not in known or known[name].value != value)
            for name in changed:
                self._put(known, name, values[name], origin)
        return changed

    def remove(self, name: str) -> None:
        """Forget a secret; raises InputError when there is none of that name."""
        with self._changing() as known:
            self._known(known, name)
            del known[name]

    def begin_rotation(self, name: str, value: str | None = None) -> tuple[str, str]:
        """(old, new): the new value is kept at once, the old one beside it until the rotation is confirmed.

        A rotation that was cut short is taken up again with the value it had chosen.
        """
        with self._changing() as known:
            secret = self._known(known, name)
            if secret.previous is not None:
                return secret.previous, secret.value
            new = value or random_value()
            known[name] = msgspec.structs.replace(
                secret, value=new, previous=secret.value, changed_at=self.now(), origin="rotated"
            )
            return secret.value, new

    def confirm_rotation(self, name: str) -> None:
        """The server and its clients use the new value: forget the old one."""
        with self._changing() as known:
            known[name] = msgspec.structs.replace(self._known(known, name), previous=None)

    def undo_rotation(self, name: str) -> None:
        """Go back to the old value."""
        with self._changing() as known:
            secret = self._known(known, name)
            if secret.previous is not None:
                known[name] = msgspec.structs.replace(secret, value=secret.previous, previous=None)

    def _put(self, known: dict[str, Secret], name: str, value: str, origin: str) -> None:
        at = self.now()
        created = known[name].created_at if name in known else at
        known[name] = Secret(name=name, value=value, created_at=created, changed_at=at, origin=origin)

    def _known(self, known: Mapping[str, Secret], name: str) -> Secret:
        if name in known:
            return known[name]
        raise InputError(
            Problem(
                summary=f"{self.instance} has no secret {name}",
                hint=f"`havre secrets list` shows their names; `havre secrets generate {name}` makes one",
                code="secret-unknown",
            )
        )

    def _read(self) -> dict[str, Secret]:
        try:
            sealed = self.file.read_bytes()
        except FileNotFoundError:
            return {}
        opened = unseal(self.keys, sealed)
        return {secret.name: secret for secret in msgspec.json.decode(opened, type=list[Secret])}

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Secret]]:
        """What is known, written back sealed when the block ends well and changed something."""
        private_directory(self.directory)
        lock = self.directory / f"{self.instance}.lock"
        with exclusive(lock, what=f"the secrets of {self.instance}", doing="a change", wait=10):
            known = self._read()
            before = dict(known)
            yield known
            if known != before:
                ordered = [known[name] for name in sorted(known)]
                write_atomic(self.file, seal(self.keys, msgspec.json.encode(ordered)), mode=0o600)


def random_value() -> str:
    """64 random hexadecimal characters: safe in URLs, shells and YAML."""
    return secrets.token_hex(GENERATED_BYTES)


def _unusable(name: str, value: str) -> Iterator[Problem]:
    if not name.replace("_", "a").isalnum() or not name.isascii() or name[0].isdigit():
        yield Problem(
            summary=f"`{name}` is not the name of a variable",
            hint="use letters, digits and `_`, as in POSTGRES_PASSWORD",
            code="secret-name",
        )
    if not value or "\0" in value:
        yield Problem(
            summary=f"the value for {name} is {'empty' if not value else 'not text'}",
            hint=f"`havre secrets generate {name}` makes one",
            subject=name,
            code="secret-value",
        )

"""The key of the repositories: made once, sealed with the server's key, kept by a person before it is needed."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from havre.backups.repository import local_directory
from havre.errors import InputError, Problem, RefusedError
from havre.host.files import write_atomic
from havre.model.secrets_mask import mask_url

Seal = Callable[[bytes], bytes]
STORAGE_VARIABLES = ("AWS_", "B2_", "AZURE_", "GOOGLE_", "RCLONE_", "RESTIC_REST_")
"""Beginnings of the variables that restic reads to reach a storage."""


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """A repository, its password, and what reaching it needs."""

    url: str
    password: str
    environment: dict[str, str] = {}


class _Content(msgspec.Struct, kw_only=True):
    password: str
    confirmed: bool = False
    environments: dict[str, dict[str, str]] = {}


@dataclass(frozen=True, slots=True)
class Vault:
    """One sealed file in the state directory. One password opens all repositories of a server."""

    path: Path
    seal: Seal
    unseal: Seal

    def destination(self, url: str, variables: Mapping[str, str]) -> Destination:
        """Everything needed to use a repository; the storage credentials in `variables` come before sealed ones.

        The first ones are sealed at once, so a timer, which has no such variables, can use what a person gave once;
        others when they are remembered.
        """
        content = self._read()
        if not is_remote(url):
            return Destination(url=url, password=content.password, environment={})
        sealed = content.environments.get(url, {})
        given = {name: value for name, value in variables.items() if name.startswith(STORAGE_VARIABLES)}
        found = Destination(url=url, password=content.password, environment={**sealed, **given})
        if given and not sealed:
            self.remember(found)
        return found

    def is_sealed(self, destination: Destination) -> bool:
        """True when its credentials are those that are kept."""
        return self._read().environments.get(destination.url, {}) == destination.environment

    def remember(self, destination: Destination) -> None:
        """Keep its credentials, sealed, in the place of those kept before."""
        content = self._read()
        content.environments[destination.url] = dict(destination.environment)
        self._write(content)

    def password(self) -> str:
        """The repositories' password, made when there is none."""
        return self._read().password

    def adopt(self, password: str) -> None:
        """Use the key of another server (recovery); it is in a person's hands by definition."""
        content = self._read()
        content.password, content.confirmed = password, True
        self._write(content)

    def confirm(self) -> None:
        """A person said that the key is kept somewhere else."""
        content = self._read()
        content.confirmed = True
        self._write(content)

    @property
    def is_confirmed(self) -> bool:
        """True when a person said so; asking makes no key."""
        return self.path.exists() and self._read().confirmed

    def refuse_without_escrow(self) -> None:
        """Raises RefusedError until the key is known to be kept outside this server."""
        if not self.is_confirmed:
            raise RefusedError(_not_escrowed())

    def _read(self) -> _Content:
        if self.path.exists():
            return msgspec.json.decode(self.unseal(self.path.read_bytes()), type=_Content)
        content = _Content(password=_new_password())
        self._write(content)
        return content

    def _write(self, content: _Content) -> None:
        write_atomic(self.path, self.seal(msgspec.json.encode(content)), mode=0o600)


def is_remote(url: str) -> bool:
    """True for everything but a directory of this machine."""
    return local_directory(url) is None


def repository_key_from(text: str) -> str:
    """The key in what `havre backup export-key` wrote, or the bare key; InputError when there is none."""
    for line in text.splitlines():
        word = line.strip().removeprefix("key:").strip()
        if _KEY.fullmatch(word):
            return word
    raise InputError(
        Problem(
            summary="there is no repository key in that file",
            hint="give the file that `havre backup export-key` wrote; the key begins with `havre-`",
            code="repository-key",
        )
    )


def escrow_text(password: str, repositories: tuple[str, ...], machine: str) -> str:
    """What a person keeps: everything but the storage's own credentials."""
    lines = [
        f"Recovery key of the backups of {machine}",
        "Keep it where this server's loss does not reach it: without it no backup can be read, by anybody.",
        "",
        f"key: {password}",
        *(f"repository: {mask_url(url)}" for url in repositories),
        "",
        "On a new server: havre recover-server --repository URL --key-file THIS_FILE",
    ]
    return "\n".join(lines) + "\n"


_KEY = re.compile(r"havre(-[a-z2-7]{4}){8}")


def _new_password() -> str:
    """160 random bits in groups that can be read out over a telephone."""
    text = base64.b32encode(secrets.token_bytes(20)).decode().lower()
    return "-".join(["havre", *(text[start : start + 4] for start in range(0, 32, 4))])


def _not_escrowed() -> Problem:
    return Problem(
        summary="nobody has confirmed yet that the backups' key is kept outside this server",
        effect="if this server is lost, no backup could be read; so none is taken before",
        hint="run `havre backup export-key`, keep what it prints somewhere else, and confirm (once);"
        " where no terminal is there to ask: `--to FILE`",
        code="key-not-escrowed",
    )

"""The Compose files of an app, where a Procfile may be one of them, or all there is."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from pathlib import Path

from havre.compose.discovery import DEFAULT_FILES
from havre.compose.reader import DiskReader
from havre.engines.procfile import NAME, as_compose, read_procfile
from havre.model.app import App


class ComposeFiles(DiskReader):
    """Reads the files of an app for the Compose loader; a Procfile as the Compose file that it amounts to."""

    def __init__(self, app: App) -> None:
        self._app = app

    def named(self, variables: Mapping[str, str]) -> tuple[str, ...]:
        """The files to load; empty: look for them as the Compose CLI does."""
        return () if variables.get("COMPOSE_FILE") and not self._app.compose else named_files(self._app)

    def read(self, path: str, shown: str) -> bytes:
        """The bytes of a file, or the text that a Procfile stands for."""
        data = super().read(path, shown)
        if posixpath.basename(path) != NAME:
            return data
        names = [secret.name for secret in self._app.secrets]
        text = data.decode(errors="replace")
        return as_compose(text, shown, env_files=self._app.env_files, secrets=names).encode()


def processes_of_procfile(app: App) -> frozenset[str]:
    """The services of an app that are lines of its Procfile."""
    named = [file for file in named_files(app) if posixpath.basename(file) == NAME]
    directories = {Path(app.directory, file).parent for file in named}
    return frozenset(name for directory in directories for name, _ in read_procfile(directory))


def named_files(app: App) -> tuple[str, ...]:
    """The Compose files that the app names; the Procfile where it names none and its directory has no other."""
    directory = Path(app.directory)
    has_compose = any((directory / name).is_file() for name in DEFAULT_FILES)
    return app.compose or ((NAME,) if (directory / NAME).is_file() and not has_compose else ())

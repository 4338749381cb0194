"""The only part of the loader that touches files, injected so that everything else runs on text alone."""

from __future__ import annotations

import os
from typing import Protocol

from havre.compose.findings import fail
from havre.errors import Location

LARGEST_FILE = 16 * 1024 * 1024


class Reader(Protocol):
    """What the loader needs to know about files; paths are absolute."""

    def read(self, path: str, shown: str) -> bytes:
        """The content of a file; raises InputError (told with the name `shown`) when it cannot be read."""
        ...

    def is_file(self, path: str) -> bool:
        """Whether `path` names something that can be read."""
        ...

    def is_dir(self, path: str) -> bool:
        """Whether `path` names a directory."""
        ...

    def real(self, path: str) -> str:
        """The path with symbolic links followed."""
        ...


class DiskReader:
    """Reads from the file system, never more than `LARGEST_FILE` bytes of one file."""

    def read(self, path: str, shown: str) -> bytes:
        """The bytes of a regular file."""
        try:
            with open(path, "rb") as stream:  # noqa: PTH123 - importing pathlib costs more than loading a project
                data = stream.read(LARGEST_FILE + 1)
        except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
            raise _unreadable(shown, error) from error
        if len(data) > LARGEST_FILE:
            raise fail(
                f"{shown} is larger than {LARGEST_FILE // 1024 // 1024} MiB",
                hint="a Compose file or env file is a few kilobytes: is this the right file?",
                at=Location(shown),
                code="file-too-large",
            )
        return data

    def is_file(self, path: str) -> bool:
        """True for everything but directories, as long as it exists."""
        return os.path.exists(path) and not os.path.isdir(path)  # noqa: PTH110, PTH112 - see above

    def is_dir(self, path: str) -> bool:
        """True for directories."""
        return os.path.isdir(path)  # noqa: PTH112 - see above

    def real(self, path: str) -> str:
        """The path with symbolic links followed."""
        return path if "\0" in path else os.path.realpath(path)


def _unreadable(shown: str, error: OSError | ValueError) -> Exception:
    reasons: dict[type[Exception], tuple[str, str]] = {
        FileNotFoundError: ("no such file or directory", "check the path, or remove the reference to it"),
        IsADirectoryError: ("it is a directory", "name a file"),
        PermissionError: ("permission denied", "make the file readable for the user that runs this command"),
    }
    reason, hint = reasons.get(type(error), (_reason(error), "check the path"))
    return fail(f"cannot read {shown}: {reason}", hint=hint, at=Location(shown), code="file-unreadable")


def _reason(error: OSError | ValueError) -> str:
    return getattr(error, "strerror", None) or "this is not a path"

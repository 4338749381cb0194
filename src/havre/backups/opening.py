"""Which sort of repository an address means here: restic's, or an archive where restic is missing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from havre.backups.archive import Archive, is_archive
from havre.backups.repository import ARCHIVE, Repository, local_directory
from havre.backups.restic import Restic, find_restic
from havre.backups.vault import Destination
from havre.errors import UnavailableError


def open_repository(
    destination: Destination, *, state: Path, variables: Mapping[str, str], patience: float = 300.0
) -> Repository:
    """The repository at a destination, whether it exists or not; `state` is Havre's own directory.

    A directory that holds an archive stays one. Without restic a directory of this machine becomes one, unless a
    repository of restic's lies there; UnavailableError says how to get restic where that does not do.
    """
    directory = local_directory(destination.url)
    if destination.url.startswith(ARCHIVE) or (directory is not None and is_archive(directory)):
        return Archive(destination.url, destination.password)
    try:
        program = find_restic(state / "bin", wanted=variables.get("HAVRE_RESTIC"))
    except UnavailableError:
        if directory is None or (directory / "config").exists():
            raise
        return Archive(destination.url, destination.password)
    return Restic(
        destination.url, destination.password, program=program, cache=state / "backups" / "cache",
        environment=destination.environment, patience=patience,
    )  # fmt: skip

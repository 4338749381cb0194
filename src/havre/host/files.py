"""Write files so that a crash leaves the old content or the new, never half of one (D15)."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from havre.errors import Problem, UnavailableError

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
"""What the system says of a disk that is full, or may not be written."""


def write_atomic(path: Path, content: bytes | str, *, mode: int = 0o644) -> None:
    """Replace `path` by `content`: temporary file in the same directory, fsync, rename, fsync of the directory.

    Raises UnavailableError, with the old content in place, when the disk is full or read-only.
    """
    with _told(path):
        _replace(path, content, mode, force=True)
        sync_directory(path.parent)


def write_derived(path: Path, content: str) -> None:
    """Replace `path` by `content` in one step, for what is made again from other files after a power cut.

    Nothing is forced to the disk: then the file may be as it was, or empty. Raises as `write_atomic` does.
    """
    with _told(path):
        _replace(path, content, 0o644, force=False)


def sync_directory(directory: Path) -> None:
    """Make renames in `directory` survive a power cut."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def private_directory(path: Path) -> Path:
    """`path`, made when missing, readable by its owner only; raises UnavailableError where that is not allowed."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise UnavailableError(_not_made(path, error)) from error
    return path


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """A disk without room, in our words."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise UnavailableError(_unwritable(path, error)) from error


def _replace(path: Path, content: bytes | str, mode: int, *, force: bool) -> None:
    data = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            if force:
                os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise


def _not_made(path: Path, error: OSError) -> Problem:
    return Problem(
        summary=f"cannot make the directory {path}: {(error.strerror or str(error)).lower()}",
        evidence=(f"at {error.filename}",) if error.filename not in (None, str(path)) else (),
        hint="name a directory that you may write with `--state DIR` (or HAVRE_STATE)",
        code="state-directory",
    )


def _unwritable(path: Path, error: OSError) -> Problem:
    return Problem(
        summary=f"cannot write {path}: {(error.strerror or str(error)).lower()}",
        effect="the file is as it was",
        hint=f"`df -h {path.parent}` shows the disk; make room on it, then run the command again",
        code="disk-full",
    )

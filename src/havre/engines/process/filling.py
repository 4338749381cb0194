"""Run the commands that fill a directory of prepared things; nothing that they start outlives the filling."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from havre.engines.process import proctable
from havre.errors import FailedError, Problem, UnavailableError
from havre.host.commands import follow
from havre.host.files import NO_ROOM

_SWEEPS = 20
_NOTHING_LEFT = 1024**2
_GONE = "nothing was started, and what was prepared so far is gone again"


@contextmanager
def filled(directory: Path) -> Iterator[None]:
    """An empty directory to be filled in the block; it is gone again when that fails.

    What a killed preparation of the same directory left running is ended first: two must not write here. Raises
    UnavailableError where the disk has no room, or cannot be written.
    """
    end_fillers(directory)
    try:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        yield
    except OSError as error:
        shutil.rmtree(directory, ignore_errors=True)
        raise UnavailableError(_not_written(directory, error)) from error
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise


def fill(
    directory: Path, argv: Sequence[str], *, settings: Mapping[str, str], timeout: float, cwd: Path | None = None,
    named: str = "", tell: Callable[[str], None] = lambda _: None,
) -> None:  # fmt: skip
    """Run a command (`named` in messages) that puts things into `directory`; what it leaves running ends with it."""
    marked, over = {**settings, proctable.MARK: _mark(directory)}, partial(end_fillers, directory)
    try:
        follow(argv, timeout=timeout, tell=tell, when_over=over, named=named, cwd=cwd, settings=marked)
    except FailedError as error:
        if not _is_full(directory):
            raise
        raise FailedError([replace(one, effect=_GONE, hint=_make_room(directory)) for one in error.problems]) from error


def end_fillers(directory: Path) -> None:
    """End every process that fills `directory`: by its mark, since it may have gone to the background."""
    for _ in range(_SWEEPS):
        left = proctable.members(_mark(directory), -1)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not left:
            return


def _is_full(directory: Path) -> bool:
    """Whether its disk has no room, or no room for more files."""
    disk = os.statvfs(directory)
    return disk.f_bavail * disk.f_frsize < _NOTHING_LEFT or (disk.f_files > 0 and disk.f_favail == 0)


def _mark(directory: Path) -> str:
    return f"prepare:{directory}"


def _make_room(directory: Path) -> str:
    return f"`df -h {directory.parent}` shows the disk; make room (`havre prune`), then run the command again"


def _not_written(directory: Path, error: OSError) -> Problem:
    place = f": {error.filename}" if error.filename else ""
    hint = _make_room(directory)
    if error.errno not in NO_ROOM:
        hint = "see to that file, or leave it out in .dockerignore; then run the command again"
    return Problem(
        summary=f"cannot prepare it: {(error.strerror or str(error)).lower()}{place}",
        effect=_GONE,
        hint=hint,
        code="process-prepare",
    )

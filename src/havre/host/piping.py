"""Run a program whose output or input is a stream of any size, beside a writer or reader of our own."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import select
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, BinaryIO

from havre.errors import Problem, UnavailableError
from havre.host import clock

if TYPE_CHECKING:
    from typing_extensions import Buffer


class Running:
    """A program under way; `stdout` is its output when it was asked for, `complaints` the end of its stderr."""

    def __init__(self, process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
        self._process = process
        self._errors = errors

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def stdout(self) -> BinaryIO:
        """What it writes."""
        if self._process.stdout is None:
            raise AssertionError("its output was not asked for")
        return self._process.stdout  # type: ignore[return-value]

    def patient(self, seconds: float) -> Patient:
        """What it writes; a program that writes nothing for so long is killed, and its output ends."""
        return Patient(self._process, seconds)

    @property
    def has_ended(self) -> bool:
        """True when it runs no more."""
        return self._process.poll() is not None

    def wait(self, patience: float | None = None) -> int:
        """Its exit code, when it has ended; killed (exit code -9) when it needs longer than `patience` seconds."""
        try:
            return self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def complaints(self) -> str:
        """The end of what it wrote to stderr."""
        self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, self._errors.tell() - 8192))
        return self._errors.read().decode(errors="replace").strip()


_PIPE = 1 << 20
"""Bytes that a pipe holds: the most that Linux grants unasked (`fs.pipe-max-size`), and fewer turns for both ends."""


def widen(pipe: int | IO[bytes]) -> None:
    """Let a pipe hold a megabyte; where that is not granted, a smaller one does, too."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)


class Patient(io.RawIOBase):
    """What a program writes, as long as it goes on; who is slow to read costs no patience."""

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        if process.stdout is None:
            raise AssertionError("its output was not asked for")
        self._process, self._source, self._seconds = process, process.stdout, seconds
        widen(self._source)
        self.gave_up = False
        self.at_end = False
        """It wrote its last byte, and whoever reads knows."""

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        """What is there, or comes in time."""
        ready, _, _ = select.select([self._source], [], [], self._seconds)
        if not ready:
            self.gave_up = True
            self._process.kill()
            return 0
        count = os.readv(self._source.fileno(), [buffer])
        self.at_end = count == 0
        return count


_GRACE = 10.0
"""Seconds that a program gets to tidy up (restic removes its lock) before it is killed."""


@contextlib.contextmanager
def running(
    argv: Sequence[str], *, environment: Mapping[str, str], output: IO[bytes] | None = None, cwd: str | None = None
) -> Iterator[Running]:
    """`argv` while it runs; ended when the block is left before it has ended by itself.

    What it writes goes to the file `output`, else it is for the caller to read from `stdout`.

    `environment` is added to our own. Raises UnavailableError when the program is not installed.
    """
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=output or subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **environment},
                cwd=cwd,
            )
        except FileNotFoundError as error:
            raise UnavailableError(
                Problem(
                    summary=f"the program `{argv[0]}` is not installed on this server",
                    hint=f"install the package that provides `{argv[0]}` and try again",
                    code="program-missing",
                )
            ) from error
        try:
            yield Running(process, errors)
        finally:
            _end(process)
            if process.stdout is not None:
                process.stdout.close()


@contextlib.contextmanager
def written(write: Callable[[BinaryIO], None]) -> Iterator[BinaryIO]:
    """What `write` writes, to be read meanwhile; what it raises is raised when the block is left.

    Leaving the block before the end makes `write` fail with BrokenPipeError, which is nobody's error.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC)
    writer = _Writer(write, writing)
    writer.start()
    with os.fdopen(reading, "rb") as source:
        yield source
    writer.join()
    if writer.error is not None and not isinstance(writer.error, BrokenPipeError):
        raise writer.error


class _Writer(threading.Thread):
    def __init__(self, write: Callable[[BinaryIO], None], handle: int) -> None:
        super().__init__(daemon=True)
        self._write = write
        self._handle = handle
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            with os.fdopen(self._handle, "wb") as sink:
                self._write(sink)
        except Exception as error:  # noqa: BLE001 - raised again where the block is left
            self.error = error


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end and take what it still writes: a program that waits for its reader tidies nothing up."""
    if process.poll() is None:
        process.terminate()
    deadline = clock.elapsed() + _GRACE
    while process.poll() is None and clock.elapsed() < deadline:
        if process.stdout is None or not _discarded(process.stdout):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(deadline - clock.elapsed())
    if process.poll() is None:
        process.kill()
        process.wait()


def _discarded(stream: IO[bytes]) -> bool:
    """Throw away what is there; False at the end of the stream."""
    ready, _, _ = select.select([stream], [], [], 0.05)
    return not ready or bool(os.read(stream.fileno(), 1 << 16))

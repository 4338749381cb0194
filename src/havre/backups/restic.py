"""The repository: restic keeps snapshots encrypted and deduplicated, locally, over SFTP or in S3 (D17)."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from havre.backups.feeding import Feed, Look, ReceiverGoneError, Writable, feed
from havre.backups.frames import ENDING
from havre.backups.repository import (
    Listed,
    Produce,
    Repository,
    Stored,
    copy_streams,
    local_directory,
    no_repository,
    sizes_differ,
    source_failed,
    wrong_key,
)
from havre.errors import FailedError, HavreError, Problem, UnavailableError
from havre.host.commands import find_program, run
from havre.host.piping import Patient, Running, running
from havre.model.secrets_mask import mask_url

OLDEST = (0, 16)
"""The first restic that stores no snapshot when the command it reads from fails."""
NO_REPOSITORY, LOCKED, WRONG_PASSWORD = 10, 11, 12
"""restic's documented exit codes (since 0.17)."""
STOPPED = -9
"""We killed it, because it got no further."""
_READ = 1 << 20
_LONG = 6 * 3600.0
_RETRY_LOCK = "2m"
OPENING = 30.0
"""Seconds for a repository's first small file; restic repeats what a storage refuses for a quarter of an hour."""


class Restic:
    """One restic repository; `environment` holds what reaching it needs (S3 keys), never shown.

    `patience` is how many seconds a storage may stand still before the work is given up (restic itself would
    try again for a quarter of an hour).
    """

    def __init__(
        self, url: str, password: str, *, program: str, cache: Path, environment: Mapping[str, str] | None = None,
        patience: float = 300.0,
    ) -> None:  # fmt: skip
        self.url = url
        self.password = password
        self._program = program
        self._cache = cache
        self.environment = dict(environment or {})
        self._patience = patience

    @property
    def shown(self) -> str:
        """The address without credentials."""
        return mask_url(self.url)

    def exists(self) -> bool:
        """True when the repository is there and this key opens it; UnavailableError when it cannot be reached."""
        words = ("cat", "config", "--no-lock", "--verbose=2")  # this verbose it says why it tries again
        patience = min(self._patience, OPENING)
        code, complaints = self._code(*words, patience=patience)
        if code not in (0, NO_REPOSITORY):
            raise self._explained(code, complaints, "open the repository", patience=patience)
        return code == 0

    def make(self) -> None:
        """Make the repository unless it is there; whether the key opens it, its first use says."""
        directory = local_directory(self.url)  # where a look is enough: opening it costs most of a second
        is_there = (directory / "config").is_file() if directory else self.exists()
        if not is_there:
            self._run("init", doing="make the repository")

    def store(self, name: str, tags: Sequence[str], produce: Produce, look: Look = lambda _: None) -> Stored:
        """Store one stream as a snapshot with one file, and only if whoever makes it ends with exit code 0.

        Raises what `produce` raises, FailedError when it reports another exit code or restic fails; then there
        is no snapshot.
        """
        with feed() as pipe, tempfile.TemporaryFile() as output:
            argv = self._argv(
                "backup", "--json", "--quiet", *_compression(name), "--stdin-filename", name, *_tagged(tags),
                "--stdin-from-command", "--", *pipe.command,
            )  # fmt: skip
            with running(argv, environment=self._variables(), output=output) as process:
                code, size = self._produce(pipe, process, produce, look)
                ended = process.wait(self._patience)
                if code != 0:
                    raise FailedError(source_failed(code))
                if ended != 0:
                    raise self._explained(ended, process.complaints(), "store a snapshot")
            output.seek(0)
            stored = _summary(output.read())
            if stored.size != size:
                raise FailedError(sizes_differ(size, stored.size))
            return stored

    def store_small(self, name: str, tags: Sequence[str], content: bytes) -> Stored:
        """Store a few bytes as a snapshot with one file."""

        def produce(sink: Writable) -> int:
            sink.write(content)
            return 0

        return self.store(name, tags, produce)

    def store_directory(self, directory: Path, tags: Sequence[str], *, exclude: Sequence[str] = ()) -> Stored:
        """Store a directory of this machine as it is."""
        excluded = [f"--exclude={pattern}" for pattern in exclude]
        argv = ["backup", "--json", "--quiet", *_tagged(tags), *excluded, "."]
        done = self._run(*argv, doing=f"store {directory}", timeout=_LONG, cwd=directory)
        return _summary(done)

    @contextlib.contextmanager
    def open(self, snapshot: str, name: str, *, to_end: bool = True) -> Iterator[BinaryIO]:
        """One file of a snapshot as a stream; with `to_end`, leaving the block raises unless all of it came.

        Where the stream broke off (the storage died, stands still or is damaged), FailedError says why, whatever its
        reader made of that.
        """
        argv = self._argv("dump", snapshot, f"/{name}")
        with running(argv, environment=self._variables()) as process, process.patient(self._patience) as output:
            try:
                yield io.BufferedReader(output, _READ)
            except Exception as error:
                self._refuse_broken(process, output, is_over=output.at_end, reader=error)
                raise
            self._refuse_broken(process, output, is_over=to_end or output.at_end)

    def _refuse_broken(
        self, process: Running, output: Patient, *, is_over: bool, reader: Exception | None = None
    ) -> None:
        """Raise what restic says when the stream broke off; whoever stopped reading before its end asks nothing."""
        code = STOPPED if output.gave_up else process.wait(self._patience) if is_over else 0
        if code != 0:
            raise self._explained(code, process.complaints(), "read a snapshot") from reader

    def by_hand(self, snapshot: str, name: str) -> str:
        """With restic."""
        words = ("restic", "-r", self.shown, "dump", snapshot, f"/{name}")
        return f"`{shlex.join(words)} > {shlex.quote(name)}` (it asks for the recovery key)"

    def read_small(self, snapshot: str, name: str) -> bytes:
        """One small file of a snapshot."""
        with self.open(snapshot, name) as stream:
            return stream.read()

    def restore_directory(self, snapshot: str, target: Path) -> None:
        """Write a stored directory's content below `target`."""
        self._run("restore", snapshot, "--target", str(target), doing="restore a directory", timeout=_LONG)

    def snapshots(self, tags: Sequence[str] = ()) -> tuple[Listed, ...]:
        """The snapshots that carry all these tags, oldest first."""
        wanted = [f"--tag={','.join(tags)}"] if tags else []
        found = msgspec.json.decode(self._run("snapshots", "--json", *wanted, doing="list the snapshots"))
        listed = [
            Listed(id=entry["id"], time=entry["time"], tags=tuple(entry.get("tags") or ()), paths=tuple(entry["paths"]))
            for entry in found
        ]
        return tuple(sorted(listed, key=lambda entry: entry.time))

    def copy_from(self, source: Repository, tags: Sequence[str]) -> None:
        """Copy the snapshots that carry all these tags from another repository of ours."""
        if not isinstance(source, Restic):
            copy_streams(source, self, tags)
            return
        ids = [listed.id for listed in source.snapshots(tags)]
        other = {"RESTIC_FROM_PASSWORD": source.password, **source.environment}
        doing = f"copy from {source.shown}"
        self._run("copy", "--from-repo", source.url, *ids, doing=doing, timeout=_LONG, environment=other)

    def forget(self, ids: Sequence[str]) -> None:
        """Drop snapshots; the room they took is freed by `prune`."""
        if ids:
            self._drop_dead_locks()
            self._run("forget", *ids, doing="forget old snapshots", timeout=_LONG)

    def prune(self) -> None:
        """Free what no snapshot needs."""
        self._drop_dead_locks()
        self._run("prune", "--max-unused=10%", doing="free unused room", timeout=_LONG)

    def check(self, *, share: str | None = None) -> None:
        """Prove the repository's structure, and with `share` (`5%`, `1/7`) that much of its data, byte by byte."""
        extra = [f"--read-data-subset={share}"] if share else []
        self._run("check", *extra, doing="check the repository", timeout=_LONG)

    def _produce(self, pipe: Feed, process: Running, produce: Produce, look: Look) -> tuple[int, int]:
        """(exit code of the source, bytes); where restic gave up first, its own exit code will say why."""
        try:
            with pipe.sink(look, lambda: process.has_ended, patience=self._patience) as sink:
                code = produce(sink)
                if code == 0:
                    pipe.approve()
                else:
                    pipe.refuse(code)
                return code, sink.size
        except ReceiverGoneError:
            return 0, -1

    def _drop_dead_locks(self) -> None:
        """Locks of processes that were killed go; those of living ones stay."""
        self._code("unlock")

    def _run(
        self, *words: str, doing: str, timeout: float | None = None, cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> bytes:  # fmt: skip
        with tempfile.TemporaryFile() as output:
            where = str(cwd) if cwd else None
            variables = {**(environment or {}), **self._variables()}
            with running(self._argv(*words), environment=variables, output=output, cwd=where) as process:
                code = process.wait(timeout or self._patience)
                if code != 0:
                    raise self._explained(code, process.complaints(), doing)
            output.seek(0)
            return output.read()

    def _code(self, *words: str, patience: float | None = None) -> tuple[int, str]:
        """Its exit code and its complaints; of one that was stopped, the end of all it said."""
        argv, variables = self._argv(*words), self._variables()
        with tempfile.TemporaryFile() as output, running(argv, environment=variables, output=output) as process:
            code = process.wait(patience or self._patience)
            output.seek(0)
            said = output.read().decode(errors="replace") if code == STOPPED else ""
            return code, said + process.complaints()

    def _argv(self, *words: str) -> list[str]:
        return [self._program, "--repo", self.url, "--cache-dir", str(self._cache), "--retry-lock", _RETRY_LOCK, *words]

    def _variables(self) -> dict[str, str]:
        return {**self.environment, "RESTIC_PASSWORD": self.password, "RESTIC_PROGRESS_FPS": "0.1"}

    def _explained(
        self, code: int, complaints: str, doing: str, *, patience: float | None = None
    ) -> HavreError:  # fmt: skip
        lines = _readable(complaints)
        if code == WRONG_PASSWORD:
            return FailedError(wrong_key(self.shown))
        if code == NO_REPOSITORY:
            return UnavailableError(no_repository(self.shown, lines))
        if code == LOCKED:
            return FailedError(_locked(self.shown, lines))
        return FailedError(
            Problem(
                summary=f"could not {doing} in {self.shown}: " + _how(code, patience or self._patience),
                evidence=lines,
                effect="nothing that failed was kept; older snapshots are untouched",
                hint=_advice("\n".join(lines)),
                code="repository-failed",
            )
        )


def find_restic(bin_directory: Path, *, wanted: str | None = None) -> str:
    """A restic that is new enough, in Havre's own `bin` or on PATH; UnavailableError says how to get one."""
    too_old = ""
    for candidate in (wanted, str(bin_directory / "restic"), find_program("restic")):
        if candidate is None or not Path(candidate).exists():
            continue
        version = _version(candidate)
        if version >= OLDEST:
            return candidate
        too_old = f"{candidate} is version {'.'.join(map(str, version))}"
    raise UnavailableError(_missing(bin_directory, too_old))


def _how(code: int, patience: float) -> str:
    if code == STOPPED:
        return f"restic got no further for {patience:g} s and was stopped"
    return f"restic ended with exit code {code}"


def _version(program: str) -> tuple[int, ...]:
    found = re.search(r"restic (\d+)\.(\d+)", run([program, "version"], check=False).stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _compression(name: str) -> list[str]:
    """What comes compressed is stored as it comes."""
    return ["--compression", "off"] if name.endswith(ENDING) else []


def _tagged(tags: Sequence[str]) -> list[str]:
    return [f"--tag={tag}" for tag in tags]


def _summary(output: bytes) -> Stored:
    for line in reversed(output.splitlines()):
        message: Any = msgspec.json.decode(line)
        if message.get("message_type") == "summary":
            return Stored(
                id=message["snapshot_id"],
                size=int(message["total_bytes_processed"]),
                added=int(message.get("data_added_packed") or message.get("data_added") or 0),
            )
    raise FailedError(
        Problem(
            summary="restic did not say what it stored",
            hint="this Havre does not understand this version of restic: use 0.16 to 0.18",
            code="repository-failed",
        )
    )


def _readable(complaints: str) -> tuple[str, ...]:
    """The last lines; restic's JSON messages (`--json`) are unpacked."""
    lines = []
    for line in complaints.splitlines():
        text = line
        if line.startswith("{"):
            with contextlib.suppress(msgspec.DecodeError):
                message = msgspec.json.decode(line)
                error = message.get("error") or {}
                text = str(message.get("message") or (error.get("message") if isinstance(error, dict) else error))
        lines.append(mask_url(text))
    return tuple(line for line in lines if line.strip())[-6:]


def _advice(text: str) -> str:
    if re.search(r"no space left", text, re.IGNORECASE):
        return "the disk is full: `df -h` shows which; free room or add a destination elsewhere, then back up again"
    if re.search(r"signature|access key|credentials|access ?denied|forbidden", text, re.IGNORECASE):
        return "the storage refuses these keys: give the right ones once, `AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=…`"
    if re.search(r"connection refused|no such host|timeout|EOF|dial tcp", text, re.IGNORECASE):
        return "the storage does not answer: check the network and its address, then back up again"
    if re.search(r"ciphertext verification|not been found|does not exist|damaged|load\(<", text, re.IGNORECASE):
        return "the repository is damaged: `restic check --read-data` names what; `restic repair` keeps the rest"
    return "the lines above are restic's own words; correct what they name and try again"


def _locked(shown: str, lines: tuple[str, ...]) -> Problem:
    return Problem(
        summary=f"the repository {shown} is in use by another restic",
        evidence=lines,
        hint="wait for it to end; a lock left by a dead process goes with `restic unlock`",
        code="repository-locked",
    )


def _missing(bin_directory: Path, too_old: str) -> Problem:
    return Problem(
        summary="restic 0.16 or newer is needed for backups and is not installed",
        evidence=(too_old,) if too_old else (),
        effect="without it, backups can be kept in a directory of this machine only (`age:/DIRECTORY`)",
        hint=(
            "Debian 13, Ubuntu 24.04, Fedora, Alpine: install the package `restic`; elsewhere put the program from"
            f" https://github.com/restic/restic/releases (bunzip2, chmod +x) at {bin_directory / 'restic'}"
        ),
        code="restic-missing",
    )

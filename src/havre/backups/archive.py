"""An archive: a directory of streams, each compressed with zstd and encrypted with age, where there is no restic (D17).

havre-archive.json     what this directory is, and the public key that everything in it is encrypted to
key.age                the secret key, sealed with the repositories' key as a passphrase: for people without Havre
snapshots/ID.json      the tags, name and sizes of a stream: written last, so that what has none was never finished
data/ID.zst.age        the stream; a dump that comes in zstd frames (`FILE.zst`) is encrypted as it comes

Without Havre: `age -d -o identity key.age`, then `age -d -i identity data/ID.zst.age | zstd -d`.
"""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import functools
import math
import os
import secrets
import shlex
import tarfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, cast

import msgspec
import pyrage  # type: ignore[import-untyped]
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from havre.backups.feeding import Look, Writable
from havre.backups.frames import ENDING
from havre.backups.packing import Unpacking, pack
from havre.backups.repository import (
    Listed,
    Produce,
    Repository,
    Stored,
    copy_streams,
    local_directory,
    no_repository,
    source_failed,
    wrong_key,
)
from havre.errors import FailedError, InputError, Problem, UnavailableError
from havre.host import clock
from havre.host.files import write_atomic

MARK = "havre-archive.json"
_VERSION = 1
_CHUNK = 1 << 20
_OLD = 86400.0
"""Seconds after which the leftover of a backup that was killed is nobody's any more."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one stream: `size` before, `stored` after compression and encryption.

    `packed` is false for a stream that came compressed and was encrypted as it came.
    """

    id: str
    name: str
    time: str
    tags: tuple[str, ...]
    size: int
    stored: int
    packed: bool = True


class _Mark(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    recipient: str


@dataclass(frozen=True, slots=True)
class _Keys:
    """A key pair in the forms that are needed: OpenSSH's text, and age's objects."""

    secret: bytes
    public: str
    identity: pyrage.ssh.Identity
    recipient: pyrage.ssh.Recipient


class Archive:
    """The archive in one directory; `url` is that directory, or `age:` before it."""

    def __init__(self, url: str, password: str) -> None:
        self.url = url
        self._password = password
        directory = local_directory(url)
        if directory is None:
            raise InputError(_only_here(url))
        self._directory = directory

    @property
    def shown(self) -> str:
        """The directory."""
        return self.url

    def exists(self) -> bool:
        """True when the archive is there and this key opens it."""
        if not is_archive(self._directory):
            return False
        self._keys()
        return True

    def make(self) -> None:
        """Make the archive unless it is there."""
        if self.exists():
            return
        try:
            for part in ("snapshots", "data"):
                (self._directory / part).mkdir(parents=True, exist_ok=True, mode=0o700)
            keys = _keys_of(self._password)
            sealed = pyrage.passphrase.encrypt(keys.secret, self._password)
            write_atomic(self._directory / "key.age", sealed, mode=0o600)
            mark = _Mark(version=_VERSION, recipient=keys.public)
            write_atomic(self._directory / MARK, msgspec.json.encode(mark), mode=0o600)
        except OSError as error:
            raise FailedError(_failed("make the archive", self.shown, error)) from error

    def store(self, name: str, tags: Sequence[str], produce: Produce, look: Look = lambda _: None) -> Stored:
        """Store one stream; a source that fails leaves nothing, and so does a disk that is full."""
        at = clock.now()
        number = f"{clock.stamp(at)}-{secrets.token_hex(6)}"
        partial = self._directory / "data" / f".{number}.part"
        recipient, is_packed = self._keys().recipient, not name.endswith(ENDING)
        try:
            with partial.open("xb") as file:
                os.fchmod(file.fileno(), 0o600)
                code, size = pack(file, recipient, produce, look, compress=is_packed)
                file.flush()
                os.fsync(file.fileno())
            if code != 0:
                raise FailedError(source_failed(code))
            entry = Entry(
                id=number, name=name, time=datetime.fromtimestamp(at, UTC).isoformat(), tags=tuple(tags), size=size,
                stored=partial.stat().st_size, packed=is_packed,
            )  # fmt: skip
            partial.rename(self._data(number))
            write_atomic(self._entry(number), msgspec.json.encode(entry), mode=0o600)
        except OSError as error:
            self._data(number).unlink(missing_ok=True)
            raise FailedError(_failed("store a snapshot", self.shown, error)) from error
        finally:
            partial.unlink(missing_ok=True)
        return Stored(id=number, size=size, added=entry.stored)

    def store_small(self, name: str, tags: Sequence[str], content: bytes) -> Stored:
        """Store a few bytes."""

        def produce(sink: Writable) -> int:
            sink.write(content)
            return 0

        return self.store(name, tags, produce)

    def store_directory(self, directory: Path, tags: Sequence[str], *, exclude: Sequence[str] = ()) -> Stored:
        """Store a directory as a tar stream; what vanishes meanwhile is left out."""

        def produce(sink: Writable) -> int:
            with tarfile.open(fileobj=cast("BinaryIO", sink), mode="w|", bufsize=_CHUNK) as archive:
                _add(archive, directory, Path(), exclude)
            return 0

        return self.store(_DIRECTORY, tags, produce)

    @contextlib.contextmanager
    def open(self, snapshot: str, name: str, *, to_end: bool = True) -> Iterator[BinaryIO]:  # noqa: ARG002 - one file
        """The stream, decrypted and unpacked; a byte that is not as it was stored is an error.

        That error is told in the place of what the stream's reader made of it.
        """
        entry, identity = self._read(snapshot), self._keys().identity
        reading, writing = os.pipe()
        counted = Unpacking(writing, compressed=entry.packed)
        failures: list[BaseException] = []

        def unpack() -> None:
            try:
                with self._data(snapshot).open("rb") as file:
                    pyrage.decrypt_io(file, counted, [identity])
            except BaseException as error:  # noqa: BLE001 - told by the thread that reads, whatever it was
                if not counted.is_left:
                    failures.append(error)
            finally:
                counted.close()

        worker = threading.Thread(target=unpack, daemon=True)
        worker.start()
        complaint: Exception | None = None
        with os.fdopen(reading, "rb") as stream:
            try:
                yield stream
            except Exception as error:  # noqa: BLE001 - raised below, unless the stream itself was the cause
                complaint = error
            while to_end and complaint is None and stream.read(_CHUNK):
                pass
        worker.join()
        is_short = to_end and complaint is None and counted.size != entry.size
        if failures or is_short:
            raise FailedError(_damaged(self.shown, snapshot, failures, counted.size, entry.size)) from complaint
        if complaint is not None:
            raise complaint

    def by_hand(self, snapshot: str, name: str) -> str:
        """With age and zstd; the key of the archive is sealed with the recovery key."""
        key, data = self._directory / "key.age", self._directory / "data" / f"{snapshot}.zst.age"
        return (
            f"`age -d -o identity {shlex.quote(str(key))}` (it asks for the recovery key), "
            f"then `age -d -i identity {shlex.quote(str(data))} | zstd -d > {shlex.quote(name.removesuffix(ENDING))}`"
        )

    def read_small(self, snapshot: str, name: str) -> bytes:
        """One small stream."""
        with self.open(snapshot, name) as stream:
            return stream.read()

    def restore_directory(self, snapshot: str, target: Path) -> None:
        """Unpack a stored directory below `target`."""
        with self.open(snapshot, _DIRECTORY) as stream, tarfile.open(fileobj=stream, mode="r|", bufsize=_CHUNK) as tar:
            tar.extractall(target, filter="tar")

    def snapshots(self, tags: Sequence[str] = ()) -> tuple[Listed, ...]:
        """Those with all these tags, oldest first."""
        found = [entry for entry in self._entries() if set(tags) <= set(entry.tags)]
        return tuple(
            Listed(id=entry.id, time=entry.time, tags=entry.tags, paths=(f"/{entry.name}",))
            for entry in sorted(found, key=lambda entry: (entry.time, entry.id))
        )

    def copy_from(self, source: Repository, tags: Sequence[str]) -> None:
        """Stream by stream."""
        copy_streams(source, self, tags)

    def forget(self, ids: Sequence[str]) -> None:
        """The description goes first: what has none is not a snapshot."""
        for one in ids:
            self._entry(one).unlink(missing_ok=True)
            self._data(one).unlink(missing_ok=True)

    def prune(self) -> None:
        """Remove what backups that were killed left."""
        known = {f"{entry.id}{_ENDING}" for entry in self._entries()}
        for file in (self._directory / "data").iterdir():
            if file.name not in known and file.stat().st_mtime < clock.now() - _OLD:
                file.unlink(missing_ok=True)

    def check(self, *, share: str | None = None) -> None:
        """Every stream is there in its size; with `share` that many of them are read to their end."""
        entries = self._entries()
        for entry in entries:
            path = self._data(entry.id)
            size = path.stat().st_size if path.exists() else 0
            if size != entry.stored:
                raise FailedError(_damaged(self.shown, entry.id, [], size, entry.stored))
        chosen = secrets.SystemRandom().sample(entries, math.ceil(len(entries) * _share(share))) if share else []
        for entry in chosen:
            with self.open(entry.id, entry.name):
                pass

    def _keys(self) -> _Keys:
        if not is_archive(self._directory):
            raise UnavailableError(no_repository(self.shown))
        keys = _keys_of(self._password)
        mark = msgspec.json.decode((self._directory / MARK).read_bytes(), type=_Mark)
        if keys.public != mark.recipient:
            raise FailedError(wrong_key(self.shown))
        return keys

    def _entries(self) -> list[Entry]:
        if not is_archive(self._directory):
            raise UnavailableError(no_repository(self.shown))
        files = sorted((self._directory / "snapshots").glob("*.json"))
        return [msgspec.json.decode(file.read_bytes(), type=Entry) for file in files]

    def _read(self, snapshot: str) -> Entry:
        try:
            return msgspec.json.decode(self._entry(snapshot).read_bytes(), type=Entry)
        except FileNotFoundError as error:
            raise FailedError(_not_there(self.shown, snapshot)) from error

    def _entry(self, number: str) -> Path:
        return self._directory / "snapshots" / f"{number}.json"

    def _data(self, number: str) -> Path:
        return self._directory / "data" / f"{number}{_ENDING}"


_ENDING = ".zst.age"
_DIRECTORY = "directory.tar"


def is_archive(directory: Path) -> bool:
    """True for a directory that an archive was made in."""
    return (directory / MARK).is_file()


@functools.lru_cache(maxsize=8)
def _keys_of(password: str) -> _Keys:
    """The key pair that a repositories' key means: it has 160 random bits, so there is nothing to stretch."""
    seed = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"havre archive").derive(password.encode())
    key = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return _Keys(secret, public, pyrage.ssh.Identity.from_buffer(secret), pyrage.ssh.Recipient.from_str(public))


def _add(archive: tarfile.TarFile, root: Path, below: Path, exclude: Sequence[str]) -> None:
    for path in sorted((root / below).iterdir()):
        inside = below / path.name
        if any(str(path) == pattern or fnmatch.fnmatch(path.name, pattern) for pattern in exclude):
            continue
        with contextlib.suppress(FileNotFoundError):
            archive.add(path, str(inside), recursive=False)
            if path.is_dir() and not path.is_symlink():
                _add(archive, root, inside, exclude)


def _share(text: str) -> float:
    """`5%` or `1/7`."""
    first, slash, second = text.rstrip("%").partition("/")
    try:
        share = float(first) / (float(second) if slash else 100.0)
    except (ValueError, ZeroDivisionError):
        share = -1.0
    if not 0 < share <= 1:
        raise InputError(_not_a_share(text))
    return share


def _not_a_share(text: str) -> Problem:
    return Problem(summary=f"`{text}` is no share of the data", hint="give `5%`, `100%` or `1/7`", code="share-invalid")


def _only_here(url: str) -> Problem:
    return Problem(
        summary=f"an archive needs a directory of this machine, and {url} is none",
        hint="write `age:/DIRECTORY`, which may be a mounted disk; other storages need restic",
        code="repository-address",
    )


def _failed(doing: str, shown: str, error: OSError) -> Problem:
    is_full = error.errno == errno.ENOSPC
    advice = "the disk is full: `df -h` shows which; free room or add a destination elsewhere, then back up again"
    return Problem(
        summary=f"could not {doing} in {shown}: {error.strerror}",
        effect="nothing that failed was kept; older snapshots are untouched",
        hint=advice if is_full else "correct what the system names (a mount, its rights), then back up again",
        code="repository-failed",
    )


def _damaged(shown: str, snapshot: str, failures: Sequence[BaseException], found: int, wanted: int) -> Problem:
    words = [str(failures[0])] if failures else []
    return Problem(
        summary=f"the stream {snapshot} in {shown} is not what was stored",
        evidence=(*words, f"{found} of {wanted} bytes"),
        hint="restore from another snapshot or destination; `havre backup check --read 100%` finds all that is damaged",
        code="repository-damaged",
    )


def _not_there(shown: str, snapshot: str) -> Problem:
    return Problem(
        summary=f"there is no stream {snapshot} in {shown}",
        hint="choose another snapshot (`havre backup list`) or another repository",
        code="snapshot-incomplete",
    )

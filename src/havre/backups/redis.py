"""Redis: a fresh RDB file, checked by Redis' own tool and stored; put back so that it is what Redis really loads.

A server with `appendonly yes` ignores `dump.rdb` when it starts. An RDB file under the name of the append-only file is
what every version from 4 on does load (a preamble), so a restore writes both and sets the old files aside.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import BinaryIO

from havre.backups.place import ENDED, Answer, Environment, Keep, Place, Taken, answered, command_failed, produced
from havre.errors import FailedError, Problem
from havre.host import clock
from havre.model.backup import Part

FILE = "dump.rdb"
_SAVE_LIMIT = 1800.0
_TRIES = 3
_CHUNK = 1 << 20
_ASIDE = """
    cd "$1" || exit 1
    mark="$2" rdb="$3"; shift 3
    cp -p "$rdb" "$rdb.$mark" || exit 1
    for file in "$@"; do if [ -e "$file" ]; then mv "$file" "$file.$mark" || exit 1; fi; done
"""

_DROP_KEPT = """
    cd "$1" || exit 1
    for file in *.before-[0-9]*-[0-9]*; do if [ -e "$file" ]; then rm -rf "$file" && echo "$file" || exit 1; fi; done
"""


@dataclass(slots=True)
class RdbReader:
    """Looks at an RDB file as it passes by: its head, its end and its digest."""

    digest: object = field(default_factory=hashlib.sha256)
    _head: bytes = b""
    _tail: bytes = b""

    def feed(self, piece: bytes) -> None:
        """The next piece."""
        self.digest.update(piece)  # type: ignore[attr-defined]
        if len(self._head) < 9:
            self._head = (self._head + piece)[:9]
        self._tail = (self._tail + piece)[-9:]

    @property
    def is_whole(self) -> bool:
        """True when it begins like an RDB file and has the end mark before its checksum."""
        return (
            bool(re.fullmatch(rb"REDIS\d{4}|VALKEY\d{3}", self._head))
            and len(self._tail) == 9
            and self._tail[0] == 0xFF
        )

    @property
    def sha256(self) -> str:
        """The digest of everything that passed."""
        return self.digest.hexdigest()  # type: ignore[attr-defined, no-any-return]


@dataclass(frozen=True, slots=True, kw_only=True)
class Redis:
    """A Redis server; `password` is the one it asks for."""

    password: str | None = None
    name: str = "redis"

    def estimate(self, place: Place) -> int | None:
        """What it holds in memory."""
        return int(Server(place, self.password).info("used_memory") or 0) or None

    def take(self, place: Place, keep: Keep) -> Taken:
        """Save now, wait for it, check the file, store it; the stored bytes are those that were checked."""
        server = Server(place, self.password)
        server.save()
        path = server.path
        for _ in range(_TRIES):
            keys, checked_by = _checked(place, path)
            expected = _digest(place, path)
            reader = RdbReader()
            stored = keep(FILE, produced(place, ("cat", path)), reader.feed)
            if expected is None or reader.sha256 == expected:
                break
        else:
            raise FailedError(_keeps_changing(place))
        if not reader.is_whole:
            raise FailedError(_not_whole(place))
        keys = server.keys() if keys is None else keys
        part = Part(name="keys", file=FILE, size=stored.size, counts=(("keys", keys),), restic=stored.id)
        return Taken(
            parts=(part,),
            checks=(
                "BGSAVE ended well and is newer than the request",
                checked_by,
                "the stored bytes are the checked ones",
            ),
            version=server.info("redis_version"),
        )


class Server:
    """What is asked of a Redis server; an error reply is an error, whatever redis-cli's exit code says."""

    def __init__(self, place: Place, password: str | None) -> None:
        self._place = place
        self._environment: Environment = (("REDISCLI_AUTH", password),) if password else ()

    def call(self, *words: str) -> str:
        """One command's reply."""
        answer = self._place.ask(("redis-cli", *words), environment=self._environment)
        text = answer.output.strip()
        if answer.exit_code != 0 or re.match(
            r"(?:ERR|NOAUTH|WRONGPASS|NOPERM|LOADING|MISCONF|Could not connect)", text
        ):
            raise FailedError(_refused(self._place, words, answer))
        return text

    def info(self, name: str) -> str:
        """One value of INFO."""
        found = re.search(rf"^{name}:(.*?)\r?$", self.call("INFO", "everything"), re.MULTILINE)
        return found[1] if found else ""

    def setting(self, name: str, default: str) -> str:
        """One value of CONFIG GET; the default where the command is switched off."""
        try:
            lines = self.call("CONFIG", "GET", name).splitlines()
        except FailedError:
            return default
        return lines[1].strip() if len(lines) > 1 else default

    @property
    def directory(self) -> str:
        """Where its files lie."""
        return self.setting("dir", "/data").rstrip("/") or "/data"

    @property
    def path(self) -> str:
        """The RDB file."""
        return f"{self.directory}/{self.setting('dbfilename', 'dump.rdb')}"

    def keys(self) -> int:
        """The number of keys in all its databases."""
        return sum(int(n) for n in re.findall(r"^db\d+:keys=(\d+)", self.call("INFO", "keyspace"), re.MULTILINE))

    def loaded(self) -> tuple[int, int]:
        """(keys it took from its files when it started, keys it dropped there since their time was up).

        What clients wrote or removed since does not count. Before Redis 7 nobody tells: its keys now, and 0.
        """
        told = [self.info(f"rdb_last_load_keys_{what}") for what in ("loaded", "expired")]
        if not all(count.isdigit() for count in told):
            return self.keys(), 0
        return int(told[0]), int(told[1])

    def await_loaded(self, limit: float = 600.0) -> Server:
        """Wait until it has read its files."""
        deadline = clock.elapsed() + limit
        while clock.elapsed() < deadline:
            try:
                if self.info("loading") == "0":
                    return self
            except FailedError as error:
                if error.problems[0].code == ENDED:
                    raise
            clock.sleep(0.2)
        raise FailedError(_refused(self._place, ("INFO",), Answer(exit_code=1, output="it is still loading")))

    def save(self) -> None:
        """Write a fresh RDB file and wait until it is there; raises FailedError when Redis could not."""
        asked = int(self.call("TIME").split()[0])
        deadline = clock.elapsed() + _SAVE_LIMIT
        self._begin_save(deadline)
        while self.info("rdb_bgsave_in_progress") != "0" and clock.elapsed() < deadline:
            clock.sleep(0.1)
        written = int(self.info("rdb_last_save_time") or 0)
        if self.info("rdb_last_bgsave_status") != "ok" or written < asked:
            raise FailedError(_save_failed(self._place))

    def _begin_save(self, deadline: float) -> None:
        while self.info("rdb_bgsave_in_progress") != "0" or self.info("aof_rewrite_in_progress") != "0":
            if clock.elapsed() >= deadline:
                raise FailedError(_save_failed(self._place))
            clock.sleep(0.1)
        self.call("BGSAVE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """Where a Redis server keeps its data, and under which names; `owner` is (uid, gid) of its files."""

    directory: str
    names: tuple[str, ...]
    """The RDB file, and the append-only file where that is on: both are what a restore must write."""
    owner: tuple[int, int]


def set_aside(place: Place, password: str | None, mark: str) -> Home:
    """Before it stops: today's files get `.mark` behind their names, so that nothing of them is loaded again."""
    server = Server(place, password)
    server.save()
    directory, name = server.path.rsplit("/", 1)
    append = server.setting("appendfilename", "appendonly.aof")
    parts = server.setting("appenddirname", "appendonlydir")
    answered(place, ("sh", "-c", _ASIDE, "havre", directory, mark, name, append, parts))
    names = (name, append) if server.setting("appendonly", "no") == "yes" else (name,)
    user, _, group = answered(place, ("stat", "-c", "%u:%g", f"{directory}/{name}")).strip().partition(":")
    return Home(directory=directory, names=names, owner=(int(user), int(group)))


def put_back(place: Place, rdb: AbstractContextManager[BinaryIO], size: int, home: Home) -> None:
    """Into the stopped replica: the stored file under each name that Redis may load."""
    with rdb as source, tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(source, copy, _CHUNK)
        for name in home.names:
            copy.seek(0)
            with tempfile.TemporaryFile() as archive:
                _write_archive(archive, name, copy, size, home.owner)
                archive.seek(0)
                place.write_files(home.directory, archive)


def came_back(server: Server, total: int, differ: Callable[[int], Problem]) -> str:
    """What came back of `total` keys, in words; FailedError when some are missing and were not merely out of date."""
    keys, expired = server.loaded()
    if keys + expired < total:
        raise FailedError(differ(keys + expired))
    return f"{total} keys, {expired} of them out of date and dropped" if expired else f"{total} keys"


def drop_kept(place: Place, password: str | None) -> tuple[str, ...]:
    """Remove the files that restores set aside; returns their names."""
    directory = Server(place, password).directory
    return tuple(answered(place, ("sh", "-c", _DROP_KEPT, "havre", directory)).splitlines())


def _write_archive(target: BinaryIO, name: str, content: BinaryIO, size: int, owner: tuple[int, int]) -> None:
    with tarfile.open(fileobj=target, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode, entry.mtime = size, 0o600, int(clock.now())
        entry.uid, entry.gid = owner
        archive.addfile(entry, content)


def _checked(place: Place, path: str) -> tuple[int | None, str]:
    """The keys that redis-check-rdb reads in the file; servers without that tool count their own."""
    present = place.ask(("sh", "-c", "command -v redis-check-rdb"))
    if present.exit_code != 0:
        return None, "it begins and ends like an RDB file"
    command = ("redis-check-rdb", path)
    answer = place.ask(command)
    if answer.exit_code != 0:
        raise FailedError(command_failed(place, command, answer.exit_code, answer.output + answer.complaints))
    found = re.search(r"(\d+) keys read", answer.output)
    return int(found[1]) if found else None, "redis-check-rdb read all of it"


def _digest(place: Place, path: str) -> str | None:
    answer = place.ask(("sha256sum", path))
    return answer.output.split()[0] if answer.exit_code == 0 and answer.output else None


def _refused(place: Place, words: tuple[str, ...], answer: Answer) -> Problem:
    return Problem(
        summary=f"Redis in {place.name} refused `{words[0]}`",
        evidence=tuple((answer.output + answer.complaints).strip().splitlines()[-3:]),
        effect="nothing of it was kept",
        hint="NOAUTH or WRONGPASS: give the service's password as REDIS_PASSWORD in its environment or `--requirepass`",
        code="backup-source-failed",
    )


def _save_failed(place: Place) -> Problem:
    says = f"`{place.log}` says why" if place.log else "what it wrote says why"
    return Problem(
        summary=f"Redis in {place.name} could not write its data to disk",
        evidence=place.last_words(),
        effect="no fresh snapshot exists, so none was kept",
        hint=f"{says} (often: no room on the disk, or no memory to fork)",
        code="backup-source-failed",
    )


def _keeps_changing(place: Place) -> Problem:
    return Problem(
        summary=f"the RDB file of {place.name} was replaced each time while it was read",
        hint="Redis saves very often: make its `save` setting calmer, then back up again",
        code="backup-structure",
    )


def _not_whole(place: Place) -> Problem:
    return Problem(
        summary=f"what {place.name} saved is not a whole RDB file",
        effect="it does not count as a backup",
        hint=f"back up again; `{place.log}` says what happened meanwhile",
        code="backup-structure",
    )

"""What restores and drills need of a server of databases, whichever it is."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import BinaryIO, Protocol

from havre.backups.place import Place
from havre.errors import Problem
from havre.model.backup import Part

TRUE = "true"
KEPT = "__(before|new)_[0-9]{8}_[0-9]{6}$"
"""The end of the names of databases that restores set aside, or left when they were killed: no backup has them."""


class Databases(Protocol):
    """The databases of one server that runs. Names are as the user writes them; raises only HavreErrors."""

    @property
    def accounts(self) -> str:
        """What it calls those who may log in: `roles`, `accounts`."""
        ...

    def directory(self) -> str:
        """Where the server keeps its files."""
        ...

    def biggest(self) -> tuple[str, ...]:
        """What takes its room, the largest first, for people to read."""
        ...

    def exists(self, name: str) -> bool:
        """True when there is such a database."""
        ...

    def make_missing_accounts(self, globals_sql: str) -> tuple[str, ...]:
        """Those of a snapshot that the server lacks, made as they were; those that exist are left alone."""
        ...

    def forget_accounts(self, names: Sequence[str]) -> None:
        """The restore that they were made for did not come to its end."""
        ...

    def give_rights(self, globals_sql: str, names: Sequence[str]) -> tuple[str, ...]:
        """Rights of these accounts on what is there only now; returns what the server says against any of it."""
        ...

    def refuse_unmovable(self, names: Sequence[str]) -> None:
        """Raises RefusedError, before anything is touched, where one of these could not be replaced as a whole."""
        ...

    def fill(self, name: str, part: Part, source: AbstractContextManager[BinaryIO]) -> tuple[str, ...]:
        """Make a database of that name, fill it from a dump, compare its rows with the dump's; returns what to tell.

        Whatever goes wrong raises FailedError, and the new database is gone again.
        """
        ...

    def rehearse(self, part: Part, source: AbstractContextManager[BinaryIO]) -> str:
        """The same in a throw-away server, down to what `fill` leaves out; returns the name that it has there."""
        ...

    def prepare(self, live: Part, fresh: str, old: str) -> None:
        """What can be done before requests are held so that they are held for less; what is live is not touched."""
        ...

    def take_place(self, live: Part, fresh: str, old: str) -> tuple[bool, tuple[str, ...]]:
        """What was filled becomes live; says whether there was a live one, kept as `old` now, and what to tell.

        Raises FailedError when it does not work: then what was live is live.
        """
        ...

    def finish(self, fresh: str) -> None:
        """What was filled is live; whatever is left of it under its own name goes."""
        ...

    def drop(self, name: str) -> None:
        """Remove a database that a restore made."""
        ...

    def drop_kept(self) -> tuple[str, ...]:
        """Remove what restores set aside, or left when they were killed; returns its names."""
        ...

    def await_start(self, limit: float) -> bool:
        """Wait until it lets people in; False after so many seconds."""
        ...

    def answer(self, database: str, sql: str) -> str:
        """What one statement answers; `true` where that is how the server says true."""
        ...


def fits(name: str, ending: str) -> str:
    """Names are cut at 63 bytes; the ending must survive."""
    return name.encode()[: 63 - len(ending)].decode(errors="ignore") + ending


def as_file(database: str) -> str:
    """A name of a database as part of the name of a file: whoever may make databases chooses no directory."""
    return database.replace("%", "%25").replace("/", "%2F")


def dump_not_whole(place: Place, database: str, why: object) -> Problem:
    """A dump ended well and is none, or lacks something; `why` says what."""
    return Problem(
        summary=f"the dump of {database} is not whole: {why}",
        subject=place.name,
        effect="it does not count as a backup",
        hint=f"back up again; `{place.log}` says what happened to it meanwhile",
        code="backup-structure",
    )


def no_such_database(place: Place, missing: Sequence[str], present: Sequence[str]) -> Problem:
    """havre.yaml names databases that the server has not."""
    return Problem(
        summary=f"{place.name} has no database {', '.join(missing)}",
        evidence=(f"databases: {', '.join(present)}",),
        hint="correct `databases` of this backup in havre.yaml",
        code="database-unknown",
    )


def rows_differ(place: Place, database: str, different: Sequence[str]) -> Problem:
    """What was filled from a dump has not its rows."""
    return Problem(
        summary=f"{database} does not hold what the snapshot held",
        subject=place.name,
        evidence=tuple(different[:10]),
        effect="it was not taken into use",
        hint="try an older snapshot (`havre backup list`), and drill restores regularly",
        code="restore-differs",
    )

"""The vocabulary of the key tables: how a key can be treated, and how a row of a table is written."""

from __future__ import annotations

import enum
from dataclasses import dataclass

ApiVersion = tuple[int, int]


class Kind(enum.Enum):
    """What Havre does with a Compose key (invariant I7: never nothing in silence)."""

    HONOURED = "honoured"
    CHANGED = "changed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Treatment:
    """How one key is treated: `why` says what happens instead or adds a detail, `instead` what the user can do."""

    kind: Kind
    why: str = ""
    instead: str = ""

    def __str__(self) -> str:
        return ": ".join(part for part in (self.kind.value, self.why) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One key: its treatment per engine, and what holds on a Docker Engine older than API version `since`."""

    docker: Treatment
    process: Treatment
    since: ApiVersion | None = None
    before: Treatment | None = None


Rows = dict[str, Row]


def honoured(why: str = "") -> Treatment:
    """Means what Compose says it means."""
    return Treatment(kind=Kind.HONOURED, why=why)


def changed(why: str) -> Treatment:
    """Has another effect than with Compose, or none; `why` says which."""
    return Treatment(kind=Kind.CHANGED, why=why)


def refused(why: str, instead: str) -> Treatment:
    """Stops the release before anything is touched; `instead` is the way out."""
    return Treatment(kind=Kind.REFUSED, why=why, instead=instead)


def rows(
    prefix: str,
    names: str,
    docker: Treatment,
    process: Treatment | None = None,
    *,
    since: ApiVersion | None = None,
    before: Treatment | None = None,
) -> Rows:
    """The same row for every word of `names`, each put behind `prefix`; `.` alone is the prefix itself."""
    row = Row(docker=docker, process=process or docker, since=since, before=before)
    return {prefix if name == "." else f"{prefix}.{name}" if prefix else name: row for name in names.split()}


def joined(*tables: Rows) -> Rows:
    """All rows together; a key in two tables is a mistake of ours."""
    found: Rows = {}
    for table in tables:
        if twice := found.keys() & table.keys():
            raise ValueError(f"in two tables: {', '.join(sorted(twice))}")
        found |= table
    return found


NO_CONTAINER = changed("no effect: a replica is an ordinary process here, with no container around it")
ONE_NETWORK = changed("no effect: all replicas share this machine's network, each with a loopback address of its own")
KNOWN_NAMES = changed("services that share a network know each other's names; nothing keeps others from connecting")
FROM_SOURCE = changed("no effect: the service runs from its source here, no image is built")
BY_LOADING = honoured("resolved when the files are read")
WINDOWS = refused("it exists on Windows only, and Havre's servers run Linux", "remove the key")

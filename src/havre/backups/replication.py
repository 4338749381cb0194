"""A running PostgreSQL server's side of keeping its log: slots, positions, and a base backup as a stream.

Nothing of the image or its configuration is changed: the defaults of PostgreSQL 13 and later are enough
(`wal_level = replica`, replication connections let in from the server's own machine).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from havre.backups.place import Keep, Place, produced
from havre.backups.postgres import literal, owner, query
from havre.backups.repository import Stored
from havre.backups.tararchive import TarError, TarReader
from havre.backups.wal import lsn
from havre.errors import FailedError, Problem

BASE_FILE = "base.tar"
_SLOTS = "havre\\_%"
_LABEL, _MANIFEST = "backup_label", "backup_manifest"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLog:
    """The log as the server sees it now, in bytes of log; None where there is no slot, or nobody receives."""

    system: str
    segment: int
    timeline: int
    written: int
    """Everything before is safe on the server's disk."""
    slot_start: int | None = None
    """From here on the slot keeps the log."""
    is_lost: bool = False
    """The server gave up what the slot was to keep."""
    received: int | None = None
    """The receiver has everything before, while it is connected."""

    @property
    def held(self) -> int:
        """Bytes that the server must keep because of the slot."""
        return 0 if self.slot_start is None else self.written - self.slot_start


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenBase:
    """A base backup as it was stored."""

    stored: Stored
    start: int
    end: int
    files: int


def look(place: Place, slot: str = "") -> ServerLog:
    """Where the log and the slot stand; raises FailedError when the server cannot be asked or keeps too little log."""
    answer = query(place, "template1", _LOOK.format(slot=literal(slot)))
    level, senders, system, segment, timeline, written, start, status, received = answer.split("\t")
    if level == "minimal" or senders == "0":
        raise FailedError(_too_little(place, level, senders))
    return ServerLog(
        system=system,
        segment=int(segment),
        timeline=int(timeline),
        written=lsn(written),
        slot_start=lsn(start) if start else None,
        is_lost=status == "lost",
        received=lsn(received) if received else None,
    )


_LOOK = """
SELECT current_setting('wal_level'), current_setting('max_wal_senders'), c.system_identifier,
       (SELECT setting FROM pg_settings WHERE name = 'wal_segment_size'), k.timeline_id, pg_current_wal_flush_lsn(),
       s.restart_lsn, s.wal_status, r.write_lsn
FROM pg_control_system() c CROSS JOIN pg_control_checkpoint() k
LEFT JOIN pg_replication_slots s ON s.slot_name = {slot}
LEFT JOIN pg_stat_replication r ON r.pid = s.active_pid
"""


def make_slot(place: Place, slot: str) -> int:
    """A slot that keeps the log from now on; returns where it begins."""
    made = f"SELECT lsn FROM pg_create_physical_replication_slot({literal(slot)}, true)"  # noqa: S608
    return lsn(query(place, "template1", made))


def drop_slots(place: Place, *, but: str = "") -> tuple[str, ...]:
    """Remove Havre's slots except one; whoever uses one is cut off first."""
    ours = f"slot_name LIKE {literal(_SLOTS)} AND slot_name <> {literal(but)}"
    found = query(place, "template1", f"SELECT slot_name FROM pg_replication_slots WHERE {ours}").splitlines()  # noqa: S608
    for slot in found:
        named = f"pg_replication_slots WHERE slot_name = {literal(slot)}"
        query(place, "template1", f"SELECT pg_terminate_backend(active_pid, 5000) FROM {named} AND active")  # noqa: S608
        query(place, "template1", f"SELECT pg_drop_replication_slot(slot_name) FROM {named}")  # noqa: S608
    return tuple(found)


def take_base(place: Place, keep: Keep) -> TakenBase:
    """Store a base backup of the whole server as one tar stream, read while it passes."""
    reader = TarReader(wanted=frozenset({_LABEL, _MANIFEST}))
    command = owner("pg_basebackup", "-D", "-", "-F", "tar", "-X", "none", "-c", "fast", "--no-password")
    try:
        stored = keep(BASE_FILE, produced(place, command), reader.feed)
        reader.finish()
    except TarError as error:
        raise FailedError(_not_whole(place, str(error))) from error
    start = re.search(r"^START WAL LOCATION: ([0-9A-F]+/[0-9A-F]+)", _text(reader, _LABEL), re.MULTILINE)
    if start is None:
        raise FailedError(_not_whole(place, f"it has no {_LABEL}"))
    return TakenBase(stored=stored, start=lsn(start[1]), end=look(place).written, files=reader.files)


def _text(reader: TarReader, name: str) -> str:
    return reader.kept.get(name, bytearray()).decode(errors="replace")


def _too_little(place: Place, level: str, senders: str) -> Problem:
    return Problem(
        summary=f"{place.name} is set to keep too little of its log for point-in-time recovery",
        evidence=(f"wal_level = {level}, max_wal_senders = {senders}",),
        effect="only its ordinary backups can be restored",
        hint="remove these settings from its configuration or `command` (the defaults are right), then deploy",
        code="wal-level",
    )


def _not_whole(place: Place, why: str) -> Problem:
    return Problem(
        summary=f"the base backup is not whole: {why}",
        subject=place.name,
        effect="it does not count as a backup",
        hint=f"back up again; `{place.log}` says what happened to it meanwhile",
        code="backup-structure",
    )

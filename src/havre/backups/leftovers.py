"""What killed backups left in a repository: streams of something that was never finished; pure.

Everything that counts ends with a record: until that is stored, nothing refers to what was stored before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from havre.backups.book import RECORD_TAG
from havre.backups.repository import Listed
from havre.backups.wal_book import BASE_TAG, WAL_TAG

AGE = 86400.0
"""Seconds after which nobody is still at work on it, not even another server."""
_FINISHED = frozenset({RECORD_TAG, BASE_TAG, WAL_TAG})


def leftovers(listed: Sequence[Listed], now: float, *, age: float = AGE) -> tuple[str, ...]:
    """The repository's ids of what has no record and is older than `age`, among all that a service has there."""
    finished = {_owner(entry) for entry in listed if _FINISHED & set(entry.tags)}
    young = {_owner(entry) for entry in listed if now - datetime.fromisoformat(entry.time).timestamp() < age}
    known = finished | young | {""}
    return tuple(entry.id for entry in listed if _owner(entry) not in known)


def _owner(entry: Listed) -> str:
    """`db-20261120-020000`; nothing for what Havre did not store."""
    return next((tag.removeprefix("backup=") for tag in entry.tags if tag.startswith("backup=")), "")

"""A small database whose write-ahead log is kept, and what tests ask of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from data_stand import COMPOSE, Stand

from havre.backups.wal_book import WalBook
from havre.errors import FailedError
from havre.model.pitr import Archive
from havre.workflows.backup_status import status_of
from havre.workflows.receiver import end_receivers
from havre.workflows.wal import keep_wal

ONE_DATABASE = COMPOSE.partition("  cache:")[0] + "volumes: {dbdata: {}}\n"
MANIFEST = "backups:\n  db: {pitr: true}\n"


def deployed(directory: Path, image: str, manifest: str) -> Stand:
    made = Stand(directory, compose=ONE_DATABASE.replace("postgres:15-alpine", image), manifest=manifest)
    made.deploy()
    return made


def tear_down(stand: Stand) -> None:
    end_receivers(stand.server, stand.name)
    stand.tear_down()


def keep(stand: Stand) -> Archive:
    return keep_wal(stand.storage, stand.intent)[0][1]


def archive_of(stand: Stand) -> Archive:
    return WalBook(stand.state.backups).read(stand.name, "db")


def ready(stand: Stand) -> bool:
    try:
        return stand.sql("SELECT 1") == "1"
    except FailedError:
        return False


def problems(stand: Stand) -> str:
    [status] = status_of(stand.storage, stand.intent, time.time())
    return "; ".join(status.problems)


def eventually(holds: Callable[[], bool], seconds: float = 40.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.3)

"""How well a service's write-ahead log is kept at this moment: what is told from this server alone, in an instant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from havre.backups.replication import look
from havre.backups.wal import windows
from havre.errors import HavreError
from havre.model.backup import BackupPolicy, PitrPolicy
from havre.model.pitr import Archive, Window
from havre.model.units import show_bytes, show_seconds
from havre.workflows.intent import Intent
from havre.workflows.places import place_of
from havre.workflows.storage import Storage
from havre.workflows.wal import Keeper

LATE = 3
"""A shipment or a base backup that is missing so many intervals is overdue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WalStatus:
    """`rpo` is what losing the server now would cost, in seconds; None where nothing can be restored."""

    rpo: float | None
    windows: tuple[Window, ...]
    problems: tuple[str, ...] = ()


def wal_status(storage: Storage, intent: Intent, policy: BackupPolicy, now: float) -> WalStatus:
    """What is known, what the server says and whether the receiver runs."""
    keeper = Keeper(storage, intent, policy, lambda _: None)
    archive, pitr = keeper.archive, policy.pitr or PitrPolicy()
    found = windows(archive)
    rpo = now - archive.known_until if archive.known_until and found else None
    problems = tuple(_problems(archive, pitr, rpo, policy.rpo, now))
    if archive.open_chain is not None:
        problems += tuple(_live_problems(keeper, archive, pitr))
    return WalStatus(rpo=rpo, windows=found, problems=problems)


def _problems(
    archive: Archive, pitr: PitrPolicy, rpo: float | None, promised: float | None, now: float
) -> Iterator[str]:
    chain = archive.open_chain
    if chain is None:
        ended = next((one.reason for one in reversed(archive.chains)), "")
        yield f"its log is not kept{f': {ended}' if ended else ' yet'}; run `havre backup wal`"
        return
    if archive.trouble:
        yield f"its log: {archive.trouble}"
    if not (bases := archive.bases_of(chain.id)):
        yield "its log has no base backup yet"
    elif now - bases[-1].ended > max(LATE * pitr.base, pitr.base + 86400):
        yield f"its base backup is {show_seconds(now - bases[-1].ended)} old"
    if rpo is not None and rpo > (allowed := promised or LATE * pitr.ship):
        yield f"its log was last shipped {show_seconds(rpo)} ago, more than {show_seconds(allowed)}"


def _live_problems(keeper: Keeper, archive: Archive, pitr: PitrPolicy) -> Iterator[str]:
    chain = archive.open_chain
    assert chain is not None
    try:
        place = place_of(keeper.storage.server, keeper.intent.app.instance, keeper.policy.service)
        log = look(place, chain.slot)
    except HavreError as error:
        yield f"its log cannot be looked at: {error.problems[0].summary}"
        return
    if log.slot_start is None or log.is_lost or log.system != chain.system or log.timeline != chain.timeline:
        yield "its log has a gap; `havre backup wal` begins anew"
    elif log.received is None:
        yield "its receiver is not connected; `havre backup wal` starts it"
    if log.held > 0.8 * pitr.limit:
        yield f"{show_bytes(log.held)} of log waits in the database (limit {show_bytes(pitr.limit)})"

"""The write-ahead log as files: their names and order, what a moment needs, and what may go; pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from havre.model.pitr import Archive, Base, Chain, Shipment, Window

PARTIAL = ".partial"
"""How pg_receivewal calls the file that it is still writing."""
_NAME = re.compile(r"([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})(\.partial)?")
_XLOG_ID = 1 << 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One file of the log; numbers count from the server's first byte, whatever the timeline."""

    name: str
    number: int
    timeline: int
    is_partial: bool


def segments_among(names: Sequence[str], size: int) -> tuple[Segment, ...]:
    """The files of the log among these, in order; a file that has become whole hides its unfinished self."""
    found: dict[tuple[int, int], Segment] = {}
    for name in sorted(names, reverse=True):  # `X.partial` before `X`
        if match := _NAME.fullmatch(name):
            timeline, high, low = (int(match[group], 16) for group in (1, 2, 3))
            number = high * (_XLOG_ID // size) + low
            found[timeline, number] = Segment(
                name=name, number=number, timeline=timeline, is_partial=match[4] is not None
            )
    return tuple(sorted(found.values(), key=lambda one: (one.number, one.timeline)))


def lsn(text: str) -> int:
    """`16/B374D848` as a number of bytes."""
    high, low = text.split("/")
    return int(high, 16) * _XLOG_ID + int(low, 16)


def missing_between(last: int | None, segments: Sequence[Segment]) -> tuple[int, int] | None:
    """(number expected, number found) where a file is missing behind `last` or among the segments."""
    expected = None if last is None else last + 1
    for segment in segments:
        if expected is not None and segment.number > expected:
            return expected, segment.number
        expected = segment.number + 1
    return None


def windows(archive: Archive) -> tuple[Window, ...]:
    """What can be restored, oldest first: from the end of a chain's first base to the end of its log."""
    return tuple(sorted(_windows(archive), key=lambda window: window.since))


def _windows(archive: Archive) -> Iterator[Window]:
    for chain in archive.chains:
        bases, until = archive.bases_of(chain.id), reaches(archive, chain)
        if bases and until >= bases[0].ended:
            yield Window(since=bases[0].ended, until=until)


def reaches(archive: Archive, chain: Chain) -> float:
    """The moment up to which a chain's log is known to be whole."""
    shipped = max((shipment.until for shipment in archive.of_chain(chain.id)), default=0.0)
    return max(shipped, archive.known_until) if chain.is_open else shipped


def base_for(archive: Archive, at: float | None) -> Base | None:
    """The newest base that can be carried to `at` (None: to the end of the newest log)."""
    reach = {chain.id: reaches(archive, chain) for chain in archive.chains}
    fit = [
        base
        for base in archive.bases
        if base.chain.id in reach and (at is None or base.ended <= at <= reach[base.chain.id])
    ]
    return max(fit, key=lambda base: base.ended, default=None)


def shipments_for(archive: Archive, base: Base) -> tuple[Shipment, ...]:
    """The shipments that hold what follows a base, oldest first, each file in as few of them as can be."""
    first, repeated = base.start // base.chain.segment, superseded(archive, base.chain.id)
    log = (shipment for shipment in archive.of_chain(base.chain.id) if shipment.last >= first)
    return tuple(shipment for shipment in log if shipment not in repeated)


def not_among(here: Sequence[Segment], shipments: Sequence[Shipment]) -> tuple[Shipment, ...]:
    """The shipments that hold a file which is not among these; for one shipped half, half of it is enough."""
    present = {segment.number for segment in here if not segment.is_partial}
    begun = {segment.number for segment in here}
    return tuple(one for one in shipments if not _is_among(one, present, begun))


def _is_among(shipment: Shipment, present: Collection[int], begun: Collection[int]) -> bool:
    *whole, last = range(shipment.first, shipment.last + 1)
    return all(number in present for number in whole) and last in (begun if shipment.is_partial else present)


def room_for_log(archive: Archive, base: Base) -> int:
    """Bytes that replaying takes beside a base: the log lies there, and writes as much at the most."""
    first = base.start // base.chain.segment
    last = max((shipment.last for shipment in shipments_for(archive, base)), default=first)
    return 2 * (last - first + 1) * base.chain.segment


def superseded(archive: Archive, chain: str) -> tuple[Shipment, ...]:
    """Shipments of which every file is in a later one too."""
    found, covered = [], None
    for shipment in reversed(archive.of_chain(chain)):
        if covered is not None and covered <= shipment.first:
            found.append(shipment)
        else:
            covered = shipment.first
    return tuple(found)


def to_drop(archive: Archive, keep: float, now: float) -> tuple[tuple[Base, ...], tuple[Shipment, ...]]:
    """Bases that no moment of the last `keep` seconds needs, and log that no base which stays needs."""
    ordered = sorted(archive.bases, key=lambda base: base.ended)
    needed = [base for base in ordered if base.ended > now - keep] or ordered[-1:]
    older = [base for base in ordered if base.ended <= now - keep and base not in needed]
    if older and reaches(archive, older[-1].chain) > now - keep:
        needed.insert(0, older[-1])
    gone, stay = tuple(base for base in ordered if base not in needed), needed
    first = {base.chain.id: base.start // base.chain.segment for base in reversed(stay)}
    open_chain = archive.open_chain
    useless = tuple(
        shipment
        for shipment in archive.shipments
        if not (open_chain and shipment.chain == open_chain.id and open_chain.id not in first)
        and shipment.last < first.get(shipment.chain, shipment.last + 1)
    )
    return gone, useless

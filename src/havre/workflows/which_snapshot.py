"""Which snapshot is meant; where there is none of that name, what there is instead."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from havre.errors import InputError, Problem
from havre.model.backup import Snapshot


def chosen_snapshot(
    known: Sequence[Snapshot], instance: str, service: str, snapshot_id: str | None, *, doubtful: bool = False
) -> Snapshot:
    """Of an instance's snapshots (newest first) the one with that id, else the newest good one of the service.

    InputError when there is none.
    """
    own = [one for one in known if one.service == service]
    if snapshot_id is None:
        found = next((one for one in own if one.is_good and one.purpose != "before-restore"), None)
    else:
        found = next((one for one in own if one.id == snapshot_id), None)
    if found is None:
        raise InputError(_no_snapshot(instance, service, snapshot_id, known))
    if not found.parts:
        raise InputError(_holds_nothing(found))
    if not found.is_good and not doubtful:
        raise InputError(_doubted(found))
    return found


def refuse_unknown_service(known: Sequence[Snapshot], instance: str, service: str, names: Sequence[str]) -> None:
    """Raises InputError for a service that is none of the app's, and of which no snapshot is known."""
    if service not in names and all(one.service != service for one in known):
        raise InputError(_no_snapshot(instance, service, None, known, names))


def _no_snapshot(
    instance: str, service: str, snapshot_id: str | None, known: Sequence[Snapshot], names: Sequence[str] = ()
) -> Problem:
    wanted = f"no snapshot {snapshot_id} of {service}" if snapshot_id else f"no good snapshot of {service}"
    kept = list(dict.fromkeys(one.service for one in known if one.parts))
    return Problem(
        summary=f"there is {wanted}",
        subject=instance,
        evidence=(f"snapshots are kept of {', '.join(sorted(kept))}",) if kept else (),
        hint=_meant(service, snapshot_id, known, [*kept, *names]),
        code="snapshot-missing",
    )


def _meant(service: str, snapshot_id: str | None, known: Sequence[Snapshot], names: Sequence[str]) -> str:
    """The likeliest thing that was meant: another service's snapshot, a volume of one, or a name much like it."""
    other = next((one for one in known if one.id == snapshot_id), None)
    if other is not None:
        return f"it is one of {other.service}: `havre restore {other.service} {other.id}`"
    holder = next((one.service for one in known if one.is_good and one.part(service)), None)
    if holder is not None:
        return f"it is part of the snapshots of {holder}: `havre restore {holder} --only {service}`"
    of_service = [one.id for one in known if one.service == service]
    close = get_close_matches(snapshot_id, of_service, n=1) if snapshot_id else get_close_matches(service, names, n=1)
    if close and close[0] != service:
        return f"did you mean `{close[0]}`?"
    return "`havre backup list` shows what there is; `havre backup` takes one"


def _holds_nothing(snapshot: Snapshot) -> Problem:
    return Problem(
        summary=f"{snapshot.id} failed, so there is nothing in it to restore",
        subject=snapshot.instance,
        evidence=snapshot.reasons,
        hint="without an id the newest good one is taken; `havre backup list` shows all",
        code="snapshot-empty",
    )


def _doubted(snapshot: Snapshot) -> Problem:
    return Problem(
        summary=f"the snapshot {snapshot.id} is {snapshot.verdict.value}",
        evidence=snapshot.reasons,
        hint="choose a good one (`havre backup list`), or give --doubtful when this is the one you want",
        code="snapshot-doubtful",
    )

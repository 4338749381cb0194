"""Whatever is killed at whatever point of a release: the site stays up and the next command leaves one whole release.

`HAVRE_CRASH_MATRIX=full` runs every step boundary with every fault; without it, a choice that takes a few minutes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest
from doomed import AFTER_ALL, BEFORE_ALL
from shop import Shop
from wreck import Cell, Probe, Result, book, hit, last_step, leftovers, settled, versions, visitors

FULL = os.environ.get("HAVRE_CRASH_MATRIX") == "full"
STEPS = {"rolling": 12, "stop-first": 20}
MOMENTS = ("started", "performed", "done")
EDGE_BACK = 6.0
"""Seconds within which a running release brings a killed edge back."""


def every_cell() -> Iterator[Cell]:
    """The full matrix; the commands that come after take turns."""
    for shape, last in STEPS.items():
        for number in (BEFORE_ALL, *range(1, last + 1), AFTER_ALL):
            for fault in ("havre", "edge", "both"):
                for place, moment in enumerate(MOMENTS if BEFORE_ALL < number < AFTER_ALL else ("done",)):
                    then = ("recover", "deploy")[(number + place) % 2]
                    yield Cell(shape=shape, step=number, moment=moment, fault=fault, then=then)
    for number in (1, 2, 4, 8):
        yield Cell(shape="rolling", step=number, moment="mid:0.1", fault="havre", then="deploy")


def chosen_cells() -> Iterator[Cell]:
    """The boundaries where something changes hands, each once; the commands that come after take turns."""
    for number, moment, then in (
        (BEFORE_ALL, "done", "recover"),
        (1, "performed", "deploy"),
        (1, "mid:0.1", "recover"),
        (4, "performed", "deploy"),
        (5, "started", "recover"),
        (5, "performed", "deploy"),
        (6, "performed", "recover"),
        (8, "performed", "deploy"),
        (9, "started", "recover"),
        (AFTER_ALL, "done", "deploy"),
    ):
        yield Cell(shape="rolling", step=number, moment=moment, fault="havre", then=then)
    for number, then in ((1, "recover"), (3, "recover"), (4, "deploy"), (5, "recover"), (7, "deploy")):
        yield Cell(shape="stop-first", step=number, moment="performed", fault="havre", then=then)
    yield Cell(shape="rolling", step=2, moment="performed", fault="edge")
    yield Cell(shape="rolling", step=12, moment="performed", fault="edge")
    yield Cell(shape="rolling", step=5, moment="performed", fault="both")


CELLS = tuple(every_cell() if FULL else chosen_cells())


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_a_crash_leaves_one_whole_release_serving(
    standing: Shop, cell: Cell, next_version: Iterator[int], table: list[Result]
) -> None:
    old, new = versions(standing), str(next(next_version))
    standing.write(web=new, api=new, db=new if cell.shape == "stop-first" else _db_version(standing))
    result = Result(engine=standing.engine, cell=cell)
    table.append(result)
    with visitors(standing) as tally, Probe(standing) as probe:
        struck = hit(standing, cell, "deploy", "-y", "--engine", standing.engine)
        result.where, result.exit_code = last_step(standing), struck.returncode
        assert "-- struck" in struck.stdout, f"the fault never came:\n{struck.stdout}\n{struck.stderr}"
        after = standing.havre(*_then(standing, cell), check=False)
        time.sleep(0.3)
    result.requests, result.failed, result.kinds = tally.requests, tally.failed, dict(tally.kinds)
    result.down = probe.longest
    result.settled = settled(standing, cell)
    serving = versions(standing)
    result.version = "new" if serving == (new, new) else "old" if serving == old else "MIXED"
    assert after.returncode == 0, f"{after.stdout}\n{after.stderr}"
    assert serving in (old, (new, new)), "half of one release and half of another"
    assert [row["state"] for row in book(standing)].count("serving") == 1
    assert all(row["ended_at"] is not None for row in book(standing)), "a release was left open"
    assert not leftovers(standing)
    if cell.fault == "havre":
        assert struck.returncode == -9
        assert tally.failed == 0, tally.examples
        assert tally.requests > 0
    else:
        assert result.down < EDGE_BACK + (3 if cell.fault == "both" else 0), f"nobody was served for {result.down} s"
    if cell.then == "deploy":
        assert serving == (new, new), "a deploy after a crash ends with what was asked for"


def _then(shop: Shop, cell: Cell) -> tuple[str, ...]:
    return ("recover",) if cell.then == "recover" else ("deploy", "-y", "--engine", shop.engine)


def _db_version(shop: Shop) -> str:
    text = (shop.directory / "compose.yaml").read_text()
    return text.split('ROLE: db, VERSION: "')[1].split('"')[0]

"""The Docker Engine is killed or restarted in the middle of a release: what serves is back, or never went, by itself.

With live-restore containers go on without the engine, and nobody notices. Without it they end with the engine and come
back with it, each under the address that the edge leads to. After `kill -9` some engines leave containers down
that are to be up: the unit that `havre boot install` makes runs whenever the engine starts, so here it runs too.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from doomed import AFTER_ALL, BEFORE_ALL
from second_engine import SecondEngine
from shop import Shop
from wreck import Cell, Probe, Result, book, close, hit, last_step, leftovers, open_shop, settled, versions, visitors

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(os.geteuid() != 0, reason="an engine of its own needs root"),
]
FULL = os.environ.get("HAVRE_CRASH_MATRIX") == "full"
BACK = 40.0
"""Seconds within which everything is back without live-restore, the engine's own start included."""


@dataclass(frozen=True)
class Stage:
    """A shop on an engine of its own."""

    engine: SecondEngine
    shop: Shop


def every_cell() -> Iterator[Cell]:
    """Each step of a rolling release with each way to lose the engine, and some of one that stops first."""
    for number in (BEFORE_ALL, *range(1, 13), AFTER_ALL):
        for fault in ("dockerd", "restart"):
            moment = "performed" if BEFORE_ALL < number < AFTER_ALL else "done"
            yield Cell(shape="rolling", step=number, moment=moment, fault=fault, then=("recover", "deploy")[number % 2])
    for number in (1, 2, 3, 4, 5, 7, 9):
        yield Cell(shape="stop-first", step=number, moment="performed", fault="dockerd", then="deploy")


def chosen_cells() -> Iterator[Cell]:
    """While replicas start, after the switch, while old ones leave; and one release that stops first."""
    yield Cell(shape="rolling", step=4, moment="performed", fault="dockerd", then="recover")
    yield Cell(shape="rolling", step=6, moment="performed", fault="restart", then="deploy")
    yield Cell(shape="rolling", step=9, moment="performed", fault="dockerd", then="deploy")
    yield Cell(shape="stop-first", step=4, moment="performed", fault="dockerd", then="deploy")


CELLS = tuple(every_cell() if FULL else chosen_cells())


@pytest.fixture(scope="module", params=[True, False], ids=["live-restore", "plain"])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """The path is short: sockets lie below it."""
    with tempfile.TemporaryDirectory(prefix="havre", ignore_cleanup_errors=True) as home:
        engine = SecondEngine(Path(home) / "e", live_restore=request.param)
        try:
            engine.take_image("python:3.11-slim")
            (Path(home) / "shop").mkdir()
            with engine.inside():
                shop = open_shop("docker", Path(home) / "shop")
                shop.deploy()
                yield Stage(engine=engine, shop=shop)
                close(shop)
        finally:
            engine.close()


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_a_lost_engine_leaves_one_whole_release_serving(
    stage: Stage, cell: Cell, next_version: Iterator[int], table: list[Result]
) -> None:
    shop = stage.shop
    old, new = versions(shop), str(next(next_version))
    shop.write(web=new, api=new, db=new if cell.shape == "stop-first" else "1")
    result = Result(engine="live" if stage.engine.live_restore else "plain", cell=cell)
    table.append(result)
    with visitors(shop) as tally, Probe(shop) as probe:
        struck = hit(shop, cell, "deploy", "-y", "--engine", "docker")
        result.where, result.exit_code = last_step(shop), struck.returncode
        assert "-- struck" in struck.stdout, f"the fault never came:\n{struck.stdout}\n{struck.stderr}"
        assert "Traceback" not in struck.stderr, struck.stderr
        stage.engine.await_answer()
        if cell.fault == "dockerd":
            shop.havre("boot", "now")
        _served_again(shop)
        after = shop.havre(*(("recover",) if cell.then == "recover" else ("deploy", "-y", "--engine", "docker")))
        time.sleep(0.3)
    result.requests, result.failed, result.kinds = tally.requests, tally.failed, dict(tally.kinds)
    result.down, result.settled = probe.longest, settled(shop, cell)
    serving = versions(shop)
    result.version = "new" if serving == (new, new) else "old" if serving == old else "MIXED"
    assert serving in (old, (new, new)), "half of one release and half of another"
    assert [row["state"] for row in book(shop)].count("serving") == 1
    assert all(row["ended_at"] is not None for row in book(shop)), "a release was left open"
    assert not leftovers(shop), after.stdout
    if stage.engine.live_restore:
        assert tally.failed == 0, tally.examples
    if cell.then == "deploy":
        assert serving == (new, new), "a deploy after a crash ends with what was asked for"


def _served_again(shop: Shop) -> None:
    """Wait until a visitor is answered, and nothing but the engine and the edge has done anything for it."""
    deadline = time.monotonic() + BACK
    while shop.get()[0] != 200:
        assert time.monotonic() < deadline, "nobody is served although the engine is back"
        time.sleep(0.2)

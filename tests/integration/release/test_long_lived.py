"""What is open while its service is released stays open until the drain limit, and not much longer."""

from __future__ import annotations

from pathlib import Path

from command import run_havre
from shop import Shop

import long_lived


def test_websockets_and_event_streams_live_on_until_the_drain_limit(shop: Shop) -> None:
    directory: Path = shop.directory
    long_lived.write(directory, shop.name, "1")
    deploy = ("deploy", "-y", "--engine", shop.engine)
    run_havre(directory, *deploy)
    outcome = long_lived.measure(directory, shop.name, shop.http_port, lambda: run_havre(directory, *deploy))
    assert len(outcome.lived) == 2 * long_lived.EACH
    assert outcome.early == 0, outcome.lived
    assert max(outcome.lived) < long_lived.DRAIN + 6, outcome.lived

"""How long deploys of the example take on the Docker engine, beside the Compose programs, interleaved, medians.

    python benchmarks/deploy.py [--rounds N] [--skip-peers]

Cold (nothing there but the images), unchanged, one service changed, back to the release before. Havre also runs
the migration and verifies through the edge; `docker compose up -d --wait` only waits for health, and
docker-compose 1.29.2 `up -d` for the health of dependencies. The last line is one JSON object with all figures;
the exit status is 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import time
from collections.abc import Callable

from example_stage import Stage, compose_v2, staged, timed

UNCHANGED_WITHIN = 0.5
UNCHANGED_CALLS = 25
ROLLBACK_OVER_START = 3.0
COLD_SHARE = 0.6
V2, V1 = "docker compose 2.26", "docker-compose 1.29.2"
QUIET = 1.2
"""Seconds between two runs, so that none finds caches of the engine that the one before has just filled."""

Figures = dict[str, dict[str, list[float]]]


def main() -> int:
    """Run everything, print the table and the verdict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="cold deploys per program [%(default)s]")
    parser.add_argument("--skip-peers", action="store_true", help="Havre alone")
    given = parser.parse_args()
    figures: Figures = {}
    with staged("docker", "lexdeploy") as stage:
        print(stage.deploy().stdout.splitlines()[-2], "(with the images' build)")
        calls, starts = 0, []
        for number in range(given.rounds):
            calls, start = _havre(stage, figures, number)
            starts.append(start)
            stage.havre("down", "-y", "--volumes", "--confirm", stage.name)
            if not given.skip_peers:
                _peer(stage, figures, V2, compose_v2(), ("--wait",), number)
                _peer(stage, figures, V1, ["docker-compose"], (), number)
    return _report(figures, calls, statistics.median(starts))


def _havre(stage: Stage, figures: Figures, number: int) -> tuple[int, float]:
    """One round of all four; requests of the unchanged deploy, and how long the application takes to start."""
    note = _noting(figures, "havre")
    stage.havre("down", "-y", "--volumes", "--confirm", stage.name)
    note("cold", timed(stage.deploy))
    for _ in range(5):
        time.sleep(QUIET)
        note("unchanged", timed(stage.deploy))
    calls = stage.counted_deploy()
    stage.set(APP_VERSION=f"1.{number}.1")
    note("one service", timed(stage.deploy))
    start = time.perf_counter()
    said = stage.havre("rollback", "-y").stdout
    note("rollback", time.perf_counter() - start)
    return calls, _seconds(said, r"✓ (?:start|await) [a-z]+\.\d+ \(([\d.]+) s\)")


def _peer(stage: Stage, figures: Figures, name: str, program: list[str], wait: tuple[str, ...], number: int) -> None:
    note = _noting(figures, name)
    up = ("up", "-d", *wait)
    stage.compose(program, "build")
    stage.set(APP_VERSION="1.0.0")
    note("cold", timed(stage.compose, program, *up))
    time.sleep(QUIET)
    note("unchanged", timed(stage.compose, program, *up))
    stage.set(APP_VERSION=f"1.{number}.1")
    note("one service", timed(stage.compose, program, *up))
    stage.compose(program, "down", "-v")
    stage.set(APP_VERSION="1.0.0")


def _noting(figures: Figures, program: str) -> Callable[[str, float], None]:
    return lambda what, seconds: figures.setdefault(program, {}).setdefault(what, []).append(round(seconds, 3))


def _seconds(text: str, pattern: str) -> float:
    return sum(float(found) for found in re.findall(pattern, text))


def _report(figures: Figures, calls: int, start: float) -> int:
    medians = {name: {what: statistics.median(runs) for what, runs in row.items()} for name, row in figures.items()}
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors; seconds, medians")
    columns = ("cold", "unchanged", "one service", "rollback")
    print(f"{'':24}" + "".join(f"{column:>14}" for column in columns))
    for name, row in medians.items():
        print(f"{name:24}" + "".join(f"{row[column]:14.2f}" if column in row else f"{'-':>14}" for column in columns))
    ours = medians["havre"]
    back = ours["rollback"]
    unchanged = min(figures["havre"]["unchanged"]), ours["unchanged"]
    targets = {
        f"unchanged deploy within {UNCHANGED_WITHIN} s (median {unchanged[1]:.2f}, best {unchanged[0]:.2f})": (
            unchanged[1] <= UNCHANGED_WITHIN
        ),
        f"unchanged deploy with at most {UNCHANGED_CALLS} requests to the engine ({calls})": calls <= UNCHANGED_CALLS,
        f"rollback within {ROLLBACK_OVER_START} s and the start of the app ({back:.2f} s, of it {start:.1f} s)": (
            back <= ROLLBACK_OVER_START + start
        ),
    }
    if V2 in medians:
        share = ours["cold"] / medians[V2]["cold"]
        targets[f"cold deploy in at most {COLD_SHARE} of the time of {V2} ({share:.2f})"] = share <= COLD_SHARE
    for text, is_met in targets.items():
        print(f"{'met   ' if is_met else 'MISSED'} {text}")
    print(json.dumps({"figures": figures, "medians": medians, "calls": calls, "start": start, "targets": targets}))
    return 0 if all(targets.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())

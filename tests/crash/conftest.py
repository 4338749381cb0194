"""One shop per engine for all cells of the matrix, and the matrix as a table at the end of the run."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from shop import Shop
from wreck import Result, close, open_shop

ENGINES = [pytest.param("docker", marks=pytest.mark.docker), pytest.param("process", marks=pytest.mark.process)]
RESULTS = pytest.StashKey[list[Result]]()


@pytest.fixture(scope="module", params=ENGINES)
def standing(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop that is deployed already and lives through all tests of the module."""
    shop = open_shop(request.param, tmp_path_factory.mktemp(request.param))
    shop.deploy()
    yield shop
    close(shop)


@pytest.fixture(params=ENGINES)
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    """A shop of which nothing was deployed yet."""
    shop = open_shop(request.param, tmp_path)
    yield shop
    close(shop)


@pytest.fixture(scope="session")
def next_version() -> Iterator[int]:
    """Numbers that were not used before."""
    return itertools.count(2)


@pytest.fixture
def table(request: pytest.FixtureRequest) -> list[Result]:
    """Where results go to be printed at the end."""
    return request.config.stash.setdefault(RESULTS, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the matrix."""
    results = config.stash.get(RESULTS, [])
    if not results:
        return
    terminalreporter.section("crash matrix")
    head = ("engine", "release", "last step begun when it struck", "moment", "killed", "then", "settled", "serves")
    row = "{:8} {:11} {:44} {:10} {:6} {:8} {:12} {:7} {:>8} {:>6} {:>6}"
    terminalreporter.write_line(row.format(*head, "requests", "failed", "down s"))
    for one in results:
        cell = one.cell
        terminalreporter.write_line(
            row.format(
                one.engine, cell.shape, one.where[:44], cell.moment, cell.fault, cell.then, one.settled, one.version,
                one.requests, one.failed, f"{one.down:.2f}",
            )
        )  # fmt: skip

"""A database that nothing leads to is replaced stop-first: whoever calls it waits at the edge meanwhile."""

from __future__ import annotations

import time

import pytest
from shop import Shop
from wreck import Probe, book

ADDRESS = 'ports: ["127.0.0.1:'
HOLD = "hold requests for api, which calls db"
SHORT = "4s"
"""A hold that ends before the front's own patience with the API, 4 s, does."""
NEEDS = "    depends_on: {db: {condition: service_healthy}}\n"
BARE = "    def do_GET(self):\n"
HONEST = """\
    def do_GET(self):
        try:
            self.answer()
        except OSError as error:
            self.reply(502, {"error": str(error)})

    def answer(self):
"""
"""As most apps do, it answers with an error when it cannot reach its database; no answer at all is asked for again."""


def test_a_database_without_a_route_is_replaced_and_brought_back_without_a_failed_request(shop: Shop) -> None:
    _write(shop)
    shop.deploy()
    _write(shop, api="2", db="2", needs="")
    assert HOLD in " ".join(shop.havre("plan").stdout.split()), "what serves calls it, whatever its successor does"
    _write(shop, db="2")
    told = " ".join(shop.havre("plan").stdout.split())
    with shop.visitors() as tally:
        shop.deploy()
        shop.havre("rollback", "-y")
    assert tally.failed == 0, tally.examples
    assert tally.requests > 50
    assert HOLD in told
    assert "requests for api wait" in told
    assert [row["state"] for row in book(shop)][:2] == ["serving", "superseded"]


def test_a_published_database_is_called_directly_inside_so_its_callers_wait_too(shop: Shop) -> None:
    _write(shop, published=True)
    shop.deploy()
    _write(shop, published=True, db="2")
    with shop.visitors() as tally:
        shop.deploy()
    assert tally.failed == 0, tally.examples
    assert tally.requests > 50


def test_callers_get_their_requests_back_before_the_rest_of_a_release_that_changes_routes(shop: Shop) -> None:
    _write(shop)
    shop.deploy()
    _write(shop, db="2", api="2", web="2")
    manifest, compose = shop.directory / "havre.yaml", shop.directory / "compose.yaml"
    more = "  - {host: new.localhost, to: web:3000}\nrelease:"
    manifest.write_text(manifest.read_text().replace("release:", more))
    slow = '    command: ["sh", "-c", "sleep 8; exec python /app/app.py"]\n    environment: {ROLE: web'
    compose.write_text(compose.read_text().replace("    environment: {ROLE: web", slow))
    with shop.visitors() as tally, Probe(shop) as probe:
        shop.deploy()
    assert tally.failed == 0, tally.examples
    assert probe.longest < 8.0, "the hold lasted until the end of the release"
    assert shop.get("/")[1]["web"] == "2"


@pytest.mark.parametrize(("fault", "hold", "patience"), [("exit", "10s", 12), ("sick", SHORT, 4)])
def test_a_new_database_that_fails_costs_its_callers_a_wait_and_no_request(
    shop: Shop, fault: str, hold: str, patience: int
) -> None:
    """One ends at once; the other runs, and passes no health check until Havre gives up: nobody waits for that.

    Callers wait until the old one is back in the first case, which a busy machine takes its time for.
    """
    _write(shop, hold=hold, patience=patience)
    shop.deploy()
    _write(shop, hold=hold, patience=patience, db="2", fault=fault)
    with shop.visitors() as tally, Probe(shop) as probe:
        began = time.monotonic()
        refused = shop.deploy(check=False)
        took = time.monotonic() - began
    assert refused.returncode == 1
    assert tally.failed == 0, tally.examples
    assert probe.longest < patience + 3.0
    assert fault == "exit" or took > 15.0, "it was given up before anybody had waited too long"
    assert [row["state"] for row in book(shop)][:2] == ["failed", "serving"]
    assert shop.get("/")[0] == 200


def _write(
    shop: Shop, *, hold: str = "15s", patience: int = 4, fault: str = "", published: bool = False, needs: str = NEEDS,
    **versions: str,
) -> None:  # fmt: skip
    """The shop with a database that nothing leads to, unless it is `published`; `fault` is the new one's.

    `patience` is how many seconds a service waits for the one it calls.
    """
    shop.write(**versions)
    program = shop.directory / "app/app.py"
    waiting = f"urlopen(url, timeout={patience})"
    program.write_text(program.read_text().replace(BARE, HONEST).replace("urlopen(url, timeout=4)", waiting))
    compose, manifest = shop.directory / "compose.yaml", shop.directory / "havre.yaml"
    lines = [line for line in compose.read_text().splitlines(keepends=True) if published or ADDRESS not in line]
    text = "".join(lines).replace("interval: 30s", "interval: 1s").replace(NEEDS, needs)
    compose.write_text(text.replace("{ROLE: db,", f'{{ROLE: db, BREAK: "{fault}",'))
    manifest.write_text(manifest.read_text() + f"hold: {hold}\n")

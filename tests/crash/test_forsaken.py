"""Havre is killed in the middle of a hold, and nobody calls it again: what runs gets its requests back all the same."""

from __future__ import annotations

import http.client
import json
import time
from contextlib import closing

from shop import HOST, Shop
from wreck import Cell, Result, book, hit, versions

from havre.workflows.demo import free_port

LIMIT = 5.0
HOLD = "hold requests for api, which calls db"


def test_the_callers_of_a_database_are_led_to_again_when_their_hold_is_over(fresh: Shop, table: list[Result]) -> None:
    """Through a route with sticky sessions, a published port and the front page, which calls the API inside."""
    port = free_port(fresh.db_port + 1)
    _write(fresh, port)
    fresh.deploy()
    _write(fresh, port, db="2")
    cell = Cell(shape="stop-first", step=_number(fresh), moment="done", fault="havre")
    result = Result(engine=fresh.engine, cell=cell, where=HOLD)
    table.append(result)
    assert hit(fresh, cell, "deploy", "-y", "--engine", fresh.engine).returncode == -9
    began = time.monotonic()
    asked = [_ask(fresh.http_port, "/api/"), _ask(port, "/"), _ask(fresh.http_port, "/")]
    assert [status for status, _ in asked] == [200, 200, 200], asked
    assert time.monotonic() - began < LIMIT + 1.0
    began = time.monotonic()
    assert [_ask(*at)[0] for at in ((fresh.http_port, "/api/"), (port, "/"))] == [200, 200]
    assert time.monotonic() - began < 1.0, "nobody waits any more"
    fresh.havre("recover")
    assert versions(fresh) == ("1", "1")
    assert not (fresh.directory / "state/edge/maps/held.map").read_text()
    result.settled, result.version, result.requests = book(fresh)[0]["state"], "old", len(asked)


def _ask(port: int, path: str) -> tuple[int, object]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT + 5)) as connection:
        connection.request("GET", path, headers={"Host": HOST})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def _number(shop: Shop) -> int:
    """The step that begins the hold."""
    (line,) = [line for line in shop.havre("plan").stdout.splitlines() if HOLD in line]
    return int(line.split(".")[0])


def _write(shop: Shop, port: int, *, db: str = "1") -> None:
    """The shop with a database that nothing leads to, an API that is published too, and short holds."""
    shop.write(db=db)
    compose, manifest = shop.directory / "compose.yaml", shop.directory / "havre.yaml"
    text = compose.read_text().replace(f'    ports: ["127.0.0.1:{shop.db_port}:5000"]\n', "")
    compose.write_text(text.replace('    expose: ["8000"]\n', f'    ports: ["127.0.0.1:{port}:8000"]\n'))
    text = manifest.read_text().replace("strip: true,", "strip: true, sticky: true,")
    manifest.write_text(f"{text}hold: {LIMIT:g}s\n")

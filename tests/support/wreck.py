"""Shops that are hit at exact points of a release, and what must be true of them afterwards."""

from __future__ import annotations

import http.client
import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from command import HAVRE
from ending import end_helpers
from shop import HOST, Shop

from havre.workflows.demo import free_port
from strict_client import Client, Load, Tally

DOOMED = [sys.executable, str(Path(__file__).with_name("doomed.py"))]
VISITORS = 8
PROBE_EVERY = 0.02
PASSING = 4.0


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One fault at one point of one kind of release, and the command that comes after it."""

    shape: str
    step: int
    moment: str
    fault: str
    then: str = "recover"

    def __str__(self) -> str:
        return f"{self.shape}-{self.step:02}-{self.moment}-{self.fault}-{self.then}"


@dataclass(kw_only=True)
class Result:
    """A row of the table."""

    engine: str
    cell: Cell
    where: str = "?"
    """What the journal says was the last step begun."""
    exit_code: int = 0
    settled: str = "?"
    version: str = "?"
    requests: int = 0
    failed: int = 0
    down: float = 0.0
    kinds: dict[str, int] = field(default_factory=dict)


def hit(shop: Shop, cell: Cell, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a havre command that meets the cell's fault."""
    return subprocess.run(
        [*DOOMED, cell.fault, str(cell.step), cell.moment, str(shop.directory / "state"), "--", *command],
        cwd=shop.directory,
        env=shop.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@contextmanager
def visitors(shop: Shop) -> Iterator[Tally]:
    """Strict visitors on keep-alive connections; the tally is complete after the block."""
    load = Load(
        url=f"http://127.0.0.1:{shop.http_port}/",
        hosts=(HOST,),
        connections=VISITORS,
        seconds=300,
        think=(0.0, 0.05),
        body_sizes=(16, 4096),
    )
    client = Client(load).start()
    try:
        yield client.tally
    finally:
        client.stop()


class Probe:
    """Asks the front page again and again on new connections, to tell for how long nobody was served."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self.longest = 0.0

    def __enter__(self) -> Probe:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _ask(self) -> None:
        last = time.monotonic()
        while not self._stop.wait(PROBE_EVERY):
            try:
                served = self._shop.get("/")[0] == 200
            except (OSError, http.client.HTTPException):
                served = False
            now = time.monotonic()
            self.longest = max(self.longest, now - last)
            if served:
                last = now


def book(shop: Shop) -> list[dict[str, Any]]:
    """The releases, newest first, as the database has them."""
    return _rows(shop, "SELECT number, state, ended_at FROM releases WHERE instance = ? ORDER BY number DESC")


def last_step(shop: Shop) -> str:
    """The step that was begun last in the newest release's journal, and how far it came."""
    rows = _rows(
        shop,
        "SELECT text, state, started_at FROM journal WHERE instance = ?1 AND started_at IS NOT NULL AND release ="
        " (SELECT max(number) FROM releases WHERE instance = ?1) ORDER BY started_at DESC LIMIT 1",
    )
    return f"{rows[0]['text']}: {rows[0]['state']}" if rows else "no step begun"


def _rows(shop: Shop, query: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(shop.directory / "state/havre.db", timeout=10)) as sql:
        sql.row_factory = sqlite3.Row
        return [dict(row) for row in sql.execute(query, (shop.name,))]


def settled(shop: Shop, cell: Cell) -> str:
    """How the release that was hit ended, whatever came after it."""
    rows = book(shop)
    return str(rows[0]["state"] if cell.then == "recover" or len(rows) < 2 else _hit_release(rows)["state"])


def _hit_release(rows: list[dict[str, object]]) -> dict[str, object]:
    return rows[0] if rows[1]["state"] == "superseded" else rows[1]


def versions(shop: Shop) -> tuple[str, str]:
    """(web, api) as a visitor sees them."""
    status, body = shop.get("/")
    assert status == 200, body
    return body["web"], body["api"]["version"]


def leftovers(shop: Shop) -> list[str]:
    """Whatever runs or exists for the instance and does not belong to one whole, serving release.

    What is only passing, as a health check under way, is given a moment.
    """
    deadline = time.monotonic() + PASSING
    while (found := _leftovers(shop)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return found


def _leftovers(shop: Shop) -> list[str]:
    found = _docker_leftovers(shop) if shop.engine == "docker" else _process_leftovers(shop)
    return [*found, *_edge_leftovers(shop), *_held_lock(shop)]


def _docker_leftovers(shop: Shop) -> list[str]:
    label = f"label=havre.instance={shop.name}"
    running = _lines("docker", "ps", "--filter", label, "--format", "{{.Names}}")
    every = _lines("docker", "ps", "-a", "--filter", f"name={shop.name}-", "--format", "{{.Names}}")
    networks = _lines("docker", "network", "ls", "--filter", f"name={shop.name}", "--format", "{{.Name}}")
    wrong = [] if len(running) == 3 else [f"running: {sorted(running)}"]
    if unknown := set(every) - set(_known(shop)):
        wrong.append(f"unknown to havre: {sorted(unknown)}")
    return wrong if networks == [f"{shop.name}_default"] else [*wrong, f"networks: {networks}"]


def _known(shop: Shop) -> set[str]:
    return {f"{shop.name}-{name.replace('.', '-')}" for name in shop.replicas()}


def _process_leftovers(shop: Shop) -> list[str]:
    state = shop.directory / "state/process"
    alive = list(_processes_on(state))
    wrong = [] if len(alive) == 3 else [f"{len(alive)} processes run"]
    networks = [path.stem for path in (state / "networks").glob("*.json")]
    return wrong if networks == [f"{shop.name}_default"] else [*wrong, f"networks: {networks}"]


def _processes_on(state: Path) -> Iterator[int]:
    """The application's processes that see this state directory, whoever their parent is by now."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command, mounts = (entry / "cmdline").read_bytes(), (entry / "mountinfo").read_text()
        except OSError:
            continue
        if command.endswith(b"/app/app.py\0") and str(state) in mounts:
            yield int(entry.name)


def _edge_leftovers(shop: Shop) -> list[str]:
    """Replicas that the edge leads to and that do not run, or the other way round."""
    applied = json.loads((shop.directory / f"state/edge/apps/{shop.name}.json").read_text())
    led_to = {replica["name"] for _, replicas in applied["app"]["upstreams"] for replica in replicas}
    running = {name for name, state in shop.replicas().items() if state == "running"}
    held = [backend["endpoint"] for backend in applied["backends"] if backend["held"]]
    wrong = [] if led_to == running else [f"edge leads to {sorted(led_to)}, running are {sorted(running)}"]
    return [*wrong, f"held: {held}"] if held else wrong


def _held_lock(shop: Shop) -> list[str]:
    done = subprocess.run(["flock", "-n", str(shop.directory / f"state/locks/{shop.name}.lock"), "true"], check=False)
    return ["the instance's lock is held"] if done.returncode else []


def _lines(*argv: str) -> list[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()


def start_havre(shop: Shop, *arguments: str) -> subprocess.Popen[str]:
    """Begin a havre command, with its errors apart, to be interrupted."""
    return subprocess.Popen(
        [*HAVRE, *arguments],
        cwd=shop.directory,
        env=shop.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def close(shop: Shop) -> None:
    """Take a shop down and end what Havre itself kept running for it."""
    shop.havre("down", "-y", "--volumes", "--confirm", shop.name, check=False)
    end_helpers(shop.directory / "state")
    if shop.engine == "docker":
        subprocess.run(
            ["sh", "-c", f"docker images -q '{shop.name}/*' | xargs -r docker rmi -f"], capture_output=True, check=False
        )


def open_shop(engine: str, directory: Path) -> Shop:
    """A shop with a name and ports of its own; nothing is deployed yet."""
    port = free_port(25000 + os.getpid() % 4000)
    shop = Shop(
        directory=directory,
        engine=engine,
        http_port=port,
        db_port=free_port(port + 1),
        name=f"crash{uuid.uuid4().hex[:6]}",
    )
    shop.write()
    return shop

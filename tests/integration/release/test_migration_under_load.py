"""A migration that fails half-way, and a restore, while visitors read and write: they notice nothing of either."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from data_tools import restic
from ending import end_helpers
from shop import Shop

from havre.workflows.demo import free_port

pytestmark = [pytest.mark.docker, pytest.mark.slow]

APP = '''
"""Orders in PostgreSQL: GET counts them, POST adds one; `migrate` applies what lies in migrations/, file by file."""

import http.server
import os
import socket
import struct
import sys
from pathlib import Path

VERSION = os.environ.get("VERSION", "1")


class Database:
    """As much of PostgreSQL's protocol as this needs: one simple query after the other, without a password."""

    def __init__(self):
        self.file = None

    def connect(self):
        self.socket = socket.create_connection(("db", 5432), timeout=30)
        self.file = self.socket.makefile("rb")
        words = b"user\\0shop\\0database\\0shop\\0\\0"
        self.socket.sendall(struct.pack("!ii", len(words) + 8, 196608) + words)
        self.answer()

    def ask(self, sql):
        """As pools do: a connection that was ended in the meantime is made anew."""
        for last in (False, True):
            try:
                if self.file is None:
                    self.connect()
                return self.query(sql)
            except (OSError, struct.error):
                self.file = None
                if last:
                    raise

    def query(self, sql):
        body = sql.encode() + b"\\0"
        self.socket.sendall(b"Q" + struct.pack("!i", len(body) + 4) + body)
        return self.answer()

    def answer(self):
        rows, error = [], None
        while True:
            kind, size = struct.unpack("!ci", self.file.read(5))
            body = self.file.read(size - 4)
            if kind == b"D":
                rows.append(body[6:].decode())
            elif kind == b"E":
                error = dict((field[:1], field[1:]) for field in body.decode().split("\\0") if field)
            elif kind == b"Z":
                if error and error["S"] != "FATAL":
                    raise SystemExit(f"{error['S']}: {error['M']} (SQLSTATE {error['C']})")
                return rows


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.database = Database()

    def do_GET(self):
        count = self.database.ask("SELECT count(*) FROM orders")[0] if self.path != "/health" else "well"
        self.reply(f'{{"version": "{VERSION}", "orders": "{count}"}}')

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.database.ask("INSERT INTO orders (what) VALUES ('one')")
        self.reply("{}")

    def reply(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


def migrate():
    database = Database()
    database.ask("CREATE TABLE IF NOT EXISTS alembic_version (version_num text)")
    at = "".join(database.ask("SELECT version_num FROM alembic_version"))
    for file in sorted(Path("/app/migrations").glob("*.sql")):
        if file.stem > at:
            for statement in file.read_text().splitlines():
                database.ask(statement)
            database.ask("DELETE FROM alembic_version")
            database.ask(f"INSERT INTO alembic_version VALUES ('{file.stem}')")


if sys.argv[1:] == ["migrate"]:
    migrate()
else:
    http.server.ThreadingHTTPServer.request_queue_size = 256
    http.server.ThreadingHTTPServer(("0.0.0.0", 8000), Handler).serve_forever()
'''
COMPOSE = """
services:
  web:
    build: {{context: app}}
    init: true
    environment: {{VERSION: "{version}"}}
    depends_on: {{db: {{condition: service_healthy}}}}
    healthcheck:
      test: ["CMD", "python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
      interval: 30s
    stop_grace_period: 5s
  db:
    image: postgres:15-alpine
    environment: {{POSTGRES_USER: shop, POSTGRES_DB: shop, POSTGRES_HOST_AUTH_METHOD: trust}}
    volumes: ["data:/var/lib/postgresql/data"]
    healthcheck: {{test: ["CMD-SHELL", "pg_isready -h 127.0.0.1 -U shop"], interval: 1s, timeout: 5s, retries: 30}}
volumes: {{data: {{}}}}
"""
MANIFEST = """
app: {name}
routes: [{{host: shop.localhost, to: web:8000}}]
backups: {{db: {{schedule: "0 2 * * *"}}}}
release:
  migrate: {{service: web, run: python /app/app.py migrate, timeout: 60s}}
"""
FIRST = "CREATE TABLE orders (id serial, what text)"
HALF_WAY = "ALTER TABLE orders ADD COLUMN price int\nUPDATE ordres SET price = 1"
RIGHT = "ALTER TABLE orders ADD COLUMN IF NOT EXISTS price int\nUPDATE orders SET price = 1"


@dataclass
class Orders(Shop):
    """The app; a release is a version and the migrations that it brings."""

    def write(self, *, version: str = "1", **migrations: str) -> None:
        app = self.directory / "app"
        (app / "migrations").mkdir(parents=True, exist_ok=True)
        (app / "app.py").write_text(APP)
        for name, sql in migrations.items():
            (app / f"migrations/{name}.sql").write_text(sql)
        (app / "Dockerfile").write_text('FROM python:3.11-slim\nCOPY . /app\nCMD ["python", "/app/app.py"]\n')
        (self.directory / "compose.yaml").write_text(COMPOSE.format(version=version))
        (self.directory / "havre.yaml").write_text(MANIFEST.format(name=self.name))
        (self.directory / "state").mkdir(exist_ok=True)
        settings = f"http_port: {self.http_port}\nhttps_port: 0\nbind: [127.0.0.1]\n"
        (self.directory / "state/server.yaml").write_text(settings)

    def running(self) -> list[tuple[str, int, float]]:
        found = self.json("ps", "-q")["replicas"]
        return [(one["service"], one["slot"], one["started_at"]) for one in found if one["role"] == "replica"]

    @property
    def orders(self) -> int:
        return int(self.get()[1]["orders"])


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orders]:
    directory, port = tmp_path_factory.mktemp("orders"), free_port(20000 + os.getpid() % 5000)
    made = Orders(directory, "docker", port, 0, name=f"orders{uuid.uuid4().hex[:6]}")
    made.write(a1=FIRST)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HAVRE_RESTIC", str(restic()))
        try:
            made.havre("backup", "export-key", "--to", str(directory / "key.txt"))
            made.deploy()
            yield made
        finally:
            made.havre("down", "-y", "--volumes", "--confirm", made.name, check=False)
            end_helpers(directory / "state")


def test_visitors_do_not_notice_a_migration_that_fails_half_way_nor_the_one_that_mends_it(orders: Orders) -> None:
    serving = orders.running()
    with orders.visitors(8) as before:
        orders.write(version="2", a2=HALF_WAY)
        failed = orders.deploy(check=False)
    assert (before.failed, before.examples) == (0, [])
    assert before.requests > 200
    assert failed.returncode == 1
    said = " ".join((failed.stdout + failed.stderr).split())
    assert 'ERROR: relation "ordres" does not exist (SQLSTATE 42P01)' in said
    assert "revision: a1, as before" in said
    assert "DIRTY: the schema changed, and its revision did not" in said
    assert "added: column public.orders.price integer" in said
    assert "what served before still serves" in said
    assert "to go back: havre restore db db-" in said
    assert orders.running() == serving
    assert orders.get()[1]["version"] == "1"
    with orders.visitors(8) as after:
        orders.write(version="3", a2=RIGHT)
        orders.deploy()
    assert (after.failed, after.examples) == (0, [])
    assert orders.get()[1]["version"] == "3"
    assert orders.json("releases")[0]["schema_head"] == "a2"
    assert orders.orders > 20, "what visitors wrote meanwhile is there"


def test_visitors_do_not_notice_a_restore_of_the_busy_database(orders: Orders) -> None:
    orders.havre("backup", "take", "db")
    stored = orders.orders
    with orders.visitors(8) as tally:
        restored = orders.json("restore", "db", "-y")
    assert (tally.failed, tally.examples) == (0, [])
    assert tally.requests > 100
    assert restored["into"] == ["shop"]
    assert restored["kept"][0].startswith("shop__before_")
    assert orders.orders >= stored, "what visitors write after the swap is added to what the snapshot held"

"""A small real app, deployed by the real `havre` command on a real engine, with everything it needs beside it.

`web` answers pages by calling `api` by its name; `api` keeps a counter in `db`, a stateful service with a volume.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from command import HAVRE, environment, run_havre

from strict_client import Load, Tally, run

HOST = "shop.localhost"

APP = '''
"""One program, three roles: what it does is said by ROLE."""

import http.server
import json
import os
import signal
import sys
import time
import urllib.request
from pathlib import Path

ROLE, VERSION, BREAK = os.environ["ROLE"], os.environ.get("VERSION", "1"), os.environ.get("BREAK", "")
DATA = Path(os.environ.get("DATA", "/data"))
PORT = {"web": 3000, "api": 8000, "db": 5000}[ROLE]

if BREAK == "exit":
    print("KeyError: 'JWT_SECRET' is not set", file=sys.stderr, flush=True)
    sys.exit(3)


def fetch(url):
    # A database that is replaced leaves an address where nothing answers: a call made in that moment waits this long.
    with urllib.request.urlopen(url, timeout=4) as answer:
        return json.loads(answer.read())


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if BREAK == "late" and time.time() - STARTED > 4:
            return self.reply(500, {"error": "broke after it had started"})
        if self.path == "/health":
            bad = BREAK == "sick"
            return self.reply(503 if bad else 200, {"status": "unhealthy" if bad else "healthy", "version": VERSION})
        if BREAK == "wrong":
            return self.reply(500, {"error": "wrong"})
        if ROLE == "web":
            return self.reply(200, {"web": VERSION, "api": fetch("http://api:8000/")})
        if ROLE == "api":
            return self.reply(200, {"version": VERSION, "count": fetch("http://db:5000/")["count"]})
        count = int((DATA / "count").read_text() or 0) if (DATA / "count").exists() else 0
        return self.reply(200, {"count": count, "version": VERSION})

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if ROLE == "db":
            count = (int((DATA / "count").read_text() or 0) if (DATA / "count").exists() else 0) + 1
            (DATA / "count").write_text(str(count))
            return self.reply(200, {"count": count})
        return self.reply(200, {"role": ROLE, "version": VERSION})

    def reply(self, status, body):
        payload = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True
    request_queue_size = 256


STARTED = time.time()
DATA.mkdir(parents=True, exist_ok=True) if ROLE == "db" else None
server = Server((os.environ.get("HOST", "0.0.0.0"), PORT), Handler)
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
print(json.dumps({"level": "INFO", "message": f"{ROLE} {VERSION} listens on {PORT}"}), flush=True)
print(json.dumps({"level": "ERROR", "message": "an error line to filter"}), flush=True)
server.serve_forever()
'''

COMPOSE = """
x-check: &check
  test: ["CMD", "python", "/app/probe.py"]
  interval: 30s
  timeout: 5s
  retries: 3
x-common: &common
  build: {{context: app}}
  healthcheck: *check
  mem_limit: 128m
  restart: unless-stopped
  stop_grace_period: 5s
  logging: {{driver: json-file, options: {{max-size: 10m, max-file: "3"}}}}
services:
  web:
    <<: *common
    environment: {{ROLE: web, VERSION: "{web}", BREAK: "{broken}"}}
    depends_on: {{api: {{condition: service_healthy}}}}
  api:
    <<: *common
    environment: {{ROLE: api, VERSION: "{api}", BREAK: "{broken_api}", PASSWORD: "${{PASSWORD:?set it in .env}}"}}
    expose: ["8000"]
    depends_on: {{db: {{condition: service_healthy}}}}
  db:
    <<: *common
    environment: {{ROLE: db, VERSION: "{db}"}}
    volumes: ["data:/data"]
    ports: ["127.0.0.1:{db_port}:5000"]
volumes:
  data:
"""

PROBE = """
import os, urllib.request
port = {"web": 3000, "api": 8000, "db": 5000}[os.environ["ROLE"]]
urllib.request.urlopen(f"http://{os.environ.get('HOST', '127.0.0.1')}:{port}/health", timeout=4)
"""

MANIFEST = """
app: {name}
routes:
  - {{host: shop.localhost, to: web:3000}}
  - {{host: shop.localhost, path: /api, strip: true, to: api:8000}}
release:
  verify:
    - {{get: /, host: shop.localhost, expect: {{status: 200}}}}
"""


@dataclass
class Shop:
    """The app in a directory of its own, and the command line to act on it."""

    directory: Path
    engine: str
    http_port: int
    db_port: int
    name: str = "shop"

    def write(self, *, web: str = "1", api: str = "1", db: str = "1", broken: str = "", broken_api: str = "") -> None:
        """(Re)write the Compose file with these versions and faults."""
        app = self.directory / "app"
        app.mkdir(parents=True, exist_ok=True)
        (app / "app.py").write_text(APP)
        (app / "probe.py").write_text(PROBE)
        (app / "Dockerfile").write_text(
            'FROM python:3.11-slim\nWORKDIR /app\nCOPY . .\nCMD ["python", "/app/app.py"]\n'
        )
        (app / "requirements.txt").write_text("")
        (self.directory / "compose.yaml").write_text(
            COMPOSE.format(web=web, api=api, db=db, broken=broken, broken_api=broken_api, db_port=self.db_port)
        )
        (self.directory / "havre.yaml").write_text(MANIFEST.format(name=self.name))
        (self.directory / ".env").write_text("PASSWORD=c0ffee1234567890abcdef\n")
        state = self.directory / "state"
        state.mkdir(exist_ok=True)
        (state / "server.yaml").write_text(f"http_port: {self.http_port}\nhttps_port: 0\nbind: [127.0.0.1]\n")

    def havre(self, *arguments: str, check: bool = True, timeout: float = 180) -> subprocess.CompletedProcess[str]:
        """Run the command in the app's directory, without a terminal, at 80 columns."""
        return run_havre(self.directory, *arguments, check=check, timeout=timeout)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Begin a command and return while it runs, to be killed."""
        return subprocess.Popen(
            [*HAVRE, *arguments],
            cwd=self.directory,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def environment(self) -> dict[str, str]:
        """What the command sees."""
        return environment(self.directory)

    def deploy(self, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`havre deploy -y` on this shop's engine."""
        return self.havre("deploy", "-y", "--engine", self.engine, check=check)

    def json(self, *arguments: str) -> Any:
        """A command's `--json`."""
        return json.loads(self.havre(*arguments, "--json").stdout)

    def get(self, path: str = "/") -> tuple[int, Any]:
        """Ask the edge as a visitor."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=20)
        try:
            connection.request("GET", path, headers={"Host": HOST})
            answer = connection.getresponse()
            body = answer.read()
            return answer.status, json.loads(body) if body.startswith(b"{") else body.decode()
        finally:
            connection.close()

    @contextmanager
    def visitors(self, connections: int = 16, slice_: float = 3.0) -> Iterator[Tally]:
        """Load on the front page for as long as the block lasts; the tally is complete after it."""
        total, stop = Tally(), threading.Event()

        def keep_coming() -> None:
            while not stop.is_set():
                part = run(self.load(connections, slice_))
                total.requests += part.requests
                total.failed += part.failed
                total.slowest = max(total.slowest, part.slowest)
                total.kinds.update(part.kinds)
                total.examples.extend(part.examples)

        thread = threading.Thread(target=keep_coming)
        thread.start()
        try:
            yield total
        finally:
            stop.set()
            thread.join()

    def load(self, connections: int, seconds: float) -> Load:
        """What visitors ask: GET of the front page (which calls the API inside) and POST."""
        return Load(url=f"http://127.0.0.1:{self.http_port}/", hosts=(HOST,), connections=connections, seconds=seconds)

    def replicas(self) -> dict[str, str]:
        """`service.slot` -> state, of everything the instance has."""
        return {f"{r['service']}.{r['slot']}": r["state"] for r in self.json("ps", "-q")["replicas"]}

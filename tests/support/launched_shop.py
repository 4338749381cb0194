"""A shop as it would go live: TLS at the edge, PostgreSQL with row level security, limits, and a web service.

The web service can be told to misbehave while it runs (`POST /misbehave`), so that one deployment shows both sides.
"""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from command import HAVRE, environment, run_havre
from data_tools import restic

from havre.workflows.demo import free_port

HOST = "launch.localhost"

WEB = '''
"""Answers, logs JSON lines, and behaves as it was last told."""

import http.server
import json
import os
import signal
import sys

HOW = {"cors": ""}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.reply(200, {"status": "healthy"})

    do_HEAD = do_OPTIONS = do_GET

    def do_POST(self):
        HOW.update(json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}"))
        self.reply(200, HOW)

    def reply(self, status, body):
        payload = json.dumps(body).encode()
        self.send_response(status)
        origin = self.headers.get("Origin")
        if origin and HOW["cors"] == "echo":
            self.send_header("Access-Control-Allow-Origin", origin)
            self.send_header("Access-Control-Allow-Credentials", "true")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(payload)

    def log_message(self, form, *words):
        print(json.dumps({"level": "INFO", "message": form % words}), flush=True)


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        print(json.dumps({"level": "WARNING", "message": repr(sys.exc_info()[1])}), flush=True)


print(json.dumps({"level": "INFO", "message": "listens on 8000"}), flush=True)
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
Server(("0.0.0.0", 8000), Handler).serve_forever()
'''

COMPOSE = """
x-logging: &bounded {{driver: json-file, options: {{max-size: 10m, max-file: "3"}}}}
services:
  web:
    build: {{context: app}}
    environment: {{JWT_SECRET: "${{JWT_SECRET:?}}", SUPABASE_URL: "http://db:5432"}}
    healthcheck:
      test: ["CMD", "python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health')"]
      interval: 5s
    mem_limit: 96m
    restart: unless-stopped
    stop_grace_period: 2s
    logging: *bounded
    depends_on: {{db: {{condition: service_healthy}}}}
  db:
    image: postgres:15-alpine
    environment: {{POSTGRES_USER: shop, POSTGRES_PASSWORD: "${{POSTGRES_PASSWORD:?}}", POSTGRES_DB: shop}}
    volumes: ["data:/var/lib/postgresql/data"]
    healthcheck: {{test: ["CMD-SHELL", "pg_isready -h 127.0.0.1 -U shop"], interval: 2s, retries: 30}}
    mem_limit: 128m
    restart: unless-stopped
    logging: {logging}
volumes: {{data: {{}}}}
"""

MANIFEST = """
app: {name}
routes:
  - {{host: {host}, to: web:8000, {route}}}
release:
  verify: [{{get: /, host: {host}, expect: {{status: 200, json: {{status: healthy}}}}}}]
secrets: [POSTGRES_PASSWORD, JWT_SECRET]
backups:
  db: {{schedule: "0 2 * * *", drill: monthly}}
{support}
{more}
"""

SUPPORT = """support:
  documentation: /srv/shop/docs
  contacts: {developer: dev@example.org}"""


@dataclass
class LaunchedShop:
    """The app in a directory of its own, on the Docker Engine."""

    directory: Path
    name: str = field(default_factory=lambda: f"lau{uuid.uuid4().hex[:6]}")

    def __post_init__(self) -> None:
        self.http_port = free_port(27000 + os.getpid() % 2000)
        self.https_port = free_port(self.http_port + 1)
        app = self.directory / "app"
        app.mkdir(parents=True)
        (app / "web.py").write_text(WEB)
        (app / "Dockerfile").write_text('FROM python:3.11-slim\nCOPY web.py /web.py\nCMD ["python", "/web.py"]\n')
        (self.directory / ".env").write_text(f"POSTGRES_PASSWORD={uuid.uuid4().hex}\nJWT_SECRET={uuid.uuid4().hex}\n")
        state = self.directory / "state"
        state.mkdir()
        ports = f"http_port: {self.http_port}\nhttps_port: {self.https_port}\n"
        self.metrics_port = free_port(self.https_port + 1)
        (state / "server.yaml").write_text(f"{ports}bind: [127.0.0.1]\nmetrics: 127.0.0.1:{self.metrics_port}\n")
        self.write()

    def write(
        self, *, bounded_logs: bool = True, route: str = "rate_limit: 40/minute", more: str = "", host: str = HOST,
        support: str = SUPPORT,
    ) -> None:  # fmt: skip
        """(Re)write the Compose file and the manifest."""
        logging = "*bounded" if bounded_logs else "{driver: json-file}"
        (self.directory / "compose.yaml").write_text(COMPOSE.format(logging=logging))
        text = MANIFEST.format(name=self.name, host=host, route=route, support=support, more=more)
        (self.directory / "havre.yaml").write_text(text)

    def havre(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the command in the app's directory, without a terminal, at 80 columns."""
        return run_havre(self.directory, *arguments, check=check, variables=self.environment())

    def havre_inside(self, setup: str, *arguments: str, network: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the command in mount (and network) namespaces of its own, prepared by the shell script `setup`.

        What it changes there, addresses, firewall, files that are mounted over others, is seen by this command alone.
        """
        spaces = ["--net", "--mount"] if network else ["--mount"]
        script = f'set -e; {"ip link set lo up; " if network else ""}{setup}; exec "$@"'
        command = ["unshare", *spaces, "sh", "-c", script, "sh", *HAVRE, *arguments]
        return subprocess.run(
            command, cwd=self.directory, env=self.environment(), capture_output=True, text=True, check=False
        )

    def checklist(self, *items: str, setup: str = "", network: bool = False) -> dict[str, Any]:
        """Item -> what the checklist says of it, asked inside namespaces of its own with a `setup`."""
        words = ["checklist", "--json", *(word for item in items for word in ("--only", item))]
        done = self.havre_inside(setup, *words, network=network) if setup else self.havre(*words, check=False)
        assert done.returncode in (0, 1), done.stdout + done.stderr
        return {one["id"]: one for one in json.loads(done.stdout)["items"]}

    def environment(self) -> dict[str, str]:
        """What the command sees."""
        return environment(self.directory) | {"HAVRE_RESTIC": str(restic())}

    def docker(self, *arguments: str) -> str:
        """The Docker client's answer."""
        return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout

    def container(self, service: str) -> str:
        """The id of the service's container."""
        wanted = ("--filter", f"label=havre.instance={self.name}", "--filter", f"label=havre.service={service}")
        return self.docker("ps", "-q", *wanted).split()[0]

    def sql(self, *statements: str) -> str:
        """Run as the database's owner."""
        words = [word for statement in statements for word in ("-c", statement)]
        return self.docker("exec", self.container("db"), "psql", "-U", "shop", "-qAt", *words)

    def tear_down(self) -> None:
        """Nothing of it is left on the server."""
        from ending import end_helpers

        self.havre("down", "-y", "--volumes", "--confirm", self.name, check=False)
        end_helpers(self.directory / "state")
        images = self.docker("images", "-q", f"{self.name}/*").split()
        if images:
            self.docker("rmi", "-f", *images)

"""The Lexikon example, deployed by the real `havre` command with secrets and ports of its own."""

from __future__ import annotations

import http.client
import json
import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from command import run_havre

from havre.secrets.vault import random_value
from havre.workflows.demo import fill

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "lexikon"
HOST = "lexikon.localhost"
SECRETS = ("POSTGRES_PASSWORD", "REDIS_PASSWORD", "JWT_SECRET", "API_KEY_SECRET")


@dataclass
class Lexikon:
    """A copy of the example in `directory`, reached through the edge at `http_port` and `https_port`."""

    directory: Path
    name: str
    http_port: int
    https_port: int
    db_port: int

    def prepare(self) -> None:
        """Copy it, fill in its secrets, and give it a name and ports that nobody else uses."""
        shutil.copytree(EXAMPLE, self.directory, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        values = {name: random_value() for name in SECRETS}
        values |= {"POSTGRES_PORT": str(self.db_port), "UVICORN_WORKERS": "2"}
        (self.directory / ".env.prod").write_text(fill((EXAMPLE / ".env.prod.example").read_text(), values))
        manifest = self.directory / "havre.yaml"
        text = manifest.read_text().replace("app: lexikon", f"app: {self.name}")
        if "safeguard" not in text:
            text = text.replace("undo: alembic downgrade -1}", "undo: alembic downgrade -1, safeguard: false}")
        manifest.write_text(text)
        state = self.directory / "state"
        state.mkdir()
        ports = f"http_port: {self.http_port}\nhttps_port: {self.https_port}\nbind: [127.0.0.1]\n"
        (state / "server.yaml").write_text(ports)

    def havre(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the command in the app's directory at 80 columns."""
        return run_havre(self.directory, *arguments, check=check)

    def ask(
        self, path: str, *, method: str = "GET", body: object = None, headers: dict[str, str] | None = None
    ) -> tuple[int, str, dict[str, str]]:
        """Ask the edge over TLS as a browser would: (status, body, headers in lower case)."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection("127.0.0.1", self.https_port, timeout=20, context=context)
        try:
            sent = {"Host": HOST, "Content-Type": "application/json", **(headers or {})}
            connection.request(method, path, body=None if body is None else json.dumps(body), headers=sent)
            answer = connection.getresponse()
            text = answer.read().decode()
            return answer.status, text, {key.lower(): value for key, value in answer.getheaders()}
        finally:
            connection.close()

    def json(self, path: str) -> Any:
        """The JSON body of a page."""
        return json.loads(self.ask(path)[1])

    def container(self, service: str) -> Any:
        """`docker inspect` of the service's running container."""
        listed = subprocess.run(
            ["docker", "ps", "-q", "--filter", f"label=havre.instance={self.name}", "--filter",
             f"label=havre.service={service}"],
            capture_output=True, text=True, check=True,
        ).stdout.split()  # fmt: skip
        done = subprocess.run(["docker", "inspect", listed[0]], capture_output=True, text=True, check=True)
        return json.loads(done.stdout)[0]

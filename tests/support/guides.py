"""Small apps in the shape of the guides' own, deployed by the real `havre` command with their own ports and state."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import subprocess
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from command import run_havre
from ending import end_helpers

from havre.workflows.demo import free_port

PROGRAM = Path(__file__).resolve().parents[1] / "acceptance" / "fixtures" / "answerer.py"
DOCKERFILE = """\
FROM python:3.11-slim
WORKDIR /app
COPY answerer.py .
EXPOSE 8000
CMD ["python", "/app/answerer.py"]
"""
PROBE = (
    'import urllib.request as u; u.urlopen(u.Request("http://127.0.0.1:8000/health", '
    'headers={"Host": "localhost"}), timeout=4)'
)
HEALTHCHECK = json.dumps(["CMD", "python", "-c", PROBE])


@dataclass(frozen=True, slots=True)
class Answer:
    """What a visitor got; header names are in lower case."""

    status: int
    text: str
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        """The body, which is JSON."""
        return json.loads(self.text)


@dataclass
class GuideApp:
    """An app in `directory`, reached through an edge of its own at `http_port` and, where not 0, `https_port`."""

    directory: Path
    name: str
    http_port: int
    https_port: int

    def write(self, files: Mapping[str, str]) -> None:
        """Write these files of the app; `program/` is always there as a build context."""
        program = self.directory / "program"
        program.mkdir(parents=True, exist_ok=True)
        (program / "Dockerfile").write_text(DOCKERFILE)
        (program / "answerer.py").write_text(PROGRAM.read_text())
        (self.directory / ".gitignore").write_text(".env*\nstate\n")
        for path, text in files.items():
            (self.directory / path).parent.mkdir(parents=True, exist_ok=True)
            (self.directory / path).write_text(text)
        state = self.directory / "state"
        state.mkdir(exist_ok=True)
        ports = f"http_port: {self.http_port}\nhttps_port: {self.https_port}\nbind: [127.0.0.1]\nreserve: 0\n"
        (state / "server.yaml").write_text(ports)

    def replace(self, path: str, old: str, new: str) -> None:
        """Change one text in a file; it must be there."""
        file = self.directory / path
        text = file.read_text()
        if old not in text:
            raise AssertionError(f"{path} does not contain {old!r}")
        file.write_text(text.replace(old, new))

    @contextmanager
    def changed(self, path: str, old: str, new: str) -> Iterator[None]:
        """The file reads differently for as long as the block lasts."""
        before = (self.directory / path).read_text()
        self.replace(path, old, new)
        try:
            yield
        finally:
            (self.directory / path).write_text(before)

    def havre(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the command in the app's directory at 120 columns."""
        return run_havre(self.directory, *arguments, check=check, columns=120)

    def deploy(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`havre deploy -y` on Docker."""
        return self.havre("deploy", "-y", "--engine", "docker", *arguments, check=check)

    def ask(
        self, url: str, *, method: str = "GET", body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Ask the edge for `host/path` as a visitor would, over TLS where the edge has it."""
        host, slash, path = url.partition("/")
        connection = self.connect()
        try:
            connection.request(method, slash + path, body=body, headers={"Host": host, **(headers or {})})
            answer = connection.getresponse()
            text = answer.read().decode()
            return Answer(answer.status, text, {key.lower(): value for key, value in answer.getheaders()})
        finally:
            connection.close()

    def hurry(self, urls: Iterable[str], *, source: str = "127.0.0.1") -> Counter[int]:
        """Ask for many pages over one connection, from one address of this machine: how often each status came."""
        connection, statuses = self.connect(source), Counter[int]()
        try:
            for url in urls:
                host, slash, path = url.partition("/")
                connection.request("GET", slash + path, headers={"Host": host})
                answer = connection.getresponse()
                answer.read()
                statuses[answer.status] += 1
        finally:
            connection.close()
        return statuses

    def connect(self, source: str = "127.0.0.1") -> http.client.HTTPConnection:
        """A way to the edge, not yet opened, from an address of this machine."""
        if not self.https_port:
            return http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=20, source_address=(source, 0))
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return http.client.HTTPSConnection(
            "127.0.0.1", self.https_port, timeout=20, context=context, source_address=(source, 0)
        )

    def containers(self, service: str, instance: str | None = None) -> list[Any]:
        """`docker inspect` of the service's running containers."""
        listed = docker(
            "ps", "-q", "--filter", f"label=havre.instance={instance or self.name}",
            "--filter", f"label=havre.service={service}",
        ).split()  # fmt: skip
        return list(json.loads(docker("inspect", *listed))) if listed else []

    def container(self, service: str, instance: str | None = None) -> Any:
        """The first of them."""
        return self.containers(service, instance)[0]

    def environment(self, service: str, instance: str | None = None) -> dict[str, str]:
        """The variables a service's container has."""
        return dict(line.split("=", 1) for line in self.container(service, instance)["Config"]["Env"])

    def states(self, *arguments: str) -> dict[str, str]:
        """`service.slot` -> state, as `havre ps` says."""
        listed = json.loads(self.havre("ps", "-q", "--json", *arguments).stdout)["replicas"]
        return {f"{one['service']}.{one['slot']}": one["state"] for one in listed}


def docker(*arguments: str) -> str:
    """What a `docker` command prints."""
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout


def new_app(directory: Path, name: str, *, tls: bool, first_port: int) -> GuideApp:
    """An app with a name and ports that nobody else on this machine uses."""
    http_port = free_port(first_port + os.getpid() % 500)
    https_port = free_port(http_port + 1) if tls else 0
    return GuideApp(directory, f"{name}{uuid.uuid4().hex[:6]}", http_port, https_port)


def remove(app: GuideApp, *environments: str) -> None:
    """Take the app down with its data, then its edge, then the images it built."""
    for environment in environments or ("production",):
        instance = app.name if environment == "production" else f"{app.name}-{environment}"
        app.havre("down", "--volumes", "-e", environment, "--confirm", instance, check=False)
    end_helpers(app.directory / "state")
    images = docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "--filter", f"reference={app.name}*/*")
    if images:
        docker("image", "rm", "--no-prune", *images.split())

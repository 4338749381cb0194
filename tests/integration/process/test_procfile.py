"""A source tree with a Procfile and no Compose file: `havre init` and `havre deploy` are all it takes."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from command import run_havre
from ending import end_helpers
from tests.integration.process.conftest import until

from havre.workflows.demo import free_port

pytestmark = pytest.mark.process

SERVER = """\
import http.server, json, os
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        shown = {name: os.environ.get(name, "") for name in ("PORT", "GREETING", "API_KEY")}
        body = json.dumps({**shown, "version": 1}).encode()
        self.send_response(200); self.end_headers(); self.wfile.write(body)
http.server.ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Answer).serve_forever()
"""
FILES = {
    "Procfile": "web: python3 server.py\nworker: python3 -u worker.py  # no port\nrelease: sh migrate.sh\n",
    "server.py": SERVER,
    "worker.py": "import os, time\nprint('working with', os.environ['GREETING'], flush=True)\ntime.sleep(1000)\n",
    "migrate.sh": "echo migrated before anything else\n",
    ".env": "GREETING=hello\n",
    ".gitignore": ".env\nstate/\n",
}


@dataclass(frozen=True)
class Tree:
    """A deployed source tree and the edge's port."""

    directory: Path
    port: int

    def ask(self) -> dict[str, object]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", "/", headers={"Host": "shop.localhost"})
        answered: dict[str, object] = json.loads(connection.getresponse().read())
        return answered

    def states(self) -> dict[str, str]:
        listed = json.loads(run_havre(self.directory, "ps", "-q", "--json").stdout)["replicas"]
        return {one["service"]: one["state"] for one in listed}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tree]:
    directory = tmp_path_factory.mktemp("procfile") / "shop"
    (directory / "state").mkdir(parents=True)
    port = free_port(31900)
    (directory / "state" / "server.yaml").write_text(f"http_port: {port}\nhttps_port: 0\nbind: [127.0.0.1]\n")
    for name, text in FILES.items():
        (directory / name).write_text(text)
    try:
        yield Tree(directory, port)
    finally:
        run_havre(directory, "down", "-y", "--engine", "process", check=False)
        end_helpers(directory / "state")


def test_init_and_deploy_run_it_as_a_platform_would(tree: Tree) -> None:
    said = run_havre(tree.directory, "init").stdout
    assert "engine: process" in (tree.directory / "havre.yaml").read_text()
    assert "havre.yaml" in said
    with (tree.directory / "havre.yaml").open("a") as manifest:
        manifest.write("secrets: [API_KEY]\nkeep_releases: 1\n")
    run_havre(tree.directory, "secrets", "generate", "API_KEY")
    told = run_havre(tree.directory, "deploy", "-y").stdout
    assert "migrate web: sh migrate.sh" in told
    answer = tree.ask()
    assert (answer["PORT"], answer["GREETING"]) == ("8000", "hello")
    assert len(str(answer["API_KEY"])) >= 32, "a secret reaches the processes without a Compose file to name it"
    assert tree.states() == {"web": "running", "worker": "running"}
    logged = run_havre(tree.directory, "logs", "worker")
    assert "working with hello" in logged.stdout


def test_nothing_changed_is_nothing_to_do_whatever_git_and_havre_write(tree: Tree) -> None:
    (tree.directory / ".git").mkdir()
    (tree.directory / ".git" / "FETCH_HEAD").write_text("news\n")
    with (tree.directory / "havre.yaml").open("a") as manifest:
        manifest.write("# a remark\n")
    assert "nothing to do" in run_havre(tree.directory, "deploy", "-y").stdout


def test_an_edit_is_a_release_and_a_line_of_its_own_a_new_process(tree: Tree) -> None:
    (tree.directory / "server.py").write_text(SERVER.replace('"version": 1', '"version": 2'))
    (tree.directory / "Procfile").write_text(FILES["Procfile"] + "clock: sleep 1000\n")
    run_havre(tree.directory, "deploy", "-y")
    assert tree.ask()["version"] == 2
    assert until(lambda: tree.states() == {"web": "running", "worker": "running", "clock": "running"})
    run_havre(tree.directory, "rollback", "-y")
    assert tree.ask()["version"] == 1


def test_prune_takes_what_no_release_needs_and_what_a_crash_left_half_made(tree: Tree) -> None:
    engine = tree.directory / "state" / "process"
    for version in (3, 4):
        (tree.directory / "server.py").write_text(SERVER.replace('"version": 1', f'"version": {version}'))
        run_havre(tree.directory, "deploy", "-y")
    kept = {path.name for path in (engine / "images").iterdir() if path.is_dir()}
    assert len(kept) == 2, "the release that serves, and one to go back to"

    for path in ("images/source-0000/app/x.py", "cache/venvs/half/lib/x.py", "cache/packages/uv/wheel"):
        (engine / path).parent.mkdir(parents=True)
        (engine / path).write_text("1" * 1000)
    record = json.loads((engine / "images" / min(kept) / "image.json").read_text())
    (engine / "images/source-0000/image.json").write_text(json.dumps({**record, "id": "source-0000"}))
    shown = json.loads(run_havre(tree.directory, "prune", "--json").stdout)
    assert shown["removed"] is False
    run_havre(tree.directory, "prune", "-y")
    assert {path.name for path in (engine / "images").iterdir() if path.is_dir()} == kept
    assert not (engine / "cache/venvs/half").exists()
    assert (engine / "cache/packages/uv").exists(), "only `--build-cache` makes the next builds longer"
    run_havre(tree.directory, "prune", "-y", "--build-cache")
    assert not (engine / "cache/packages/uv").exists()
    assert tree.ask()["version"] == 4
    run_havre(tree.directory, "rollback", "-y")
    assert tree.ask()["version"] == 3


def test_docker_says_that_it_needs_a_dockerfile_and_how_to_go_without(tree: Tree) -> None:
    refused = run_havre(tree.directory, "check", "--engine", "docker", check=False)
    said = " ".join((refused.stdout + refused.stderr).split())
    assert refused.returncode != 0
    assert "Dockerfile does not exist" in said
    assert "--engine process" in said

"""How an app comes to its server: by git or by copy, and its images from a registry."""

from __future__ import annotations

import json
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command import run_havre
from ending import end_helpers
from guides import docker
from ssh_server import Ssh

from havre.workflows.demo import free_port

pytestmark = pytest.mark.docker

COMPOSE = "services: {web: {build: ./site, init: true, mem_limit: 32m, stop_grace_period: 0s}}\n"
IGNORED = "node_modules\n.env\n"


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[Path]:
    """A developer's machine: a work tree with everything in it that no server needs."""
    name, tree = f"brought{uuid.uuid4().hex[:6]}", tmp_path / "laptop"
    (tree / "site/node_modules/left-pad").mkdir(parents=True)
    (tree / "site/node_modules/left-pad/index.js").write_text("x")
    (tree / "site/Dockerfile").write_text("FROM alpine\nCOPY page /page\nCMD sleep 600\n")
    (tree / "site/.dockerignore").write_text("node_modules\n")
    (tree / "site/page").write_text("first")
    (tree / "compose.yaml").write_text(COMPOSE)
    (tree / "havre.yaml").write_text(f"app: {name}\n")
    (tree / ".gitignore").write_text(IGNORED)
    git(tree, "init", "-q", "-b", "main")
    commit(tree, "first")
    state = tmp_path / "state"
    state.mkdir()
    (state / "server.yaml").write_text(f"http_port: {free_port(29300)}\nhttps_port: 0\nbind: [127.0.0.1]\n")
    yield tree
    run_havre(tree, "down", "-y", "--volumes", "--confirm", name, check=False, variables={"HAVRE_STATE": str(state)})
    end_helpers(state)
    images = docker("images", "-q", f"{name}/*").split()
    if images:
        docker("rmi", "-f", *dict.fromkeys(images))


def git(tree: Path, *words: str) -> str:
    identity = ("-c", "user.name=Ana", "-c", "user.email=ana@example.org")
    return subprocess.run(["git", *identity, *words], cwd=tree, capture_output=True, text=True, check=True).stdout


def commit(tree: Path, message: str) -> str:
    git(tree, "add", ".")
    git(tree, "commit", "-qm", message)
    return git(tree, "rev-parse", "--short=12", "HEAD").strip()


def deploy(directory: Path, *more: str) -> str:
    """What `havre deploy` says in that directory, on the one server of this file."""
    state = {"HAVRE_STATE": str(directory.parents[0] / "state")}
    return run_havre(directory, "deploy", "-y", "--engine", "docker", *more, variables=state).stdout


def releases(directory: Path) -> list[dict[str, Any]]:
    state = {"HAVRE_STATE": str(directory.parents[0] / "state")}
    found: list[dict[str, Any]] = json.loads(run_havre(directory, "releases", "--json", variables=state).stdout)
    return found


def test_a_clone_is_deployed_and_a_pull_is_the_next_release(origin: Path, tmp_path: Path) -> None:
    server = tmp_path / "opt"
    first = git(origin, "rev-parse", "--short=12", "HEAD").strip()
    git(tmp_path, "clone", "-q", str(origin), str(server))
    deploy(server)
    assert (releases(server)[0]["commit"], releases(server)[0]["dirty"]) == (first, False)
    (origin / "site/page").write_text("second")
    second = commit(origin, "second")
    git(server, "pull", "-q")
    deploy(server)
    assert [one["commit"] for one in releases(server)] == [second, first]
    assert not (server / "site/node_modules").exists()

    ssh, copied = Ssh(tmp_path / "ssh"), tmp_path / "copied"
    copied.mkdir()
    ssh.start()
    try:
        sent = [str(origin / name) for name in ("compose.yaml", "havre.yaml")]
        copy = ["scp", "-q", "-S", str(ssh.programs / "ssh"), "-P", str(ssh.port), "-r"]
        subprocess.run([*copy, *sent, f"root@127.0.0.1:{copied}"], check=True)
        (copied / "site").mkdir()
        files = [str(path) for path in (origin / "site").iterdir() if path.name != "node_modules"]
        subprocess.run([*copy, *files, f"root@127.0.0.1:{copied}/site"], check=True)
    finally:
        ssh.stop()
    assert "nothing to do" in deploy(copied), "the same content, however it came, is the same release"


def test_an_image_that_moved_is_taken_when_asked_for_and_the_old_one_comes_back(tmp_path: Path) -> None:
    """`docker compose pull` and `up -d`: without the wish nothing moves, since a release pins what it ran."""
    port, name = free_port(29400), f"pulled{uuid.uuid4().hex[:6]}"
    image, app = f"127.0.0.1:{port}/{name}:stable", tmp_path / "app"
    app.mkdir()
    (tmp_path / "registry.yml").write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {tmp_path / 'kept'}}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\nlog: {{level: error}}\n"
    )
    (app / "compose.yaml").write_text(
        f"services: {{web: {{image: '{image}', init: true, mem_limit: 32m, stop_grace_period: 0s}}}}\n"
    )
    (app / "havre.yaml").write_text(f"app: {name}\n")
    registry = subprocess.Popen(["docker-registry", "serve", str(tmp_path / "registry.yml")], stderr=subprocess.DEVNULL)
    try:
        old = _push(image, "old")
        run_havre(app, "deploy", "-y", "--engine", "docker")
        new = _push(image, "new")
        assert "nothing to do" in run_havre(app, "deploy", "-y").stdout
        assert _running_image(name) == old
        run_havre(app, "deploy", "-y", "--pull")
        assert _running_image(name) == new
        registry.terminate()
        registry.wait()
        gone = run_havre(app, "deploy", "-y", "--pull", check=False)
        assert gone.returncode == 5, gone.stdout + gone.stderr
        assert "the registry does not answer" in " ".join(gone.stderr.split())
        assert _running_image(name) == new, "the old release keeps running"
        run_havre(app, "rollback", "-y")
        assert _running_image(name) == old, "what it ran was pinned, whatever the name means now"
    finally:
        registry.kill()
        registry.wait()
        run_havre(app, "down", "-y", "--volumes", "--confirm", name, check=False)
        end_helpers(app / "state")
        for kept in docker("images", "-q", "--filter", f"label=test={name}").split():
            subprocess.run(["docker", "rmi", "-f", kept], capture_output=True, check=False)


def _push(image: str, version: str) -> str:
    """Make and push that version; the name means it in the registry, and nothing here."""
    label = image.rpartition("/")[2].partition(":")[0]
    text = f"FROM alpine\nLABEL test={label} version={version}\nCMD sleep 600\n"
    built = subprocess.run(["docker", "build", "-q", "-t", image, "-"], input=text, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    give_up = time.monotonic() + 20
    while subprocess.run(["docker", "push", "-q", image], capture_output=True, check=False).returncode != 0:
        assert time.monotonic() < give_up, "the registry did not start"
        time.sleep(0.2)
    if version == "new":  # as on a server: the name still means what was pulled before
        old = docker("images", "-q", "--filter", f"label=test={label}", "--filter", "label=version=old").split()[0]
        docker("tag", old, image)
    return built.stdout.strip()


def _running_image(name: str) -> str:
    listed = docker("ps", "-q", "--filter", f"label=havre.instance={name}", "--filter", "status=running").split()
    return docker("inspect", "-f", "{{.Image}}", *listed).strip()

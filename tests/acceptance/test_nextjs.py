"""A Next.js frontend in a pnpm monorepo, built from its source without Docker: a push deploys it in production."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from command import run_havre
from ending import end_helpers
from guides import GuideApp

from havre.workflows.demo import free_port

pytestmark = [
    pytest.mark.process,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed"),
]

FIXTURE = Path(__file__).parent / "fixtures" / "nextjs"
API_URL = "https://api.supplier.example"
COMPOSE = """\
services:
  web:
    build: {context: ., args: {NEXT_PUBLIC_API_URL: "${NEXT_PUBLIC_API_URL:?}", NEXT_TELEMETRY_DISABLED: "1"}}
    expose: ["3000"]
    environment: {NODE_ENV: production}
    restart: unless-stopped
"""
MANIFEST = """\
app: supplier
engine: process
processes: {web: {build: pnpm --filter web build, command: pnpm --filter web start}}
routes: [{host: www.supplier.localhost, to: web:3000}]
environments: {production: {env_file: [.env.production]}}
"""
HOOK = f"""\
#!/bin/sh
cd .. && unset GIT_DIR && exec {sys.executable} -m havre deploy -y -e production
"""


@dataclass(frozen=True)
class Site:
    """A work tree on the server that was pushed to, and what the push said."""

    directory: Path
    state: Path
    port: int
    commit: str
    said: str

    def ask(self, path: str) -> str:
        app = GuideApp(directory=self.directory, name="supplier", http_port=self.port, https_port=0)
        answer = app.ask(f"www.supplier.localhost{path}")
        assert answer.status == 200
        return answer.text


def _git(tree: Path, *words: str, **variables: str) -> str:
    identity = ("-c", "user.name=Ana", "-c", "user.email=ana@example.org")
    done = subprocess.run(
        ["git", *identity, *words], cwd=tree, env={**os.environ, **variables}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """On the server a repository whose work tree follows pushes, and a hook of two lines; a laptop pushes."""
    ground = tmp_path_factory.mktemp("nextjs")
    laptop, server, state = ground / "laptop", ground / "site", ground / "state"
    port = free_port(32300)
    for directory in (server, state):
        directory.mkdir()
    (state / "server.yaml").write_text(f"http_port: {port}\nhttps_port: 0\nbind: [127.0.0.1]\n")
    _git(server, "init", "-q", "-b", "main")
    _git(server, "config", "receive.denyCurrentBranch", "updateInstead")
    (server / ".git" / "hooks" / "post-receive").write_text(HOOK)
    (server / ".git" / "hooks" / "post-receive").chmod(0o755)
    (server / ".env.production").write_text(f"NEXT_PUBLIC_API_URL={API_URL}\n")
    shutil.copytree(FIXTURE, laptop)
    for name, text in {"compose.yaml": COMPOSE, "havre.yaml": MANIFEST}.items():
        (laptop / name).write_text(text)
    for name in (".gitignore", ".dockerignore"):
        with (laptop / name).open("a") as rules:
            rules.write(".env*\n")
    _git(laptop, "init", "-q", "-b", "main")
    _git(laptop, "add", ".")
    _git(laptop, "commit", "-qm", "first")
    commit = _git(laptop, "rev-parse", "--short=12", "HEAD").strip()
    try:
        said = _git(laptop, "push", str(server), "main", HAVRE_STATE=str(state))
        yield Site(server, state, port, commit, said)
    finally:
        run_havre(server, "down", "-y", "-e", "production", check=False, variables={"HAVRE_STATE": str(state)})
        end_helpers(state)


def test_the_frontend_is_built_by_its_own_pnpm_and_knows_the_api_of_its_environment(site: Site) -> None:
    assert "building: pnpm --filter web build" in site.said
    page = site.ask("/")
    assert "Analytics of suppliers" in page, "a package of the workspace is in it"
    scripts = [part.split('"', 1)[0] for part in page.split('src="')[1:] if part.startswith("/_next/static/")]
    assert any(API_URL in site.ask(path) for path in scripts), "the browser's own code has the build-time variable"
    images = site.state / "process" / "images"
    assert [path.parent.name for path in images.glob("source-*/app/apps/web/.next/BUILD_ID")] == [".next"]
    assert not (site.directory / "apps" / "web" / ".next").exists(), "the work tree itself is left alone"


def test_a_push_is_a_release_of_that_commit_in_production(site: Site) -> None:
    assert "release 1 of supplier serves" in site.said
    listed = run_havre(
        site.directory, "releases", "-e", "production", "--json", variables={"HAVRE_STATE": str(site.state)}
    )
    release = json.loads(listed.stdout)[0]
    assert (release["commit"], release["dirty"], release["state"]) == (site.commit, False, "serving")

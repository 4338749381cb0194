"""Mistakes of a second deploy: each is explained with a next step, and the release that serves is untouched."""

from __future__ import annotations

import os
import signal
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from ending import end_helpers
from shop import Shop

from havre.workflows.demo import free_port

pytestmark = pytest.mark.docker

WEB = 'environment: {ROLE: web, VERSION: "1", BREAK: ""}'


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One shop for all faults of this file: the first release of each stands while the mistakes are made."""
    port = free_port(26000 + os.getpid() % 3000)
    shop = Shop(
        directory=tmp_path_factory.mktemp("shop"),
        engine="docker",
        http_port=port,
        db_port=free_port(port + 1),
        name=f"faulty{uuid.uuid4().hex[:6]}",
    )
    shop.write()
    try:
        shop.deploy()
        yield shop
    finally:
        shop.write()
        shop.havre("down", "-y", "--volumes", "--confirm", shop.name, check=False)
        end_helpers(shop.directory / "state")
        _remove_images(shop.name)


@dataclass(frozen=True)
class Mistake:
    """One text of one file replaced by another; the exit code, what must be said, and a variable of the shell."""

    file: str
    old: str
    new: str
    code: int
    says: tuple[str, ...]
    variable: tuple[str, str] = ("", "")


MISTAKES = {
    "a misspelt key of Compose": Mistake(
        "compose.yaml", "depends_on: {api", "depend_on: {api", 2, ("compose.yaml:18:5", "'depend_on'", "`depends_on`?")
    ),
    "a misspelt key of the manifest": Mistake(
        "havre.yaml", "routes:", "route:", 2, ("havre.yaml:3:1", "unknown key `route`", "did you mean `routes`?")
    ),
    "YAML that is not": Mistake(
        "compose.yaml", "  api:\n", " api:\n", 2, ("compose.yaml:19:", "[yaml-syntax]", "check indentation")
    ),
    "a required variable that is unset": Mistake(
        ".env", "PASSWORD", "PASWORD", 2, ("compose.yaml:21:55", "PASSWORD is missing a value", "set it in .env")
    ),
    "a command in an env file": Mistake(
        ".env",
        "c0ffee1234567890abcdef",
        "$(openssl rand -hex 32)",
        3,
        (".env:1", "never run", "havre secrets generate"),
    ),
    "an env file that is missing": Mistake(
        "havre.yaml", "app:", "env_file: [.env.prd]\napp:", 2, (".env.prd", "no such file", "check the path")
    ),
    "a bind source that is missing": Mistake(
        "compose.yaml",
        '"data:/data"',
        '"data:/data", "./conf.ini:/etc/conf.ini:ro"',
        3,
        ("compose.yaml:27:", "./conf.ini does not exist", "create it"),
    ),
    "a daemon that does not run": Mistake(
        "compose.yaml",
        WEB,
        WEB,
        5,
        ("does not answer at unix:///nonexistent.sock", "systemctl start docker"),
        ("DOCKER_HOST", "unix:///nonexistent.sock"),
    ),
    "an image that cannot be had": Mistake(
        "compose.yaml",
        "  web:\n    <<: *common\n",
        "  web:\n    image: 127.0.0.1:9/no/such:1\n    healthcheck: *check\n",
        1,
        ("could not pull 127.0.0.1:9/no/such:1", "the old release keeps running", "[release-failed]"),
    ),
    "a build that fails": Mistake(
        "app/Dockerfile",
        "CMD",
        'RUN python -c "import nosuchmodule"\nCMD',
        1,
        ("could not be built", "nosuchmodule", "correct the Dockerfile"),
    ),
    "a container that exits at once": Mistake(
        "compose.yaml",
        WEB,
        WEB.replace('""', "exit"),
        1,
        ("exited with code 3 before it was healthy", "KeyError: 'JWT_SECRET' is not set", "havre logs --failed web"),
    ),
    "a health check that never passes": Mistake(
        "compose.yaml",
        f"{WEB}\n",
        WEB.replace('""', "sick") + '\n    healthcheck: {test: ["CMD", "python", "/app/probe.py"], interval: 1s, '
        "timeout: 2s, retries: 2}\n",
        1,
        ("did not become healthy", "health check: python /app/probe.py", "503", "havre logs --failed web"),
    ),
    "an application that answers wrongly": Mistake(
        "compose.yaml", WEB, WEB.replace('""', "wrong"), 1, ("status 500 instead of 200", "release.verify")
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_explained_and_the_release_that_serves_stays(name: str, serving: Shop) -> None:
    mistake, before = MISTAKES[name], _seen(serving)
    _make(mistake, serving)
    done = _deploy(serving, *mistake.variable)
    serving.write()
    said = " ".join(f"{done.stdout}\n{done.stderr}".split())
    assert done.returncode == mistake.code, said
    for words in mistake.says:
        assert words in said, said
    assert "hint:" in said
    assert "Traceback" not in done.stderr.split("error:")[0]
    assert _seen(serving) == before, "what serves, and the networks and volumes, are as they were"


def test_input_that_is_refused_leaves_no_release_in_the_records(serving: Shop) -> None:
    before = serving.havre("releases", "--json").stdout
    for mistake in MISTAKES.values():
        if mistake.code in (2, 3, 5):
            _make(mistake, serving)
            _deploy(serving, *mistake.variable)
    serving.write()
    assert serving.havre("releases", "--json").stdout == before


@pytest.mark.parametrize("command", [("logs", "wbe"), ("exec", "wbe", "true"), ("scale", "wbe=2"), ("restart", "wbe")])
def test_a_misspelt_service_is_named_with_the_right_one(command: tuple[str, ...], serving: Shop) -> None:
    done = serving.havre(*command, check=False)
    assert done.returncode == 2, done.stdout
    assert "did you mean `web`?" in done.stderr


def test_ctrl_c_during_a_deploy_leaves_the_old_release_serving(serving: Shop) -> None:
    before = _serving(serving)
    _make(MISTAKES["a health check that never passes"], serving)
    deploy = serving.start("deploy", "-y", "--engine", "docker")
    assert deploy.stdout is not None
    assert any("… await web" in line for line in deploy.stdout), "it came as far as the new replica"
    deploy.send_signal(signal.SIGINT)
    said, _ = deploy.communicate(timeout=60)
    serving.write()
    assert deploy.returncode == 130, said
    assert "Traceback" not in said
    assert _serving(serving) == before


def _make(mistake: Mistake, shop: Shop) -> None:
    shop.write()
    path = shop.directory / mistake.file
    assert mistake.old in path.read_text(), "the mistake must change something"
    path.write_text(path.read_text().replace(mistake.old, mistake.new, 1))


def _deploy(shop: Shop, variable: str, value: str) -> subprocess.CompletedProcess[str]:
    if not variable:
        return shop.deploy(check=False)
    before = os.environ.get(variable)
    os.environ[variable] = value
    try:
        return shop.deploy(check=False)
    finally:
        os.environ.pop(variable)
        if before is not None:
            os.environ[variable] = before


def _seen(shop: Shop) -> tuple[object, ...]:
    return (*_serving(shop), _names("network", shop), _names("volume", shop))


def _serving(shop: Shop) -> tuple[object, ...]:
    """What visitors get, from which running containers (a failed replica that is kept to be looked at is stopped)."""
    return (shop.get("/"), _run("ps", "-q", "--filter", f"name={shop.name}"))


def _names(kind: str, shop: Shop) -> tuple[str, ...]:
    return _run(kind, "ls", "-q", "--filter", f"name={shop.name}")


def _run(*words: str) -> tuple[str, ...]:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=True)
    return tuple(sorted(done.stdout.split()))


def _remove_images(name: str) -> None:
    images = _run("images", "-q", f"{name}/*")
    if images:
        subprocess.run(["docker", "rmi", "-f", *images], capture_output=True, check=False)

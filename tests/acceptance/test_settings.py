"""From the template of an env file to settings that may go to production: the example app, checked on Docker."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import uuid
from pathlib import Path

import pytest
from command import HAVRE, environment, run_havre

from havre.workflows.demo import free_port

pytestmark = pytest.mark.docker

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "lexikon"
NAMES = (
    "FRONTEND_URL", "CORS_ORIGINS", "POSTGRES_DB", "POSTGRES_USER", "POSTGRES_PASSWORD", "DATABASE_URL",
    "REDIS_PASSWORD", "JWT_SECRET", "API_KEY_SECRET", "GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET", "GITHUB_CLIENT_ID",
    "GITHUB_CLIENT_SECRET",
)  # fmt: skip
SECRETS = ("API_KEY_SECRET", "JWT_SECRET", "POSTGRES_PASSWORD", "REDIS_PASSWORD")
DOCKER = ("--engine", "docker")


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """The example in a repository of its own, with its template copied as the README says."""
    directory = tmp_path / "lexikon"
    shutil.copytree(EXAMPLE, directory, ignore=shutil.ignore_patterns("state", "node_modules", "__pycache__"))
    port = free_port(45400)
    template = (directory / ".env.prod.example").read_text()
    (directory / ".env.prod").write_text(template.replace("POSTGRES_PORT=5434", f"POSTGRES_PORT={port}"))
    (directory / "state").mkdir()
    (directory / "state" / "server.yaml").write_text(f"http_port: {free_port(port + 1)}\nhttps_port: 0\n")
    (directory / ".gitignore").write_text((EXAMPLE / ".gitignore").read_text() + "state/\n")
    _git(directory, "init", "-q")
    _git(directory, "add", ".")
    return directory


def _git(directory: Path, *arguments: str) -> str:
    git = ["git", "-c", "safe.directory=*", *arguments]
    return subprocess.run(git, cwd=directory, capture_output=True, text=True, check=True).stdout


def _problems(app: Path, *codes: str) -> list[dict[str, str]]:
    told = run_havre(app, "check", "--json", *DOCKER, check=False)
    return [one for one in json.loads(told.stdout)["problems"] if not codes or one["code"] in codes]


def _values(app: Path) -> dict[str, str]:
    text = run_havre(app, "config", "--format", "json", "--show-secrets", *DOCKER).stdout
    return dict(json.loads(text)["services"]["backend"]["environment"])


def test_the_template_names_every_variable_and_its_secrets_are_generated_as_64_hex_characters(app: Path) -> None:
    template = (app / ".env.prod.example").read_text()
    assert [name for name in NAMES if not re.search(rf"^{name}=", template, re.MULTILINE)] == []
    unset = run_havre(app, "deploy", "-y", *DOCKER, check=False)
    assert unset.returncode == 2
    assert all(name in unset.stderr for name in SECRETS), "every one of them is told at once"

    made = run_havre(app, "secrets", "generate", *DOCKER).stdout
    assert made == "".join(f"generated {name}\n" for name in SECRETS)
    values = _values(app)
    assert all(
        re.fullmatch(r"[0-9a-f]{64}", values[name]) for name in ("JWT_SECRET", "API_KEY_SECRET", "REDIS_PASSWORD")
    )
    password = re.fullmatch(r"postgresql://lexikon:([0-9a-f]{64})@postgres:5432/lexikon", values["DATABASE_URL"])
    assert password, "the generated password is in the address that is made of it"
    assert len({values["JWT_SECRET"], values["API_KEY_SECRET"], values["REDIS_PASSWORD"], password[1]}) == 4
    assert "=\n" in (app / ".env.prod").read_text(), "no file holds them"
    assert _problems(app) == [], "and now nothing at all is wrong with the example"


def test_a_command_in_the_env_file_is_refused_with_its_line(app: Path) -> None:
    run_havre(app, "secrets", "generate", *DOCKER)
    env = app / ".env.prod"
    env.write_text(env.read_text() + "SESSION_SECRET=$(openssl rand -hex 32)\n")
    (found,) = _problems(app, "variable-command")
    assert found["at"] == f".env.prod:{len(env.read_text().splitlines())}"
    assert "which env files never run" in found["summary"]


def test_the_env_file_must_be_ignored_by_git_and_never_be_versioned(app: Path) -> None:
    run_havre(app, "secrets", "generate", *DOCKER)
    assert _problems(app, "secret-in-git", "secret-not-ignored") == []
    (app / ".gitignore").write_text("state/\n")
    (exposed,) = _problems(app, "secret-not-ignored")
    assert exposed["hint"] == "add `.env.prod` to .gitignore"

    env = app / ".env.prod"
    env.write_text(env.read_text().replace("GOOGLE_CLIENT_SECRET=", "GOOGLE_CLIENT_SECRET=kx9f2kd8sl2p-44"))
    _git(app, "add", "-f", ".env.prod")
    tracked = run_havre(app, "deploy", "-y", *DOCKER, check=False, columns=200)
    assert tracked.returncode == 3
    assert "git tracks .env.prod, which holds secrets" in tracked.stderr
    assert "GOOGLE_CLIENT_SECRET" in tracked.stderr
    assert "kx9f2kd8" not in tracked.stderr


def test_a_template_is_refused_with_all_that_is_left_in_it_until_it_is_filled_in(tmp_path: Path) -> None:
    names = ("POSTGRES_PASSWORD", "REDIS_PASSWORD", "GRAFANA_ADMIN_PASSWORD", "CLAUDE_API_KEY", "OPENAI_API_KEY")
    settings = "\n".join(f"      {name}: ${{{name}:-}}" for name in (*names, "SITE_URL"))
    image = "busybox:latest"
    (tmp_path / "compose.yaml").write_text(f"services:\n  backend:\n    image: {image}\n    environment:\n{settings}\n")
    (tmp_path / "havre.yaml").write_text(f"app: tpl{uuid.uuid4().hex[:6]}\n")
    (tmp_path / ".env").write_text(
        "POSTGRES_PASSWORD=change_me\nREDIS_PASSWORD=change_me\nGRAFANA_ADMIN_PASSWORD=admin\n"
        "CLAUDE_API_KEY=your-claude-api-key\nOPENAI_API_KEY=sk-your-openai-key\nSITE_URL=https://your-domain.com\n"
    )
    refused = run_havre(tmp_path, "deploy", "-y", *DOCKER, check=False, columns=200)
    assert refused.returncode == 3
    for line, name in enumerate(names, start=1):
        assert f"error: .env:{line}: {name}: the value of {name} is" in refused.stderr
    assert [one["at"] for one in _problems(tmp_path, "variable-unfinished")] == [".env:6"]

    run_havre(tmp_path, "secrets", "generate", *names[:3], *DOCKER)
    for name in names[3:]:
        issued = [*HAVRE, "secrets", "set", name, *DOCKER]
        subprocess.run(
            issued, input=f"issued-{name.lower()}-8812", text=True, cwd=tmp_path, env=environment(tmp_path), check=True
        )
    (tmp_path / ".env").write_text("SITE_URL=https://shop.example.org\n")
    assert [one for one in _problems(tmp_path) if one["code"].startswith("variable")] == []


def test_no_secret_is_hard_coded_in_the_example_and_one_that_is_stops_the_release(app: Path) -> None:
    run_havre(app, "secrets", "generate", *DOCKER)
    assert (
        _problems(app, "secret-hard-coded", "secret-in-dockerfile", "secret-file-in-image", "secret-in-compose") == []
    )
    key = "sk_" + "live_4eC39HqLyjWDarjtT1zdp7dc"
    settings = app / "backend" / "lexikon" / "settings.py"
    lines = settings.read_text().count("\n")
    settings.write_text(settings.read_text() + f'STRIPE = "{key}"\nMAIL_PASSWORD = "kx9f2kd8sl2p"\n')
    (app / "backend" / ".env").write_text("JWT_SECRET=kx9f2kd8sl2p-44\n")
    dockerfile = app / "backend" / "Dockerfile"
    dockerfile.write_text(dockerfile.read_text() + "ENV API_TOKEN=kx9f2kd8sl2p\nCOPY . /all\n")
    refused = run_havre(app, "deploy", "-y", *DOCKER, check=False, columns=200)
    assert refused.returncode == 3
    assert (
        f"backend/lexikon/settings.py:{lines + 1}: backend: a Stripe key is written into the source" in refused.stderr
    )
    milder = [one["at"] for one in _problems(app, "secret-hard-coded") if one["severity"] == "warning"]
    assert milder == [f"backend/lexikon/settings.py:{lines + 2}"], "MAIL_PASSWORD, told by its name"
    assert "ENV API_TOKEN writes a secret into the Dockerfile and the image" in refused.stderr
    assert key not in refused.stderr
    assert "kx9f2kd8" not in refused.stderr
    ignored = (app / "backend" / ".dockerignore").read_text() if (app / "backend" / ".dockerignore").exists() else ""
    assert ("COPY . puts .env into the image" in refused.stderr) is (".env" not in ignored)

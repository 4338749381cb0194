"""Configuration files that are mounted into well-known images: their own programs refuse them before any release."""

from __future__ import annotations

import json
import re
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import run_havre
from ending import end_helpers

from havre.cli.options import Chosen
from havre.cli.session import load, open_server
from havre.engines.docker.engine import DockerEngine
from havre.workflows.configurations import try_configurations
from havre.workflows.release_work import look

pytestmark = pytest.mark.docker

COMPOSE = """\
services:
  web:
    image: nginx:alpine
    volumes: ["./conf/nginx.conf:/etc/nginx/nginx.conf:ro", "logs:/var/log/nginx"]
  prom:
    image: prom/prometheus:latest
    volumes: ["./conf/prom:/etc/prometheus:ro"]
  alert:
    image: prom/alertmanager:latest
    command: --config.file=/etc/am.yml
    configs: [{source: alerts, target: /etc/am.yml}]
  lb:
    image: haproxy:lts-alpine
    volumes: ["./conf/haproxy.cfg:/usr/local/etc/haproxy/haproxy.cfg:ro"]
  kv:
    image: redis:7-alpine
    command: [redis-server, /etc/redis.conf]
    volumes: ["./conf/redis.conf:/etc/redis.conf:ro"]
  db:
    image: postgres:15-alpine
    command: postgres -c config_file=/etc/pg.conf -c hba_file=/etc/hba.conf
    environment: {POSTGRES_PASSWORD: kx8812-a-long-one}
    volumes: ["./conf/pg.conf:/etc/pg.conf:ro", "./conf/hba.conf:/etc/hba.conf:ro"]
configs:
  alerts: {file: ./conf/alerts.yml}
volumes: {logs: {}}
"""
GOOD = {
    "nginx.conf": "events {}\nhttp {\n  upstream app { server kv:8000; }\n  server { listen 80;\n"
    "    location / { proxy_pass http://app; }\n    location /x { proxy_pass http://api.example.org; } }\n}\n",
    "prom/prometheus.yml": "rule_files: [rules.yml]\nscrape_configs:\n  - job_name: a\n"
    "    static_configs: [{targets: ['db:9187']}]\n",
    "prom/rules.yml": "groups:\n  - name: g\n    rules:\n      - alert: Down\n        expr: up == 0\n",
    "alerts.yml": "route:\n  receiver: mail\nreceivers:\n  - name: mail\n",
    "haproxy.cfg": "defaults\n  mode http\n  timeout connect 5s\n  timeout client 5s\n  timeout server 5s\n"
    "backend app\n  server one web:80\nfrontend all\n  bind :8080\n  default_backend app\n",
    "redis.conf": "port 6379\nrequirepass zz7719-hidden\n",
    "pg.conf": "max_connections = 100\n",
    "hba.conf": "local all all trust\nhost all all 0.0.0.0/0 scram-sha-256\n",
}
BAD = {
    "nginx.conf": (GOOD["nginx.conf"].replace("server kv", "server kvv"), 3, "did you mean kv?"),
    "prom/rules.yml": (GOOD["prom/rules.yml"].replace("up == 0", "up =="), 5, "could not parse expression"),
    "alerts.yml": (GOOD["alerts.yml"] + "    email_configs: [{to: a@b.example, subject: x}]\n", 0, "subject not found"),
    "haproxy.cfg": (GOOD["haproxy.cfg"].replace("server one", "servr one"), 7, "did you mean 'server'"),
    "redis.conf": (GOOD["redis.conf"] + "maxmem 5\n", 3, "maxmem 5"),
    "pg.conf": (GOOD["pg.conf"] + "shared_bufers = 1\n", 2, "unrecognized configuration parameter"),
    "hba.conf": (GOOD["hba.conf"].replace("scram-sha-256", "scramsha"), 2, "invalid authentication method"),
}


def _write(directory: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = directory / "conf" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    (tmp_path / "havre.yaml").write_text(f"app: conf{uuid.uuid4().hex[:6]}\n")
    _write(tmp_path, GOOD)
    return tmp_path


def test_every_refused_file_is_told_at_once_with_its_line_and_nothing_is_changed(app: Path) -> None:
    accepted = run_havre(app, "check", "--engine", "docker", check=False, columns=200).stdout
    assert "config-invalid" not in accepted, "names of the app and outside of it are no fault"

    _write(app, {name: text for name, (text, _, _) in BAD.items()})
    refused = run_havre(app, "deploy", "-y", "--engine", "docker", check=False, columns=200)
    assert refused.returncode == 3
    told = [
        text for text in re.split(r"^(?=error|warning)", refused.stderr, flags=re.MULTILINE) if "config-invalid" in text
    ]
    assert len(told) == len(BAD), refused.stderr
    for name, (_, line, words) in BAD.items():
        place = f"conf/{name}:{line}" if line else f"conf/{name}:"
        found = next((text for text in told if text.startswith(f"error: {place}")), "")
        assert words in found, (place, refused.stderr)
        assert re.search(r"\| \d+ \| \S", found), "the line itself is quoted"
    assert "zz7719-hidden" not in refused.stderr
    name = (app / "havre.yaml").read_text().split()[1]
    assert DockerEngine().observe(name).replicas == ()
    volumes = subprocess.run(["docker", "volume", "ls", "-q"], capture_output=True, text=True, check=True).stdout
    assert f"{name}_logs" not in volumes, "looking made nothing"


def test_what_was_accepted_is_not_asked_again(app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(app)
    chosen = Chosen(engine="docker", state=str(app / "state"))
    intent = load(chosen)
    server = open_server(chosen, intent.app)
    observed = look(server, intent)
    calls = server.engine.client  # type: ignore[attr-defined]
    for is_asked in (True, False):
        before = calls.calls
        assert try_configurations(server, intent.app, intent.project, observed) == ()
        assert (calls.calls > before) is is_asked
    _write(app, {"redis.conf": GOOD["redis.conf"] + "maxmem 5\n"})
    (refused,) = try_configurations(server, intent.app, intent.project, observed)
    assert (refused.service, refused.line) == ("kv", "maxmem 5")


BUILT = {
    "web": (
        "FROM nginx:alpine\nCOPY nginx.conf /etc/nginx/nginx.conf\n",
        "nginx.conf",
        "events {}\nhttp { server { listen 80; } }\n",
        "events {}\nhttp { server { lisen 80; } }\n",
        ("built/web/nginx.conf:2", 'unknown directive "lisen"'),
    ),
    "kv": (
        'FROM redis:7-alpine\nWORKDIR /etc/kv\nCOPY kv.conf ./\nCMD ["redis-server", "/etc/kv/kv.conf"]\n',
        "kv.conf",
        "port 6379\n",
        "port 6379\nmaxmem 5\n",
        ("built/kv/kv.conf:2", "maxmem 5"),
    ),
    "prom": (
        "ARG TAG=latest\nFROM prom/prometheus:${TAG} AS base\nFROM base\nCOPY prometheus.yml /etc/prometheus/\n",
        "prometheus.yml",
        "scrape_configs: []\n",
        "scrape_config: []\n",
        ("built/prom/prometheus.yml", "field scrape_config not found"),
    ),
    "db": (
        'FROM postgres:15-alpine\nCOPY conf/ /etc/pg/\nCMD ["postgres", "-c", "config_file=/etc/pg/my.conf"]\n',
        "conf/my.conf",
        "listen_addresses = '*'\n",
        "listen_addresses = '*'\nshared_bufers = 1\n",
        ("built/db/conf/my.conf:2", "unrecognized configuration parameter"),
    ),
}
"""Service -> (Dockerfile, the file it copies, a good one, a bad one, what is said of the bad one)."""


@pytest.fixture
def built(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """An app of images that are built upon well-known ones, with their configuration inside."""
    name = f"built{uuid.uuid4().hex[:6]}"
    services = {
        service: {"build": f"./built/{service}", "mem_limit": "128m", "stop_grace_period": "1s"} for service in BUILT
    }
    services["db"]["environment"] = {"POSTGRES_PASSWORD": "kx8812aa7719zz"}  # type: ignore[assignment]
    (tmp_path / "compose.yaml").write_text(json.dumps({"services": services}))
    (tmp_path / "havre.yaml").write_text(f"app: {name}\n")
    yield tmp_path, name
    run_havre(tmp_path, "down", "-y", "--volumes", "--confirm", name, check=False)
    end_helpers(tmp_path / "state")
    images = subprocess.run(["docker", "images", "-q", f"{name}/*"], capture_output=True, text=True, check=True)
    subprocess.run(["docker", "rmi", "-f", *images.stdout.split()], capture_output=True, check=False)


def test_the_configuration_inside_a_new_image_is_tried_before_anything_starts(built: tuple[Path, str]) -> None:
    directory, name = built
    _write_built(directory, good=False)
    plan = run_havre(directory, "plan", "--engine", "docker").stdout
    for service in BUILT:
        assert f"try the configuration of {service}" in " ".join(plan.split())
    failed = run_havre(directory, "deploy", "-y", "--engine", "docker", check=False, columns=200)
    assert failed.returncode == 1, failed.stdout
    assert DockerEngine().observe(name).replicas == (), "nothing was started"
    again = run_havre(directory, "check", "--engine", "docker", check=False, columns=200)
    said = " ".join(f"{failed.stderr} {again.stdout}".split())
    told = [service for service, (*_, words) in BUILT.items() if all(word in said for word in words)]
    assert told == list(BUILT), said

    _write_built(directory, good=True)
    done = run_havre(directory, "deploy", "-y", "--engine", "docker")
    assert "serves" in done.stdout
    assert "config-invalid" not in run_havre(directory, "check", "--engine", "docker").stdout


def _write_built(directory: Path, *, good: bool) -> None:
    for service, (dockerfile, file, right, wrong, _) in BUILT.items():
        path = directory / "built" / service / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(right if good else wrong)
        (directory / "built" / service / "Dockerfile").write_text(dockerfile)

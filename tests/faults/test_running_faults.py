"""One app in which many things are wrong at once, each for real: the doctor names every one by its service."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from command import run_havre
from dns_server import Zone
from ending import end_helpers

from havre.workflows.demo import free_port

pytestmark = pytest.mark.docker

PASSWORD = "kx8812a7c1d4"
HERE, THERE = "203.0.113.5", "198.51.100.7"

SERVER = """
import http.server, os, pathlib, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        os._exit(9)
    def do_GET(self):
        if pathlib.Path("/tmp/slow").exists():
            time.sleep(4)
        self.send_response(500 if pathlib.Path("/tmp/fail").exists() else 200)
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer((os.environ.get("HOST", "0.0.0.0"), 3000), Handler).serve_forever()
"""

COMPOSE = """
x-client: &client {{image: "postgres:15-alpine", mem_limit: 64m, stop_grace_period: 0s, init: true}}
x-redis: &redis {{image: "redis:7-alpine", mem_limit: 64m, stop_grace_period: 0s, init: true}}
x-web: &web
  image: python:3.11-slim
  command: ["python", "/srv/server.py"]
  volumes: ["./server.py:/srv/server.py:ro"]
  mem_limit: 64m
  init: true
  restart: always
  stop_grace_period: 1s
  healthcheck:
    test: ["CMD", "python", "-c", "import socket; socket.create_connection(('localhost', 3000), 2)"]
services:
  pg:
    image: postgres:15-alpine
    environment: {{POSTGRES_PASSWORD: "{password}", POSTGRES_DB: shop}}
    mem_limit: 256m
    volumes: ["pgdata:/var/lib/postgresql/data"]
    healthcheck: {{test: ["CMD", "pg_isready", "-h", "127.0.0.1", "-U", "postgres"]}}
  kv: {{<<: *redis, command: "redis-server --maxmemory 2mb --maxmemory-policy noeviction",
    healthcheck: {{test: ["CMD-SHELL", "redis-cli ping | grep PONG"]}}}}
  guarded: {{<<: *redis, command: "redis-server --bind 0.0.0.0 --protected-mode yes",
    healthcheck: {{test: ["CMD-SHELL", "redis-cli ping | grep PONG"]}}}}
  web: {{<<: *web, tmpfs: ["/scratch:size=1m"]}}
  shy: {{<<: *web, environment: {{HOST: 127.0.0.1}}}}
  misnames:
    <<: *client
    environment: {{DATABASE_URL: "postgres://postgres:{password}@pg:5432/shopp"}}
    command: ["sh", "-c", 'while :; do psql "$$DATABASE_URL" -c "select 1"; sleep 2; done']
    depends_on: {{pg: {{condition: service_healthy}}}}
  wants-tls:
    <<: *client
    environment: {{DATABASE_URL: "postgres://postgres:{password}@pg:5432/shop?sslmode=require"}}
    command: ["sh", "-c", 'while :; do psql "$$DATABASE_URL" -c "select 1"; sleep 2; done']
    depends_on: {{pg: {{condition: service_healthy}}}}
  starved:
    <<: *client
    environment: {{DATABASE_URL: "postgres://postgres:{password}@pg:5432/shop"}}
    command:
      - sh
      - -c
      - |
        for n in 1 2 3; do psql "$$DATABASE_URL" -c "select pg_sleep(900)" & done
        while :; do echo "pool of 3: waiting for connection"; sleep 2; done
    depends_on: {{pg: {{condition: service_healthy}}}}
  misspells:
    <<: *client
    command: ["sh", "-c", 'while :; do psql postgres://postgres@pgg/shop -c "select 1"; sleep 2; done']
  astray:
    <<: *client
    networks: [apart]
    environment: {{DATABASE_URL: "postgres://postgres:{password}@pg:5432/shop"}}
    command: ["sh", "-c", 'while :; do psql "$$DATABASE_URL" -c "select 1"; sleep 2; done']
  misdials:
    <<: *redis
    environment: {{CACHE_URL: "redis://guarded:6380"}}
    command: ["sh", "-c", "while :; do redis-cli -h guarded -p 6380 ping; sleep 2; done"]
    depends_on: {{guarded: {{condition: service_healthy}}}}
  kept-out:
    <<: *redis
    environment: {{CACHE_URL: "redis://guarded:6379"}}
    command: ["sh", "-c", "while :; do redis-cli -h guarded ping; sleep 2; done"]
    depends_on: {{guarded: {{condition: service_healthy}}}}
  overflows:
    <<: *redis
    environment: {{CACHE_URL: "redis://kv:6379"}}
    command: ["sh", "-c", "while sleep 0.2; do head -c 30000 /dev/zero | redis-cli -h kv -x set k$$(date +%s%N); done"]
    depends_on: {{kv: {{condition: service_healthy}}}}
volumes: {{pgdata: {{}}}}
networks: {{apart: {{}}}}
"""

MANIFEST = """
app: {name}
routes:
  - {{host: ward.clinic-lab.org, to: web:3000}}
  - {{host: away.clinic-lab.org, to: web:3000}}
  - {{host: shy.localhost, to: shy:3000}}
"""


@dataclass
class Clinic:
    """The app, and the DNS that its server asks."""

    directory: Path
    name: str
    http_port: int
    zone: Zone

    def havre(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return run_havre(self.directory, *arguments, check=check)

    def doctor(self, service: str = "") -> tuple[str, list[dict[str, Any]]]:
        """(all it says of a service, or of what surrounds all, in one line; the findings)."""
        found = json.loads(self.havre("doctor", "--json", *([service] if service else []), check=False).stdout)
        return " ".join(json.dumps(found["problems"], ensure_ascii=False).split()), found["problems"]

    def inside(self, service: str, shell: str) -> None:
        self.havre("exec", service, "sh", "-c", shell)

    def visit(self, path: str, host: str = "ward.clinic-lab.org", method: str = "GET") -> int:
        url = f"http://127.0.0.1:{self.http_port}{path}"
        request = urllib.request.Request(url, headers={"Host": host}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    directory, name = tmp_path_factory.mktemp("clinic"), f"clinic{uuid.uuid4().hex[:6]}"
    http_port = free_port(26000 + os.getpid() % 3000)
    zone = Zone({"ward.clinic-lab.org": HERE, "away.clinic-lab.org": HERE})
    (directory / "state").mkdir()
    (directory / "state/server.yaml").write_text(
        f"http_port: {http_port}\nhttps_port: 0\nbind: [127.0.0.1]\n"
        f"addresses: [{HERE}]\nresolvers: ['127.0.0.1:{zone.port}']\n"
    )
    (directory / "server.py").write_text(SERVER)
    (directory / "compose.yaml").write_text(COMPOSE.format(password=PASSWORD))
    (directory / "havre.yaml").write_text(MANIFEST.format(name=name))
    made = Clinic(directory, name, http_port, zone)
    try:
        made.havre("deploy", "-y", "--engine", "docker")
        yield made
    finally:
        made.havre("down", "-y", "--volumes", "--confirm", name, check=False)
        end_helpers(directory / "state")
        zone.close()


RUNNING = {
    "misnames": ("asks pg for the database shopp, which does not exist there", "POSTGRES_DB of pg: shop", "use shop"),
    "wants-tls": ("wants-tls.1", "disagrees with pg about TLS", "sslmode=disable"),
    "starved": (
        "waits for a free connection of its own pool",
        "pg has 3 connections of starved",
        "of its 100 are taken in all",
        "`pool_size`",
    ),
    "misspells": ("looks for the host `pgg`", "did you mean `pg`?"),
    "astray": ("cannot reach pg: the two share no network", "networks of astray: apart", "add one network to both"),
    "misdials": (
        "calls guarded on port 6380, where nothing listens",
        "guarded.1 listens on 0.0.0.0:6379",
        "call it on port 6379, then `havre deploy`",
    ),
    "kept-out": ("is refused by guarded: its protected mode", "--requirepass"),
    "kv": ("of its 2 MiB are taken", "maxmemory-policy: noeviction", "raise `maxmemory`"),
    "shy": ("shy listens on 127.0.0.1:3000 only, inside itself", "let shy listen on 0.0.0.0", "get 503"),
}


@pytest.mark.parametrize("service", RUNNING)
def test_a_fault_of_a_running_service_is_named(service: str, clinic: Clinic) -> None:
    said, _ = _until(clinic, service, RUNNING[service])
    for words in RUNNING[service]:
        assert words in said
    assert PASSWORD not in said


def test_a_client_of_a_full_redis_is_told_as_its_effect(clinic: Clinic) -> None:
    said, found = _until(clinic, "overflows", ("cannot work with kv",))
    assert "cannot work with kv (the server refuses to store more)" in said
    assert not [problem for problem in found if problem["subject"].startswith("overflows")]


def test_a_lock_that_others_wait_for_is_named_with_its_holder(clinic: Clinic) -> None:
    url = f"postgres://postgres:{PASSWORD}@pg/shop"
    clinic.inside("pg", "psql -U postgres -d shop -c 'create table t (n int)'")
    hold = "(echo 'begin; lock table t;'; sleep 40) | psql " + url
    _behind(clinic, "wants-tls", hold)
    time.sleep(1.5)
    _behind(clinic, "misspells", f"psql {url} -c 'select * from t'")
    said, _ = _until(clinic, "pg", ("queries wait for a lock",))
    assert "queries wait for a lock that wants-tls has held for" in said
    assert "(idle in transaction)" in said
    assert "`havre restart wants-tls`" in said
    clinic.inside("pg", "psql -U postgres -d shop -c \"select pg_terminate_backend(pid) from pg_stat_activity"
                  " where state = 'idle in transaction'\"")  # fmt: skip


def test_a_full_file_system_inside_is_named(clinic: Clinic) -> None:
    clinic.inside("web", "head -c 2000000 /dev/zero > /scratch/x || true")
    said, _ = clinic.doctor("web")
    assert "the file system at /scratch inside is full" in said
    assert "of 1 MiB are free" in said
    clinic.inside("web", "rm /scratch/x")


def test_a_page_that_fails_and_one_that_is_slow_are_seen_as_visitors_do(clinic: Clinic) -> None:
    clinic.inside("web", "touch /tmp/fail")
    assert "visitors of ward.clinic-lab.org/ get 500" in clinic.doctor()[0]
    clinic.inside("web", "rm /tmp/fail && touch /tmp/slow")
    said, _ = clinic.doctor()
    clinic.inside("web", "rm /tmp/slow")
    assert "ward.clinic-lab.org/ answers slowly: in" in said
    assert "`havre logs --level error" in said


def test_a_crash_that_only_a_request_brings_about_is_remembered(clinic: Clinic) -> None:
    assert clinic.visit("/", method="POST") >= 500  # the edge asks no second time, which would kill it again
    said, found = _until(clinic, "web", ("was started again",))
    assert "ended with exit code 9" in said
    assert [problem["severity"] for problem in found if "was started again" in problem["summary"]] == ["warning"]


def test_dns_is_compared_with_this_server(clinic: Clinic) -> None:
    assert "doctor-dns" not in clinic.doctor()[0]
    clinic.zone.names = {"ward.clinic-lab.org": THERE}
    said, found = clinic.doctor()
    clinic.zone.names = {"ward.clinic-lab.org": HERE, "away.clinic-lab.org": HERE}
    assert f"ward.clinic-lab.org leads to {THERE}, which is not this server" in said
    assert f"this server: {HERE}" in said
    assert "away.clinic-lab.org has no address in DNS" in said
    assert {problem["severity"] for problem in found if problem["code"] == "doctor-dns"} == {"warning"}


def test_top_ranks_what_uses_the_machine(clinic: Clinic) -> None:
    _behind(clinic, "web", "for n in 1 2 3; do timeout 30 python -c 'while True: pass' & done; wait")
    give_up, own = time.monotonic() + 20, [{"name": ""}]
    while own[0]["name"] != "web.1" and time.monotonic() < give_up:
        found = json.loads(clinic.havre("top", "--json").stdout)["busiest"]
        own = [one for one in found if one["instance"] == clinic.name]
    assert own[0]["name"] == "web.1", own[:3]
    assert own[0]["cpu"] > own[1]["cpu"]
    assert any(not one["instance"] for one in found), "what is not Havre's is ranked too"
    by_memory = json.loads(clinic.havre("top", "--by", "memory", "--json").stdout)["busiest"]
    assert by_memory == sorted(by_memory, key=lambda one: -one["memory"])


def _until(clinic: Clinic, service: str, wanted: tuple[str, ...]) -> tuple[str, list[dict[str, Any]]]:
    """What the doctor says once it says that; after 20 s what it says instead, for the assertion."""
    give_up = time.monotonic() + 20
    while True:
        said, found = clinic.doctor(service)
        if all(words in said for words in wanted) or time.monotonic() > give_up:
            return said, found
        time.sleep(1)


def _behind(clinic: Clinic, service: str, shell: str) -> None:
    """Run something in a service and do not wait for it."""
    subprocess.run(["docker", "exec", "-d", f"{clinic.name}-{service}-1", "sh", "-c", shell], check=True)

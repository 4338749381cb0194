"""Rows C1 to C90: what the maicivy guide promises: a site whose edge limits, caches, and tells who really asked."""

from __future__ import annotations

import json
import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing

import pytest
from cryptography import x509
from guides import HEALTHCHECK, GuideApp, new_app, remove

from havre.secrets.vault import random_value
from havre.workflows.demo import fill, free_port

pytestmark = pytest.mark.docker
APEX, WWW, ANALYTICS = "maicivy.localhost", "www.maicivy.localhost", "analytics.maicivy.localhost"
GIB, MIB = 1024**3, 1024**2
LOGGING = "    logging: {driver: json-file, options: {max-size: 10m, max-file: '3'}}\n"

COMPOSE = f"""\
services:
  backend:
    build: {{context: program}}
    environment:
      NAME: backend
      DATABASE_URL: postgresql://maicivy:${{POSTGRES_PASSWORD:?}}@postgres:5432/maicivy
      REDIS_URL: redis://:${{REDIS_PASSWORD:?}}@redis:6379/0
      CLAUDE_API_KEY: ${{CLAUDE_API_KEY:?the backend asks the model with it}}
    depends_on: {{postgres: {{condition: service_healthy}}, redis: {{condition: service_healthy}}}}
    deploy:
      resources: {{limits: {{cpus: "2.0", memory: 2G}}, reservations: {{cpus: "1.0", memory: 1G}}}}
    healthcheck: {{test: {HEALTHCHECK}, interval: 5s, retries: 6}}
    restart: unless-stopped
{LOGGING}
  frontend:
    build: {{context: web, args: {{NEXT_PUBLIC_API_URL: "${{NEXT_PUBLIC_API_URL:?}}"}}}}
    environment: {{NAME: frontend}}
    healthcheck: {{test: {HEALTHCHECK}, interval: 5s, retries: 6}}
    restart: unless-stopped
    mem_limit: 128m
{LOGGING}
  prometheus:
    build: {{context: program}}
    environment: {{NAME: prometheus}}
    ports: ["127.0.0.1:${{PROMETHEUS_PORT}}:8000"]
    healthcheck: {{test: {HEALTHCHECK}, interval: 5s, retries: 6}}
    restart: unless-stopped
    mem_limit: 128m
{LOGGING}
  postgres:
    image: postgres:15-alpine
    environment: {{POSTGRES_DB: maicivy, POSTGRES_USER: maicivy, POSTGRES_PASSWORD: "${{POSTGRES_PASSWORD:?}}"}}
    volumes: ["postgres_data:/var/lib/postgresql/data"]
    healthcheck: {{test: ["CMD", "pg_isready", "-q", "-h", "127.0.0.1", "-U", "maicivy"], interval: 5s, retries: 12}}
    restart: unless-stopped
    mem_limit: 256m
{LOGGING}
  redis:
    image: redis:7-alpine
    command: [sh, -c, 'exec redis-server --requirepass "$$REDIS_PASSWORD" --maxmemory 256mb']
    environment: {{REDIS_PASSWORD: "${{REDIS_PASSWORD:?}}"}}
    healthcheck: {{test: ["CMD-SHELL", 'REDISCLI_AUTH="$$REDIS_PASSWORD" redis-cli ping | grep -q PONG'], interval: 5s}}
    restart: unless-stopped
    mem_limit: 320m
{LOGGING}
volumes: {{postgres_data: }}
"""
MANIFEST = """\
app: {name}
compose: [docker-compose.yml]
routes:
  - {{host: maicivy.localhost, to: frontend:8000}}
  - {{host: www.maicivy.localhost, redirect: "https://maicivy.localhost"}}
  - {{host: maicivy.localhost, path: /health, to: backend:8000}}
  - {{host: maicivy.localhost, path: /whoami, to: backend:8000}}
  - {{host: maicivy.localhost, path: /api, strip: true, to: backend:8000, rate_limit: 100/minute, max_body: 20MB}}
  - {{host: maicivy.localhost, path: /api/cv, to: backend:8000, cache: 5m}}
  - {{host: maicivy.localhost, path: /upload, to: backend:8000, max_body: 20MB}}
  - {{host: analytics.maicivy.localhost, to: prometheus:8000}}
release:
  verify:
    - {{get: /health, host: maicivy.localhost, expect: {{status: 200, contains: "ok"}}}}
"""
EXAMPLE = """\
POSTGRES_PASSWORD=change_me
REDIS_PASSWORD=change_me
CLAUDE_API_KEY=your-claude-api-key
NEXT_PUBLIC_API_URL=https://maicivy.localhost/api
"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuideApp]:
    app = new_app(tmp_path_factory.mktemp("maicivy") / "app", "maicivy", tls=True, first_port=30800)
    app.write({"docker-compose.yml": COMPOSE, "havre.yaml": MANIFEST.format(name=app.name), ".env.example": EXAMPLE})
    source = (app.directory / "program" / "answerer.py").read_text().replace('"/cv"', '"/api/cv"')
    (app.directory / "program" / "answerer.py").write_text(source)
    dockerfile = (app.directory / "program" / "Dockerfile").read_text()
    build = "ARG NEXT_PUBLIC_API_URL\nRUN python -m compileall -q answerer.py\n"
    app.write({"web/Dockerfile": dockerfile + build, "web/answerer.py": source})
    (app.directory / "program" / "answerer.py").write_text(source)
    values = {name: random_value() for name in ("POSTGRES_PASSWORD", "REDIS_PASSWORD", "CLAUDE_API_KEY")}
    values |= {"PROMETHEUS_PORT": str(free_port(app.https_port + 10))}
    (app.directory / ".env").write_text(fill(EXAMPLE, values))
    app.deploy()
    yield app
    remove(app)


def handshake(app: GuideApp, host: str, context: ssl.SSLContext | None = None) -> x509.Certificate:
    """The certificate the edge shows to a browser that asks for this host."""
    if context is None:
        context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        closing(socket.create_connection(("127.0.0.1", app.https_port), timeout=10)) as plain,
        context.wrap_socket(plain, server_hostname=host) as secure,
    ):
        shown = secure.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown)


def names_of(certificate: x509.Certificate) -> set[str]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return set(names.get_values_for_type(x509.DNSName))


def test_apex_www_and_analytics_are_served_with_certificates_of_their_own_names(app: GuideApp) -> None:
    for host in (APEX, WWW, ANALYTICS):
        assert host in names_of(handshake(app, host)), host
    assert app.ask(f"{APEX}/").json["name"] == "frontend"
    assert app.ask(f"{ANALYTICS}/").json["name"] == "prometheus"
    moved = app.ask(f"{WWW}/about?x=1")
    assert moved.status in (301, 302, 307, 308)
    assert moved.headers["location"] == f"https://{APEX}/about?x=1"


def test_certificates_are_listed_with_their_hosts_and_days(app: GuideApp) -> None:
    listed = app.havre("certs").stdout
    for host in (APEX, WWW, ANALYTICS):
        assert host in listed, host
    assert re.search(r"\b\d{2,3}\b", listed), listed


def test_only_modern_tls_with_forward_secrecy_is_spoken(app: GuideApp) -> None:
    for old in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = ssl.create_default_context()
        context.minimum_version = context.maximum_version = old
        handshake(app, APEX, context)
    weak = ssl.create_default_context()
    weak.maximum_version = ssl.TLSVersion.TLSv1_2
    weak.set_ciphers("kRSA:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        handshake(app, APEX, weak)
    asked = ["openssl", "s_client", "-connect", f"127.0.0.1:{app.https_port}", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]
    done = subprocess.run(asked, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    age = re.search(r"max-age=(\d+)", app.ask(f"{APEX}/").headers["strict-transport-security"])
    assert age
    assert int(age[1]) >= 180 * 86400


def test_a_hundred_requests_a_minute_pass_then_two_hundred_after_a_change(app: GuideApp) -> None:
    assert app.hurry([f"{APEX}/api/skills"] * 120) == {200: 100, 429: 20}
    assert app.hurry([f"{APEX}/api/skills"] * 10, source="127.0.0.2") == {200: 10}, "each client has a count of its own"
    app.replace("havre.yaml", "rate_limit: 100/minute", "rate_limit: 200/minute")
    before = app.container("backend")["Id"]
    app.deploy()
    assert app.container("backend")["Id"] == before, "a route's limit is no reason to replace a service"
    assert app.hurry([f"{APEX}/api/skills"] * 220, source="127.0.0.3") == {200: 200, 429: 20}


def test_bodies_up_to_twenty_megabytes_pass_and_larger_ones_do_not(app: GuideApp) -> None:
    passed = app.ask(f"{APEX}/upload", method="POST", body=b"x" * (19 * MIB))
    assert (passed.status, passed.json) == (200, {"received": 19 * MIB})
    too_large = app.ask(f"{APEX}/upload", method="POST", body=b"x" * 10, headers={"Content-Length": str(21 * MIB)})
    assert too_large.status == 413


def test_the_cv_is_answered_from_the_cache_for_five_minutes(app: GuideApp) -> None:
    first = app.ask(f"{APEX}/api/cv").json["times"]
    assert {app.ask(f"{APEX}/api/cv").json["times"] for _ in range(5)} == {first}


def test_a_forged_client_address_is_ignored(app: GuideApp) -> None:
    forged = {"X-Forwarded-For": "203.0.113.9", "X-Real-IP": "203.0.113.9", "X-Forwarded-Proto": "http"}
    seen = app.ask(f"{APEX}/whoami", headers=forged).json
    assert (seen["client"], seen["real"], seen["scheme"]) == ("127.0.0.1", "127.0.0.1", "https")


def test_the_metrics_server_listens_on_this_machine_only(app: GuideApp) -> None:
    port = dict(line.split("=", 1) for line in (app.directory / ".env").read_text().split())["PROMETHEUS_PORT"]
    listening = subprocess.run(["ss", "-Hltn", f"sport = :{port}"], capture_output=True, text=True, check=True).stdout
    assert {line.split()[3] for line in listening.splitlines()} == {f"127.0.0.1:{port}"}


def test_the_backends_limits_and_reservations_are_the_guides(app: GuideApp) -> None:
    host = app.container("backend")["HostConfig"]
    assert (host["NanoCpus"], host["Memory"], host["MemoryReservation"]) == (2_000_000_000, 2 * GIB, GIB)


def test_logs_of_every_service_rotate(app: GuideApp) -> None:
    for service in ("backend", "frontend", "prometheus", "postgres", "redis"):
        log = app.container(service)["HostConfig"]["LogConfig"]
        assert log == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}, service


def test_the_last_hundred_lines_of_one_service(app: GuideApp) -> None:
    app.hurry(f"{APEX}/health?line={number}" for number in range(105))
    lines = app.havre("logs", "-n", "100", "backend").stdout.splitlines()
    assert len(lines) == 100
    assert any("line=104 " in line for line in lines[-5:])
    assert not any("line=1 " in line for line in lines)


def test_wrong_passwords_and_missing_keys_are_said_before_anything_is_touched(app: GuideApp) -> None:
    before = app.container("backend")["Id"]
    faults = {
        "postgresql://maicivy:${POSTGRES_PASSWORD:?}@": ("postgresql://maicivy:${REDIS_PASSWORD}@", "postgres"),
        "redis://:${REDIS_PASSWORD:?}@": ("redis://:${POSTGRES_PASSWORD}@", "redis"),
    }
    for right, (wrong, server) in faults.items():
        with app.changed("docker-compose.yml", right, wrong):
            refused = app.deploy(check=False)
        assert (refused.returncode, f"backend and {server} disagree" in refused.stderr) == (3, True), refused.stderr
    for name in ("CLAUDE_API_KEY", "NEXT_PUBLIC_API_URL"):
        with app.changed(".env", f"{name}=", f"NOT_{name}="):
            refused = app.deploy(check=False)
        assert (refused.returncode, name in refused.stderr) == (2, True), refused.stderr
    assert app.container("backend")["Id"] == before


def test_a_build_that_fails_is_shown_and_leaves_the_old_frontend(app: GuideApp) -> None:
    with app.changed("web/answerer.py", "def allowed(", "def allowed(("):
        refused = app.deploy(check=False)
    assert refused.returncode == 1
    assert re.search(r"SyntaxError|was never closed|invalid syntax|answerer\.py", refused.stdout + refused.stderr)
    assert app.ask(f"{APEX}/").json["name"] == "frontend"


def test_databases_are_probed_from_inside(app: GuideApp) -> None:
    assert "accepting connections" in app.havre("exec", "-T", "postgres", "pg_isready", "-h", "127.0.0.1").stdout
    conninfo = ("psql", "-U", "maicivy", "-d", "maicivy", "-c", r"\conninfo")
    assert 'as user "maicivy"' in app.havre("exec", "-T", "postgres", *conninfo).stdout
    ping = 'REDISCLI_AUTH="$REDIS_PASSWORD" redis-cli ping'
    assert app.havre("exec", "-T", "redis", "sh", "-c", ping).stdout.strip() == "PONG"
    for host, port in (("postgres", 5432), ("redis", 6379)):
        assert app.ask(f"{APEX}/api/reach?host={host}&port={port}").json == {"open": True}
    app.havre("restart", "-y", "postgres")
    assert "accepting connections" in app.havre("exec", "-T", "postgres", "pg_isready", "-h", "127.0.0.1").stdout


def test_the_health_page_has_the_keyword_a_monitor_looks_for(app: GuideApp) -> None:
    answer = app.ask(f"{APEX}/health")
    assert (answer.status, "ok" in answer.text) == (200, True)
    assert app.ask(f"{APEX}/").status == app.ask(f"{ANALYTICS}/").status == 200


def test_status_shows_what_every_service_uses(app: GuideApp) -> None:
    replicas = json.loads(app.havre("ps", "--json").stdout)["replicas"]
    assert {one["service"] for one in replicas} == {"backend", "frontend", "prometheus", "postgres", "redis"}
    for one in replicas:
        assert one["memory"] > MIB, one
        assert one["cpu"] >= 0, one


def test_the_template_of_the_env_file_is_refused_until_it_is_filled_in(app: GuideApp) -> None:
    real = (app.directory / ".env").read_text()
    (app.directory / ".env").write_text(EXAMPLE + "PROMETHEUS_PORT=1\n")
    try:
        refused = app.deploy(check=False)
    finally:
        (app.directory / ".env").write_text(real)
    assert refused.returncode == 3
    for name in ("POSTGRES_PASSWORD", "REDIS_PASSWORD", "CLAUDE_API_KEY"):
        assert name in refused.stderr, name

"""Rows S1 to S53: what the supplier analytics guide promises: three replicas behind TLS, bounded and strict."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from guides import GuideApp, docker, new_app, remove

from havre.secrets.vault import random_value

pytestmark = pytest.mark.docker
API = "api.supplier.localhost"
SITE = "www.supplier.localhost"
ORIGINS = ("https://supplier.localhost", "https://www.supplier.localhost")
GIB = 1024**3
PROBE = (
    'import urllib.request as u; u.urlopen(u.Request("http://127.0.0.1:8000/docs", '
    'headers={"Host": "supplier.localhost"}), timeout=4)'
)

COMPOSE = """\
services:
  backend:
    build: {context: program}
    ports: ["127.0.0.1:${BACKEND_PORT}:8000"]
    environment:
      ENVIRONMENT: production
      DEBUG: "false"
      DATABASE_URL: ${DATABASE_URL:?}
      SUPABASE_URL: ${SUPABASE_URL}
      SUPABASE_SERVICE_KEY: ${SUPABASE_SERVICE_KEY:?}
      OLLAMA_BASE_URL: http://ollama:11434
      OLLAMA_MODEL: mistral
      ALLOWED_ORIGINS: https://supplier.localhost,https://www.supplier.localhost
      ALLOWED_HOSTS: supplier.localhost,*.supplier.localhost
      LOG_LEVEL: INFO
      LOG_FILE: /tmp/app.log
      NAME: backend
    restart: unless-stopped
    healthcheck: {test: ["CMD", "python", "-c", 'PROBE'], interval: 30s, timeout: 10s, retries: 3}
  frontend:
    build:
      context: web
      args: {NEXT_PUBLIC_API_URL: "${NEXT_PUBLIC_API_URL:?}", NEXT_PUBLIC_SUPABASE_ANON_KEY: "${ANON_KEY}"}
    restart: unless-stopped
    mem_limit: 256m
    healthcheck: {test: ["CMD", "wget", "-q", "--spider", "http://127.0.0.1:3000/"], interval: 30s, retries: 3}
  ollama:
    image: alpine
    profiles: [ollama]
    volumes: ["ollama_data:/root/.ollama"]
volumes: {ollama_data: }
""".replace("PROBE", PROBE)
SCALE = """\
services:
  backend:
    deploy: {replicas: 3, resources: {limits: {cpus: "1", memory: 1G}}}
"""
WEB = {
    "web/Dockerfile": """\
FROM node:20-alpine AS build
ARG NEXT_PUBLIC_API_URL
ARG NEXT_PUBLIC_SUPABASE_ANON_KEY
WORKDIR /src
COPY build.js .
RUN node build.js
FROM node:20-alpine
WORKDIR /app
COPY server.js .
COPY --from=build /src/bundle.js .
EXPOSE 3000
CMD ["node", "server.js"]
""",
    "web/build.js": """\
const names = ["NEXT_PUBLIC_API_URL", "NEXT_PUBLIC_SUPABASE_ANON_KEY"];
const bundle = JSON.stringify(Object.fromEntries(names.map(name => [name, process.env[name]])));
require("fs").writeFileSync("bundle.js", `const settings = ${bundle};`);
""",
    "web/server.js": """\
const bundle = require("fs").readFileSync("bundle.js");
require("http").createServer((_, answer) => answer.end(bundle)).listen(3000, "0.0.0.0");
process.on("SIGTERM", () => process.exit(0));
""",
}
MANIFEST = """\
app: {name}
compose: [docker-compose.yml, docker-compose.scale.yml]
secrets: [SUPABASE_SERVICE_KEY]
routes:
  - {{host: www.supplier.localhost, to: frontend:3000}}
  - {{host: api.supplier.localhost, to: backend:8000}}
  - {{host: api.supplier.localhost, path: /api, to: backend:8000, balance: leastconn}}
  - {{host: api.supplier.localhost, path: /api/workspaces, to: backend:8000, rate_limit: 100/minute}}
  - {{host: evil.localhost, to: backend:8000}}
release:
  verify:
    - {{get: /docs, host: api.supplier.localhost}}
"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuideApp]:
    app = new_app(tmp_path_factory.mktemp("supplier") / "app", "supplier", tls=True, first_port=29600)
    settings = f"""\
DATABASE_URL=postgresql://app:{random_value()}@db.supabase.localhost:5432/postgres?sslmode=require
SUPABASE_URL=https://project.supabase.localhost
NEXT_PUBLIC_API_URL=https://{API}
ANON_KEY=public-anon-{app.name}
BACKEND_PORT={app.https_port + 10}
"""
    manifest = MANIFEST.format(name=app.name)
    app.write(
        {**WEB, "docker-compose.yml": COMPOSE, "docker-compose.scale.yml": SCALE, ".env": settings}
        | {"havre.yaml": manifest}
    )
    app.havre("secrets", "generate", "SUPABASE_SERVICE_KEY")
    app.deploy()
    yield app
    remove(app)


def test_the_backend_gets_its_settings_with_tls_to_the_database(app: GuideApp) -> None:
    has = app.environment("backend")
    assert has["DATABASE_URL"].endswith("?sslmode=require")
    assert (has["ENVIRONMENT"], has["DEBUG"], has["OLLAMA_MODEL"]) == ("production", "false", "mistral")
    assert has["ALLOWED_ORIGINS"] == ",".join(ORIGINS)
    assert (has["OLLAMA_BASE_URL"], has["LOG_LEVEL"]) == ("http://ollama:11434", "INFO")


def test_a_sealed_secret_reaches_the_service_and_stands_in_no_file_in_the_clear(app: GuideApp) -> None:
    secret = app.environment("backend")["SUPABASE_SERVICE_KEY"]
    assert len(secret) >= 32
    holders = [path for path in app.directory.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    assert holders == []
    assert secret not in app.havre("config").stdout + app.havre("plan").stdout


def test_the_health_check_asks_docs_with_a_host_the_app_allows(app: GuideApp) -> None:
    check = app.container("backend")["Config"]["Healthcheck"]
    seconds = 1_000_000_000
    assert (check["Interval"], check["Timeout"], check["Retries"]) == (30 * seconds, 10 * seconds, 3)
    assert "/docs" in check["Test"][-1]
    assert {state for name, state in app.states().items() if name.startswith("backend")} == {"running"}


def test_only_allowed_hosts_are_answered_by_the_app(app: GuideApp) -> None:
    assert app.ask(f"{API}/docs").status == 200
    refused = app.ask("evil.localhost/docs")
    assert (refused.status, refused.json) == (400, {"error": "Invalid host header"})


def test_three_replicas_have_one_cpu_and_one_gigabyte_each_and_all_answer(app: GuideApp) -> None:
    running = app.containers("backend")
    limits = {(one["HostConfig"]["NanoCpus"], one["HostConfig"]["Memory"]) for one in running}
    assert (len(running), limits) == (3, {(1_000_000_000, GIB)})
    with ThreadPoolExecutor(6) as visitors:
        answered = Counter(visitors.map(lambda _: app.ask(f"{API}/api/kpi").json["replica"], range(90)))
    assert set(answered) == {one["Config"]["Hostname"] for one in running}
    assert min(answered.values()) >= 15, answered


def test_exactly_a_hundred_requests_a_minute_pass_to_workspaces(app: GuideApp) -> None:
    assert app.hurry([f"{API}/api/workspaces"] * 130) == {200: 100, 429: 30}
    assert app.ask(f"{API}/api/workspaces").headers["retry-after"]
    assert app.ask(f"{API}/api/kpi").status == 200, "only /api/workspaces is limited"


def test_cors_answers_are_the_apps_own_and_strict(app: GuideApp) -> None:
    for origin in ORIGINS:
        given = app.ask(f"{API}/api/kpi", method="OPTIONS", headers={"Origin": origin})
        assert given.headers["access-control-allow-origin"] == origin
    stranger = app.ask(f"{API}/api/kpi", headers={"Origin": "https://evil.localhost"})
    assert "access-control-allow-origin" not in stranger.headers


def test_requests_are_logged_to_stdout_and_to_the_log_file_in_the_guides_form(app: GuideApp) -> None:
    app.ask(f"{API}/api/logged")
    form = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - backend - INFO - GET /api/logged 200"
    assert re.search(form, app.havre("logs", "backend").stdout)
    files = [docker("exec", one["Id"], "cat", "/tmp/app.log") for one in app.containers("backend")]
    assert any(re.search(form, text) for text in files)


def test_the_frontend_is_a_node_server_with_its_public_settings_built_in(app: GuideApp) -> None:
    bundle = app.ask(f"{SITE}/").text
    assert f'"NEXT_PUBLIC_API_URL":"https://{API}"' in bundle
    assert f'"NEXT_PUBLIC_SUPABASE_ANON_KEY":"public-anon-{app.name}"' in bundle
    assert not [name for name in app.environment("frontend") if name.startswith("NEXT_PUBLIC_")]
    assert app.havre("exec", "-T", "frontend", "node", "--version").stdout.startswith("v20.")


def test_the_app_works_without_the_optional_ollama(app: GuideApp) -> None:
    assert not app.containers("ollama")
    assert app.ask(f"{API}/api/kpi").status == 200


def test_a_service_key_meant_for_the_browser_is_refused(app: GuideApp) -> None:
    secret = random_value()
    named = "args: {NEXT_PUBLIC_SERVICE_KEY: " + secret + ","
    with app.changed("docker-compose.yml", "args: {", named + " "):
        refused = app.deploy(check=False)
    assert refused.returncode == 3
    assert "NEXT_PUBLIC_SERVICE_KEY" in refused.stderr
    assert secret not in refused.stdout + refused.stderr


def test_the_service_keys_value_under_an_innocent_public_name_is_refused(app: GuideApp) -> None:
    with app.changed("docker-compose.yml", '"${ANON_KEY}"', '"${SUPABASE_SERVICE_KEY}"'):
        refused = app.deploy(check=False)
    assert refused.returncode == 3
    assert "SUPABASE_SERVICE_KEY" in refused.stderr
    assert app.environment("backend")["SUPABASE_SERVICE_KEY"] not in refused.stdout + refused.stderr


def test_a_route_to_a_port_nobody_listens_on_is_pointed_out(app: GuideApp) -> None:
    with app.changed("havre.yaml", "path: /api, to: backend:8000", "path: /api, to: backend:8001"):
        told = app.havre("check", check=False)
    said = told.stdout + told.stderr
    assert "route-port" in said
    assert "8001" in said


def test_a_stopped_backend_is_named_by_the_status_and_not_hidden(app: GuideApp) -> None:
    app.havre("stop", "-y", "backend")
    try:
        assert app.ask(f"{API}/docs").status in (502, 503)
        assert {state for name, state in app.states().items() if name.startswith("backend")} == {"exited (0)"}
    finally:
        app.havre("start", "-y", "backend")
    assert app.ask(f"{API}/docs").status == 200

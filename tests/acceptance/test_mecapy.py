"""Rows M1 to M60: what the MecaPy guide promises: three environments of one app, side by side on one server."""

from __future__ import annotations

import json
import re
import shutil
import sys
import urllib.request
from collections.abc import Iterator

import pytest
from engine_bench import wait_for
from guides import HEALTHCHECK, GuideApp, docker, new_app, remove

from havre.secrets.vault import random_value
from havre.workflows.demo import free_port

pytestmark = pytest.mark.docker
HOSTS = {"production": "mecapy.localhost", "staging": "staging.mecapy.localhost", "local": "local.mecapy.localhost"}
POOL = {"DB_POOL_SIZE": "10", "DB_MAX_OVERFLOW": "20", "DB_POOL_TIMEOUT": "30", "DB_POOL_RECYCLE": "3600"}

COMPOSE = f"""\
services:
  api:
    build: {{context: repos/api}}
    environment:
      NAME: api
      ENVIRONMENT: ${{ENVIRONMENT:?}}
      DATABASE_URL: ${{DATABASE_URL:?}}
      KEYCLOAK_URL: ${{KEYCLOAK_URL}}
      KEYCLOAK_CLIENT_SECRET: ${{KEYCLOAK_CLIENT_SECRET:?}}
      CORS_ALLOW_ORIGINS: https://${{SITE}}
      LOG_LEVEL: ${{LOG_LEVEL}}
      DEGRADED: ${{DEGRADED:-}}
      MIGRATION: ${{MIGRATION:-}}
      DB_POOL_SIZE: "10"
      DB_MAX_OVERFLOW: "20"
      DB_POOL_TIMEOUT: "30"
      DB_POOL_RECYCLE: "3600"
      SHOW: "ENVIRONMENT KEYCLOAK_URL CORS_ALLOW_ORIGINS LOG_LEVEL {" ".join(POOL)}"
    depends_on: {{postgres: {{condition: service_healthy}}}}
    deploy: {{replicas: "${{API_REPLICAS:-1}}"}}
    healthcheck: {{test: {HEALTHCHECK}, interval: 5s, retries: 6}}
    restart: unless-stopped
    mem_limit: 128m
  frontend:
    build: {{context: repos/api}}
    environment: {{NAME: frontend, NEXT_PUBLIC_API_URL: "https://${{SITE}}/api", SHOW: NEXT_PUBLIC_API_URL}}
    healthcheck: {{test: {HEALTHCHECK}, interval: 5s, retries: 6}}
    restart: unless-stopped
    mem_limit: 128m
  postgres:
    image: postgres:15-alpine
    environment:
      POSTGRES_DB: mecapy
      POSTGRES_USER: mecapy
      POSTGRES_PASSWORD: ${{POSTGRES_PASSWORD:?}}
      POSTGRES_MULTIPLE_DATABASES: keycloak
    volumes:
      - postgres_data:/var/lib/postgresql/data
      - ./scripts/databases.sh:/docker-entrypoint-initdb.d/databases.sh:ro
    ports: ["127.0.0.1:${{DB_PORT:?}}:5432"]
    healthcheck: {{test: ["CMD", "pg_isready", "-q", "-h", "127.0.0.1", "-U", "mecapy"], interval: 5s, retries: 12}}
    restart: unless-stopped
    mem_limit: 256m
volumes: {{postgres_data: }}
"""
LOCAL = """\
services:
  api:
    build: {context: repos/api, dockerfile: Dockerfile.dev}
    environment: {DATABASE_URL: "sqlite:///./dev.db", TOKEN_VERIFICATION_ENABLED: "false"}
    volumes: ["./repos/api:/app"]
    ports: ["127.0.0.1:${DEV_API_PORT}:8000"]
  frontend:
    ports: ["127.0.0.1:${DEV_WEB_PORT}:8000"]
    volumes: ["./repos/frontend:/src", "/src/node_modules"]
"""
DATABASES = """\
#!/bin/sh
set -e
for name in $POSTGRES_MULTIPLE_DATABASES; do
  psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d "$POSTGRES_DB" \\
    -c "CREATE USER $name" -c "CREATE DATABASE $name OWNER $name"
done
"""
MIGRATE = """\
import os, sys
if os.environ.get("MIGRATION") == "broken":
    sys.exit("revision 42: column mass does not exist")
print("upgraded to the newest revision in", os.environ["ENVIRONMENT"])
"""
ROUTES = """\
{indent}routes:
{indent}  - host: {host}
{indent}    to: frontend:8000
{indent}    headers:
{indent}      X-DNS-Prefetch-Control: "on"
{indent}      Strict-Transport-Security: "max-age=63072000; includeSubDomains; preload"
{indent}  - {{host: {host}, path: /api, strip: true, to: api:8000}}
{indent}release:
{indent}  migrate: {{service: api, run: python /app/migrate.py, safeguard: false}}
{indent}  verify:
{indent}    - {{get: /api/health, host: {host}, expect: {{status: 200, json: {{status: ok}}}}}}
"""


def manifest(name: str) -> str:
    """One manifest for the three environments."""
    text = f"app: {name}\ncompose: [docker-compose.yml]\nenv_file: [.env.production]\n"
    text += "secrets: [KEYCLOAK_CLIENT_SECRET]\n" + ROUTES.format(indent="", host=HOSTS["production"])
    text += "environments:\n"
    for environment in ("staging", "local"):
        text += f"  {environment}:\n    env_file: [.env.{environment}]\n"
        text += "    compose: [docker-compose.yml, docker-compose.local.yml]\n" if environment == "local" else ""
        text += ROUTES.format(indent="    ", host=HOSTS[environment])
    return text


def settings(environment: str, db_port: int) -> str:
    """The env file of one environment."""
    password, level = random_value(), "INFO" if environment == "production" else "DEBUG"
    return f"""\
ENVIRONMENT={environment}
SITE={HOSTS[environment]}
POSTGRES_PASSWORD={password}
DATABASE_URL=postgresql://mecapy:{password}@postgres:5432/mecapy
KEYCLOAK_URL=https://auth-{environment}.mecapy.localhost
LOG_LEVEL={level}
DB_PORT={db_port}
DEV_API_PORT={db_port + 1}
DEV_WEB_PORT={db_port + 2}
API_REPLICAS={2 if environment == "production" else 1}
"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuideApp]:
    app = new_app(tmp_path_factory.mktemp("mecapy") / "app", "mecapy", tls=True, first_port=30200)
    app.write({"docker-compose.yml": COMPOSE, "docker-compose.local.yml": LOCAL, "havre.yaml": manifest(app.name)})
    program = app.directory / "program"
    (app.directory / "repos").mkdir()
    program.rename(app.directory / "repos" / "api")
    api = app.directory / "repos" / "api"
    dockerfile = (api / "Dockerfile").read_text().replace("COPY answerer.py .", "COPY answerer.py migrate.py ./")
    (api / "Dockerfile").write_text(dockerfile)
    (api / "Dockerfile.dev").write_text(dockerfile + "ENV FOR_DEVELOPERS=1\n")
    (api / "migrate.py").write_text(MIGRATE)
    for path, text in {"scripts/databases.sh": DATABASES, "repos/frontend/page.html": "page"}.items():
        (app.directory / path).parent.mkdir(exist_ok=True)
        (app.directory / path).write_text(text)
    port = app.https_port + 10
    for environment in HOSTS:
        port = free_port(port + 3)
        (app.directory / f".env.{environment}").write_text(settings(environment, port))
        app.havre("secrets", "generate", "KEYCLOAK_CLIENT_SECRET", "-e", environment)
        app.deploy("-e", environment)
    yield app
    remove(app, *HOSTS)


def instance(app: GuideApp, environment: str) -> str:
    return app.name if environment == "production" else f"{app.name}-{environment}"


def page(app: GuideApp, environment: str, path: str) -> dict[str, str]:
    return dict(app.ask(HOSTS[environment] + path).json)


def test_three_environments_serve_side_by_side_under_their_own_hosts(app: GuideApp) -> None:
    for environment in HOSTS:
        assert page(app, environment, "/api/environment")["ENVIRONMENT"] == environment
        assert page(app, environment, "/")["name"] == "frontend"


def test_environments_share_no_network_volume_or_secret(app: GuideApp) -> None:
    networks, volumes, secrets = [], [], []
    for environment in HOSTS:
        database = app.container("postgres", instance(app, environment))
        networks += [*database["NetworkSettings"]["Networks"]]
        volumes += [mount["Name"] for mount in database["Mounts"] if mount["Type"] == "volume"]
        secrets += [app.environment("api", instance(app, environment))["KEYCLOAK_CLIENT_SECRET"]]
        secrets += [app.environment("postgres", instance(app, environment))["POSTGRES_PASSWORD"]]
    assert (len(set(networks)), len(set(volumes)), len(set(secrets))) == (3, 3, 6)


def test_each_environment_has_its_own_settings(app: GuideApp) -> None:
    assert page(app, "staging", "/api/environment") == {
        "ENVIRONMENT": "staging",
        "KEYCLOAK_URL": "https://auth-staging.mecapy.localhost",
        "CORS_ALLOW_ORIGINS": "https://staging.mecapy.localhost",
        "LOG_LEVEL": "DEBUG",
        **POOL,
    }
    assert page(app, "production", "/api/environment")["LOG_LEVEL"] == "INFO"
    urls = {page(app, environment, "/environment")["NEXT_PUBLIC_API_URL"] for environment in HOSTS}
    assert urls == {f"https://{host}/api" for host in HOSTS.values()}


def test_production_balances_over_its_api_replicas_and_staging_has_its_own(app: GuideApp) -> None:
    for environment, count in (("production", 2), ("staging", 1)):
        answered = {page(app, environment, "/api/")["replica"] for _ in range(12)}
        assert len(answered) == count, environment


def test_a_data_change_in_staging_does_not_show_in_production(app: GuideApp) -> None:
    query = "SELECT count(*) FROM pg_tables WHERE tablename = 'only_here'"
    sql = ("psql", "-U", "mecapy", "-d", "mecapy", "-Atc")
    app.havre("exec", "-T", "-e", "staging", "postgres", *sql, "CREATE TABLE only_here (id int)")
    counts = [app.havre("exec", "-T", "-e", one, "postgres", *sql, query).stdout.strip() for one in HOSTS]
    assert counts == ["0", "1", "0"]


def test_the_first_start_makes_the_second_database(app: GuideApp) -> None:
    sql = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'keycloak'"
    shown = app.havre("exec", "-T", "postgres", "psql", "-U", "mecapy", "-d", "mecapy", "-Atc", sql)
    assert shown.stdout.strip() == "keycloak"


def test_developers_see_their_sources_at_once_and_keep_the_images_modules(app: GuideApp) -> None:
    local = instance(app, "local")
    has = app.environment("api", local)
    assert (has["FOR_DEVELOPERS"], has["DATABASE_URL"]) == ("1", "sqlite:///./dev.db")
    assert has["TOKEN_VERIFICATION_ENABLED"] == "false"
    (app.directory / "repos" / "api" / "draft.txt").write_text("not deployed")
    assert app.havre("exec", "-T", "-e", "local", "api", "cat", "/app/draft.txt").stdout == "not deployed"
    assert "draft.txt" not in app.havre("exec", "-T", "api", "ls", "/app").stdout
    ports = dict(line.split("=", 1) for line in (app.directory / ".env.local").read_text().split())
    for name, port in (("api", ports["DEV_API_PORT"]), ("frontend", ports["DEV_WEB_PORT"])):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
            assert json.loads(answer.read())["name"] == name
    mounts = {mount["Destination"]: mount["Type"] for mount in app.container("frontend", local)["Mounts"]}
    assert mounts == {"/src": "bind", "/src/node_modules": "volume"}


def test_the_api_prefix_is_rewritten_and_the_headers_are_the_guides(app: GuideApp) -> None:
    assert page(app, "production", "/api/v1/parts?id=3")["path"] == "/v1/parts?id=3"
    headers = app.ask(f"{HOSTS['production']}/").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "strict-origin-when-cross-origin"
    assert headers["x-dns-prefetch-control"] == "on"
    assert headers["strict-transport-security"] == "max-age=63072000; includeSubDomains; preload"


def test_a_degraded_answer_with_status_200_is_refused_by_its_body(app: GuideApp) -> None:
    file = app.directory / ".env.staging"
    before, release = file.read_text(), app.container("api", instance(app, "staging"))["Id"]
    file.write_text(before + "DEGRADED=1\n")
    try:
        refused = app.deploy("-e", "staging", check=False)
    finally:
        file.write_text(before)
    assert refused.returncode == 1
    assert "degraded" in refused.stdout + refused.stderr
    assert page(app, "staging", "/api/health")["status"] == "ok"
    assert app.container("api", instance(app, "staging"))["Id"] == release


def test_a_failed_migration_blocks_the_release_before_anything_starts(app: GuideApp) -> None:
    file = app.directory / ".env.staging"
    before, running = file.read_text(), app.container("api", instance(app, "staging"))["Id"]
    file.write_text(before + "MIGRATION=broken\n")
    try:
        refused = app.deploy("-e", "staging", check=False)
    finally:
        file.write_text(before)
    assert refused.returncode == 1
    assert "revision 42: column mass does not exist" in refused.stdout + refused.stderr
    assert [one["Id"] for one in app.containers("api", instance(app, "staging"))] == [running]


def test_a_release_runs_the_migration_in_its_own_environment_first(app: GuideApp) -> None:
    (app.directory / "repos" / "api" / "migrate.py").write_text(MIGRATE + "# one more revision\n")
    plan = json.loads(app.havre("plan", "-e", "staging", "--json").stdout)
    steps = [step["step"] for step in plan["steps"]]
    assert any("migrate" in str(step).lower() for step in steps), steps
    said = app.deploy("-e", "staging").stdout
    assert re.search(r"migrat", said)


def test_a_staging_release_does_not_touch_production(app: GuideApp) -> None:
    before = [one["Id"] for one in app.containers("api")]
    app.havre("restart", "-y", "-e", "staging", "api")
    assert [one["Id"] for one in app.containers("api")] == before
    assert page(app, "staging", "/api/environment")["ENVIRONMENT"] == "staging"


def test_data_goes_only_when_the_environments_name_is_typed(app: GuideApp) -> None:
    local = instance(app, "local")
    for wrong in ([], ["--confirm", app.name]):
        refused = app.havre("down", "-y", "--volumes", "-e", "local", *wrong, check=False)
        assert refused.returncode != 0
    assert app.containers("postgres", local), "a refusal touches nothing"
    app.havre("down", "-y", "--volumes", "-e", "local", "--confirm", local)
    assert docker("volume", "ls", "-q", "--filter", f"label=havre.instance={local}") == ""
    for environment in ("production", "staging"):
        assert page(app, environment, "/api/environment")["ENVIRONMENT"] == environment


PROCFILE = (
    "web: gunicorn main:app -w 4 -k uvicorn.workers.UvicornWorker --bind 0.0.0.0:$PORT "
    "--access-logfile - --error-logfile -\n"
    "worker: python worker.py\n"
    "release: python migrate.py\n"
)
STORE = """\
import os, urllib.parse
import pg8000.native

def connected():
    url = urllib.parse.urlsplit(os.environ["DATABASE_URL"])
    return pg8000.native.Connection(url.username, url.hostname, url.path[1:], url.port, url.password)
"""
RELEASE = """\
from store import connected
connected().run("create table if not exists releases (at timestamptz default now())")
connected().run("insert into releases default values")
print("released")
"""
WORKER = """\
import time
from store import connected
while True:
    print("releases seen by the worker:", connected().run("select count(*) from releases")[0][0], flush=True)
    time.sleep(1)
"""
MAIN = """\
import json, os

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    shown = {name: os.environ[name] for name in os.environ["SHOW"].split()}
    body = json.dumps({"port": os.environ["PORT"], "parent": os.getppid(), **shown}).encode()
    head = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": body})
"""
PLATFORM = {
    "KEYCLOAK_URL": "https://auth.mecapy.com",
    "KEYCLOAK_REALM": "mecapy",
    "KEYCLOAK_CLIENT_ID": "mecapy-api",
    "CLOUD_BUCKET_UPLOADS": "mecapy-uploads",
    "CLOUD_REGION": "fr-par",
    "TOKEN_VERIFICATION_ENABLED": "true",
    "CORS_ALLOW_ORIGINS": "https://mecapy.com",
}
FROM_SOURCE = """\
x-app: &app
  build: {context: src}
  environment: &variables
    <<: *platform
    DATABASE_URL: postgresql://mecapy:${DB_PASSWORD:?}@database:5432/mecapy
    KEYCLOAK_CLIENT_SECRET: ${KEYCLOAK_CLIENT_SECRET:?}
    SCW_SECRET_KEY: ${SCW_SECRET_KEY:?}
    SHOW: SHOWN
  depends_on: {database: {condition: service_healthy}}
services:
  web: {<<: *app, environment: {<<: *variables, PORT: "WEB_PORT"}}
  worker: {<<: *app}
  database:
    image: postgres:15
    environment: {POSTGRES_USER: mecapy, POSTGRES_PASSWORD: "${DB_PASSWORD:?}", POSTGRES_DB: mecapy}
    volumes: [data:/var/lib/postgresql/data]
volumes: {data: }
"""


@pytest.fixture(scope="module")
def from_source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[GuideApp, str, str]]:
    """The guide's platform deployment, without Docker: (the app, its web port, what the deploy printed)."""
    app = new_app(tmp_path_factory.mktemp("source") / "app", "procfile", tls=False, first_port=31400)
    port = str(free_port(app.http_port + 10))
    compose = FROM_SOURCE.replace("WEB_PORT", port).replace("SHOWN", " ".join(PLATFORM))
    app.write(
        {
            "docker-compose.yml": f"x-platform: &platform {json.dumps(PLATFORM)}\n{compose}",
            "src/Procfile": PROCFILE,
            "src/main.py": MAIN,
            "src/store.py": STORE,
            "src/worker.py": WORKER,
            "src/migrate.py": RELEASE,
            "src/requirements.txt": "gunicorn==23.0.0\nuvicorn==0.34.0\npg8000==1.31.2\n",
            "src/runtime.txt": "python-3.13\n",
            "havre.yaml": f"app: {app.name}\nroutes: [{{host: mecapy.localhost, to: 'web:{port}'}}]\n"
            "secrets: [DB_PASSWORD, KEYCLOAK_CLIENT_SECRET, SCW_SECRET_KEY]\n",
        }
    )
    try:
        app.havre("secrets", "generate")
        yield app, port, app.havre("deploy", "-y", "--engine", "process").stdout
    finally:
        app.havre("down", "-y", "--volumes", "--confirm", app.name, "--engine", "process", check=False)
        remove(app)


def test_the_procfile_runs_with_the_port_it_is_given(from_source: tuple[GuideApp, str, str]) -> None:
    app, port, _ = from_source
    seen = [app.ask("mecapy.localhost/").json for _ in range(40)]
    logged = app.havre("logs", "web", "--engine", "process").stdout
    assert {answer["port"] for answer in seen} == {port}
    assert len({answer["parent"] for answer in seen}) == 1
    assert logged.count("Booting worker with pid") == 4
    assert '"GET / HTTP/1.1" 200' in logged


def test_the_platforms_variables_reach_the_app_and_its_database_is_provided(
    from_source: tuple[GuideApp, str, str],
) -> None:
    app, _, told = from_source
    answer = app.ask("mecapy.localhost/").json
    assert {name: answer[name] for name in PLATFORM} == PLATFORM
    assert "stands in for 3.13" in told or sys.version_info[:2] == (3, 13) or shutil.which("python3.13"), told


def test_every_process_of_the_procfile_runs_and_release_runs_once_first(
    from_source: tuple[GuideApp, str, str],
) -> None:
    app, _, told = from_source
    assert "migrate web: python migrate.py" in told
    wait_for(lambda: "releases seen by the worker: 1" in app.havre("logs", "worker", "--engine", "process").stdout)
    app.write({"src/worker.py": WORKER.replace("time.sleep(1)", "time.sleep(0.5)")})
    app.havre("deploy", "-y", "--engine", "process")
    wait_for(lambda: "releases seen by the worker: 2" in app.havre("logs", "worker", "--engine", "process").stdout)

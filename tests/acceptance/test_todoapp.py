"""Rows T1 to T54: what the TodoApp guide promises: seven Compose files, one app, deployed by one command."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from data_tools import restic
from guides import HEALTHCHECK, GuideApp, docker, new_app, remove

from havre.secrets.vault import random_value
from havre.workflows.demo import fill, free_port

pytestmark = pytest.mark.docker
HOST = "todo.localhost"
DATABASES = ("postgres-config", "postgres-user", "postgres-intern")
BLOCK = f"10.{150 + os.getpid() % 100}"  # two runs on one machine must not ask for the same subnets
SUBNETS = {"todo-db-network": 21, "todo-api-network": 22, "todo-frontend-network": 24, "todo-monitoring-network": 23}

NETWORKS = "networks:\n" + "".join(
    f"  {name}:\n    ipam: {{config: [{{subnet: {BLOCK}.{number}.0/24}}]}}\n" for name, number in SUBNETS.items()
)
LOGGING = "    logging: {driver: json-file, options: {max-size: 10m, max-file: '3'}}\n"
COMMON = f"    restart: unless-stopped\n    mem_limit: 128m\n    stop_grace_period: 5s\n{LOGGING}"


def database(name: str, variable: str) -> str:
    """One of the three PostgreSQL servers of docker-compose.databases.yml."""
    return f"""\
  {name}:
    image: postgres:15-alpine
    command: [postgres, -c, "max_connections=${{MAX_CONNECTIONS:-100}}"]
    environment: {{POSTGRES_PASSWORD: "${{POSTGRES_PASSWORD:?}}", POSTGRES_DB: todo}}
    volumes: ["{name}:/var/lib/postgresql/data"]
    ports: ["127.0.0.1:${{{variable}}}:5432"]
    networks: [todo-db-network]
    healthcheck: {{test: ["CMD", "pg_isready", "-q", "-h", "127.0.0.1", "-U", "postgres"], interval: 5s, retries: 12}}
{COMMON}"""


def service(name: str, networks: str, needs: str, more: str = "") -> str:
    """One of the app's own programs."""
    waits = ", ".join(f"{one}: {{condition: service_healthy}}" for one in needs.split())
    return f"""\
services:
  {name}:
    build: {{context: program}}
    environment: {{NAME: {name}, VERSION: "${{VERSION:-1}}"{more}}}
    networks: [{networks}]
    depends_on: {{{waits}}}
    healthcheck: {{test: {HEALTHCHECK}, interval: 5s, retries: 6}}
{COMMON}"""


SETTINGS = (
    ', JWT_SECRET: "${JWT_SECRET:?}", RATE_LIMIT_MAX: "${RATE_LIMIT_MAX:-1000}", CORS_ORIGIN: "${CORS_ORIGIN}"'
    ', SHOW: "RATE_LIMIT_MAX CORS_ORIGIN"'
)
FILES = {
    "docker-compose.yml": NETWORKS,
    "docker-compose.databases.yml": "services:\n"
    + "".join(database(name, f"PORT_{n}") for n, name in enumerate(DATABASES))
    + "volumes: {postgres-config: , postgres-user: , postgres-intern: }\n",
    "docker-compose.private-api.yml": service(
        "private-api", "todo-db-network, todo-api-network", "postgres-config postgres-intern"
    ),
    "docker-compose.public-api.yml": service(
        "public-api", "todo-db-network, todo-api-network", "postgres-user", SETTINGS
    ),
    "docker-compose.gateway.yml": service(
        "gateway", "todo-api-network, todo-frontend-network", "private-api public-api"
    ),
    "docker-compose.frontend.yml": service(
        "frontend", "todo-frontend-network", "gateway", ', API_GATEWAY_URL: "${API_GATEWAY_URL}", SHOW: API_GATEWAY_URL'
    ),
    "docker-compose.monitoring.yml": f"""\
services:
  monitor:
    build: {{context: program}}
    profiles: [monitoring]
    environment: {{NAME: monitor, GRAFANA_PASSWORD: "${{GRAFANA_PASSWORD:?}}"}}
    networks: [todo-monitoring-network]
    volumes: ["./configs/prometheus.yml:/etc/prometheus/prometheus.yml:ro"]
    ports: ["127.0.0.1:${{PORT_MONITOR}}:8000"]
    healthcheck: {{test: {HEALTHCHECK}, interval: 5s, retries: 6}}
{COMMON}""",
    "configs/prometheus.yml": "global: {scrape_interval: 15s}\n",
    ".env.example": """\
# Security: every value must be changed
POSTGRES_PASSWORD=your-super-secure-password
JWT_SECRET=your-super-secret-jwt-key
GRAFANA_PASSWORD=admin123
# Performance
MAX_CONNECTIONS=100
RATE_LIMIT_MAX=1000
# Addresses
CORS_ORIGIN=https://yourdomain.com
API_GATEWAY_URL=https://api.yourdomain.com
""",
}
MANIFEST = """\
app: {name}
compose: [{files}]
routes:
  - {{host: todo.localhost, to: frontend:8000, compress: true}}
  - {{host: todo.localhost, path: /api, strip: true, to: gateway:8000}}
  - {{host: todo.localhost, path: /public, strip: true, to: public-api:8000}}
release:
  verify:
    - {{get: /health, host: todo.localhost, expect: {{status: 200, json: {{status: ok}}}}}}
"""


def secrets_of(app: GuideApp) -> dict[str, str]:
    """What an operator writes into .env: secrets of his own, and the ports of this machine."""
    ports, port = {}, app.http_port + 10
    for variable in ("PORT_0", "PORT_1", "PORT_2", "PORT_MONITOR"):
        port = free_port(port + 1)
        ports[variable] = str(port)
    names = ("POSTGRES_PASSWORD", "JWT_SECRET", "GRAFANA_PASSWORD")
    return {name: random_value() for name in names} | ports


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuideApp]:
    app = new_app(tmp_path_factory.mktemp("todoapp") / "app", "todo", tls=False, first_port=29000)
    compose = ", ".join(name for name in FILES if name.startswith("docker-compose"))
    app.write({**FILES, "havre.yaml": MANIFEST.format(name=app.name, files=compose)})
    values = secrets_of(app)
    (app.directory / ".env").write_text(fill(FILES[".env.example"], values))
    app.deploy()
    yield app
    remove(app)


def setting(app: GuideApp, name: str) -> str:
    found = re.search(rf"^{name}=(.*)$", (app.directory / ".env").read_text(), re.MULTILINE)
    assert found, name
    return found[1]


def is_open(port: int) -> bool:
    with closing(socket.socket()) as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def sql(app: GuideApp, service: str, query: str) -> str:
    return app.havre("exec", "-T", service, "psql", "-U", "postgres", "-d", "todo", "-Atc", query).stdout.strip()


def test_one_command_deploys_the_app_made_of_seven_files(app: GuideApp) -> None:
    assert len([name for name in FILES if name.startswith("docker-compose")]) == 7
    states = app.states()
    services = {*DATABASES, "private-api", "public-api", "gateway", "frontend"}
    assert states == {f"{name}.1": "running" for name in services}, "monitoring is optional, the rest is all there"
    assert app.ask(f"{HOST}/").json["name"] == "frontend"


def test_networks_have_exactly_the_subnets_of_the_file(app: GuideApp) -> None:
    listed = docker("network", "ls", "-q", "--filter", f"label=havre.instance={app.name}").split()
    shown = docker("network", "inspect", "-f", "{{.Name}} {{range .IPAM.Config}}{{.Subnet}}{{end}}", *listed).split()
    given = dict(zip(shown[::2], shown[1::2], strict=True))
    wanted = {f"{app.name}_{name}": f"{BLOCK}.{n}.0/24" for name, n in SUBNETS.items() if n != 23}
    assert {name: subnet for name, subnet in given.items() if "monitoring" not in name} == wanted
    address = app.container("postgres-user")["NetworkSettings"]["Networks"][f"{app.name}_todo-db-network"]["IPAddress"]
    assert address.startswith(f"{BLOCK}.21.")


def test_a_service_reaches_only_what_shares_a_network_with_it(app: GuideApp) -> None:
    address = app.container("postgres-user")["NetworkSettings"]["Networks"][f"{app.name}_todo-db-network"]["IPAddress"]
    assert app.ask(f"{HOST}/public/reach?host=postgres-user&port=5432").json == {"open": True}
    for host in ("postgres-user", address):
        for front in ("", "/api"):
            assert app.ask(f"{HOST}{front}/reach?host={host}&port=5432").json == {"open": False}, (front, host)


def test_three_databases_are_isolated_and_each_on_its_own_port(app: GuideApp) -> None:
    for number, name in enumerate(DATABASES):
        assert is_open(int(setting(app, f"PORT_{number}"))), name
        sql(app, name, f"CREATE TABLE IF NOT EXISTS only_in_{number} (id int)")
    tables = [sql(app, name, "SELECT tablename FROM pg_tables WHERE schemaname='public'") for name in DATABASES]
    assert tables == ["only_in_0", "only_in_1", "only_in_2"]
    volumes = {app.container(name)["Mounts"][0]["Name"] for name in DATABASES}
    assert len(volumes) == 3


def test_the_gateway_gets_the_path_without_its_prefix(app: GuideApp) -> None:
    seen = app.ask(f"{HOST}/api/tasks?done=1").json
    assert (seen["name"], seen["path"]) == ("gateway", "/tasks?done=1")
    assert app.ask(f"{HOST}/apiary").json["name"] == "frontend"


def test_only_the_frontend_the_gateway_and_the_databases_ports_are_published(app: GuideApp) -> None:
    for name in ("private-api", "gateway", "frontend", "public-api"):
        assert not app.container(name)["HostConfig"]["PortBindings"], name


def test_every_placeholder_of_the_example_is_refused_at_once(app: GuideApp) -> None:
    real = (app.directory / ".env").read_text()
    ports = {name: setting(app, name) for name in ("PORT_0", "PORT_1", "PORT_2", "PORT_MONITOR")}
    (app.directory / ".env").write_text(fill(FILES[".env.example"], ports))
    try:
        refused = app.deploy("--profile", "monitoring", check=False)
    finally:
        (app.directory / ".env").write_text(real)
    assert refused.returncode == 3
    for name in ("POSTGRES_PASSWORD", "JWT_SECRET", "GRAFANA_PASSWORD"):
        assert name in refused.stderr, name
    assert "admin123" not in refused.stderr + refused.stdout
    assert app.ask(f"{HOST}/").status == 200


def test_settings_for_addresses_arrive_where_they_are_needed(app: GuideApp) -> None:
    assert app.ask(f"{HOST}/public/environment").json["CORS_ORIGIN"] == "https://yourdomain.com"
    assert app.ask(f"{HOST}/environment").json == {"API_GATEWAY_URL": "https://api.yourdomain.com"}


def test_logs_of_one_service_and_of_all(app: GuideApp) -> None:
    app.ask(f"{HOST}/api/seen-in-the-log")
    one = app.havre("logs", "gateway").stdout
    assert "/seen-in-the-log" in one
    assert set(re.findall(r"^.*?([\w-]+)\.\d+ \|", one, re.MULTILINE)) == {"gateway"}
    everything = app.havre("logs", "-n", "20").stdout
    assert {"gateway", "postgres-user", "public-api"} <= set(re.findall(r"([\w-]+)\.\d+ \|", everything))


def test_three_replicas_of_the_public_api_answer_in_turn(app: GuideApp) -> None:
    app.havre("scale", "-y", "public-api=3")
    answered = {app.ask(f"{HOST}/public/").json["replica"] for _ in range(30)}
    running = {container["Config"]["Hostname"] for container in app.containers("public-api")}
    assert len(running) == 3
    assert answered == running
    app.havre("scale", "-y", "public-api=file")
    assert len(app.containers("public-api")) == 1


def test_limits_of_connections_and_requests_change_with_the_env_file(app: GuideApp) -> None:
    assert sql(app, "postgres-user", "SHOW max_connections") == "100"
    assert app.ask(f"{HOST}/public/environment").json["RATE_LIMIT_MAX"] == "1000"
    before = app.container("gateway")["Id"]
    app.replace(".env", "MAX_CONNECTIONS=100", "MAX_CONNECTIONS=150")
    app.replace(".env", "RATE_LIMIT_MAX=1000", "RATE_LIMIT_MAX=2000")
    app.deploy()
    assert [sql(app, name, "SHOW max_connections") for name in DATABASES] == ["150"] * 3
    assert app.ask(f"{HOST}/public/environment").json["RATE_LIMIT_MAX"] == "2000"
    assert app.container("gateway")["Id"] == before, "what does not use the settings is not touched"


def test_parts_start_alone_in_the_order_of_the_guide(app: GuideApp) -> None:
    apis = ("private-api", "public-api")
    app.havre("stop", "-y")
    assert "running" not in app.states().values()
    expected: set[str] = set()
    for begun, needed in ((DATABASES, ()), (apis, ()), (("frontend",), ("gateway",))):
        app.havre("start", "-y", *begun)
        expected |= {*begun, *needed}
        assert {name.split(".")[0] for name, state in app.states().items() if state == "running"} == expected
    assert app.ask(f"{HOST}/").json["name"] == "frontend"


def test_monitoring_comes_and_goes_by_its_profile_and_stays_inside(app: GuideApp) -> None:
    before = app.container("frontend")["Id"]
    app.deploy("--profile", "monitoring")
    port = int(setting(app, "PORT_MONITOR"))
    listening = subprocess.run(["ss", "-Hltn", f"sport = :{port}"], capture_output=True, text=True, check=True).stdout
    assert {line.split()[3] for line in listening.splitlines()} == {f"127.0.0.1:{port}"}
    assert "monitor listens" in app.havre("logs", "monitor", "--profile", "monitoring").stdout
    address = app.container("monitor")["NetworkSettings"]["Networks"][f"{app.name}_todo-monitoring-network"]
    assert (address["IPAddress"].rpartition(".")[0], address["IPPrefixLen"]) == (f"{BLOCK}.23", 24)
    shown = app.havre("exec", "-T", "--profile", "monitoring", "monitor", "cat", "/etc/prometheus/prometheus.yml")
    assert "scrape_interval: 15s" in shown.stdout
    app.deploy()
    assert not app.containers("monitor")
    assert app.container("frontend")["Id"] == before


def test_a_program_that_only_restarts_is_refused_with_its_last_words(app: GuideApp) -> None:
    path = "docker-compose.gateway.yml"
    with app.changed(path, "NAME: gateway,", 'NAME: gateway, EXIT: "cannot read the routing table",'):
        refused = app.deploy(check=False)
    assert refused.returncode == 1
    assert "cannot read the routing table" in refused.stdout + refused.stderr
    assert app.ask(f"{HOST}/api/").json["name"] == "gateway"


def test_the_three_databases_are_backed_up_by_one_command(
    app: GuideApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAVRE_RESTIC", str(restic()))
    for number, name in enumerate(DATABASES):
        sql(app, name, f"CREATE TABLE kept_{number} (id int)")
        sql(app, name, f"INSERT INTO kept_{number} SELECT generate_series(1, {number + 5})")
    app.havre("backup", "export-key", "--to", str(tmp_path / "key"))
    app.havre("backup")
    stored = json.loads(app.havre("backup", "list", "--json").stdout)
    assert {one["service"]: one["verdict"] for one in stored} == dict.fromkeys(DATABASES, "good")


def test_an_update_is_built_and_released_while_visitors_come(app: GuideApp, tmp_path: Path) -> None:
    program = app.directory / "program" / "answerer.py"
    before = app.container("frontend")["Config"]["Image"]
    program.write_text(program.read_text() + "# the next version\n")
    tally = tmp_path / "tally"
    visitor = subprocess.Popen(
        ["python3", "-c", VISITOR, str(app.http_port), HOST, str(tally)], stdin=subprocess.PIPE, text=True
    )
    try:
        app.deploy()
    finally:
        visitor.communicate("stop\n", timeout=30)
    asked, failed = map(int, tally.read_text().split())
    assert app.container("frontend")["Config"]["Image"] != before
    assert asked > 50
    assert failed == 0, f"{failed} of {asked} requests failed during the update"


def test_a_full_clean_takes_only_what_is_this_apps(app: GuideApp) -> None:
    foreign = f"{app.name}-neighbour"
    docker("volume", "create", foreign)
    try:
        app.havre("down", "-y", "--volumes", "--confirm", app.name)
        ours = f"label=havre.instance={app.name}"
        assert docker("ps", "-aq", "--filter", ours) == ""
        assert docker("network", "ls", "-q", "--filter", ours) == ""
        assert docker("volume", "ls", "-q", "--filter", f"name={app.name}").split() == [foreign]
    finally:
        docker("volume", "rm", foreign)


VISITOR = """
import http.client, select, sys
port, host, tally = int(sys.argv[1]), sys.argv[2], sys.argv[3]
asked = failed = 0
while not select.select([sys.stdin], [], [], 0.02)[0]:
    for path in ("/", "/api/", "/public/"):
        asked += 1
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            connection.request("GET", path, headers={"Host": host})
            failed += connection.getresponse().status != 200
        except OSError:
            failed += 1
        finally:
            connection.close()
open(tally, "w").write(f"{asked} {failed}")
"""

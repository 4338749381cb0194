"""Rows L1 to L60: what the Lexikon guide promises, on a real Docker Engine, deployed by Havre."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import closing

import pytest
from ending import end_helpers
from lexikon import HOST, Lexikon

from havre.workflows.demo import free_port

pytestmark = pytest.mark.docker
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lexikon]:
    first = free_port(26000 + os.getpid() % 3000)
    second = free_port(first + 1)
    app = Lexikon(
        directory=tmp_path_factory.mktemp("lexikon") / "app",
        name=f"lexikon{uuid.uuid4().hex[:6]}",
        http_port=first,
        https_port=second,
        db_port=free_port(second + 1),
    )
    app.prepare()
    app.havre("deploy", "-y", "--engine", "docker")
    yield app
    app.havre("down", "--volumes", "--confirm", app.name, check=False)
    end_helpers(app.directory / "state")


def is_open(port: int, address: str = "127.0.0.1") -> bool:
    with closing(socket.socket()) as probe:
        probe.settimeout(1)
        return probe.connect_ex((address, port)) == 0


def test_the_edge_serves_http_and_https_on_the_ports_it_was_given(app: Lexikon) -> None:
    assert is_open(app.http_port)
    assert app.ask("/")[0] == 200


def test_postgres_is_published_where_the_compose_file_says_and_only_there(app: Lexikon) -> None:
    assert is_open(app.db_port)
    listening = subprocess.run(["ss", "-Hltn", f"sport = :{app.db_port}"], capture_output=True, text=True, check=True)
    assert {line.split()[3] for line in listening.stdout.splitlines()} == {f"127.0.0.1:{app.db_port}"}


def test_inner_services_publish_nothing_on_the_server(app: Lexikon) -> None:
    for service in ("backend", "frontend", "redis", "postgres"):
        assert not app.container(service)["HostConfig"]["PortBindings"], service


def test_services_share_one_bridge_network_and_find_each_other_by_name(app: Lexikon) -> None:
    networks = {
        service: set(app.container(service)["NetworkSettings"]["Networks"]) for service in ("backend", "postgres")
    }
    assert networks["backend"] == networks["postgres"] == {f"{app.name}_lexikon-network"}
    assert app.json("/health") == {"status": "healthy", "database": "ok", "redis": "ok", "version": "1.0.0"}


def test_memory_limits_and_reservations_are_set(app: Lexikon) -> None:
    for service, limit, reservation in (("backend", 384, 256), ("frontend", 256, 128)):
        host = app.container(service)["HostConfig"]
        assert (host["Memory"], host["MemoryReservation"]) == (limit * MIB, reservation * MIB)


def test_a_variable_is_expanded_inside_the_env_file_and_optional_ones_may_be_empty(app: Lexikon) -> None:
    environment = dict(line.split("=", 1) for line in app.container("backend")["Config"]["Env"])
    password = dict(line.split("=", 1) for line in app.container("postgres")["Config"]["Env"])["POSTGRES_PASSWORD"]
    assert environment["DATABASE_URL"] == f"postgresql://lexikon:{password}@postgres:5432/lexikon"
    assert environment["GOOGLE_CLIENT_ID"] == ""
    assert "warning" not in app.havre("check").stdout.split("Compose keys")[0]


def test_health_checks_keep_their_times_and_pass(app: Lexikon) -> None:
    check = app.container("frontend")["Config"]["Healthcheck"]
    assert check["Test"][:2] == ["CMD", "wget"]
    seconds = 1_000_000_000
    assert (check["Interval"], check["Timeout"], check["Retries"], check["StartPeriod"]) == (
        30 * seconds, 10 * seconds, 3, 60 * seconds,
    )  # fmt: skip
    states = {
        replica["service"]: replica["state"] for replica in json.loads(app.havre("ps", "--json").stdout)["replicas"]
    }
    assert states == {"backend": "running", "frontend": "running", "postgres": "running", "redis": "running"}


def test_logs_rotate_at_ten_megabytes_three_times(app: Lexikon) -> None:
    for service in ("backend", "frontend", "postgres", "redis"):
        log = app.container(service)["HostConfig"]["LogConfig"]
        assert log == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}, service


def test_logs_of_all_services_are_in_one_place_and_filtered_by_level(app: Lexikon) -> None:
    app.ask("/api/words/does-not-exist")
    everything = app.havre("logs").stdout
    assert {"backend.", "postgres.", "redis."} <= set(re.findall(r"(\w+\.)\d+ \|", everything))
    for line in app.havre("logs", "backend", "--level", "error").stdout.splitlines():
        assert '"level": "ERROR"' in line


def test_the_image_was_built_from_its_dockerfile_and_its_size_is_known(app: Lexikon) -> None:
    image = app.container("backend")["Config"]["Image"]
    assert image.startswith(f"{app.name}/backend:")
    size = subprocess.run(
        ["docker", "image", "inspect", "-f", "{{.Size}}", image], capture_output=True, text=True, check=True
    )
    assert int(size.stdout) < 1500 * MIB


def test_a_user_can_register(app: Lexikon) -> None:
    user = {
        "email": f"{uuid.uuid4().hex}@example.com",
        "password": "Test123!",
        "first_name": "Test",
        "last_name": "User",
    }
    status, body, _ = app.ask("/api/auth/register", method="POST", body=user)
    assert (status, json.loads(body)["email"]) == (201, user["email"])
    assert app.ask("/api/auth/register", method="POST", body=user)[0] == 409


def test_the_application_sees_the_real_client_and_scheme(app: Lexikon) -> None:
    seen = app.json("/api/whoami")
    assert seen == {"client": "127.0.0.1", "scheme": "https", "host": HOST}
    forged = app.ask("/api/whoami", headers={"X-Forwarded-For": "203.0.113.9"})
    assert json.loads(forged[1])["client"] == "127.0.0.1", "a client that nobody trusts cannot say who it is"


def test_http_leads_to_https(app: Lexikon) -> None:
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", app.http_port, timeout=10)
    connection.request("GET", "/api/version", headers={"Host": HOST})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.status == 301
    assert answer.getheader("Location") == f"https://{HOST}:{app.https_port}/api/version"


def test_security_headers_are_there_without_being_asked_for(app: Lexikon) -> None:
    headers = app.ask("/")[2]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "strict-origin-when-cross-origin"
    assert headers["strict-transport-security"].startswith("max-age=31536000")


def test_workers_and_pool_sizes_come_from_the_env_file(app: Lexikon) -> None:
    assert app.havre("exec", "-T", "backend", "sh", "-c", "echo $UVICORN_WORKERS $DB_POOL_SIZE").stdout.split() == [
        "2",
        "20",
    ]


def test_redis_is_bounded_evicts_and_shows_its_memory(app: Lexikon) -> None:
    script = 'REDISCLI_AUTH="$REDIS_PASSWORD" redis-cli '
    policy = app.havre("exec", "-T", "redis", "sh", "-c", script + "CONFIG GET maxmemory-policy").stdout
    limit = app.havre("exec", "-T", "redis", "sh", "-c", script + "CONFIG GET maxmemory").stdout
    info = app.havre("exec", "-T", "redis", "sh", "-c", script + "INFO memory").stdout
    assert "allkeys-lru" in policy
    assert str(512 * MIB) in limit
    assert "used_memory:" in info


def test_metrics_have_the_form_the_guide_shows(app: Lexikon) -> None:
    metrics = app.json("/metrics")
    assert set(metrics["requests"]) == {"total", "successful", "failed", "error_rate"}
    assert set(metrics["cache"]) == {"hits", "misses", "hit_rate"}
    assert set(metrics["database"]) == {"queries"}


def test_a_taken_port_is_refused_with_its_holder_and_a_free_one(app: Lexikon) -> None:
    with closing(socket.socket()) as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        compose = app.directory / "docker-compose.prod.yml"
        before = compose.read_text()
        compose.write_text(before.replace("${POSTGRES_PORT:-5434}", str(taken)))
        try:
            refused = app.havre("plan", check=False)
        finally:
            compose.write_text(before)
    assert refused.returncode == 3
    assert f"port {taken}/tcp" in refused.stderr
    assert f"pid {os.getpid()}" in refused.stderr
    assert re.search(r"publish a free port", refused.stderr)


def test_status_and_releases_are_listed(app: Lexikon) -> None:
    assert "serves" in app.havre("ps").stdout
    assert json.loads(app.havre("releases", "--json").stdout)[-1]["state"] in ("serving", "superseded")

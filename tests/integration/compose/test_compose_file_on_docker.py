"""A Compose file with everything in it, loaded, lowered and run: the engine itself says what each key became."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from docker_stage import Stage

from havre.compose import LoadRequest, load_project
from havre.compose.lower import lower
from havre.compose.report import compose_report
from havre.engines.base import Context
from havre.engines.docker.engine import DockerEngine
from havre.model.plan import CreateNetwork, CreateVolume
from havre.model.project import Project

pytestmark = pytest.mark.docker

COMPOSE = """\
services:
  db:
    image: alpine:latest
    command: ["sleep", "600"]
    init: true
    container_name: shop-database
    ipc: shareable
    volumes: ["data:/data", "/anonymous"]
    networks: {back: {aliases: [store]}}
  web:
    image: alpine:latest
    entrypoint: ["sh", "-c"]
    command: ["echo $$GREETING; sleep 600"]
    environment: {GREETING: "hello ${WHO}", EMPTY: ""}
    init: true
    user: "1000:1000"
    working_dir: /srv
    hostname: harbour
    read_only: true
    tmpfs: ["/scratch:size=1m"]
    volumes_from: ["db:ro"]
    volumes:
      - ./conf:/conf:ro
      - {type: tmpfs, target: /cache, tmpfs: {size: 2m, mode: 0o700}}
    links: ["db:database"]
    networks: [back]
    extra_hosts: ["api=10.9.8.7"]
    secrets: [{source: token, target: api-token, mode: 0444}]
    configs: [{source: motd, target: /etc/motd-shop}]
    healthcheck: {test: "test -d /conf", interval: 1m30s, timeout: 2s, retries: 7, start_period: 5s}
    restart: on-failure:4
    deploy:
      resources:
        limits: {memory: 64m, cpus: "0.5", pids: 50}
        reservations: {memory: 32m}
    memswap_limit: 128m
    cpu_shares: 512
    oom_score_adj: 100
    ulimits: {nofile: {soft: 100, hard: 200}, nproc: 500}
    sysctls: {net.core.somaxconn: 77}
    cap_drop: [ALL]
    cap_add: [CHOWN]
    security_opt: ["no-new-privileges:true"]
    logging: {options: {max-size: 10m}}
    stop_grace_period: 1m
    stop_signal: SIGINT
    ports: ["8089:80", "127.0.0.1:0:53/udp"]
    expose: ["9000"]
    ipc: "service:db"
    group_add: ["44"]
networks: {back: {internal: true, ipam: {config: [{subnet: 10.213.77.0/24, gateway: 10.213.77.1}]}}}
volumes: {data: }
secrets: {token: {environment: TOKEN}}
configs: {motd: {content: "welcome, ${WHO}"}}
"""


@dataclass
class Running:
    """The project on the engine."""

    stage: Stage
    project: Project

    def inspect(self, service: str) -> Any:
        return self.stage.inspect(service)

    def inside(self, command: str) -> str:
        return self.stage.inside(command)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("shop")
    (directory / "conf").mkdir()
    (directory / "compose.yaml").write_text(COMPOSE)
    engine = DockerEngine(config=directory / "docker-config")
    instance = f"it{os.getpid()}-compose"
    request = LoadRequest(
        working_dir=str(directory), environment={"WHO": "you", "TOKEN": "hunter2"}, project_name="shop"
    )
    loaded = load_project(request)
    assert not compose_report(loaded, engine.name, engine.api_version).problems
    project = lower(loaded, instance=instance)
    used = tuple(network for network in project.networks if network.key == "back")
    stage = Stage(engine, instance, networks=used, volumes=project.volumes)
    context = Context(instance=instance, release=1, project=project)
    stage.context = lambda **_: context  # type: ignore[method-assign]
    try:
        for network in used:
            stage.do(CreateNetwork(network=network))
        for volume in project.volumes:
            stage.do(CreateVolume(volume=volume))
        for service in project.in_start_order():
            stage.start(service)
        yield Running(stage, project)
    finally:
        stage.tear_down()


def test_names_lead_to_the_right_service(running: Running) -> None:
    address = running.inspect("db")["NetworkSettings"]["Networks"][f"{running.project.name}_back"]["IPAddress"]
    for name in ("db", "store", "shop-database", "database"):
        assert running.inside(f"getent hosts {name} || nslookup {name} | tail -2").count(address) == 1, name
    assert running.inside("grep api /etc/hosts") == "10.9.8.7\tapi"


def test_no_container_has_the_name_that_the_file_fixes(running: Running) -> None:
    assert running.inspect("db")["Name"] == f"/{running.project.name}-db-1"


def test_process_and_environment(running: Running) -> None:
    assert running.inside('echo "$GREETING|$EMPTY|$(id -u):$(id -g)|$(pwd)|$(hostname)"') == (
        "hello you||1000:1000|/srv|harbour"
    )
    config = running.inspect("web")["Config"]
    assert (config["StopSignal"], config["StopTimeout"]) == ("SIGINT", 60)
    assert config["Cmd"] == ["echo $GREETING; sleep 600"]


def test_limits(running: Running) -> None:
    host = running.inspect("web")["HostConfig"]
    assert (host["Memory"], host["MemoryReservation"], host["MemorySwap"]) == (64 << 20, 32 << 20, 128 << 20)
    assert (host["NanoCpus"], host["PidsLimit"], host["CpuShares"]) == (500_000_000, 50, 512)
    assert host["OomScoreAdj"] == 100
    assert {(limit["Name"], limit["Soft"], limit["Hard"]) for limit in host["Ulimits"]} == {
        ("nofile", 100, 200),
        ("nproc", 500, 500),
    }
    assert running.inside("cat /proc/sys/net/core/somaxconn") == "77"


def test_health_restart_and_logging(running: Running) -> None:
    found = running.inspect("web")
    assert found["Config"]["Healthcheck"] == {
        "Test": ["CMD-SHELL", "test -d /conf"],
        "Interval": 90_000_000_000,
        "Timeout": 2_000_000_000,
        "StartPeriod": 5_000_000_000,
        "Retries": 7,
    }
    assert found["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 4}
    assert found["HostConfig"]["LogConfig"]["Config"]["max-size"] == "10m"
    assert found["HostConfig"]["LogConfig"]["Type"] == "json-file"


def test_files(running: Running) -> None:
    assert running.inside("cat /run/secrets/api-token /etc/motd-shop") == "hunter2welcome, you"
    assert running.inside("touch /conf/x 2>/dev/null || echo read-only") == "read-only"
    assert running.inside("touch /data/x 2>/dev/null || echo borrowed read-only") == "borrowed read-only"
    assert running.inside("test -d /anonymous || echo stays with db") == "stays with db"
    assert running.inside("stat -c %a /cache") == "700"
    assert "size=1024k" in running.inside("grep ' /scratch ' /proc/mounts")


def test_rights(running: Running) -> None:
    host = running.inspect("web")["HostConfig"]
    assert (host["ReadonlyRootfs"], host["CapDrop"], host["CapAdd"]) == (True, ["ALL"], ["CHOWN"])
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["GroupAdd"] == ["44"]
    assert host["IpcMode"] == f"container:{running.inspect('db')['Id']}"


def test_tcp_ports_are_left_to_the_edge(running: Running) -> None:
    found = running.inspect("web")
    assert set(found["HostConfig"]["PortBindings"]) == {"53/udp"}
    assert set(found["Config"]["ExposedPorts"]) == {"80/tcp", "53/udp", "9000/tcp"}


def test_the_network_is_the_one_described(running: Running) -> None:
    (network,) = running.stage.networks
    found = running.stage.engine.client.get(f"/networks/{network.name}", doing="look at it")
    assert (found["Internal"], found["IPAM"]["Config"]) == (
        True,
        [{"Subnet": "10.213.77.0/24", "Gateway": "10.213.77.1"}],
    )

"""What a Compose service becomes on a real Docker Engine."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest
from docker_stage import Stage

from havre.engines.base import LogQuery
from havre.errors import FailedError, HavreError, InputError, UnavailableError
from havre.model.health import HealthCheck, HealthState
from havre.model.plan import (
    CreateNetwork,
    CreateVolume,
    EngineStep,
    PullImage,
    RemoveReplica,
    RunTask,
    StartReplica,
    StopReplica,
)
from havre.model.project import (
    Attachment,
    FileSource,
    Grant,
    Logging,
    Mount,
    MountKind,
    Network,
    Port,
    Resources,
    Restart,
    Service,
    Ulimit,
    Volume,
)

pytestmark = pytest.mark.docker


# -- what the container is made of -----------------------------------------------------------------------------------


def test_plain_settings_arrive_in_the_container(stage: Stage) -> None:
    web = stage.service(
        environment=(("GREETING", "hello world"), ("EMPTY", "")),
        labels=(("team", "blue"),),
        user="1234:5678",
        working_dir="/srv",
        hostname="harbour",
        tmpfs=("/scratch:size=1m",),
        ulimits=(Ulimit(name="nofile", soft=100, hard=200),),
        sysctls=(("net.core.somaxconn", "77"),),
        extra_hosts=("db.example:10.9.8.7",),
        init=True,
    )

    stage.start(web)

    assert stage.inside('echo "$GREETING|$EMPTY|$(id -u):$(id -g)|$(pwd)|$(hostname)"') == (
        "hello world||1234:5678|/srv|harbour"
    )
    assert stage.inside("ulimit -Hn; cat /proc/sys/net/core/somaxconn; grep -c db.example /etc/hosts") == "200\n77\n1"
    assert stage.inspect()["Config"]["Labels"]["team"] == "blue"


def test_limits_and_log_rotation_are_enforced_by_the_engine(stage: Stage) -> None:
    web = stage.service(
        resources=Resources(memory=64 << 20, memory_reservation=32 << 20, cpus=0.5, pids=50),
        logging=Logging(driver="json-file", options=(("max-size", "10m"), ("max-file", "3"))),
    )

    stage.start(web)

    host = stage.inspect()["HostConfig"]
    assert (host["Memory"], host["MemoryReservation"], host["NanoCpus"], host["PidsLimit"]) == (
        64 << 20,
        32 << 20,
        500_000_000,
        50,
    )
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-file": "3", "max-size": "10m"}}


def test_tcp_ports_are_left_to_the_edge_and_udp_ports_are_published(stage: Stage) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    web = stage.service(
        ports=(
            Port(target=80, published="18099"),
            Port(target=53, published=str(number), host_ip="127.0.0.1", protocol="udp"),
        )
    )

    stage.start(web)

    ports = stage.inspect()["NetworkSettings"]["Ports"]
    assert ports == {"80/tcp": None, "53/udp": [{"HostIp": "127.0.0.1", "HostPort": str(number)}]}


def test_every_network_is_joined_with_its_aliases_and_address(stage: Stage) -> None:
    range_ = f"10.213.{os.getpid() % 256}"
    fixed = Network(key="back", name=f"{stage.instance}_back", subnets=((f"{range_}.0/24", None),), internal=True)
    stage.networks = (*stage.networks, fixed)
    stage.do(CreateNetwork(network=fixed))
    web = stage.service(
        container_name="my-web",
        networks=(
            Attachment(network="default", aliases=("www",), priority=10),
            Attachment(network="back", ipv4_address=f"{range_}.9"),
        ),
    )

    stage.start(web)
    stage.start(stage.service("caller"))

    joined = stage.inspect()["NetworkSettings"]["Networks"]
    assert joined[fixed.name]["IPAddress"] == f"{range_}.9"
    address = joined[f"{stage.instance}_default"]["IPAddress"]
    for name in ("web", "www", "my-web"):
        assert stage.inside(f"getent hosts {name}", "caller").split()[0] == address


def test_volumes_binds_and_anonymous_volumes_are_mounted(stage: Stage, tmp_path: Path) -> None:
    volume = Volume(key="data", name=f"{stage.instance}_data")
    stage.volumes = (volume,)
    stage.do(CreateVolume(volume=volume))
    (tmp_path / "app.conf").write_text("port=1\n")
    web = stage.service(
        mounts=(
            Mount(kind=MountKind.VOLUME, source="data", target="/data"),
            Mount(kind=MountKind.VOLUME, target="/anonymous"),
            Mount(kind=MountKind.BIND, source=str(tmp_path / "app.conf"), target="/etc/app.conf", read_only=True),
            Mount(kind=MountKind.BIND, source=str(tmp_path / "new directory"), target="/made"),
            Mount(kind=MountKind.TMPFS, target="/fast", size=1 << 20, mode=0o700),
        )
    )

    stage.start(web)

    assert stage.inside("cat /etc/app.conf; touch /etc/app.conf 2>&1 | grep -c Read-only") == "port=1\n1"
    assert stage.inside("touch /data/x /anonymous/x /made/x && stat -c %a /fast") == "700"
    assert (tmp_path / "new directory" / "x").exists()
    anonymous = next(m["Name"] for m in stage.inspect()["Mounts"] if m["Destination"] == "/anonymous")
    stage.do(StopReplica(service="web", slot=1))
    stage.do(RemoveReplica(service="web", slot=1))
    observed = stage.engine.observe(stage.instance)
    assert observed.volume(f"{stage.instance}_data") is not None
    assert observed.volume(anonymous) is None


@pytest.mark.parametrize("read_only", [False, True])
def test_secrets_and_configs_are_files_with_their_owner_and_mode(stage: Stage, tmp_path: Path, read_only: bool) -> None:
    (tmp_path / "key.pem").write_text("from a file")
    stage.secrets = (
        FileSource(key="token", content="s3cret"),
        FileSource(key="key", file=str(tmp_path / "key.pem")),
    )
    stage.configs = (FileSource(key="app", content="port=1"),)
    web = stage.service(
        read_only=read_only,
        secrets=(
            Grant(source="token", target="/run/secrets/token", uid="1000", gid="1001", mode=0o400),
            Grant(source="key", target="/run/secrets/key"),
        ),
        configs=(Grant(source="app", target="/etc/app/app.conf"),),
    )

    stage.start(web)

    assert stage.inside("cat /run/secrets/token; stat -c ' %u %g %a' /run/secrets/token") == "s3cret 1000 1001 400"
    assert stage.inside("cat /run/secrets/key; echo; cat /etc/app/app.conf") == "from a file\nport=1"


def test_long_tail_options_reach_the_engine(stage: Stage) -> None:
    web = stage.service(
        options=(("cpu_shares", "512"), ("group_add", '["4242"]'), ("oom_score_adj", "250"), ("pid", '"host"'))
    )

    stage.start(web)

    assert stage.inside("id -G").split() == ["0", "4242"]
    assert stage.inside("cat /proc/self/oom_score_adj") == "250"
    assert stage.inspect()["HostConfig"]["CpuShares"] == 512


def test_a_service_can_live_in_the_network_of_another(stage: Stage) -> None:
    stage.start(stage.service("vpn"))
    inner = stage.service("inner", networks=(), network_mode="service:vpn")

    stage.start(inner)

    address = stage.engine.address(stage.service("vpn"), 1, stage.context())
    assert address in stage.inside("hostname -i", "inner")
    assert stage.engine.address(inner, 1, stage.context()) == address


# -- faults ----------------------------------------------------------------------------------------------------------


def test_a_missing_bind_file_is_refused_with_a_similar_one(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "monitoring").mkdir()
    (tmp_path / "monitoring" / "prometheus.yml").write_text("")
    mounts = tuple(
        Mount(kind=MountKind.BIND, source=str(tmp_path / name), target=f"/etc/{name}")
        for name in ("prometheus.yml", "other.conf")
    )

    with pytest.raises(InputError) as failure:
        stage.start(stage.service(mounts=mounts))

    first, second = failure.value.problems
    assert first.hint == f"did you mean {tmp_path}/monitoring/prometheus.yml?"
    assert "other.conf does not exist" in second.summary
    assert stage.engine.observe(stage.instance).replicas == ()
    assert not (tmp_path / "prometheus.yml").exists()


def test_a_name_taken_by_a_compose_project_is_explained(stage: Stage) -> None:
    client = stage.engine.client
    body = {
        "Image": "alpine:latest",
        "Labels": {"com.docker.compose.project": "shop", "com.docker.compose.project.working_dir": "/srv/shop"},
    }
    made = client.post("/containers/create", body, {"name": f"{stage.instance}-web-1"}, doing="x").json()["Id"]
    try:
        with pytest.raises(FailedError) as failure:
            stage.start(stage.service())
    finally:
        client.delete(f"/containers/{made}", doing="x")

    assert failure.value.problems[0].code == "name-taken"
    assert "`shop`: run `docker compose down` in /srv/shop" in failure.value.problems[0].hint


def test_a_foreign_container_of_our_name_is_never_stopped_or_removed(stage: Stage) -> None:
    client = stage.engine.client
    query = {"name": f"{stage.instance}-web-1"}
    made = client.post("/containers/create", {"Image": "alpine:latest"}, query, doing="x").json()["Id"]
    try:
        stage.do(StopReplica(service="web", slot=1))
        stage.do(RemoveReplica(service="web", slot=1))
        assert client.find(f"/containers/{made}/json", doing="x") is not None
    finally:
        client.delete(f"/containers/{made}", doing="x")


def test_an_overlapping_subnet_names_its_owner_and_a_free_one(stage: Stage) -> None:
    half = os.getpid() % 120 * 2
    first = Network(key="a", name=f"{stage.instance}_a", subnets=((f"10.214.{half}.0/24", None),))
    second = Network(key="b", name=f"{stage.instance}_b", subnets=((f"10.214.{half}.0/25", None),))
    stage.networks = (*stage.networks, first)
    stage.do(CreateNetwork(network=first))

    with pytest.raises(FailedError) as failure:
        stage.do(CreateNetwork(network=second))

    problem = failure.value.problems[0]
    assert problem.code == "subnet-overlap"
    assert f"10.214.{half}.0/25 overlaps with network {first.name}, which has 10.214.{half}.0/24" in problem.evidence
    assert f"use 10.214.{half + 1}.0/25 instead" in problem.hint


def test_a_taken_udp_port_is_explained(stage: Stage) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        port = Port(target=53, published=str(holder.getsockname()[1]), host_ip="127.0.0.1", protocol="udp")
        with pytest.raises(FailedError) as failure:
            stage.start(stage.service(ports=(port,)))

    assert failure.value.problems[0].code == "port-taken"


def test_a_program_that_is_not_in_the_image_is_named(stage: Stage) -> None:
    with pytest.raises(FailedError) as failure:
        stage.start(stage.service(command=("gunicorn", "app")))

    assert "the program `gunicorn` is not in the image" in failure.value.problems[0].summary


def test_a_start_that_failed_can_be_repaired_and_done_again(stage: Stage) -> None:
    with pytest.raises(FailedError):
        stage.start(stage.service(command=("gunicorn", "app")))

    stage.start(stage.service())

    assert stage.inside("echo fine") == "fine"


def test_an_image_that_is_not_here_is_explained(stage: Stage) -> None:
    with pytest.raises(FailedError) as failure:
        stage.start(stage.service(image="never/built:1"))

    assert failure.value.problems[0].code == "image-missing"


def test_a_registry_that_does_not_answer_is_explained(stage: Stage) -> None:
    with pytest.raises(UnavailableError) as failure:
        stage.do(PullImage(reference="registry.invalid:5000/shop/web:2"))

    assert failure.value.problems[0].code == "registry-down"
    assert "old release keeps running" in failure.value.problems[0].effect


def test_a_missing_external_network_of_a_service_is_named(stage: Stage) -> None:
    stage.networks = (*stage.networks, Network(key="shared", name="nobody-made-this", external=True))

    with pytest.raises(FailedError) as failure:
        stage.start(stage.service(networks=(Attachment(network="shared"),)))

    assert "nobody-made-this" in str(failure.value)
    assert failure.value.problems[0].code == "network-missing"
    stage.networks = stage.networks[:1]


def test_an_out_of_memory_kill_is_seen_as_such(stage: Stage) -> None:
    greedy = replace(
        stage.service(),
        image="python:3.11-slim",
        command=("python", "-c", "x = bytearray(300 << 20)"),
        resources=Resources(memory=32 << 20, memory_swap=32 << 20),
    )
    stage.start(greedy)

    deadline = time.monotonic() + 20
    while not (seen := stage.engine.observe(stage.instance).replicas[0]).oom_killed:  # told a moment after the exit
        assert time.monotonic() < deadline, seen
        time.sleep(0.1)

    assert (seen.is_running, seen.exit_code) == (False, 137)
    assert "more memory than its limit" in stage.engine.probe(greedy, 1, stage.context()).output


def test_a_task_killed_for_memory_says_so(stage: Stage) -> None:
    greedy = replace(
        stage.service(), image="python:3.11-slim", resources=Resources(memory=32 << 20, memory_swap=32 << 20)
    )

    with pytest.raises(FailedError, match="more memory than its limit"):
        stage.do(RunTask(service=greedy, command=("python", "-c", "x = bytearray(300 << 20)"), title="migrate"))


# -- one-offs --------------------------------------------------------------------------------------------------------


def test_a_task_finds_the_services_but_nobody_finds_the_task(stage: Stage) -> None:
    stage.start(stage.service())

    stage.do(RunTask(service=stage.service(), command=("sh", "-c", "getent ahostsv4 web | cut -d' ' -f1 | sort -u")))

    assert stage.told == [stage.engine.address(stage.service(), 1, stage.context())]


# -- health ----------------------------------------------------------------------------------------------------------


def test_redis_that_wants_a_password_is_not_called_healthy(stage: Stage) -> None:
    redis = Service(
        name="redis",
        image="redis:7-alpine",
        command=("redis-server", "--requirepass", "hunter2"),
        networks=(Attachment(network="default"),),
        health=HealthCheck(test=("redis-cli ping",), shell=True, interval=60.0),
    )
    stage.start(redis)

    def states() -> HealthState:
        return stage.engine.probe(redis, 1, stage.context()).state

    while (state := states()) is HealthState.UNHEALTHY:
        pass

    assert state is HealthState.UNVERIFIED


def test_the_check_of_the_image_counts_when_the_service_has_none(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM alpine\nHEALTHCHECK CMD echo from the image; exit 1\n")
    web = stage.service(image=stage.build(tmp_path))
    stage.start(web)

    result = stage.engine.probe(web, 1, stage.context())

    assert (result.state, result.output) == (HealthState.UNHEALTHY, "from the image")


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (
            ("python", "-m", "http.server", "8080"),
            "nothing listens on port 8000 yet (Connection refused); it listens on 8080",
        ),
        (("python", "-m", "http.server", "8000", "--bind", "127.0.0.1"), "it listens on 127.0.0.1:8000 only"),
    ],
)
def test_a_service_on_the_wrong_port_or_address_is_told_where_it_listens(
    stage: Stage, command: tuple[str, ...], told: str
) -> None:
    web = stage.service(image="python:3.11-slim", command=command, expose=("8000",))
    stage.start(web)

    def output() -> str:
        result = stage.engine.probe(web, 1, stage.context())
        assert result.state is HealthState.STARTING
        return result.output

    deadline = time.monotonic() + 20
    while told not in output():
        assert time.monotonic() < deadline, output()


def test_a_disabled_check_is_not_run(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM alpine\nHEALTHCHECK CMD exit 1\n")
    web = stage.service(image=stage.build(tmp_path), health_disabled=True)
    stage.start(web)

    assert stage.engine.probe(web, 1, stage.context()).state is HealthState.NONE


# -- logs ------------------------------------------------------------------------------------------------------------


def test_a_line_longer_than_the_engine_keeps_in_one_piece_is_one_line(stage: Stage) -> None:
    stage.start(stage.service(shell="head -c 40000 /dev/zero | tr '\\0' x; echo; echo end; sleep 600"))
    while len(lines := list(stage.engine.logs(stage.instance, LogQuery()))) < 2:
        pass

    assert [len(line.text) for line in lines] == [40000, 3]


def test_following_goes_on_when_a_replica_restarts_and_tells_nothing_twice(stage: Stage) -> None:
    web = stage.service(restart=Restart(policy="always"), command=("sh", "-c", "cat /proc/uptime; sleep 0.2; exit 1"))
    stage.start(web)
    following = stage.engine.logs(stage.instance, LogQuery(follow=True))

    told = [next(following).text for _ in range(5)]

    assert len(set(told)) == 5
    assert told == sorted(told, key=lambda line: float(line.split()[0]))


def test_logs_of_a_terminal_are_lines_too(stage: Stage) -> None:
    stage.start(stage.service(shell="echo one; echo two; sleep 600", tty=True))
    while len(lines := list(stage.engine.logs(stage.instance, LogQuery()))) < 2:
        pass

    assert [(line.text, line.stream) for line in lines] == [("one", "stdout"), ("two", "stdout")]


# -- the whole -------------------------------------------------------------------------------------------------------


def test_a_snapshot_costs_four_calls_however_many_replicas_run(stage: Stage) -> None:
    for slot in (1, 2, 3):
        stage.start(stage.service(), slot)
    references = ["alpine:latest", "redis:7-alpine", "never/built:1"]
    stage.engine.observe(stage.instance, references=references)
    before = stage.engine.client.calls

    observed = stage.engine.observe(stage.instance, references=references)

    assert stage.engine.client.calls - before == 4
    assert [image.reference for image in observed.images] == ["alpine:latest", "redis:7-alpine"]


def test_an_image_says_what_it_exposes(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM alpine\nEXPOSE 8000 53/udp\nHEALTHCHECK CMD true\nLABEL a=b\n")
    reference = stage.build(tmp_path)

    image = stage.engine.observe(stage.instance, references=[reference]).image(reference)

    assert image is not None
    assert (image.exposed, image.health) == ((8000,), ("CMD-SHELL", "true"))
    assert ("a", "b") in image.labels


def test_an_engine_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    from havre.engines.docker.engine import DockerEngine

    with pytest.raises(UnavailableError, match="does not answer"):
        DockerEngine(f"unix://{tmp_path}/docker.sock").describe()


def test_steps_of_one_replica_may_be_repeated_at_any_point(stage: Stage) -> None:
    web = stage.service()
    steps: list[EngineStep] = [
        StartReplica(service=web, slot=1, fingerprint="v1 a=1"),
        StopReplica(service="web", slot=1),
        RemoveReplica(service="web", slot=1),
    ]

    for step in steps:
        stage.do(step)
        stage.do(step)

    assert stage.engine.observe(stage.instance).replicas == ()


def test_removing_what_runs_is_refused(stage: Stage) -> None:
    stage.start(stage.service())

    with pytest.raises(HavreError):
        stage.do(RemoveReplica(service="web", slot=1))

    assert stage.inside("echo here") == "here"

"""Known images as native servers: real PostgreSQL and Valkey, from the system and from the wheels."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.process.conftest import DEFAULT, Stage, until

from havre.engines.process import servers
from havre.engines.process.known import POSTGRES, installed_servers
from havre.errors import RefusedError
from havre.model.health import HealthCheck, HealthState
from havre.model.plan import PullImage
from havre.model.project import FileSource, Grant, Mount, MountKind, Restart, Service, Volume

pytestmark = pytest.mark.process

DATABASE = Service(
    name="postgres",
    image="postgres:15-alpine",
    environment=(("POSTGRES_USER", "shop"), ("POSTGRES_PASSWORD", "p'w \"$x"), ("POSTGRES_DB", "goods")),
    mounts=(Mount(kind=MountKind.VOLUME, target="/var/lib/postgresql/data", source="data"),),
    networks=(DEFAULT,),
    restart=Restart(policy="unless-stopped"),
    health=HealthCheck(test=("pg_isready -h 127.0.0.1 -U $POSTGRES_USER",), shell=True),
    stop_grace=20.0,
)
CACHE = Service(
    name="redis",
    image="redis:7-alpine",
    command=("redis-server", "--requirepass", "s3cret-w0rd", "--appendonly", "yes", "--maxmemory", "64mb"),
    networks=(DEFAULT,),
    mounts=(Mount(kind=MountKind.VOLUME, target="/data", source="cache"),),
    restart=Restart(policy="unless-stopped"),
    health=HealthCheck(test=("REDISCLI_AUTH=s3cret-w0rd redis-cli ping | grep -q PONG",), shell=True),
)


@pytest.fixture(params=["system", "wheel"])
def origin(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Once with the system's servers (where it has them), once as if it had none."""
    if request.param == "wheel":
        monkeypatch.setattr(servers, "installed_servers", lambda _: iter(()))
    return str(request.param)


def _volumes(stage: Stage) -> None:
    stage.volumes = [Volume(key="data", name="shop_data"), Volume(key="cache", name="shop_cache")]


def _sql(stage: Stage, text: str, slot: int = 1) -> str:
    done = stage.engine.execute("shop", "postgres", slot, ["psql", "-XtAc", text], timeout=20)
    return done.output.strip()


def test_postgres_keeps_its_images_contract_and_its_data(stage: Stage, origin: str) -> None:
    _volumes(stage)
    stage.start(stage.add(DATABASE))
    assert stage.wait(DATABASE, seconds=40).state is HealthState.HEALTHY, stage.texts(DATABASE)
    assert _sql(stage, "select current_user, current_database()") == "shop|goods"
    assert _sql(stage, "create table t as select 42 as answer") == "SELECT 1"
    stage.stop(DATABASE)
    assert stage.observed(DATABASE).exit_code == 0, "a clean shutdown"
    assert any("database system is shut down" in text for text in stage.texts(DATABASE))
    stage.remove(DATABASE)
    stage.start(DATABASE, 2)
    assert stage.wait(DATABASE, 2).state is HealthState.HEALTHY
    assert _sql(stage, "select answer from t", 2) == "42"


def test_nobody_enters_postgres_without_the_password(viewed: Stage) -> None:
    _volumes(viewed)
    viewed.start(viewed.add(DATABASE))
    viewed.wait(DATABASE, seconds=40)
    address = viewed.engine.address(DATABASE, 1, viewed.context)
    for host in (address, "/havre/run"):
        attempt = ["env", "-u", "PGPASSWORD", "psql", "-w", "-h", host, "-c", "select 1"]
        refused = viewed.engine.execute("shop", "postgres", 1, attempt)
        assert (refused.exit_code, "no password supplied" in refused.output) == (2, True), refused


def test_postgres_survives_being_killed_with_what_was_committed(viewed: Stage) -> None:
    _volumes(viewed)
    viewed.start(viewed.add(DATABASE))
    viewed.wait(DATABASE, seconds=40)
    _sql(viewed, "create table t(n int)")
    _sql(viewed, "insert into t values (1)")
    pid = viewed.pid(DATABASE)
    os.kill(pid, signal.SIGKILL)
    assert until(lambda: viewed.pid(DATABASE) != pid)
    assert viewed.wait(DATABASE, seconds=40).state is HealthState.HEALTHY, viewed.texts(DATABASE)
    assert _sql(viewed, "select n from t") == "1"


def test_a_first_start_that_is_killed_leaves_no_half_a_database(viewed: Stage) -> None:
    _volumes(viewed)
    viewed.start(viewed.add(DATABASE))
    data = viewed.directory / "state" / "volumes" / "shop_data" / "data"
    assert until(lambda: (data / ".havre-new" / "base").exists() or (data / "PG_VERSION").exists())
    viewed.stop(DATABASE, grace=0.0)
    viewed.remove(DATABASE)
    viewed.start(DATABASE, 2)
    assert viewed.wait(DATABASE, 2, seconds=40).state is HealthState.HEALTHY, viewed.texts(DATABASE)
    assert _sql(viewed, "select current_database()", 2) == "goods"
    assert not (data / ".havre-new").exists()


def test_first_scripts_run_once_and_secrets_come_from_files(stage: Stage) -> None:
    _volumes(stage)
    scripts = stage.directory / "scripts"
    scripts.mkdir()
    (scripts / "1_table.sql").write_text("create table made(by text);")
    (scripts / "2_fill.sh").write_text("psql -c \"insert into made values ('$USED')\"\n")
    (scripts / "readme.md").write_text("not a script")
    service = replace(
        DATABASE,
        environment=(("POSTGRES_PASSWORD_FILE", "/run/secrets/db_password"), ("USED", "a script")),
        secrets=(Grant(source="pw", target="/run/secrets/db_password"),),
        mounts=(
            *DATABASE.mounts,
            Mount(kind=MountKind.BIND, target="/docker-entrypoint-initdb.d", source=str(scripts), read_only=True),
        ),
        health=None,
    )
    stage.secrets = [FileSource(key="pw", content="from a file\n")]
    stage.start(stage.add(service))
    assert stage.wait(service, seconds=40).state is HealthState.HEALTHY, stage.texts(service)
    assert _sql(stage, "select by from made") == "a script"
    assert any("ignoring" in text and "readme.md" in text for text in stage.texts(service))
    stage.stop(service)
    stage.remove(service)
    stage.start(service, 2)
    stage.wait(service, 2)
    assert _sql(stage, "select count(*) from made", 2) == "1"


def test_data_of_another_version_is_refused_in_words(viewed: Stage) -> None:
    _volumes(viewed)
    viewed.add(DATABASE)
    viewed.prepare()
    data = viewed.directory / "state" / "volumes" / "shop_data" / "data"
    (data / "PG_VERSION").write_text("9\n")
    viewed.start(replace(DATABASE, restart=Restart()))
    assert until(lambda: not viewed.observed(DATABASE).is_running)
    assert "the data is of PostgreSQL 9" in " ".join(viewed.texts(DATABASE))


def test_redis_takes_its_flags_and_keeps_its_data(stage: Stage, origin: str) -> None:
    _volumes(stage)
    stage.start(stage.add(CACHE))
    assert stage.wait(CACHE).state is HealthState.HEALTHY, stage.texts(CACHE)

    def ask(*words: str, slot: int = 1) -> str:
        command = ["env", "REDISCLI_AUTH=s3cret-w0rd", "redis-cli", *words]
        return stage.engine.execute("shop", "redis", slot, command).output.strip()

    assert ask("config", "get", "maxmemory").split() == ["maxmemory", str(64 * 1024**2)]
    assert ask("set", "k", "v w") == "OK"
    assert "NOAUTH" in stage.engine.execute("shop", "redis", 1, ["redis-cli", "get", "k"]).output
    assert "s3cret" not in Path(f"/proc/{stage.pid(CACHE)}/cmdline").read_text(), "no secret is in the process list"
    assert ask("--rdb", "/tmp/dump.rdb") == ""
    dump = stage.engine.execute("shop", "redis", 1, ["head", "-c5", "/tmp/dump.rdb"]).output
    assert dump in {"REDIS", "VALKE"}
    stage.stop(CACHE)
    stage.remove(CACHE)
    stage.start(CACHE, 2)
    assert stage.wait(CACHE, 2).state is HealthState.HEALTHY
    assert ask("get", "k", slot=2) == "v w"


def test_a_check_without_the_password_is_unverified(viewed: Stage) -> None:
    _volumes(viewed)
    service = replace(CACHE, health=HealthCheck(test=("redis-cli", "ping")))
    viewed.start(viewed.add(service))
    assert until(lambda: viewed.engine.probe(service, 1, viewed.context).state is HealthState.UNVERIFIED)


def test_services_use_each_other_as_in_compose(stage: Stage) -> None:
    """A service reaches the database and the cache by name at their own ports."""
    _volumes(stage)
    for service in (DATABASE, CACHE):
        stage.start(stage.add(service))
        stage.wait(service, seconds=40)
    line = (
        "import socket, os; from urllib.parse import urlsplit\n"
        "for name in ('DB', 'CACHE'):\n"
        "    url = urlsplit(os.environ[name]); socket.create_connection((url.hostname, url.port), 3)\n"
        "    print(name, 'reached')"
    )
    settings = (("DB", "postgresql://shop:x@postgres:5432/goods"), ("CACHE", "redis://redis:6379/0"))
    asker = stage.shell("asker", "sleep 1000", environment=settings)
    stage.start(asker)
    said = stage.engine.execute("shop", "asker", 1, ["python3", "-c", line]).output
    assert said == "DB reached\nCACHE reached\n"


def test_a_stopped_database_stays_known_when_it_comes_back_elsewhere(viewed: Stage) -> None:
    _volumes(viewed)
    viewed.start(viewed.add(CACHE))
    viewed.wait(CACHE)
    asker = viewed.shell("asker", "sleep 1000")
    viewed.start(asker)
    viewed.stop(CACHE)
    viewed.remove(CACHE)
    began = time.monotonic()
    viewed.start(CACHE, 2)
    viewed.wait(CACHE, 2)
    assert time.monotonic() - began < 5
    reach = ["python3", "-c", "import socket; socket.create_connection(('redis', 6379), 3); print('reached')"]
    assert viewed.engine.execute("shop", "asker", 1, reach).output == "reached\n"


def test_an_unknown_image_is_refused_with_what_is_known_and_a_way_out(viewed: Stage) -> None:
    service = viewed.add(Service(name="mail", image="axllent/mailpit:v1"))
    with pytest.raises(RefusedError) as caught:
        viewed.engine.perform(PullImage(reference=service.image), viewed.context)
    problem = caught.value.problems[0]
    assert "`postgres` (PostgreSQL), `redis`" in problem.evidence[0]
    assert "processes: {mail: {command" in problem.hint


def test_a_pulled_server_is_observed_as_an_image(viewed: Stage) -> None:
    assert viewed.engine.observe("shop", references=["postgres:15-alpine"]).images == ()
    viewed.engine.perform(PullImage(reference="postgres:15-alpine"), viewed.context)
    (image,) = viewed.engine.observe("shop", references=["postgres:15-alpine"]).images
    assert image.exposed == (5432,)
    again = viewed.engine.observe("shop", references=[image.id]).images
    assert [one.id for one in again] == [image.id]


def test_the_systems_servers_are_found() -> None:
    for server in installed_servers(POSTGRES):
        assert (Path(server.programs) / "postgres").exists()

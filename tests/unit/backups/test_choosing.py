"""What is backed up, and how, is read from policies and images."""

from __future__ import annotations

import pytest

from havre.backups.choosing import data_paths, kind_of, part_names, policies_for, redis_password, runs, unkept
from havre.backups.files import Command, Directories
from havre.backups.postgres import Postgres
from havre.backups.redis import Redis
from havre.errors import InputError
from havre.model.app import App
from havre.model.backup import BackupPolicy
from havre.model.backup_kinds import image_kind
from havre.model.project import Mount, MountKind, Project, Service
from havre.workflows.places import writers_of

DATA = Mount(kind=MountKind.VOLUME, source="uploads", target="/srv/uploads")
WEB = Service(name="web", image="shop:1", mounts=(DATA,))
DB = Service(name="db", image="postgres:15-alpine")
CACHE = Service(name="cache", image="redis:7", command=("redis-server", "--requirepass", "pw"))
SHOP = Project(name="shop", services=(WEB, DB, CACHE))


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        ("postgres", "postgres"),
        ("postgres:16@sha256:abc", "postgres"),
        ("docker.io/postgis/postgis:15-3.4", "postgres"),
        ("registry.example:5000/pgvector/pgvector:pg16", "postgres"),
        ("redis:7-alpine", "redis"),
        ("valkey/valkey:8", "redis"),
        ("postgres-exporter:1", None),
        ("my/redis-commander", None),
        ("shop", None),
    ],
)
def test_known_images(image: str, kind: str | None) -> None:
    assert image_kind(image) == kind


def test_without_policies_everything_known_to_hold_data_is_chosen() -> None:
    assert [policy.service for policy in policies_for(App(name="shop"), SHOP, ())] == ["db", "cache"]


def test_a_policy_wins_and_the_named_are_enough() -> None:
    app = App(name="shop", backups=(BackupPolicy(service="db", databases=("shop",)),))
    [policy] = policies_for(app, SHOP, ["db"])
    assert kind_of(DB, policy) == Postgres(databases=("shop",))


def test_unknown_services_are_all_named() -> None:
    with pytest.raises(InputError) as caught:
        policies_for(App(name="shop"), SHOP, ["dbb", "web", "nope"])
    assert [problem.summary for problem in caught.value.problems] == [
        "there is no service `dbb`",
        "there is no service `nope`",
    ]


def test_nothing_to_back_up_is_said() -> None:
    with pytest.raises(InputError, match="nothing here is known to hold data"):
        policies_for(App(name="shop"), Project(name="shop", services=(WEB,)), ())


def test_kinds_by_policy_and_by_mounts() -> None:
    assert kind_of(WEB, BackupPolicy(service="web")) == Directories(paths=(("uploads", "/srv/uploads"),))
    assert kind_of(WEB, BackupPolicy(service="web", command=("export",))) == Command(command=("export",))
    assert kind_of(CACHE, BackupPolicy(service="cache")) == Redis(password="pw")
    with pytest.raises(InputError, match="nothing tells how to back up db"):
        kind_of(DB, BackupPolicy(service="db", kind="volume"))


def test_only_the_volumes_that_are_named() -> None:
    assert data_paths(WEB, BackupPolicy(service="web", volumes=("uploads",))) == (("uploads", "/srv/uploads"),)
    assert data_paths(WEB, BackupPolicy(service="web", volumes=("other",))) == ()


def in_shell(line: str) -> Service:
    return Service(name="r", image="redis", command=("sh", "-c", line), environment=(("PASS", "of the environment"),))


@pytest.mark.parametrize(
    ("service", "password"),
    [
        (Service(name="r", image="redis", command=("redis-server --requirepass 'a b'",)), "a b"),
        (Service(name="r", image="redis", command=("sh", "-c", 'redis-server --requirepass "pw"')), "pw"),
        (Service(name="r", image="redis", environment=(("REDIS_PASSWORD", "env"),)), "env"),
        (in_shell('exec redis-server --requirepass "$PASS" --appendonly yes'), "of the environment"),
        (in_shell("redis-server --requirepass ${PASS:?} --save 60 1"), "of the environment"),
        (Service(name="r", image="redis"), None),
    ],
)
def test_the_password_redis_asks_for(service: Service, password: str | None) -> None:
    assert redis_password(service) == password


def test_a_client_that_borrows_a_servers_image_holds_no_data() -> None:
    def service(image: str, *command: str) -> Service:
        return Service(name="x", image=image, command=command or None)

    assert runs(service("postgres:15-alpine")) == "postgres"
    assert runs(service("postgres:15-alpine", "postgres", "-c", "ssl=on")) == "postgres"
    assert runs(service("eqalpha/keydb:latest")) == "redis"
    assert runs(service("postgres:15-alpine", "psql", "-f", "seed.sql")) is None
    for image in ("mysql:8", "mariadb", "percona:8.0", "percona/percona-server:8.4", "bitnami/mariadb-galera:11.4"):
        assert runs(service(image)) == "mysql", image
    assert runs(service("mariadb:11", "--innodb-buffer-pool-size=1G")) == "mysql"
    assert runs(service("mysql:8", "mysqld", "--skip-name-resolve")) == "mysql"
    assert runs(service("mysql:8", "mysqldump", "-h", "db", "shop")) is None
    assert runs(service("mysql-exporter:1")) is None


def test_what_writes_data_that_nothing_keeps_is_told() -> None:
    mongo = Service(name="mongo", image="mongo:7", mounts=(Mount(kind=MountKind.VOLUME, source="my", target="/var"),))
    worker = Service(name="worker", image="shop:1", mounts=(DATA,))
    shop = Project(name="shop", services=(WEB, DB, CACHE, mongo, worker))
    assert unkept(App(name="shop"), shop) == ("web", "mongo", "worker")
    kept = App(name="shop", backups=(BackupPolicy(service="web", kind="volume"),))
    assert unkept(kept, shop) == ("mongo",), "the worker's data is the web's"


def test_everybody_who_writes_the_same_data_is_found() -> None:
    def bound(name: str, source: str, *, read_only: bool = False) -> Service:
        mount = Mount(kind=MountKind.BIND, source=source, target="/data", read_only=read_only)
        return Service(name=name, image="x", mounts=(mount,))

    inside, beside, whole = bound("inside", "/srv/data/in"), bound("beside", "/srv/data2"), bound("whole", "/srv/data")
    reads = bound("reads", "/srv/data", read_only=True)
    project = Project(name="shop", services=(inside, beside, reads, whole, WEB))
    assert writers_of(project, whole, ["/data"]) == (whole, inside)
    assert writers_of(project, whole, ["/elsewhere"]) == (whole,)


def test_the_parts_that_a_policy_names_are_called_as_in_a_snapshot() -> None:
    service = Service(name="web", image="shop:1", mounts=(DATA,))
    assert part_names(service, BackupPolicy(service="web")) == frozenset()
    assert part_names(service, BackupPolicy(service="web", databases=("shop",))) == {"shop"}
    assert part_names(service, BackupPolicy(service="web", volumes=("/srv/uploads",))) == {"uploads", "/srv/uploads"}

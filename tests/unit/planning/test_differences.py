"""What differs between two environments: everything that matters, names of their own aside, and never a secret."""

from __future__ import annotations

from dataclasses import replace

from memory_world import project, rolling, stateful

from havre.model.app import App
from havre.model.backup import BackupPolicy
from havre.model.project import Mount, MountKind, Network, Port, Project, Resources, Service, Volume
from havre.model.route import RateLimit, Route
from havre.planning.differences import Side, differences, shared_secrets

APP = App(name="shop", routes=(Route(host="shop.example", service="web", port=80),))
WEB = rolling("web", "shop/web:1a2b", environment=(("LEVEL", "info"), ("API_KEY", "k-one")))


def side(*services: Service, app: App = APP, **more: object) -> Side:
    return Side(label="one", app=app, project=replace(project(*services), **more), files={})  # type: ignore[arg-type]


def told(one: Side, other: Side) -> list[tuple[str, str, str | None, str | None]]:
    return [(found.subject, found.what, found.one, found.other) for found in differences(one, other)]


def test_names_that_differ_by_the_environment_alone_are_the_same() -> None:
    staging = Project(
        name="shop-staging",
        services=(replace(WEB, image="shop-staging/web:1a2b"), stateful("db")),
        networks=(Network(key="default", name="shop-staging_default"),),
        volumes=(Volume(key="dbdata", name="shop-staging_dbdata"),),
    )
    app = replace(APP, environment="staging", directory="/elsewhere")
    assert told(side(WEB, stateful("db")), Side(label="staging", app=app, project=staging, files={})) == []


def test_images_variables_limits_and_replicas_are_told_one_by_one() -> None:
    other = replace(
        WEB,
        image="shop/web:9f9f",
        environment=(("LEVEL", "debug"), ("API_KEY", "k-one"), ("DEBUG", "1")),
        resources=Resources(memory=256 * 1024**2),
        replicas=3,
    )
    assert told(side(WEB), side(other)) == [
        ("web", "environment.DEBUG", None, "1"),
        ("web", "environment.LEVEL", "info", "debug"),
        ("web", "image", "built from content 1a2b", "built from content 9f9f"),
        ("web", "replicas", "1", "3"),
        ("web", "resources.memory", None, "256 MiB"),
    ]


def test_a_secret_differs_by_name_alone_and_an_equal_one_is_named_as_shared() -> None:
    other = replace(WEB, environment=(("LEVEL", "info"), ("API_KEY", "k-two")))
    found = differences(side(WEB), side(other))
    assert [(one.what, one.one == one.other) for one in found] == [("environment.API_KEY", True)]
    assert "k-one" not in repr(found)
    assert shared_secrets(side(WEB), side(other)) == ()
    assert shared_secrets(side(WEB), side(WEB)) == ("API_KEY",)


def test_a_password_in_a_url_or_a_command_is_hidden() -> None:
    one = replace(
        WEB, environment=(("DB", "postgres://u:pw-one@db/x"),), command=("redis-server", "--requirepass", "a-1")
    )
    other = replace(
        WEB, environment=(("DB", "postgres://u:pw-two@db/x"),), command=("redis-server", "--requirepass", "b-2")
    )
    text = repr(differences(side(one), side(other)))
    assert "environment.DB" in text
    assert "command" in text
    assert not any(secret in text for secret in ("pw-one", "pw-two", "a-1", "b-2"))


def test_each_route_mount_port_and_manifest_key_is_one_difference() -> None:
    app = replace(
        APP,
        routes=(
            *APP.routes,
            Route(host="shop.example", path="/api", service="api", port=8000, rate_limit=RateLimit(count=5)),
        ),
        backups=(BackupPolicy(service="db"),),
        env_files=(".env.staging",),
    )
    more = replace(
        WEB,
        mounts=(Mount(kind=MountKind.BIND, source="/srv/a", target="/a"),),
        ports=(Port(target=80, published="8080"), Port(target=80, published="8081")),
    )
    assert [(subject, what) for subject, what, *_ in told(side(WEB), side(more, app=app))] == [
        ("havre.yaml", "backups db"),
        ("havre.yaml", "env_file"),
        ("havre.yaml", "routes shop.example/api"),
        ("web", "mounts /a"),
        ("web", "ports 80"),
    ]


def test_a_service_that_one_side_lacks_is_told_once() -> None:
    assert told(side(WEB), side(WEB, rolling("worker"))) == [("worker", "image", None, "worker:1")]


def test_mounted_files_are_compared_by_content() -> None:
    files = {"web": (("/etc/app.conf", "aaaa" * 16),)}
    one, other = side(WEB), replace(side(WEB), files=files)
    assert told(replace(one, files={"web": (("/etc/app.conf", "bbbb" * 16),)}), other) == [
        ("web", "content of /etc/app.conf", "sha256 bbbbbbbbbbbb", "sha256 aaaaaaaaaaaa")
    ]

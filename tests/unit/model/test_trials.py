"""What well-known images are asked about the files mounted into them, and how they are tried."""

from __future__ import annotations

from dataclasses import replace

import pytest

from havre.model.project import Build, Grant, Mount, MountKind, Service
from havre.model.trials import Foundation, as_trial, trials_of


def service(image: str, *targets: str, command: str = "", **more: object) -> Service:
    mounts = tuple(Mount(kind=MountKind.BIND, source=f"/srv{target}", target=target) for target in targets)
    return Service(name="x", image=image, mounts=mounts, command=tuple(command.split()) or None, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wanted", "asked"),
    [
        (service("nginx:alpine", "/etc/nginx/conf.d/default.conf"), "nginx -t"),
        (service("nginx", "/etc/nginx/n.conf", command="nginx -c /etc/nginx/n.conf"), "nginx -t -c /etc/nginx/n.conf"),
        (service("openresty/openresty", "/usr/local/openresty/nginx/conf/nginx.conf"), "openresty -t"),
        (service("prom/prometheus", "/etc/prometheus"), "promtool check config /etc/prometheus/prometheus.yml"),
        (
            service("prom/prometheus", "/p.yml", command="--storage.x=1 --config.file=/p.yml"),
            "promtool check config /p.yml",
        ),
        (
            service("prom/alertmanager", "/a.yml", command="--config.file /a.yml"),
            "amtool check-config /a.yml",
        ),
        (service("haproxy:lts", "/usr/local/etc/haproxy"), "haproxy -c -f /usr/local/etc/haproxy/haproxy.cfg"),
        (service("caddy:2", "/etc/caddy/Caddyfile"), "caddy validate --config /etc/caddy/Caddyfile"),
        (
            service("redis:7", "/etc/r.conf", command="redis-server /etc/r.conf"),
            "redis-server /etc/r.conf --end-of-trial yes",
        ),
        (
            service("postgres:15", "/etc/pg.conf", command="postgres -c config_file=/etc/pg.conf"),
            "postgres -C config_file -c config_file=/etc/pg.conf -D /tmp",
        ),
    ],
)  # fmt: skip
def test_each_family_is_asked_about_the_file_its_command_names(wanted: Service, asked: str) -> None:
    assert [" ".join(trial.argv) for trial in trials_of(wanted)] == [asked]


@pytest.mark.parametrize(
    "quiet",
    [
        service("nginx:alpine"),
        service("nginx:alpine", "/usr/share/nginx/html"),
        service("prom/prometheus", "/prometheus"),
        service("redis:7", "/data", command="redis-server --appendonly yes"),
        service("postgres:15", "/var/lib/postgresql/data"),
        service("shop/web:1", "/etc/nginx/nginx.conf.bak"),
    ],
)
def test_nothing_is_asked_where_no_file_of_that_kind_is_mounted(quiet: Service) -> None:
    assert trials_of(quiet) == ()


def test_a_compose_config_counts_as_mounted() -> None:
    granted = service("caddy:2", configs=(Grant(source="site", target="/etc/caddy/Caddyfile"),))
    assert [trial.tool for trial in trials_of(granted)] == ["caddy validate"]


def test_access_rules_are_asked_of_a_throw_away_server_that_is_not_root() -> None:
    wanted = service("postgres:16", "/etc/hba.conf", command="postgres -c hba_file=/etc/hba.conf")
    (trial,) = trials_of(wanted)
    assert (trial.user, trial.file, trial.argv[-1]) == ("postgres", "/etc/hba.conf", "/etc/hba.conf")


def test_a_trial_can_write_nothing_of_the_app_and_reach_nobody() -> None:
    wanted = Service(
        name="web",
        image="nginx",
        mounts=(
            Mount(kind=MountKind.BIND, source="/srv/nginx.conf", target="/etc/nginx/nginx.conf"),
            Mount(kind=MountKind.VOLUME, source="certs", target="/etc/letsencrypt"),
            Mount(kind=MountKind.VOLUME, source="logs", target="/var/log/nginx"),
            Mount(kind=MountKind.VOLUME, source="new", target="/srv/new"),
        ),
    )
    (trial,) = trials_of(wanted)
    tried = as_trial(wanted, trial, volumes={"certs", "logs"}, hosts={"api": "127.0.0.1"})
    assert [(mount.kind.value, mount.target, mount.read_only) for mount in tried.mounts] == [
        ("bind", "/etc/nginx/nginx.conf", True),
        ("volume", "/etc/letsencrypt", True),
        ("tmpfs", "/var/log/nginx", False),
        ("tmpfs", "/srv/new", False),
    ]
    assert (tried.network_mode, tried.extra_hosts, tried.restart.policy) == ("none", ("api:127.0.0.1",), "no")


def test_an_image_that_is_built_is_asked_by_what_its_dockerfile_says_it_stands_on() -> None:
    built = replace(service("shop/front:1"), build=Build(context="/srv/front"))
    assert trials_of(built) == (), "nothing tells which programs are in it"
    foundation = Foundation(base="nginx:alpine", copied=(("/etc/nginx/nginx.conf", "/srv/front/nginx.conf"),))
    assert [" ".join(trial.argv) for trial in trials_of(built, foundation)] == ["nginx -t"]
    told = Foundation(base="redis:7", copied=(("/r.conf", "/srv/r.conf"),), command=("redis-server", "/r.conf"))
    [trial] = trials_of(built, told)
    assert trial.file == "/r.conf"
    assert trials_of(replace(built, entrypoint=("/start.sh",)), told) == (), "its own entry does not run the command"

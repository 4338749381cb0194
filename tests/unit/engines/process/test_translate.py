"""From a service to the launch of a replica."""

from __future__ import annotations

from dataclasses import replace

import pytest

from havre.engines.process.images import Image
from havre.engines.process.records import Place
from havre.engines.process.translate import (
    Given,
    argv_of,
    at_own_address,
    environment_of,
    known_port,
    launch_of,
    stop_signal,
    through_shell,
    without_effect,
)
from havre.errors import InputError
from havre.model.project import Logging, Port, Resources, Restart, Service

AT = "127.64.0.16"
IMAGE = Image(
    id="source-1", workdir="/app", programs=("/venv/bin", "node_modules/.bin"), ports=(8000,), command=("serve",)
)
SERVICE = Service(name="web", image="shop_web")
GIVEN = Given(
    instance="shop", directory="/s/replicas/shop/web.1", address=AT, source="/s/app", uid=5, gid=5, mark="s1:shop/web.1"
)


def test_the_manifest_wins_then_the_procfile_then_compose_then_the_dockerfile() -> None:
    image = replace(IMAGE, own=(("web", "from manifest"),), commands=(("web", "from procfile"),))
    written = replace(SERVICE, command=("from", "compose"))
    assert argv_of(written, image, None)[2] == "from manifest"
    assert argv_of(written, replace(image, own=()), None)[2] == "from procfile"
    assert argv_of(written, replace(image, own=(), commands=()), None) == ("from", "compose")
    assert argv_of(SERVICE, replace(image, own=(), commands=()), None) == ("serve",)


def test_web_of_the_procfile_serves_a_service_of_another_name_that_says_nothing() -> None:
    image = replace(IMAGE, commands=(("web", "gunicorn shop"), ("worker", "celery")))
    assert argv_of(replace(SERVICE, name="backend"), image, None)[2] == "gunicorn shop"
    assert argv_of(replace(SERVICE, name="worker"), image, None)[2] == "celery"
    assert argv_of(replace(SERVICE, name="backend", command=("x",)), image, None) == ("x",)


def test_a_one_off_keeps_the_entrypoint() -> None:
    assert argv_of(SERVICE, replace(IMAGE, entrypoint=("./entry",)), ("migrate",)) == ("./entry", "migrate")


def test_nothing_to_run_is_refused_with_a_way_out() -> None:
    with pytest.raises(InputError, match=r"processes: \{web: \{command"):
        argv_of(SERVICE, replace(IMAGE, command=()), None)


@pytest.mark.parametrize(
    ("argv", "becomes", "whole_session"),
    [
        (("python", "-m", "web"), ("python", "-m", "web"), False),
        (
            ("/bin/sh", "-c", "gunicorn --bind $HOST:$PORT app"),
            ("/bin/sh", "-c", "exec gunicorn --bind $HOST:$PORT app"),
            False,
        ),
        (("sh", "-c", "exec app"), ("sh", "-c", "exec app"), False),
        (("sh", "-c", "migrate && app"), ("sh", "-c", "migrate && app"), True),
        (("sh", "-c", "DEBUG=1 app"), ("sh", "-c", "DEBUG=1 app"), True),
        (("bash", "-c", "cd x; app"), ("bash", "-c", "cd x; app"), True),
        (("sh", "-c", "exit 6"), ("sh", "-c", "exit 6"), True),
        (("sh", "-c", "trap 'echo bye' TERM; app & wait"), ("sh", "-c", "trap 'echo bye' TERM; app & wait"), False),
    ],
)
def test_a_shell_in_between_does_not_swallow_signals(
    argv: tuple[str, ...], becomes: tuple[str, ...], whole_session: bool
) -> None:
    assert through_shell(argv) == (becomes, whole_session)


def test_where_it_listens_is_not_for_the_file_to_say() -> None:
    service = replace(
        SERVICE, environment=(("HOST", "0.0.0.0"), ("PORT", "9000"), ("API_BIND", "0.0.0.0:9000"), ("X", None))
    )
    found = environment_of(service, 1, IMAGE, GIVEN)
    assert (found["HOST"], found["PORT"], found["API_BIND"]) == (AT, "9000", f"{AT}:9000")
    assert "X" not in found
    assert found["HAVRE_REPLICA"] == "s1:shop/web.1"


def test_its_programs_come_first_on_the_path() -> None:
    path = environment_of(SERVICE, 1, IMAGE, GIVEN)["PATH"]
    assert path.startswith("/venv/bin:/app/node_modules/.bin:/usr/local/sbin:")


def test_an_address_written_for_containers_becomes_its_own() -> None:
    assert at_own_address("--bind=0.0.0.0:80", AT) == f"--bind={AT}:80"
    assert at_own_address("10.0.0.0", AT) == "10.0.0.0"


@pytest.mark.parametrize(
    ("service", "port"),
    [
        (SERVICE, 8000),
        (replace(SERVICE, ports=(Port(target=80),)), 80),
        (replace(SERVICE, expose=("3000-3005",)), 3000),
        (replace(SERVICE, expose=("53/udp",)), 8000),
        (replace(SERVICE, environment=(("PORT", "7000"),)), 7000),
        (replace(SERVICE, command=("celery",)), 0),
    ],
)
def test_the_port_it_ought_to_listen_on(service: Service, port: int) -> None:
    assert known_port(service, IMAGE) == port


def test_stop_signals() -> None:
    assert stop_signal(SERVICE, IMAGE) == 15
    assert stop_signal(SERVICE, replace(IMAGE, kind="postgres")) == 2
    assert stop_signal(replace(SERVICE, stop_signal="SIGUSR1"), IMAGE) == 10
    assert stop_signal(replace(SERVICE, stop_signal="quit"), IMAGE) == 3
    with pytest.raises(InputError, match="is not a signal"):
        stop_signal(replace(SERVICE, stop_signal="SIGNOPE"), IMAGE)


def test_a_launch_carries_what_the_service_says() -> None:
    service = replace(
        SERVICE,
        restart=Restart(policy="on-failure", attempts=4),
        resources=Resources(memory=1024, cpus=0.5, pids=9),
        logging=Logging(driver="json-file", options=(("max-size", "5m"), ("max-file", "2"))),
        stop_grace=30.0,
        security_opt=("no-new-privileges:true",),
        extra_hosts=("a:1.2.3.4", "host.docker.internal:host-gateway"),
    )
    launch = launch_of(service, 1, IMAGE, GIVEN)
    assert (launch.restart, launch.attempts, launch.grace) == ("on-failure", 4, 30.0)
    assert (launch.memory, launch.cpus, launch.pids) == (1024, 0.5, 9)
    assert (launch.log_size, launch.log_files) == (5 * 1024**2, 2)
    assert launch.no_new_privileges
    assert launch.extra_hosts == (("a", "1.2.3.4"), ("host.docker.internal", "127.0.0.1"))
    assert launch.key == "shop/web.1"


def test_one_offs_are_never_restarted() -> None:
    service = replace(SERVICE, restart=Restart(policy="always"))
    assert launch_of(service, 9001, IMAGE, replace(GIVEN, role="task"), ("migrate",)).restart == "no"


def test_without_a_view_paths_and_names_are_put_into_the_text() -> None:
    given = replace(
        GIVEN,
        isolated=False,
        known={"db": "127.64.0.17"},
        places=(
            Place(kind="layer", target="/app", source="/s/app:/s/layer"),
            Place(kind="bind", target="/run/secrets/key", source="/s/grants/1", read_only=True),
            Place(kind="bind", target="/app/uploads", source="/s/volumes/up"),
        ),
    )
    service = replace(
        SERVICE,
        environment=(
            ("KEY_FILE", "/run/secrets/key"),
            ("UPLOADS", "/app/uploads/x"),
            ("URL", "http://db:1/app"),
            ("OTHER", "/apps"),
        ),
        command=("serve", "--dir=/app/uploads", "http://db:80"),
    )
    launch = launch_of(service, 1, IMAGE, given)
    found = dict(launch.environment)
    assert (found["KEY_FILE"], found["UPLOADS"], found["OTHER"]) == ("/s/grants/1", "/s/volumes/up/x", "/apps")
    assert found["URL"] == "http://127.64.0.17:1/app"
    assert found["HAVRE_HOST_DB"] == "127.64.0.17"
    assert launch.argv == ("serve", "--dir=/s/volumes/up", "http://127.64.0.17:80")
    assert launch.workdir == "/s/app"


def test_what_means_nothing_to_a_process_is_named() -> None:
    service = replace(
        SERVICE, cap_add=("NET_ADMIN",), privileged=True, network_mode="host", options=(("pid", '"host"'),)
    )
    assert without_effect(service) == ("cap_add", "network_mode", "pid", "privileged")
    assert without_effect(SERVICE) == ()


def test_what_makes_a_program_listen_at_its_own_address_stands_before_what_others_say() -> None:
    image = replace(IMAGE, ahead=(("PYTHONPATH", "/own"), ("NODE_OPTIONS", '--require "/own/x.cjs"')))
    service = replace(SERVICE, environment=(("NODE_OPTIONS", "--max-old-space-size=512"),))
    found = environment_of(service, 1, replace(image, environment=(("PYTHONPATH", "src"),)), GIVEN)
    assert found["PYTHONPATH"] == "/own:src"
    assert found["NODE_OPTIONS"] == '--require "/own/x.cjs" --max-old-space-size=512'
    assert environment_of(SERVICE, 1, image, GIVEN)["PYTHONPATH"] == "/own"

"""The life of replicas on the process engine, with real processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.process.conftest import Stage, take_down, until

from havre.engines.base import LogQuery
from havre.engines.process import proctable
from havre.engines.process.engine import ProcessEngine
from havre.errors import FailedError, RefusedError
from havre.host.locks import exclusive
from havre.model.health import HealthCheck, HealthState
from havre.model.observed import ReplicaState
from havre.model.plan import RestartReplica, RunTask
from havre.model.project import Logging, Mount, MountKind, Resources, Restart, Volume

pytestmark = pytest.mark.process


def _get(address: str, port: int = 8000) -> str:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
        f"http://{address}:{port}/", timeout=5
    ) as answer:
        return str(answer.read().decode())


def test_two_replicas_of_a_service_answer_side_by_side_on_its_own_port(stage: Stage) -> None:
    web = stage.web(environment=(("GREETING", "hello"),))
    for slot in (1, 2):
        stage.start(web, slot)
        assert stage.wait(web, slot).state is HealthState.HEALTHY
    addresses = [stage.engine.address(web, slot, stage.context) for slot in (1, 2)]
    assert len({_get(address) for address in addresses}) == 2
    assert all(_get(address).endswith("/ hello") for address in addresses)


def test_a_step_that_is_done_is_done(stage: Stage) -> None:
    web = stage.web()
    stage.start(web)
    pid = stage.pid(web)
    stage.start(web)
    assert stage.pid(web) == pid
    stage.stop(web)
    stage.stop(web)
    stage.remove(web)
    stage.remove(web)
    assert stage.engine.observe("shop").replicas == ()
    assert stage.engine.instances() == ()


def test_a_slot_of_another_release_is_not_taken(stage: Stage) -> None:
    web = stage.web()
    stage.start(web)
    stage.release = 2
    with pytest.raises(RefusedError, match="taken by release 1"):
        stage.start(web)


def test_neighbours_know_each_other_by_name_and_learn_of_moves(viewed: Stage) -> None:
    web = viewed.web()
    asker = viewed.shell("asker", "sleep 1000")
    viewed.start(asker)
    viewed.start(web)
    viewed.wait(web)
    ask = ["python3", "-c", "import socket; print(socket.gethostbyname('web'))"]
    assert viewed.engine.execute("shop", "asker", 1, ask).output.strip() == viewed.engine.address(
        web, 1, viewed.context
    )
    viewed.stop(web)
    assert viewed.engine.execute("shop", "asker", 1, ask).exit_code == 1
    viewed.start(web, 2)
    viewed.wait(web, 2)
    assert viewed.engine.execute("shop", "asker", 1, ask).output.strip() == viewed.engine.address(
        web, 2, viewed.context
    )


def test_without_views_names_become_addresses_in_the_environment(stage: Stage) -> None:
    web = stage.web()
    stage.start(web)
    asker = stage.shell("asker", "sleep 1000", environment=(("WEB_URL", "http://web:8000/"), ("WEB_HOST", "web")))
    stage.start(asker)
    ask = [
        "python3",
        "-c",
        "import os, socket; print(socket.gethostbyname(os.environ['WEB_HOST']), os.environ['WEB_URL'])",
    ]
    said = stage.engine.execute("shop", "asker", 1, ask).output
    assert stage.engine.address(web, 1, stage.context) in said


def test_nothing_of_a_replica_outlives_its_stop(stage: Stage) -> None:
    fork = "python3 -c 'import os, time; os.fork() or (os.setsid(), time.sleep(7656))'"
    line = f"(setsid sleep 7654 &); (sleep 7655 &); {fork}; sleep 7657"
    service = stage.shell("family", line)
    stage.start(service)
    mark = f"{stage.engine._replicas.state_mark}:shop/family.1"
    assert until(lambda: len(proctable.members(mark, stage.pid(service))) >= 5)
    stage.stop(service, grace=1.0)
    assert until(lambda: proctable.members(mark, -1) == ())
    left = subprocess.run(["pgrep", "-f", "^sleep 765[4-7]"], capture_output=True, text=True, check=False).stdout
    assert left == ""


def test_two_engines_with_apps_of_the_same_name_never_touch_each_other(stage: Stage, place: Path) -> None:
    """Also not when one's supervisor ends, and what the kernel numbered is given to the other."""
    (place / "b").mkdir(mode=0o755)
    other = Stage(engine=ProcessEngine(place / "b" / "state"), directory=place / "b")
    try:
        mine, theirs = (each.web(restart=Restart(policy="always")) for each in (stage, other))
        other.start(theirs)
        other.wait(theirs)
        pid = other.pid(theirs)
        for _ in range(3):
            stage.start(mine)
            supervisor = stage.engine._client.facts().pid
            os.kill(supervisor, signal.SIGKILL)
            os.kill(stage.pid(mine), signal.SIGKILL)
            assert until(lambda: not stage.engine._client.is_running())
            stage.observed(mine)
            stage.stop(mine, grace=0.0)
            stage.remove(mine)
        assert (other.pid(theirs), other.observed(theirs).restarts) == (pid, 0)
    finally:
        take_down(other.engine)


def test_a_stop_signal_is_heard_and_a_deaf_replica_is_killed_after_its_grace(stage: Stage) -> None:
    polite = stage.shell("polite", "trap 'echo bye; exit 3' USR1; while :; do sleep 0.05; done", stop_signal="SIGUSR1")
    deaf = stage.shell("deaf", "trap '' TERM; while :; do sleep 0.05; done")
    stage.start(polite)
    stage.start(deaf)
    time.sleep(0.3)
    stage.stop(polite)
    assert stage.observed(polite).exit_code == 3
    assert stage.texts(polite) == ["bye"]
    began = time.monotonic()
    stage.stop(deaf, grace=1.0)
    assert 0.9 < time.monotonic() - began < 5
    assert stage.observed(deaf).exit_code == 128 + signal.SIGKILL


def test_restart_policies(stage: Stage) -> None:
    always = stage.shell("always", "echo run; exit 4", restart=Restart(policy="always"))
    limited = stage.shell("limited", "echo run; exit 5", restart=Restart(policy="on-failure", attempts=2))
    never = stage.shell("never", "exit 6")
    for service in (always, limited, never):
        stage.start(service)
    assert until(lambda: stage.observed(always).restarts >= 3)
    assert until(lambda: stage.observed(limited).state is ReplicaState.EXITED)
    assert stage.texts(limited) == ["run"] * 3
    assert (stage.observed(never).exit_code, stage.observed(never).restarts) == (6, 0)
    stage.stop(always)
    runs = len(stage.texts(always))
    time.sleep(1.0)
    assert len(stage.texts(always)) == runs, "a stopped replica stays stopped"
    stage.engine.perform(RestartReplica(service="always", slot=1), stage.context)
    assert until(lambda: len(stage.texts(always)) > runs)


def test_a_killed_replica_comes_back(stage: Stage) -> None:
    web = stage.web(restart=Restart(policy="unless-stopped"))
    stage.start(web)
    stage.wait(web)
    pid = stage.pid(web)
    os.kill(pid, signal.SIGKILL)
    assert until(lambda: stage.pid(web) != pid)
    assert stage.wait(web).state is HealthState.HEALTHY


def test_replicas_outlive_the_supervisor_and_are_taken_over(stage: Stage) -> None:
    web = stage.web(restart=Restart(policy="always"))
    stage.start(web)
    stage.wait(web)
    pid = stage.pid(web)
    os.kill(stage.engine._client.facts().pid, signal.SIGKILL)
    address = stage.engine._replicas._allocations.address("shop", "web.1")
    assert until(lambda: not stage.engine._client.is_running())
    for _ in range(20):
        _get(address)
    assert stage.observed(web).state is ReplicaState.RUNNING
    assert stage.pid(web) == pid
    assert stage.texts(web).count("asked /") >= 20, "what it wrote meanwhile is not lost"
    os.kill(pid, signal.SIGKILL)
    assert until(lambda: stage.pid(web) != pid), "an adopted replica is restarted too"


def test_a_replica_that_dies_while_nobody_watches_is_restarted_by_the_next_supervisor(stage: Stage) -> None:
    web = stage.web(restart=Restart(policy="always"))
    stage.start(web)
    stage.wait(web)
    supervisor, pid = stage.engine._client.facts().pid, stage.pid(web)
    os.kill(supervisor, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    assert until(lambda: stage.engine.observe("shop").replicas[0].restarts == 1)
    assert stage.wait(web).state is HealthState.HEALTHY


def test_a_supervisor_stays_small(viewed: Stage) -> None:
    web = viewed.web()
    for slot in range(1, 6):
        viewed.start(web, slot)
        viewed.wait(web, slot)
    with open(f"/proc/{viewed.engine._client.facts().pid}/status") as file:
        resident = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
    assert resident < 30 * 1024


def test_a_program_that_cannot_start_is_told_at_once(stage: Stage) -> None:
    broken = stage.add(replace(stage.shell("broken", "x"), command=("no-such-program",)))
    with pytest.raises(FailedError, match=r"could not be started: No such file or directory: no-such-program"):
        stage.start(broken)
    assert stage.observed(broken).exit_code == 127
    assert "havre: cannot start" in stage.texts(broken)[0]


def test_listening_on_every_address_is_explained(stage: Stage) -> None:
    with socket.create_server(("0.0.0.0", 0)) as free:
        port = free.getsockname()[1]
    web = stage.web(environment=(("BIND", "00.0.0.0"),), expose=(str(port),))
    stage.start(web)
    assert until(lambda: "every address" in stage.engine.probe(web, 1, stage.context).output), stage.texts(web)
    result = stage.engine.probe(web, 1, stage.context)
    assert result.state is HealthState.UNHEALTHY
    assert "bind to $HOST:$PORT" in result.output


def test_health_checks_are_asked_at_the_replicas_own_address(stage: Stage) -> None:
    line = "python3 -c \"import urllib.request as r; print(r.urlopen('http://127.0.0.1:8000/').status)\""
    web = stage.web(health=HealthCheck(test=(line,), shell=True))
    stage.start(web)
    result = stage.wait(web)
    assert result.state is HealthState.HEALTHY
    assert stage.engine.address(web, 1, stage.context) in result.asked
    assert result.output == "200"


def test_a_fetch_by_a_program_that_is_not_here_is_made_for_it(stage: Stage) -> None:
    web = stage.web(health=HealthCheck(test=("curl", "-f", "http://localhost:8000/"), shell=False))
    stage.start(web)
    web = stage.add(replace(web, health=HealthCheck(test=("/usr/lib/none/curl", "-f", "http://localhost:8000/"))))
    result = stage.wait(web)
    assert (result.state, result.output) == (HealthState.HEALTHY, "answered 200")
    assert "not on this server" in result.asked


def test_a_check_that_only_says_no_is_unverified(stage: Stage) -> None:
    web = stage.web(health=HealthCheck(test=("echo NOAUTH Authentication required.",), shell=True))
    stage.start(web)
    assert stage.engine.probe(web, 1, stage.context).state is HealthState.UNVERIFIED


def test_a_one_off_runs_once_and_leaves_nothing(stage: Stage) -> None:
    service = stage.shell("backend", "sleep 100", environment=(("MODE", "x"),))
    stage.prepare()
    said: list[str] = []
    step = RunTask(service=service, command=("sh", "-c", "echo migrated $MODE; echo careful >&2"), title="migrate")
    stage.engine.perform(step, stage.context, progress=said.append)
    assert sorted(said) == ["careful", "migrated x"]
    assert stage.engine.observe("shop").replicas == ()


def test_a_failed_one_off_shows_its_last_words_and_stays_for_the_logs(stage: Stage) -> None:
    service = stage.shell("backend", "sleep 100")
    stage.prepare()
    with pytest.raises(FailedError, match="exit code 3") as caught:
        stage.engine.perform(
            RunTask(service=service, command=("sh", "-c", "echo no such table; exit 3")), stage.context
        )
    assert caught.value.problems[0].evidence == ("no such table",)
    (left,) = stage.engine.observe("shop").replicas
    assert (left.role, left.slot >= 9001, left.exit_code) == ("task", True, 3)
    kept = stage.engine.logs("shop", LogQuery(failed=True))
    assert [line.text for line in kept] == ["no such table"]


def test_a_one_off_that_takes_too_long_is_stopped(stage: Stage) -> None:
    service = stage.shell("backend", "sleep 100", stop_grace=1.0)
    stage.prepare()
    with pytest.raises(FailedError, match=r"did not finish within 0\.5 s"):
        stage.engine.perform(RunTask(service=service, command=("sleep", "60"), timeout=0.5), stage.context)
    assert not any(replica.is_running for replica in stage.engine.observe("shop").replicas)


def test_commands_run_in_the_replicas_world(stage: Stage) -> None:
    service = stage.shell("box", "sleep 1000", environment=(("COLOUR", "blue"),))
    stage.start(service)
    run = stage.engine.execute
    assert run("shop", "box", 1, ["cat"], stdin=b"x" * 300_000).output == "x" * 300_000
    done = run("shop", "box", 1, ["sh", "-c", "echo $COLOUR $MORE; exit 7"], environment=(("MORE", "green"),))
    assert (done.exit_code, done.output) == (7, "blue green\n")
    assert run("shop", "box", 1, ["no-such-program"]).exit_code == 127
    with pytest.raises(FailedError, match=r"did not finish within 0\.3 s"):
        run("shop", "box", 1, ["sleep", "7658"], timeout=0.3)
    gone = ["pgrep", "-f", "^sleep 7658"]
    assert until(lambda: subprocess.run(gone, capture_output=True, check=False).returncode == 1)
    stage.stop(service)
    with pytest.raises(FailedError, match="does not run"):
        run("shop", "box", 1, ["true"])


def test_logs_in_order_by_service_with_tail_and_follow(stage: Stage) -> None:
    one = stage.shell("one", "for n in 1 2 3 4 5; do echo one $n; sleep 0.02; done; sleep 0.5; echo late; sleep 100")
    two = stage.shell("two", "echo two; sleep 100")
    stage.start(one)
    stage.start(two)
    assert until(lambda: "late" in stage.texts(one))
    every = list(stage.engine.logs("shop", LogQuery()))
    assert [line.at for line in every] == sorted(line.at for line in every)
    assert {line.service for line in every} == {"one", "two"}
    last = stage.engine.logs("shop", LogQuery(services=("one",), tail=2))
    assert [line.text for line in last] == ["one 5", "late"]
    assert list(stage.engine.logs("shop", LogQuery(since=every[-1].at + 1))) == []
    followed = stage.engine.logs("shop", LogQuery(services=("three",), follow=True))
    three = stage.shell("three", "sleep 0.2; echo first; sleep 0.3; echo second; sleep 100")
    stage.start(three)
    assert [next(followed).text, next(followed).text] == ["first", "second"]


def test_a_log_stays_within_its_bounds(stage: Stage) -> None:
    options = (("max-size", "100k"), ("max-file", "2"))
    line = "i=0; while [ $i -lt 6000 ]; do echo line $i of a chatty service; i=$((i+1)); done; echo end; sleep 100"
    chatty = stage.shell("chatty", line, logging=Logging(driver="json-file", options=options))
    stage.start(chatty)
    assert until(lambda: stage.texts(chatty)[-1:] == ["end"])
    files = list((stage.directory / "state" / "replicas" / "shop" / "chatty.1").glob("log*"))
    assert sorted(file.name for file in files) == ["log", "log.1"]
    assert all(file.stat().st_size <= 100 * 1024 for file in files)


def test_named_volumes_keep_what_anonymous_ones_lose(stage: Stage) -> None:
    stage.volumes = [Volume(key="data", name="shop_data")]
    mounts = (
        Mount(kind=MountKind.VOLUME, target="/app/kept", source="data"),
        Mount(kind=MountKind.VOLUME, target="/app/lost"),
    )
    service = stage.shell(
        "store", "sleep 1000", mounts=mounts, environment=(("KEPT", "/app/kept"), ("LOST", "/app/lost"))
    )
    stage.start(service)
    stage.engine.execute("shop", "store", 1, ["sh", "-c", "echo 1 > $KEPT/a && echo 2 > $LOST/b"])
    stage.stop(service)
    stage.remove(service)
    stage.start(service, 2)
    done = stage.engine.execute("shop", "store", 2, ["sh", "-c", "cat $KEPT/a; ls $LOST"])
    assert done.output == "1\n"


def test_mounts_secrets_and_own_files_are_where_compose_says(viewed: Stage) -> None:
    (viewed.directory / "bound").mkdir()
    (viewed.directory / "bound" / "conf").write_text("bound\n")
    mounts = (
        Mount(
            kind=MountKind.BIND,
            target="/etc/shop/deep/conf",
            source=str(viewed.directory / "bound" / "conf"),
            read_only=True,
        ),
        Mount(kind=MountKind.TMPFS, target="/var/cache/shop", size=65536),
    )
    service = viewed.shell("box", "sleep 1000", mounts=mounts, tmpfs=("/scratch:size=65536",))
    viewed.start(service)
    script = (
        "cat /etc/shop/deep/conf; echo no > /etc/shop/deep/conf;"
        " touch /var/cache/shop/x /scratch/y /app/z /tmp/t && echo ok; ls /app; ls -d /etc/passwd"
    )
    said = viewed.engine.execute("shop", "box", 1, ["sh", "-c", script]).output
    assert "bound\n" in said
    assert "Read-only file system" in said
    assert said.endswith("ok\nDockerfile\nz\n/etc/passwd\n")
    image = viewed.observed(service).image_id
    assert not (viewed.directory / "state" / "images" / image / "app" / "z").exists(), (
        "the release itself never changes"
    )


def test_a_read_only_service_cannot_change_its_own_files_and_what_means_nothing_is_named(viewed: Stage) -> None:
    service = viewed.shell("box", "sleep 1000", read_only=True, cap_drop=("ALL",), user="nobody-knows-me")
    viewed.start(service)
    assert "Read-only" in viewed.engine.execute("shop", "box", 1, ["touch", "/app/x"]).output
    assert viewed.engine.execute("shop", "box", 1, ["touch", "/tmp/x"]).exit_code == 0
    assert "box.1: without effect for a process: cap_drop, user" in viewed.said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make control groups here")
def test_memory_limits_are_enforced_and_named(viewed: Stage) -> None:
    eater = viewed.shell(
        "eater",
        "python3 -c 'x = bytearray(300 * 1024 * 1024); print(len(x))'; sleep 5",
        resources=Resources(memory=64 * 1024**2),
    )
    viewed.start(eater)
    assert until(lambda: viewed.observed(eater).oom_killed or not viewed.observed(eater).is_running)
    usage = viewed.engine.usage("shop")
    assert "314572800" not in viewed.texts(eater)
    assert all(one.memory_limit == 64 * 1024**2 for one in usage)


def test_usage_of_what_runs(stage: Stage) -> None:
    busy = stage.shell("busy", "while :; do :; done")
    idle = stage.shell("idle", "sleep 1000")
    stage.start(busy)
    stage.start(idle)
    usage = {one.service: one for one in stage.engine.usage("shop")}
    assert (usage["busy"].cpu or 0) > (usage["idle"].cpu or 0)
    assert all((one.memory or 0) > 50_000 for one in usage.values())


@pytest.mark.slow
def test_a_supervisor_with_nothing_to_keep_leaves(viewed: Stage) -> None:
    web = viewed.web(health=HealthCheck(test=("true",), interval=60.0))
    viewed.start(web)
    viewed.stop(web)
    viewed.remove(web)
    assert viewed.engine._client.is_running()
    assert until(lambda: not viewed.engine._client.is_running(), seconds=25)


def test_nobody_is_left_when_all_is_removed(stage: Stage) -> None:
    web = stage.web()
    stage.start(web)
    stage.stop(web)
    stage.remove(web)
    assert not list((stage.directory / "state" / "replicas").rglob("*"))


def test_health_is_seen_as_it_changes(stage: Stage) -> None:
    check = HealthCheck(test=("test -e $FLAG && echo fine",), shell=True, interval=0.2, timeout=2.0, retries=2)
    web = stage.web(health=check, environment=(("FLAG", "/dev/shm/havre-test-flag"),))
    flag = Path("/dev/shm/havre-test-flag")
    flag.unlink(missing_ok=True)
    stage.start(web)
    assert stage.observed(web).health in {HealthState.STARTING, HealthState.UNHEALTHY}
    assert until(lambda: stage.observed(web).health is HealthState.UNHEALTHY)
    stage.engine.execute("shop", "web", 1, ["sh", "-c", 'touch "$FLAG"'])
    assert until(lambda: stage.observed(web).health is HealthState.HEALTHY)
    os.kill(stage.engine._client.facts().pid, signal.SIGKILL)
    assert until(lambda: not stage.engine._client.is_running())
    stage.observed(web)
    stage.engine.execute("shop", "web", 1, ["sh", "-c", 'rm "$FLAG"'])
    assert until(lambda: stage.observed(web).health is HealthState.UNHEALTHY), "also under the next supervisor"


def test_a_check_that_hangs_is_ended_and_counts_as_failed(viewed: Stage) -> None:
    check = HealthCheck(test=("sleep", "7659"), interval=0.1, timeout=0.2, retries=1)
    web = viewed.web(health=check)
    viewed.start(web)
    assert until(lambda: viewed.observed(web).health is HealthState.UNHEALTHY)
    viewed.stop(web)
    gone = ["pgrep", "-f", "^sleep 7659"]
    assert until(lambda: subprocess.run(gone, capture_output=True, check=False).returncode == 1)


def test_a_replica_goes_whole_while_others_names_are_written(viewed: Stage) -> None:
    web = viewed.shell("web", "sleep 1000")
    viewed.start(web)
    viewed.stop(web, grace=0.0)
    names = viewed.directory / "state" / "locks" / "shop.names"
    with ThreadPoolExecutor(1) as others:
        with exclusive(names, what="the names", doing="write them"):
            removal = others.submit(viewed.remove, web)
            with pytest.raises(TimeoutError):
                removal.result(timeout=0.3)
            assert (viewed.directory / "state" / "replicas" / "shop" / "web.1" / "hosts").exists()
        removal.result(timeout=10)
    assert viewed.engine.observe("shop").replicas == ()

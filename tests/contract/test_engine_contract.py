"""What every engine must do alike, whatever it runs replicas on."""

from __future__ import annotations

import io
import json
import os
import threading
import time
from dataclasses import replace
from typing import Any

import pytest
from engine_bench import World

from havre.engines.base import DataAccess, LogLine, LogQuery
from havre.errors import FailedError, HavreError
from havre.model.health import HealthCheck, HealthState
from havre.model.observed import ReplicaState
from havre.model.plan import (
    CreateNetwork,
    CreateVolume,
    EngineStep,
    RemoveNetwork,
    RemoveReplica,
    RemoveVolume,
    RunTask,
    StartReplica,
    StopReplica,
)
from havre.model.project import Network, Restart, Volume

SLEEP = "import time; print('ready', flush=True); time.sleep(600)"
DEAF = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print('ready', flush=True)\nwhile True: time.sleep(1)"
)


def texts(lines: Any) -> list[str]:
    return [line.text for line in lines]


# -- looking ---------------------------------------------------------------------------------------------------------


def test_an_unknown_instance_is_empty(world: World) -> None:
    observed = world.engine.observe("nobody-has-this-name")

    assert (observed.replicas, observed.instance) == ((), "nobody-has-this-name")


def test_a_started_replica_is_observed_with_what_it_was_made_from(world: World) -> None:
    web = world.bench.serving()

    world.start(web, 3, release=7, fingerprint="v1 image=abc")

    seen = world.replica(web, 3)
    assert (seen.service, seen.slot, seen.release, seen.fingerprint) == ("web", 3, 7, "v1 image=abc")
    assert (seen.state, seen.role, seen.restarts, seen.exit_code) == (ReplicaState.RUNNING, "replica", 0, None)
    assert seen.id
    assert seen.name


def test_the_start_time_is_when_it_started(world: World) -> None:
    world.needs("clock")
    web = world.bench.serving()

    world.start(web)

    assert abs(world.replica(web).started_at - time.time()) < 30


def test_instances_lists_those_that_have_replicas(world: World) -> None:
    assert world.instance not in world.engine.instances()

    world.start(world.bench.serving())

    assert world.instance in world.engine.instances()


def test_of_service_gives_replicas_by_slot_and_leaves_out_one_offs(world: World) -> None:
    web = world.bench.serving()
    world.start(web, 2)
    world.start(web, 1)
    world.run_failing(web, 1)

    found = world.engine.observe(world.instance).of_service("web")

    assert [replica.slot for replica in found] == [1, 2]


def test_networks_and_volumes_know_their_instance(world: World) -> None:
    world.with_volume(world.bench.serving())

    observed = world.engine.observe(world.instance)

    network, volume = observed.network(world.network.name), observed.volume(f"{world.instance}_data")
    assert network is not None
    assert volume is not None
    assert (network.instance, volume.instance) == (world.instance, world.instance)


def test_the_engine_describes_itself_in_one_line(world: World) -> None:
    assert world.engine.name in world.engine.describe().lower()
    assert "\n" not in world.engine.describe()


# -- doing, and doing again ------------------------------------------------------------------------------------------


def test_starting_again_keeps_the_same_replica(world: World) -> None:
    web = world.bench.serving()
    world.start(web)
    before = world.replica(web)

    world.start(web)

    assert world.replica(web).id == before.id
    assert len(world.replicas()) == 1


def test_a_start_that_was_cut_short_can_be_done_again(world: World) -> None:
    web = world.bench.serving()
    world.start(web)
    world.stop(web)

    world.start_healthy(web)

    assert world.replica(web).state is ReplicaState.RUNNING


def test_a_slot_held_by_another_release_is_not_taken(world: World) -> None:
    web = world.bench.serving()
    world.start(web, release=1, fingerprint="v1 a=1")
    before = world.replica(web)

    with pytest.raises(HavreError, match="slot"):
        world.start(web, release=2, fingerprint="v1 a=2")

    assert world.replica(web) == replace(before, health=world.replica(web).health)


def test_creating_what_exists_is_no_error(world: World) -> None:
    volume = Volume(key="x", name=f"{world.instance}_x")
    world.volumes = (volume,)
    steps: list[EngineStep] = [CreateNetwork(network=world.network), CreateVolume(volume=volume)]
    for step in steps * 2:
        world.engine.perform(step, world.context())


def test_stopping_and_removing_what_is_gone_is_no_error(world: World) -> None:
    steps: list[EngineStep] = [
        StopReplica(service="web", slot=1),
        RemoveReplica(service="web", slot=1),
        RemoveNetwork(name=f"{world.instance}_never"),
        RemoveVolume(name=f"{world.instance}_never"),
    ]
    for step in steps:
        world.engine.perform(step, world.context())


def test_stopping_twice_is_no_error(world: World) -> None:
    web = world.bench.serving()
    world.start_healthy(web)

    world.stop(web)
    world.stop(web)

    assert world.replica(web).state is ReplicaState.EXITED


def test_two_replicas_of_one_service_run_beside_each_other(world: World) -> None:
    web = world.bench.serving()

    world.start_healthy(web, 1)
    world.start_healthy(web, 2)

    first, second = (world.engine.address(web, slot, world.context()) for slot in (1, 2))
    assert first != second


def test_independent_replicas_can_be_started_from_several_threads(world: World) -> None:
    services = [world.bench.serving(f"web{number}") for number in range(4)]
    errors: list[HavreError] = []

    def start(service: Any) -> None:
        try:
            step = StartReplica(service=service, slot=1, fingerprint="v1 a=1")
            world.engine.perform(step, world.context())
        except HavreError as error:
            errors.append(error)

    threads = [threading.Thread(target=start, args=(service,)) for service in services]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert [replica.service for replica in world.replicas()] == [service.name for service in services]


# -- stopping --------------------------------------------------------------------------------------------------------


def test_a_replica_that_listens_ends_at_once_and_says_goodbye(world: World) -> None:
    world.needs("programs")
    web = world.bench.serving()
    world.start_healthy(web)
    started = time.monotonic()

    world.stop(web, grace=15.0)

    assert time.monotonic() - started < 5.0
    assert world.replica(web).exit_code == 0
    assert "bye" in texts(world.engine.logs(world.instance, LogQuery(services=("web",))))


def test_a_replica_that_does_not_listen_gets_its_grace_and_no_more(world: World) -> None:
    world.needs("programs")
    deaf = world.bench.service("deaf", DEAF)
    world.start(deaf)
    wait_for_line(world, "ready")
    started = time.monotonic()

    world.stop(deaf, grace=1.0)

    assert 0.9 < time.monotonic() - started < 6.0
    assert world.replica(deaf).state is ReplicaState.EXITED


def test_a_stopped_replica_can_be_started_again_as_it_is(world: World) -> None:
    web = world.bench.serving()
    world.start_healthy(web)
    before = world.replica(web)
    world.stop(web)

    world.restart(web)
    world.await_state(web, HealthState.HEALTHY)

    assert (world.replica(web).id, world.replica(web).release) == (before.id, before.release)


def test_a_stopped_replica_stays_until_it_is_removed(world: World) -> None:
    web = world.bench.serving()
    world.start_healthy(web)
    world.stop(web)
    assert [replica.state for replica in world.replicas()] == [ReplicaState.EXITED]

    world.remove(web)

    assert world.replicas() == ()


def test_a_replica_that_always_restarts_stays_down_when_stopped(world: World) -> None:
    web = world.bench.serving(restart=Restart(policy="always"))
    world.start_healthy(web)

    world.stop(web)
    time.sleep(1.0)

    assert world.replica(web).state is ReplicaState.EXITED


# -- how it ended ----------------------------------------------------------------------------------------------------


def test_a_replica_that_exits_is_kept_with_its_exit_code(world: World) -> None:
    bad = world.bench.exiting("bad", 3)
    world.start(bad)
    wait_for_state(world, bad, ReplicaState.EXITED)

    seen = world.replica(bad)

    assert (seen.exit_code, seen.oom_killed) == (3, False)
    assert seen.finished_at >= seen.started_at > 0


def test_a_restart_loop_is_counted(world: World) -> None:
    world.needs("programs")
    bad = world.bench.exiting("bad", 1, restart=Restart(policy="on-failure", attempts=2))
    world.start(bad)
    wait_for_state(world, bad, ReplicaState.EXITED)

    assert world.replica(bad).restarts == 2


# -- probing ---------------------------------------------------------------------------------------------------------


def test_a_passing_check_is_healthy_with_its_words(world: World) -> None:
    world.needs("programs")
    web = world.bench.serving()
    world.start(web)

    result = world.await_state(web, HealthState.HEALTHY)

    assert "hello from web" in result.output
    assert result.exit_code == 0


def test_a_failing_check_is_unhealthy_with_its_words_and_code(world: World) -> None:
    world.needs("programs")
    check = HealthCheck(test=world.bench.script("print('no database'); raise SystemExit(2)"))
    web = world.bench.serving(health=check)
    world.start(web)

    result = world.engine.probe(web, 1, world.context())

    assert (result.state, result.exit_code) == (HealthState.UNHEALTHY, 2)
    assert "no database" in result.output


def test_a_check_that_passes_without_being_let_in_is_unverified(world: World) -> None:
    world.needs("programs")
    web = world.bench.serving(health=HealthCheck(test=world.bench.script("print('NOAUTH Authentication required.')")))
    world.start(web)

    result = world.engine.probe(web, 1, world.context())

    assert (result.state, result.exit_code) == (HealthState.UNVERIFIED, 0)


def test_a_check_that_never_answers_is_unhealthy_after_its_timeout(world: World) -> None:
    world.needs("programs")
    web = world.bench.serving(health=HealthCheck(test=world.bench.script("import time; time.sleep(60)"), timeout=1.0))
    world.start(web)
    started = time.monotonic()

    result = world.engine.probe(web, 1, world.context())

    assert result.state is HealthState.UNHEALTHY
    assert time.monotonic() - started < 5.0


def test_a_replica_that_is_gone_is_unhealthy_and_says_how_it_ended(world: World) -> None:
    world.needs("programs")
    bad = world.bench.exiting("bad", 3)
    world.start(bad)
    wait_for_state(world, bad, ReplicaState.EXITED)

    result = world.engine.probe(bad, 1, world.context())

    assert result.state is HealthState.UNHEALTHY
    assert "3" in result.output


def test_without_a_check_an_open_port_is_the_evidence(world: World) -> None:
    world.needs("ports")
    web = world.bench.serving(health=None)
    world.start(web)

    result = world.await_state(web, HealthState.HEALTHY)

    assert "8080" in result.output


def test_without_a_check_a_closed_port_is_not_healthy(world: World) -> None:
    world.needs("ports")
    mute = world.bench.service("mute", SLEEP, expose=("9999",))
    world.start(mute)

    assert world.engine.probe(mute, 1, world.context()).state is not HealthState.HEALTHY


def test_without_check_and_port_running_is_all_there_is(world: World) -> None:
    world.needs("programs")
    worker = world.bench.service("worker", SLEEP)
    world.start(worker)

    assert world.engine.probe(worker, 1, world.context()).state is HealthState.NONE


# -- logs ------------------------------------------------------------------------------------------------------------


def test_logs_tell_service_slot_stream_and_time(world: World) -> None:
    world.needs("programs")
    web = world.bench.serving()
    world.start_healthy(web, 2)

    lines = {line.text: line for line in world.engine.logs(world.instance, LogQuery())}

    ready, careful = lines["ready"], lines["careful"]
    assert (ready.service, ready.slot, ready.stream, careful.stream) == ("web", 2, "stdout", "stderr")
    assert abs(ready.at - time.time()) < 60


def test_logs_of_several_replicas_come_in_order_of_time(world: World) -> None:
    world.needs("programs")
    source = "import time\nfor n in range(4): print('line', n, flush=True); time.sleep(0.15)\ntime.sleep(600)"
    for name in ("left", "right"):
        world.start(world.bench.service(name, source))
    wait_for_lines(world, 8)

    lines = list(world.engine.logs(world.instance, LogQuery()))

    assert [line.at for line in lines] == sorted(line.at for line in lines)
    assert {line.service for line in lines} == {"left", "right"}


def test_tail_counts_per_replica_and_services_choose(world: World) -> None:
    world.needs("programs")
    for name in ("left", "right"):
        world.start(world.bench.service(name, "print('a'); print('b'); print('c'); import time; time.sleep(600)"))
    wait_for_lines(world, 6)

    both = list(world.engine.logs(world.instance, LogQuery(tail=2)))
    one = list(world.engine.logs(world.instance, LogQuery(services=("left",))))

    assert sorted(texts(both)) == ["b", "b", "c", "c"]
    assert texts(one) == ["a", "b", "c"]


def test_since_and_until_cut_out_a_time(world: World) -> None:
    world.needs("programs")
    source = "import time\nfor n in range(3): print(n, flush=True); time.sleep(1.2)\ntime.sleep(600)"
    world.start(world.bench.service("slow", source))
    wait_for_lines(world, 3)
    everything = list(world.engine.logs(world.instance, LogQuery()))
    middle = everything[1].at

    cut = list(world.engine.logs(world.instance, LogQuery(since=middle - 0.5, until=middle + 0.5)))

    assert texts(cut) == ["1"]


def test_following_gives_what_was_and_what_comes(world: World) -> None:
    world.needs("programs")
    source = "import time\nfor n in range(100): print(n, flush=True); time.sleep(0.2)"
    world.start(world.bench.service("slow", source))
    wait_for_lines(world, 2)

    following = world.engine.logs(world.instance, LogQuery(follow=True))
    first = [next(following) for _ in range(6)]
    del following

    assert texts(first) == ["0", "1", "2", "3", "4", "5"]


def test_following_hears_replicas_that_start_later(world: World) -> None:
    world.needs("programs")
    world.start(world.bench.service("first", SLEEP))
    heard: list[LogLine] = []
    enough = threading.Event()

    def listen() -> None:
        for line in world.engine.logs(world.instance, LogQuery(follow=True)):
            heard.append(line)
            if line.service == "second":
                break
        enough.set()

    threading.Thread(target=listen, daemon=True).start()
    time.sleep(0.5)
    world.start(world.bench.service("second", SLEEP))

    assert enough.wait(15), heard
    assert heard[-1].text == "ready"


def test_failed_logs_are_those_of_replicas_that_were_kept(world: World) -> None:
    world.needs("programs")
    world.start_healthy(world.bench.serving())
    bad = world.bench.exiting("bad", 1, "why it failed")
    world.start(bad)
    wait_for_state(world, bad, ReplicaState.EXITED)

    assert texts(world.engine.logs(world.instance, LogQuery(failed=True))) == ["why it failed"]


# -- commands inside -------------------------------------------------------------------------------------------------


def test_exec_gives_output_and_exit_code(world: World) -> None:
    world.needs("programs")
    world.start_healthy(world.bench.serving())
    command = world.bench.script("import sys; print('out'); print('err', file=sys.stderr); raise SystemExit(5)")

    done = world.engine.execute(world.instance, "web", 1, command)

    assert (done.exit_code, sorted(done.output.split())) == (5, ["err", "out"])


def test_exec_feeds_stdin_and_environment(world: World) -> None:
    world.needs("programs")
    world.start_healthy(world.bench.serving())
    command = world.bench.script("import os, sys; print(os.environ['GREETING'], len(sys.stdin.read()))")

    done = world.engine.execute(
        world.instance, "web", 1, command, stdin=b"x" * 300_000, environment=[("GREETING", "hello")]
    )

    assert (done.exit_code, done.output.strip()) == (0, "hello 300000")


def test_exec_that_takes_too_long_is_an_error(world: World) -> None:
    world.needs("programs")
    world.start_healthy(world.bench.serving())

    with pytest.raises(FailedError, match="within 1 s"):
        world.engine.execute(world.instance, "web", 1, world.bench.script("import time; time.sleep(30)"), timeout=1.0)


def test_any_amount_goes_into_a_command_and_out_of_it(world: World) -> None:
    world.needs("programs")
    world.start_healthy(world.bench.serving())
    assert isinstance(world.engine, DataAccess)
    content, output = os.urandom(30_000_000), io.BytesIO()
    twice = "import shutil, sys; shutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer); print('all', file=sys.stderr)"

    done = world.engine.stream(
        world.instance, "web", 1, world.bench.script(twice), stdin=io.BytesIO(content), stdout=output
    )

    assert (done.exit_code, done.complaints.strip()) == (0, "all")
    assert output.getvalue() == content


@pytest.mark.parametrize(
    ("source", "exit_code", "said"),
    [
        ("import sys; sys.stdout.buffer.write(sys.stdin.buffer.read(3))", 0, b"\0\0\0"),
        ("raise SystemExit(3)", 3, b""),
        ("import os, sys; os.close(0); sys.stdout.write('closed')", 0, b"closed"),
    ],
    ids=["reads a little", "reads nothing", "closes it"],
)
def test_a_command_that_does_not_read_all_ends_as_it_says(
    world: World, source: str, exit_code: int, said: bytes
) -> None:
    world.needs("programs")
    world.start_healthy(world.bench.serving())
    assert isinstance(world.engine, DataAccess)
    output = io.BytesIO()

    done = world.engine.stream(
        world.instance, "web", 1, world.bench.script(source), stdin=io.BytesIO(bytes(30_000_000)), stdout=output
    )

    assert (done.exit_code, output.getvalue()) == (exit_code, said)


def test_exec_in_what_does_not_run_says_so(world: World) -> None:
    world.needs("programs")
    web = world.bench.serving()
    world.start_healthy(web)
    world.stop(web)

    with pytest.raises(FailedError, match=r"web\.1:? does not run") as stopped:
        world.engine.execute(world.instance, "web", 1, ("true",))
    assert "`havre start web`" in stopped.value.problems[0].hint


def test_hooks_run_after_the_start_and_before_the_stop(world: World) -> None:
    world.needs("programs")
    note = "import os; print(os.environ['WORD'], os.getcwd(), file=open('/data/log', 'a'))"
    up = {"command": world.bench.script(note), "environment": {"WORD": "up"}, "working_dir": "/data"}
    down = {"command": "cd /data && echo down >> log"}
    hooks = (("post_start", json.dumps([up])), ("pre_stop", json.dumps([down])))
    web = world.with_volume(world.bench.serving(options=hooks))
    world.start_healthy(web)

    world.stop(web)

    assert world.run(web, "print(open('/data/log').read())")[:2] == ["up /data", "down"]


def test_a_hook_that_fails_is_told_with_its_words(world: World) -> None:
    world.needs("programs")
    hooks = (("post_start", json.dumps([{"command": "echo no cache here; exit 9"}])),)

    with pytest.raises(FailedError, match="exit code 9") as failure:
        world.start(world.bench.serving(options=hooks))

    assert "no cache here" in failure.value.problems[0].evidence


# -- one-offs --------------------------------------------------------------------------------------------------------


def test_a_task_runs_to_its_end_and_leaves_nothing(world: World) -> None:
    web = world.bench.serving()

    world.run(web, "print('migrating'); print('done')", title="migrate")

    assert world.replicas() == ()


def test_a_task_tells_its_lines_as_they_come(world: World) -> None:
    world.needs("programs")

    told = world.run(world.bench.serving(), "print('migrating'); print('done')", title="migrate")

    assert told == ["migrating", "done"]


def test_a_failed_task_is_kept_with_its_exit_code(world: World) -> None:
    web = world.bench.serving()

    failure = world.run_failing(web, 4, title="migrate")

    assert "exit code 4" in failure.problems[0].summary
    assert [(kept.role, kept.state, kept.exit_code) for kept in world.replicas()] == [("task", ReplicaState.EXITED, 4)]


def test_a_failed_task_tells_its_last_lines(world: World) -> None:
    world.needs("programs")
    web = world.bench.serving()

    failure = world.run_failing(web, 4, "relation users does not exist", title="migrate")

    assert "relation users does not exist" in failure.problems[0].evidence
    assert "relation users does not exist" in texts(world.engine.logs(world.instance, LogQuery(failed=True)))


def test_a_task_that_takes_too_long_is_stopped(world: World) -> None:
    world.needs("programs")
    web = world.bench.serving()
    started = time.monotonic()

    with pytest.raises(FailedError, match="did not finish within 1 s"):
        world.run(web, "import time; print('started', flush=True); time.sleep(60)", title="migrate", timeout=1.0)

    assert time.monotonic() - started < 30
    assert all(not replica.is_running for replica in world.replicas())


def test_a_kept_task_does_not_stand_in_the_way_of_the_next(world: World) -> None:
    world.needs("programs")
    web = world.bench.serving()
    world.run_failing(web, 4, title="migrate", release=1)

    assert world.run(web, "print('fixed')", title="migrate", release=2) == ["fixed"]
    world.start_healthy(web)


def test_a_job_runs_its_own_command(world: World) -> None:
    world.needs("programs")
    seed = world.bench.service("seed", "print('seeded')")
    told: list[str] = []

    world.engine.perform(RunTask(service=seed, command=None, role="job"), world.context(), progress=told.append)

    assert told == ["seeded"]


# -- names, networks, volumes ----------------------------------------------------------------------------------------


def test_services_reach_each_other_by_name(world: World) -> None:
    world.needs("names")
    world.start_healthy(world.bench.serving("backend", 8081))
    world.start_healthy(world.bench.serving("frontend", 8082))
    ask = world.bench.script(
        "import urllib.request as r; print(r.urlopen('http://backend:8081', timeout=5).read().decode())"
    )

    done = world.engine.execute(world.instance, "frontend", 1, ask)

    assert done.output.strip() == "hello from backend"


def test_names_given_by_the_release_win(world: World) -> None:
    world.needs("names")
    web = world.bench.serving()
    context = replace(world.context(), names=(("backend", "127.0.0.9"),))
    world.engine.perform(StartReplica(service=web, slot=1, fingerprint="v1 a=1"), context)
    world.await_state(web, HealthState.HEALTHY)

    done = world.engine.execute(
        world.instance, "web", 1, world.bench.script("import socket; print(socket.gethostbyname('backend'))")
    )

    assert done.output.strip() == "127.0.0.9"


def test_this_machine_reaches_a_replica_at_its_address(world: World) -> None:
    world.needs("ports")
    import urllib.request

    web = world.bench.serving()
    world.start_healthy(web)

    address = world.engine.address(web, 1, world.context())

    with urllib.request.urlopen(f"http://{address}:8080", timeout=5) as answer:
        assert answer.read() == b"hello from web"


def test_the_address_of_what_does_not_run_is_an_error(world: World) -> None:
    with pytest.raises(FailedError, match=r"web\.1:? does not run") as never:
        world.engine.address(world.bench.serving(), 1, world.context())
    assert "`havre deploy`" in never.value.problems[0].hint, "there is nothing to start"


def test_a_volume_keeps_its_data_when_its_replica_goes(world: World) -> None:
    world.needs("programs")
    web = world.with_volume(world.bench.serving())
    target = web.mounts[0].target
    world.run(web, f"open('{target}/kept', 'w').write('precious')")

    assert world.run(web, f"print(open('{target}/kept').read())") == ["precious"]


def test_a_volume_in_use_is_not_removed(world: World) -> None:
    world.needs("programs")
    web = world.with_volume(world.bench.serving())
    world.start(web)

    with pytest.raises(HavreError, match="used by"):
        world.engine.perform(RemoveVolume(name=f"{world.instance}_data"), world.context())

    assert world.engine.observe(world.instance).volume(f"{world.instance}_data") is not None


def test_a_network_of_somebody_else_is_not_removed(world: World) -> None:
    world.needs("guards")
    other = replace(world.context(), instance="somebody-else")

    with pytest.raises(HavreError, match="does not belong"):
        world.engine.perform(RemoveNetwork(name=world.network.name), other)

    assert world.engine.observe(world.instance).network(world.network.name) is not None


def test_an_external_network_that_is_missing_is_named(world: World) -> None:
    world.needs("guards")
    network = Network(key="shared", name=f"{world.instance}_shared", external=True)

    with pytest.raises(HavreError, match=f"external network {world.instance}_shared does not exist"):
        world.engine.perform(CreateNetwork(network=network), world.context())


# -- usage -----------------------------------------------------------------------------------------------------------


def test_usage_measures_every_running_replica(world: World) -> None:
    web = world.bench.serving()
    world.start_healthy(web, 1)
    world.start_healthy(web, 2)
    world.stop(web, 2)

    used = world.engine.usage(world.instance)

    assert [(entry.service, entry.slot) for entry in used] == [("web", 1)]


def test_usage_measures_memory_of_a_real_program(world: World) -> None:
    world.needs("programs")
    world.start_healthy(world.bench.serving())

    used = world.engine.usage(world.instance)

    assert used[0].memory is not None
    assert used[0].memory > 1_000_000


def wait_for_lines(world: World, count: int) -> None:
    deadline = time.monotonic() + 20
    while len(found := list(world.engine.logs(world.instance, LogQuery()))) < count:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def wait_for_line(world: World, text: str) -> None:
    deadline = time.monotonic() + 20
    while text not in texts(found := list(world.engine.logs(world.instance, LogQuery()))):
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def wait_for_state(world: World, service: Any, state: ReplicaState) -> None:
    deadline = time.monotonic() + 20
    while (seen := world.replica(service)).state is not state:
        assert time.monotonic() < deadline, seen
        time.sleep(0.05)

"""The whole way on a real engine: from a Compose file to a proven, recorded release, and back."""

from __future__ import annotations

import re

import pytest
from shop import Shop


def test_a_first_deploy_serves_and_a_second_one_has_nothing_to_do(shop: Shop) -> None:
    first = shop.deploy()
    assert "serves" in first.stdout
    assert shop.get("/") == (200, {"web": "1", "api": {"version": "1", "count": 0}})
    assert shop.get("/api/health")[0] == 200
    assert "nothing to do" in shop.deploy().stdout
    assert [release["state"] for release in shop.json("releases")] == ["serving"]
    assert shop.replicas() == {"api.1": "running", "db.1": "running", "web.1": "running"}


def test_a_release_of_the_whole_stack_drops_no_request(shop: Shop) -> None:
    shop.deploy()
    with shop.visitors() as tally:
        shop.write(web="2", api="2")
        shop.deploy()
        shop.write(web="3", api="3")
        shop.deploy()
    assert tally.failed == 0, tally.examples
    assert tally.requests > 200
    assert shop.get("/")[1] == {"web": "3", "api": {"version": "3", "count": 0}}
    assert sorted(shop.replicas()) == ["api.1", "db.1", "web.1"]


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ({"web": "2", "api": "2", "broken": "exit"}, "exited with code 3"),
        ({"web": "2", "api": "2", "broken": "wrong"}, "status 500 instead of 200"),
    ],
)
def test_a_bad_release_changes_nothing_and_says_why(shop: Shop, fault: dict[str, str], why: str) -> None:
    shop.deploy()
    with shop.visitors() as tally:
        shop.write(**fault)
        refused = shop.deploy(check=False)
    assert refused.returncode == 1
    assert why in refused.stderr
    assert tally.failed == 0, tally.examples
    assert shop.get("/")[1]["web"] == "1", "the old release still serves, all of it"
    assert shop.get("/")[1]["api"]["version"] == "1", "no traffic moved to the half that was healthy"
    states = [release["state"] for release in shop.json("releases")]
    assert states == ["failed", "serving"]


def test_what_a_failed_replica_said_is_kept(shop: Shop) -> None:
    shop.deploy()
    shop.write(web="2", broken="exit")
    refused = shop.deploy(check=False)
    assert "KeyError: 'JWT_SECRET' is not set" in refused.stderr
    assert "KeyError: 'JWT_SECRET' is not set" in shop.havre("logs", "--failed", "web").stdout


def test_a_rollback_brings_back_configuration_and_all(shop: Shop) -> None:
    shop.deploy()
    shop.write(web="2", api="2")
    shop.deploy()
    with shop.visitors() as tally:
        shop.havre("rollback", "-y")
    assert tally.failed == 0, tally.examples
    assert shop.get("/")[1] == {"web": "1", "api": {"version": "1", "count": 0}}
    assert shop.json("releases")[0]["rolled_back_to"] == 1
    assert [line["action"] for line in shop.json("audit")] == [
        "rollback, release 3",
        "deploy, release 2",
        "deploy, release 1",
    ]


def test_scaling_changes_the_number_of_replicas_and_lasts(shop: Shop) -> None:
    shop.deploy()
    with shop.visitors() as tally:
        shop.havre("scale", "web=3", "-y")
    assert tally.failed == 0, tally.examples
    assert {"web.1", "web.2", "web.3"} <= set(shop.replicas())
    shop.write(api="2")
    shop.deploy()
    assert {"web.1", "web.2", "web.3"} <= set(shop.replicas())
    shop.havre("scale", "web=file", "-y")
    assert len([name for name in shop.replicas() if name.startswith("web")]) == 1


@pytest.mark.parametrize("shop", ["process"], indirect=True)
def test_what_a_person_scaled_to_nothing_is_not_called_missing(shop: Shop) -> None:
    path = shop.directory / "compose.yaml"
    aide = "services:\n  aide:\n    <<: *common\n    command: sleep 600\n    healthcheck: {disable: true}\n"
    path.write_text(path.read_text().replace("services:\n", aide))
    shop.deploy()
    shop.havre("scale", "aide=0", "-y")
    told = shop.havre("doctor", check=False)
    assert "aide: runs nowhere: it is scaled to 0" in told.stdout + told.stderr
    assert "has no replica" not in told.stdout + told.stderr


def test_a_restart_replaces_replicas_without_dropping_a_request(shop: Shop) -> None:
    shop.deploy()
    with shop.visitors() as tally:
        shop.havre("restart", "web", "api", "-y")
    assert tally.failed == 0, tally.examples
    assert shop.get("/")[0] == 200


def test_a_stateful_service_stops_first_and_requests_wait(shop: Shop) -> None:
    shop.deploy()
    shop.write(db="2")
    plan = shop.havre("plan").stdout
    assert re.search(r"db.*volume", plan, re.DOTALL), plan
    shop.deploy()
    assert shop.get("/")[0] == 200
    assert len([name for name in shop.replicas() if name.startswith("db")]) == 1


@pytest.mark.parametrize("shop", ["process"], indirect=True)
def test_of_a_failed_release_it_is_told_whose_old_replica_was_stopped_first(shop: Shop) -> None:
    shop.deploy()
    shop.write(db="2")
    path = shop.directory / "compose.yaml"
    broken = '    command: ["sh", "-c", "exit 7"]\n    environment: {ROLE: db'
    path.write_text(path.read_text().replace("    environment: {ROLE: db", broken))
    told = " ".join(shop.deploy(check=False).stderr.split())
    assert "effect: db stood still meanwhile: requests waited up to 15 s, then failed" in told
    shop.write(web="2", broken="exit")
    told = shop.deploy(check=False).stderr
    assert "[release-failed]" in told
    assert "stood still" not in told


@pytest.mark.parametrize("shop", ["process"], indirect=True)
def test_a_snapshot_that_nobody_could_read_is_refused_before_the_release_begins(shop: Shop) -> None:
    manifest = shop.directory / "havre.yaml"
    shop.deploy()
    shop.write(api="2")
    migrate = "release:\n  migrate: {service: api, run: 'true'}\n"
    manifest.write_text(manifest.read_text().replace("release:\n", migrate) + "backups:\n  db: {kind: volume}\n")
    plan = shop.havre("plan")
    assert "snapshot db" in plan.stdout
    assert "warning: nobody has confirmed yet" in plan.stderr
    refused = shop.deploy(check=False)
    assert (refused.returncode, "[key-not-escrowed]" in refused.stderr) == (3, True), refused.stderr
    assert [release["number"] for release in shop.json("releases")] == [1]
    shop.havre("backup", "export-key", "--to", str(shop.directory / "key"))
    assert shop.deploy().returncode == 0


def test_logs_exec_and_run_reach_the_replicas(shop: Shop) -> None:
    shop.deploy()
    assert "web 1 listens on 3000" in shop.havre("logs", "web").stdout
    errors = shop.havre("logs", "--level", "error").stdout
    assert "an error line to filter" in errors
    assert "listens on" not in errors
    assert shop.havre("exec", "-T", "api", "sh", "-c", "echo $VERSION").stdout.strip() == "1"
    assert shop.havre("exec", "-T", "api", "--", "sh", "-c", "exit 7", check=False).returncode == 7
    assert "hello from run" in shop.havre("run", "api", "echo", "hello from run").stdout


def test_down_keeps_the_data_until_its_name_is_typed(shop: Shop) -> None:
    shop.deploy()
    shop.havre("exec", "-T", "db", "python", "-c", "import pathlib; pathlib.Path('/data/count').write_text('41')")
    shop.havre("down", "-y")
    assert shop.replicas() == {}
    assert shop.get("/")[0] == 404
    shop.deploy()
    assert shop.get("/")[1]["api"]["count"] == 41
    refused = shop.havre("down", "-y", "--volumes", check=False)
    assert refused.returncode == 2
    assert f"--confirm {shop.name}" in refused.stderr
    shop.havre("down", "-y", "--volumes", "--confirm", shop.name)
    shop.deploy()
    assert shop.get("/")[1]["api"]["count"] == 0


def test_a_missing_variable_is_named_with_its_place(shop: Shop) -> None:
    (shop.directory / ".env").write_text("")
    refused = shop.deploy(check=False)
    assert refused.returncode == 2
    assert "compose.yaml:" in refused.stderr
    assert "PASSWORD" in refused.stderr
    assert "set it in .env" in refused.stderr

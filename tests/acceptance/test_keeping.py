"""What the guides promise about data: scheduled, kept, listed, alarmed, drilled; TLS and bounded users.

One app with maicivy's database and Redis, and MecaPy's Keycloak beside them, whose realm is exported weekly.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from data_tools import restic
from guides import HEALTHCHECK, GuideApp, docker, new_app, remove

pytestmark = [pytest.mark.docker, pytest.mark.slow]
HOST = "keeping.localhost"
DAY = 86400.0

COMPOSE = f"""\
services:
  backend:
    build: {{context: program}}
    environment:
      NAME: backend
      DATABASE_URL: postgresql://app:${{APP_PASSWORD:?}}@postgres:5432/maicivy?sslmode=require
    depends_on: {{postgres: {{condition: service_healthy}}}}
    healthcheck: {{test: {HEALTHCHECK}, interval: 5s, retries: 6}}
  postgres:
    image: postgres:15-alpine
    command: [postgres, -c, ssl=on, -c, ssl_cert_file=/tls/server.crt, -c, ssl_key_file=/tls/server.key, -c,
      hba_file=/tls/pg_hba.conf]
    environment:
      POSTGRES_DB: maicivy
      POSTGRES_USER: maicivy
      POSTGRES_PASSWORD: "${{POSTGRES_PASSWORD:?}}"
      APP_PASSWORD: "${{APP_PASSWORD:?}}"
    volumes:
      - postgres_data:/var/lib/postgresql/data
      - ./tls:/tls:ro
      - ./users.sh:/docker-entrypoint-initdb.d/users.sh:ro
    healthcheck: {{test: ["CMD", "pg_isready", "-q", "-h", "127.0.0.1", "-U", "maicivy"], interval: 5s, retries: 12}}
  redis:
    image: redis:7-alpine
    command: [sh, -c, 'exec redis-server --requirepass "$$REDIS_PASSWORD"']
    environment: {{REDIS_PASSWORD: "${{REDIS_PASSWORD:?}}"}}
    volumes: ["redis_data:/data"]
    healthcheck: {{test: ["CMD-SHELL", 'REDISCLI_AUTH="$$REDIS_PASSWORD" redis-cli ping | grep -q PONG'], interval: 5s}}
  keycloak:
    image: python:3.11-slim
    command: [python, -c, "import time; time.sleep(3600)"]
    init: true
volumes: {{postgres_data: , redis_data: }}
"""
MANIFEST = """\
app: {name}
compose: [docker-compose.yml]
secrets: [POSTGRES_PASSWORD, APP_PASSWORD, REDIS_PASSWORD]
routes:
  - {{host: keeping.localhost, to: backend:8000}}
release:
  migrate: {{service: backend, run: "python -c 'print(1)'"}}
backups:
  postgres:
    schedule: "0 2 * * *"
    keep: {{daily: 30}}
    drill: monthly
    assert: ["SELECT count(*) = 40 FROM letters"]
    rpo: 24h
    rto: 4h
  redis: {{schedule: "30 2 * * *", keep: {{daily: 7}}}}
  keycloak:
    schedule: "0 3 * * 0"
    command: "python -c 'print(chr(123) + chr(125))'"
    restore_command: "cat"
"""
USERS = """\
psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d "$POSTGRES_DB" <<SQL
CREATE ROLE app LOGIN PASSWORD '$APP_PASSWORD';
CREATE TABLE letters AS SELECT generate_series(1, 40) AS id;
GRANT SELECT, INSERT ON letters TO app;
SQL
"""
ONLY_TLS = """\
local all all trust
hostssl all all all scram-sha-256
"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuideApp]:
    directory = tmp_path_factory.mktemp("keeping")
    app = new_app(directory / "app", "keeping", tls=True, first_port=33200)
    app.write({"docker-compose.yml": COMPOSE, "havre.yaml": MANIFEST.format(name=app.name), "users.sh": USERS})
    tls = app.directory / "tls"
    tls.mkdir()
    (tls / "pg_hba.conf").write_text(ONLY_TLS)
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=postgres", "-days", "9",
         "-keyout", tls / "server.key", "-out", tls / "server.crt"], check=True, capture_output=True,
    )  # fmt: skip
    owner = docker(
        "run", "--rm", "--network", "none", "--entrypoint", "id", "postgres:15-alpine", "-u", "postgres"
    ).strip()
    (tls / "server.key").chmod(0o600)
    subprocess.run(["chown", owner, tls / "server.key"], check=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HAVRE_RESTIC", str(restic()))
        app.havre("secrets", "generate", "POSTGRES_PASSWORD", "APP_PASSWORD", "REDIS_PASSWORD")
        app.deploy()
        app.havre("backup", "export-key", "--to", str(directory / "key"))
        yield app
        remove(app)


def crontab(app: GuideApp, log: Path) -> tuple[dict[str, str], dict[str, tuple[str, str]]]:
    """The variables that the exported file sets, and (schedule, command) by what `havre` is asked to do."""
    variables, lines = {}, {}
    for line in app.havre("export", "cron", "--log", str(log)).stdout.splitlines():
        fields = line.split(" ", 6)
        if line.startswith("#"):
            continue
        if len(fields) < 7:
            name, _, value = line.partition("=")
            variables[name] = value
            continue
        words = shlex.split(fields[6])
        lines[" ".join(word for word in words[1 : words.index("--manifest")])] = (" ".join(fields[:5]), fields[6])
    return variables, lines


def test_the_crontab_has_the_guides_hours_and_runs_as_cron_runs_it(app: GuideApp, tmp_path: Path) -> None:
    log = tmp_path / "backup.log"
    variables, lines = crontab(app, log)
    assert {what: schedule for what, (schedule, _) in lines.items()} == {
        "backup take postgres": "0 2 * * *",
        "backup take redis": "30 2 * * *",
        "backup take keycloak": "0 3 * * 0",
        "drill restore postgres": "30 4 1 * *",
        "backup status": "17 * * * *",
        "backup check": "47 5 * * 6",
        "certs --renew": "0 3 * * *",
    }
    bare = {**variables, "HOME": "/root", "LOGNAME": "root"}  # all that cron gives
    order = sorted(lines, key=lambda what: (not what.startswith("backup take"), what == "backup status"))
    for what in order:
        command = lines[what][1].replace("\\%", "%")
        done = subprocess.run(
            ["/bin/sh", "-c", command], env=bare, cwd="/", capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), f"{what}: {log.read_text()}"
    said = log.read_text()
    for words in ("postgres-", "redis-", "keycloak-", "passed", "sound, 5% of the data read", "renewed"):
        assert words in said, words


def test_snapshots_are_listed_with_their_sizes_and_a_status_that_says_what_is_next(app: GuideApp) -> None:
    app.havre("backup", "postgres", "redis")
    listed = app.havre("backup", "list").stdout
    for service in ("postgres", "redis"):
        assert any(line.startswith(f"{service}-") and ("KiB" in line or " B" in line) for line in listed.splitlines())
    status = {one["service"]: one for one in json.loads(app.havre("backup", "status", "--json").stdout)}
    assert (status["postgres"]["promised_rpo"], status["postgres"]["promised_rto"]) == (DAY, 4 * 3600.0)
    assert status["postgres"]["problems"] == []
    assert status["postgres"]["age"] < 600
    assert time.localtime(status["postgres"]["next"])[3:5] == (2, 0)
    assert time.localtime(status["keycloak"]["next"])[3:7] == (3, 0, 0, 6)


def rewrite(app: GuideApp, service: str, *days: float) -> list[str]:
    """Give a service snapshots of these ages beside its newest, by its records; returns their ids."""
    directory = app.directory / "state/backups/snapshots" / app.name
    newest = max(directory.glob(f"{service}-2*.json"))
    record, made = json.loads(newest.read_text()), []
    for age in days:
        record["id"] = f"{service}-old-{age:g}"
        record["started_at"] = record["ended_at"] = time.time() - age * DAY
        (directory / f"{record['id']}.json").write_text(json.dumps(record))
        made.append(record["id"])
    return made


def kept(app: GuideApp, service: str) -> list[str]:
    return [one["id"] for one in json.loads(app.havre("backup", "list", service, "--json").stdout)]


def test_a_month_of_database_and_a_week_of_redis_is_kept(app: GuideApp) -> None:
    for service, days in (("postgres", 30), ("redis", 7)):
        old = rewrite(app, service, *(number + 0.5 for number in range(1, 40)))
        app.havre("backup", service)
        left = [one for one in kept(app, service) if one in old]
        assert left == old[: len(left)], "the newest stay"
        assert days - 1 <= len(left) <= days
        assert app.havre("backup", "tidy", "-y", service).stdout == "nothing is older than `keep` says\n"


def test_data_older_than_a_day_raises_the_alarm(app: GuideApp) -> None:
    directory = app.directory / "state/backups/snapshots" / app.name
    away = app.directory / "away"
    away.mkdir()
    newest = list(directory.glob("postgres-2*.json"))
    try:
        rewrite(app, "postgres", 1.1)
        for path in newest:
            path.rename(away / path.name)
        alarm = app.havre("backup", "status", check=False)
    finally:
        for path in away.iterdir():
            path.rename(directory / path.name)
    assert alarm.returncode == 1
    assert "postgres: ATTENTION" in alarm.stdout
    assert "overdue: older than 1 d" in alarm.stdout
    assert "redis: ok" in alarm.stdout


def ask_as_app(app: GuideApp, sql: str, *, sslmode: str = "require") -> subprocess.CompletedProcess[str]:
    password = app.environment("postgres")["APP_PASSWORD"]
    [network] = app.container("postgres")["NetworkSettings"]["Networks"]
    url = f"postgresql://app:{password}@postgres/maicivy?sslmode={sslmode}"
    return subprocess.run(
        ["docker", "run", "--rm", "--network", network, "--entrypoint", "psql", "postgres:15-alpine", url, "-Atc", sql],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_database_answers_over_tls_only(app: GuideApp) -> None:
    used = ask_as_app(app, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    assert used.stdout.strip() == "t", used.stderr
    refused = ask_as_app(app, "SELECT 1", sslmode="disable")
    assert refused.returncode != 0
    assert "no encryption" in refused.stderr


def test_the_apps_user_may_do_what_it_was_granted_and_no_more_also_after_a_restore(app: GuideApp) -> None:
    for _ in range(2):
        assert ask_as_app(app, "SELECT count(*) FROM letters").stdout.strip() == "40"
        for forbidden in ("DELETE FROM letters", "CREATE TABLE own (id int)", "DROP TABLE letters", "CREATE ROLE x"):
            refused = ask_as_app(app, forbidden)
            assert refused.returncode != 0, forbidden
            assert "permission denied" in refused.stderr or "must be owner" in refused.stderr, forbidden
        app.havre("restore", "-y", "postgres")


def test_an_update_snapshots_migrates_builds_and_serves_in_one_command(app: GuideApp) -> None:
    before = set(kept(app, "postgres"))
    app.replace("docker-compose.yml", "NAME: backend", "NAME: backend-2")
    # the newest snapshot is minutes old and would be the safeguard: set its time back
    directory = app.directory / "state/backups/snapshots" / app.name
    for path in directory.glob("postgres-2*.json"):
        record = json.loads(path.read_text())
        path.write_text(json.dumps({**record, "started_at": record["started_at"] - 7200}))
    steps = [step["step"] for step in json.loads(app.havre("plan", "--json").stdout)["steps"]]
    assert steps.index("snapshot postgres") < next(i for i, step in enumerate(steps) if step.startswith("migrate"))
    app.deploy()
    assert app.ask(f"{HOST}/").json["name"] == "backend-2"
    [safeguard] = [one for one in json.loads(app.havre("backup", "list", "postgres", "--json").stdout)
                   if one["id"] not in before]  # fmt: skip
    assert (safeguard["purpose"], safeguard["verdict"]) == ("safeguard", "good")


def test_a_bloated_table_gives_its_room_back(app: GuideApp) -> None:
    def sql(text: str) -> str:
        return app.havre(
            "exec", "-T", "postgres", "psql", "-U", "maicivy", "-d", "maicivy", "-Atc", text
        ).stdout.strip()

    sql("CREATE TABLE bloated AS SELECT g, repeat('x', 500) FROM generate_series(1, 40000) g")
    sql("DELETE FROM bloated")
    full = int(sql("SELECT pg_total_relation_size('bloated')"))
    sql("VACUUM FULL bloated")
    assert int(sql("SELECT pg_total_relation_size('bloated')")) < full // 10
    sql("DROP TABLE bloated")

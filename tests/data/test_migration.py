"""Migrations: a good snapshot first, and a migration that fails leaves the old release serving and the data safe."""

from __future__ import annotations

from pathlib import Path

import pytest
from data_stand import Stand

from havre.errors import FailedError
from havre.workflows.backup import snapshot_before_migration
from havre.workflows.deploy import apply, propose

pytestmark = [pytest.mark.docker, pytest.mark.slow]

COMPOSE = """
services:
  db:
    image: postgres:15-alpine
    environment: {POSTGRES_USER: shop, POSTGRES_PASSWORD: pw-kx8812, POSTGRES_DB: shop}
    volumes: ["dbdata:/var/lib/postgresql/data"]
    healthcheck: {test: ["CMD-SHELL", "pg_isready -h 127.0.0.1 -U shop"], interval: 1s, timeout: 5s, retries: 30}
  web:
    image: postgres:15-alpine
    entrypoint: ["sleep", "600"]
    init: true
    environment: {PGHOST: db, PGUSER: shop, PGPASSWORD: pw-kx8812, VERSION: "1"}
    depends_on: {db: {condition: service_healthy}}
volumes: {dbdata: {}}
"""
MANIFEST = """
backups:
  db: {schedule: "0 2 * * *"}
release:
  migrate: {service: web, run: "psql -v ON_ERROR_STOP=1 -d shop -c 'CREATE TABLE IF NOT EXISTS seen (n int)'"}
"""


def release(stand: Stand, version: str, sql: str) -> list[str]:
    app = stand.directory / "app"
    step = f'entrypoint: ["sh", "/step.sh"]\n    volumes: ["{app}/step.sh:/step.sh:ro"]'
    compose = COMPOSE.replace('entrypoint: ["sleep", "600"]', step).replace('VERSION: "1"', f'VERSION: "{version}"')
    (app / "compose.yaml").write_text(compose)
    (app / "step.sh").write_text(
        f'if [ "$#" = 0 ]; then exec sleep 600; fi\nexec psql -v ON_ERROR_STOP=1 -d shop -c "{sql}"\n'
    )
    stand.intent = stand.read()
    proposal = propose(stand.server, stand.intent)
    said: list[str] = []
    apply(
        stand.server, proposal, progress=said.append,
        snapshot=snapshot_before_migration(stand.storage, stand.intent, progress=said.append, fresh=5.0),
    )  # fmt: skip
    return said


def web(stand: Stand) -> list[tuple[str, bool]]:
    return [(replica.id, replica.is_running) for replica in stand.server.engine.observe(stand.name).of_service("web")]


def test_a_failing_migration_changes_nothing_that_serves_and_has_its_snapshot(tmp_path: Path) -> None:
    stand = Stand(tmp_path, compose=COMPOSE, manifest=MANIFEST)
    try:
        release(stand, "1", "CREATE TABLE papers AS SELECT generate_series(1, 40) AS id")
        assert stand.storage.book.snapshots(stand.name) == ()
        serving = web(stand)
        with pytest.raises(FailedError, match=r'relation "nowhere" does not exist'):
            release(stand, "2", "DELETE FROM papers; INSERT INTO nowhere VALUES (1)")
        [snapshot] = stand.storage.book.snapshots(stand.name)
        assert (snapshot.purpose, snapshot.is_good, snapshot.parts[0].counts) == (
            "safeguard", True, (("public.papers", 40),),
        )  # fmt: skip
        assert web(stand) == serving
        assert stand.sql("SELECT count(*) FROM papers") == "40"
    finally:
        stand.tear_down()

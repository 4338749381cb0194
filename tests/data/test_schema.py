"""Migrations that move, fail half-way, hang or are undone, on a real PostgreSQL with a tool that keeps a book."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from data_stand import Stand

from havre.backups.revisions import schema_state
from havre.errors import FailedError, RefusedError
from havre.host.locks import exclusive
from havre.workflows.backup import snapshot_before_migration
from havre.workflows.deploy import apply, propose
from havre.workflows.migrate import lock_of
from havre.workflows.places import place_of
from havre.workflows.rollback import propose_rollback

pytestmark = [pytest.mark.docker, pytest.mark.slow]

COMPOSE = """
services:
  db:
    image: postgres:15-alpine
    environment: {{POSTGRES_USER: shop, POSTGRES_PASSWORD: pw, POSTGRES_DB: shop}}
    volumes: ["dbdata:/var/lib/postgresql/data"]
    healthcheck: {{test: ["CMD-SHELL", "pg_isready -h 127.0.0.1 -U shop"], interval: 1s, timeout: 5s, retries: 30}}
  web:
    image: postgres:15-alpine
    entrypoint: ["sh", "/app/tool.sh"]
    command: ["serve"]
    init: true
    environment: {{PGHOST: db, PGUSER: shop, PGPASSWORD: pw, PGDATABASE: shop, VERSION: "{version}"}}
    volumes: ["./app:/app:ro"]
    depends_on: {{db: {{condition: service_healthy}}}}
volumes: {{dbdata: {{}}}}
"""
MANIFEST = """
backups:
  db: {schedule: "0 2 * * *"}
release:
  migrate: {service: web, run: upgrade, undo: downgrade, timeout: 20s}
"""
TOOL = """\
sql() { psql -qAtX -v ON_ERROR_STOP=1 "$@"; }
now() { sql -c "SELECT version_num FROM alembic_version"; }
case "$1" in
serve) exec sleep 600 ;;
upgrade)
  sql -c "CREATE TABLE IF NOT EXISTS alembic_version (version_num text)" 2>/dev/null
  for file in /app/*.up.sql; do
    name=$(basename "$file" .up.sql)
    if [ "$(now)" \\< "$name" ]; then
      set_to="DELETE FROM alembic_version; INSERT INTO alembic_version VALUES ('$name')"
      if grep -q autocommit "$file"; then sql -f "$file" -c "$set_to" || exit 1
      else sql -1 -f "$file" -c "$set_to" || exit 1; fi
    fi
  done ;;
downgrade)
  at=$(now)
  to=$(ls /app/*.up.sql | xargs -n1 basename | sed 's/.up.sql//' | sort | awk -v at="$at" '$1 < at' | tail -1)
  sql -1 -f "/app/$at.down.sql" -c "UPDATE alembic_version SET version_num = '$to'" ;;
esac
"""


class Migrated(Stand):
    """The app; `release` deploys its next version, with these migrations in its directory."""

    version = 0

    def release(self, said: list[str] | None = None, /, **migrations: tuple[str, str]) -> None:
        app = self.directory / "app"
        (app / "app").mkdir(exist_ok=True)
        (app / "app/tool.sh").write_text(TOOL)
        for name, (up, down) in migrations.items():
            (app / f"app/{name}.up.sql").write_text(up)
            (app / f"app/{name}.down.sql").write_text(down)
        self.version += 1
        (app / "compose.yaml").write_text(COMPOSE.format(version=self.version))
        self.intent = self.read()
        tell = said.append if said is not None else lambda _: None
        snapshot = snapshot_before_migration(self.storage, self.intent, progress=tell, fresh=0.0)
        apply(self.server, propose(self.server, self.intent), progress=tell, snapshot=snapshot)

    def forget(self, *names: str) -> None:
        for name in names:
            (self.directory / f"app/app/{name}.up.sql").unlink()

    @property
    def revision(self) -> str:
        return self.sql("SELECT version_num FROM alembic_version")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Migrated]:
    made = Migrated(tmp_path_factory.mktemp("schema"), compose=COMPOSE.format(version=0), manifest=MANIFEST)
    try:
        made.release(a1=("CREATE TABLE users (id int)", "DROP TABLE users"))
        yield made
    finally:
        made.tear_down()


def serving_head(shop: Migrated) -> str | None:
    serving = shop.state.releases.serving(shop.name)
    return serving.schema_head if serving else None


def test_the_release_records_the_revision_that_its_migration_reached(shop: Migrated) -> None:
    assert serving_head(shop) == "a1"


def test_a_failed_migration_that_left_nothing_is_told_as_clean(shop: Migrated) -> None:
    with pytest.raises(FailedError) as failed:
        shop.release(a2=("CREATE TABLE half (id int); SELECT * FROM nowhere", ""))
    text = str(failed.value)
    assert 'relation "nowhere" does not exist' in text
    assert "the schema is CLEAN: as it was before" in text
    assert "revision: a1, as before" in text
    assert "nothing has to be taken back" in text
    shop.forget("a2")


def test_a_failed_migration_that_left_something_is_told_as_dirty_with_the_ways(shop: Migrated) -> None:
    with pytest.raises(FailedError) as failed:
        shop.release(a2=("-- autocommit\nCREATE TABLE half (id int);\nSELECT * FROM nowhere", ""))
    text = str(failed.value)
    [safeguard] = shop.storage.book.snapshots(shop.name, "db")[:1]
    assert "DIRTY: the schema changed, and its revision did not" in text
    assert "added: table public.half" in text
    assert "to go on: correct the migration and run `havre deploy` again" in text
    assert f"to go back: havre restore db {safeguard.id}" in text
    shop.sql("DROP TABLE half")
    shop.forget("a2")


def test_migrations_that_were_applied_before_the_failing_one_are_told(shop: Migrated) -> None:
    with pytest.raises(FailedError) as failed:
        shop.release(a2=("CREATE TABLE whole (id int)", "DROP TABLE whole"), a3=("SELECT * FROM nowhere", ""))
    text = str(failed.value)
    assert "revision: a2; before: a1" in text
    assert "some of its migrations are applied, each of them whole" in text
    assert "to go back: havre run web -- downgrade" in text
    shop.forget("a3")


def test_a_migration_that_hangs_is_ended_at_its_timeout(shop: Migrated) -> None:
    (shop.directory / "app/havre.yaml").write_text(
        f"app: {shop.name}\n{MANIFEST}".replace("timeout: 20s", "timeout: 2s, safeguard: false")
    )
    started = time.monotonic()
    try:
        with pytest.raises(FailedError, match="did not finish within 2 s and was stopped") as failed:
            shop.release(a3=("SELECT pg_sleep(300)", ""))
    finally:
        (shop.directory / "app/havre.yaml").write_text(f"app: {shop.name}\n{MANIFEST}")
    assert time.monotonic() - started < 60
    assert "the schema is CLEAN" in str(failed.value)
    shop.forget("a3")


def test_migrations_of_one_database_wait_for_each_other(shop: Migrated) -> None:
    said: list[str] = []
    revisions: list[str] = []
    held = threading.Event()

    def other() -> None:
        with exclusive(lock_of(shop.server, f"{shop.name}/db"), what="db", doing="migration of another"):
            held.set()
            while not any("another migration of" in line for line in said):
                time.sleep(0.1)
            time.sleep(1)
            revisions.append(shop.revision)

    thread = threading.Thread(target=other)
    thread.start()
    held.wait(5)
    shop.release(said, a3=("CREATE TABLE third (id int)", "DROP TABLE third"))
    thread.join()
    assert revisions == ["a2"], "while the other one holds the lock, nothing moves"
    assert (shop.revision, serving_head(shop)) == ("a3", "a3")


def test_a_rollback_says_that_the_schema_moved_and_touches_it_only_when_asked(shop: Migrated) -> None:
    notes = " ".join(propose_rollback(shop.server, shop.name).plan.notes)
    assert "has moved since release 1: a1 then, a3 now; it stays" in notes
    assert "`havre rollback 1 --undo` takes it back first" in notes
    assert "`havre restore db db-" in notes
    take = snapshot_before_migration(shop.storage, shop.intent, fresh=0.0)
    proposal = propose_rollback(shop.server, shop.name, undo=True)
    assert any("undo the migration of web: downgrade, until the schema is at a1" in str(s) for s in proposal.plan.steps)
    before = len(shop.storage.book.snapshots(shop.name, "db"))
    apply(shop.server, proposal, snapshot=take)
    assert (shop.revision, serving_head(shop)) == ("a1", "a1")
    assert shop.sql("SELECT count(*) FROM pg_tables WHERE tablename IN ('whole', 'third')") == "0"
    assert len(shop.storage.book.snapshots(shop.name, "db")) == before + 1


def test_a_rollback_without_an_undo_says_so(shop: Migrated) -> None:
    (shop.directory / "app/havre.yaml").write_text(f"app: {shop.name}\n{MANIFEST}".replace("undo: downgrade, ", ""))
    shop.release()
    assert shop.revision == "a3"
    with pytest.raises(RefusedError, match="nothing says how the migration of the release that serves is undone"):
        propose_rollback(shop.server, shop.name, undo=True)


def test_the_books_of_several_tools_are_read(shop: Migrated) -> None:
    shop.sql("CREATE DATABASE books")
    for statement in (
        "CREATE TABLE schema_migrations (version bigint, dirty bool)",
        "INSERT INTO schema_migrations VALUES (4, true)",
        "CREATE TABLE _prisma_migrations (migration_name text, finished_at timestamptz, rolled_back_at timestamptz)",
        "INSERT INTO _prisma_migrations VALUES ('2024_a', now(), NULL), ('2024_b', NULL, NULL)",
        "CREATE TABLE django_migrations (id serial, app text, name text, applied timestamptz)",
        "INSERT INTO django_migrations (app, name) VALUES ('auth', '0001'), ('shop', '0001'), ('auth', '0002')",
        'CREATE TABLE "SequelizeMeta" (name text)',
        "INSERT INTO \"SequelizeMeta\" VALUES ('20240101-users.js')",
    ):
        shop.sql(statement, "books")
    state = schema_state(place_of(shop.server, shop.name, "db"), ["books"])
    assert {head for _, head in state.heads} == {"4", "2024_a", "auth.0002+shop.0001", "20240101-users.js"}
    assert {one.what for one in state.unfinished} == {"migrate in books: 4", "prisma in books: 2024_b"}


def test_nothing_of_a_migration_is_planned_where_only_replicas_are_repaired(tmp_path: Path, shop: Migrated) -> None:
    assert propose(shop.server, shop.intent).plan.is_empty

"""What was tried in staging is what runs in production: the same images, everything else production's own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest
from shop import MANIFEST, Shop

STAGING = """
environments:
  staging:
    env_file: [.env.staging]
    routes:
      - {host: staging.localhost, to: web:3000}
    release: {verify: [{get: /, host: staging.localhost, expect: {status: 200}}]}
"""


@pytest.fixture
def staged(shop: Shop) -> Iterator[Shop]:
    """The shop with a staging environment that has its own port, level of detail and secret."""
    _write(shop, web="1")
    yield shop
    name = f"{shop.name}-staging"
    shop.havre("down", "-e", "staging", "-y", "--volumes", "--confirm", name, "--engine", shop.engine, check=False)
    if shop.engine == "docker":
        listed = ["docker", "images", "-q", f"{name}/*"]
        images = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()
        subprocess.run(["docker", "rmi", "-f", *images], capture_output=True, check=False) if images else None


def _write(shop: Shop, *, web: str) -> None:
    shop.write(web=web)
    compose = shop.directory / "compose.yaml"
    text = compose.read_text().replace(f"127.0.0.1:{shop.db_port}:5000", "127.0.0.1:${DB_PORT}:5000")
    compose.write_text(text.replace("ROLE: web,", 'ROLE: web, LEVEL: "${LEVEL}",'))
    (shop.directory / "app" / "version").write_text(web)
    (shop.directory / ".env").write_text(f"PASSWORD=c0ffee1234567890abcdef\nDB_PORT={shop.db_port}\nLEVEL=quiet\n")
    (shop.directory / ".env.staging").write_text(
        f"PASSWORD=5eed9876543210fedcba\nDB_PORT={shop.db_port + 1}\nLEVEL=loud\n"
    )
    (shop.directory / "havre.yaml").write_text(MANIFEST.format(name=shop.name) + STAGING)


def _images(shop: Shop, environment: str) -> dict[str, str]:
    """The image id of each service in the release that serves."""
    listed = shop.json("releases", "-e", environment)
    serving = next(release for release in listed if release["state"] == "serving")
    return {image["service"]: image["image_id"] for image in serving["images"]}


def test_promotion_runs_the_very_images_of_staging_with_productions_own_settings(staged: Shop) -> None:
    engine = ("--engine", staged.engine)
    staged.havre("deploy", "-y", *engine)
    before = _images(staged, "production")
    _write(staged, web="2")
    staged.havre("deploy", "-y", "-e", "staging", *engine)
    assert _images(staged, "production") == before, "staging is another instance"

    compared = staged.havre("diff", "staging", "production").stdout
    assert "environment.LEVEL: loud → quiet" in compared
    assert "environment.PASSWORD: differs (a secret, not shown)" in compared
    assert "routes staging.localhost/: only in staging" in compared
    assert "c0ffee" not in compared
    assert "5eed" not in compared
    running = staged.havre("diff", "--exit-code", check=False)
    assert running.returncode == 1
    assert "image: built from content" in running.stdout

    promoted = staged.havre("promote", "staging", "-y", *engine)
    assert f"images of {staged.name}-staging, release 1" in promoted.stdout
    assert " build " not in promoted.stdout, "nothing is built"
    assert _images(staged, "production") == _images(staged, "staging") != before
    assert staged.get()[1]["web"] == "2"
    release = staged.json("releases")[0]
    assert (release["kind"], release["promoted_from"]) == ("promote", f"{staged.name}-staging, release 1")
    level = staged.havre("exec", *engine, "web", "--", "printenv", "LEVEL").stdout.strip()
    assert level == "quiet"

    again = staged.havre("deploy", "-y", *engine).stdout
    assert "nothing to do" in again, "the files production has give the same images"
    assert staged.havre("diff", "--exit-code").returncode == 0
    staged.havre("rollback", "-y", *engine)
    assert _images(staged, "production") == before


@pytest.mark.parametrize("shop", [pytest.param("docker", marks=pytest.mark.docker)], indirect=True)
def test_a_promotion_that_production_refuses_changes_nothing(staged: Shop) -> None:
    engine = ("--engine", staged.engine)
    staged.havre("deploy", "-y", *engine)
    before = staged.json("releases")
    missing = staged.havre("promote", "staging", "-y", *engine, check=False)
    assert missing.returncode == 3
    assert "no release of it serves on this server" in missing.stderr
    mistyped = staged.havre("promote", "stagin", "-y", *engine, check=False)
    assert mistyped.returncode == 2
    assert "staging" in mistyped.stderr
    _write(staged, web="2")
    staged.havre("deploy", "-y", "-e", "staging", *engine)
    manifest = staged.directory / "havre.yaml"
    manifest.write_text(manifest.read_text().replace("status: 200}}\n\nenv", "status: 204}}\n\nenv"))
    failed = staged.havre("promote", "staging", "-y", *engine, check=False)
    assert failed.returncode == 1, failed.stdout + failed.stderr
    assert staged.get()[1]["web"] == "1", "production's own verification was not kept: its old release serves"
    assert [one["number"] for one in staged.json("releases") if one["state"] == "serving"] == [before[0]["number"]]
    assert json.loads(staged.havre("diff", "staging", "production", "--json").stdout)["differences"]


MIGRATION = "release:\n  migrate: {service: web, run: python /app/migrate.py}\n"
MIGRATE = """\
import os, urllib.request
assert not os.environ.get("STUCK"), "column price exists already"
urllib.request.urlopen("http://db:5000/", b"migrated")
"""


@pytest.mark.parametrize("shop", [pytest.param("docker", marks=pytest.mark.docker)], indirect=True)
def test_a_promotion_migrates_the_targets_own_data_with_the_promoted_image(staged: Shop) -> None:
    engine = ("--engine", staged.engine)
    _with_migration(staged, web="1")
    staged.havre("deploy", "-y", *engine)
    before, counted = _images(staged, "production"), _count(staged)
    _with_migration(staged, web="2")
    staged.havre("deploy", "-y", "-e", "staging", *engine)
    assert _count(staged) == counted, "staging's migration did not touch production's data"

    _with_migration(staged, web="2", stuck="yes")
    failed = staged.havre("promote", "staging", "-y", *engine, check=False)
    said = " ".join(failed.stderr.split())
    assert failed.returncode == 1, said
    assert "column price exists already" in said
    assert _images(staged, "production") == before, "the old release serves"
    assert (staged.get()[1]["web"], _count(staged)) == ("1", counted)

    _with_migration(staged, web="2")
    promoted = staged.havre("promote", "staging", "-y", *engine)
    assert "migrate" in promoted.stdout
    assert _count(staged) == counted + 1, "production's own data was migrated, once"
    assert _images(staged, "production") == _images(staged, "staging")


def _with_migration(shop: Shop, *, web: str, stuck: str = "") -> None:
    _write(shop, web=web)
    (shop.directory / "app/migrate.py").write_text(MIGRATE)
    manifest, compose = shop.directory / "havre.yaml", shop.directory / "compose.yaml"
    manifest.write_text(manifest.read_text().replace("release:\n", MIGRATION, 1))
    text = compose.read_text().replace("ROLE: web,", 'ROLE: web, STUCK: "${STUCK:-}",')
    compose.write_text(text)
    env = shop.directory / ".env"
    env.write_text(f"{env.read_text()}STUCK={stuck}\n")


def _count(shop: Shop) -> int:
    """What production's database counted of its migrations."""
    return int(shop.get()[1]["api"]["count"])

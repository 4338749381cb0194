"""What the manifest says of backups is judged before a timer finds out at night."""

from __future__ import annotations

from typing import Any

import pytest

SHOP = """\
services:
  db: {image: 'postgres:16', environment: {POSTGRES_PASSWORD: x9}, volumes: ['data:/var/lib/postgresql/data']}
  cache: {image: 'redis:7'}
  web: {image: 'shop:1', volumes: ['uploads:/srv/uploads', './media:/srv/media']}
  proxy: {image: 'nginx:1'}
  maria: {image: 'mariadb:11', environment: {MARIADB_RANDOM_ROOT_PASSWORD: 1}, volumes: ['maria:/var/lib/mysql']}
volumes: {data: , uploads: , maria: }
"""
ALL = ("backup-key-unread", "backup-kind", "backup-login", "backup-volume", "backup-destination", "backup-rpo")


def said(judge: Any, policy: str, **facts: Any) -> list[str]:
    """Everything the family says of one policy: place, summary and next step."""
    manifest = f"app: shop\nbackups:\n  {policy}\n"
    found = [one for check in ALL for one in judge.problems(check, SHOP, manifest, **facts)]
    return [f"{one.at.line}:{one.at.column} {one.summary}; {one.hint}" for one in found]


def test_what_each_kind_reads_is_accepted(judge: Any) -> None:
    for policy in (
        "db: {databases: shop, assert: SELECT true, pitr: true, to: ['/mnt/b', 'age:/mnt/c', 's3:https://s/b']}",
        "db: {volumes: data}",
        "db: {command: pg_dumpall, restore_command: psql}",
        "cache: {schedule: 0 2 * * *, to: 'sftp:user@host:/b'}",
        "web: {volumes: [uploads, /srv/media]}",
        "web: {command: dump, directory: /tmp/out, restore_command: load}",
        "web: {kind: postgres, databases: shop}",
        "web: {kind: mysql, databases: shop, assert: SELECT 1}",
        "maria: {kind: volume}",
        "proxy: {command: 'tar c /etc/nginx'}",
        "gone: {volumes: data}",
    ):
        assert said(judge, policy) == [], policy


FOR_DATABASES = "remove it: it is for the kinds postgres and mysql alone"
FOR_POSTGRES = "remove it: it is for the kind postgres alone"
FOR_COMMANDS = "remove it: it is for the kind command alone"
OTHERWISE = (
    "say `kind: postgres`, `kind: mysql`, `kind: redis` or a `command` whose output is kept, "
    "or remove it from `backups`"
)
ADDRESSES = "write for example `/mnt/backup`, `sftp://user@host//path` or `s3:https://host/bucket`"
IDLE = "`{}` does nothing here: {} is backed up as {}"


@pytest.mark.parametrize(
    ("policy", "place", "summary", "hint"),
    [
        ("cache: {assert: SELECT true}", "3:11", IDLE.format("assert", "cache", "redis"), FOR_DATABASES),
        ("cache: {pitr: true}", "3:11", IDLE.format("pitr", "cache", "redis"), FOR_POSTGRES),
        ("web: {databases: shop}", "3:9", IDLE.format("databases", "web", "volume"), FOR_DATABASES),
        ("web: {restore_command: load}", "3:9", IDLE.format("restore_command", "web", "volume"), FOR_COMMANDS),
        ("db: {command: dump, databases: shop}", "3:23", IDLE.format("databases", "db", "command"), FOR_DATABASES),
        ("db: {kind: postgres, command: dump}", "3:24", IDLE.format("command", "db", "postgres"), FOR_COMMANDS),
        (
            "db: {kind: redis}",
            "3:8",
            "db cannot be backed up as redis: it runs postgres",
            "write `kind: postgres`, or remove `kind`",
        ),
        (
            "proxy: {kind: postgres}",
            "3:11",
            "proxy cannot be backed up as postgres: it runs nginx",
            "remove `kind`, and give a `command` whose output is kept",
        ),
        (
            "proxy: {schedule: 0 2 * * *}",
            "3:3",
            "nothing tells how to back up proxy: it writes no volume and no directory",
            OTHERWISE,
        ),
        ("web: {volumes: uplods}", "3:9", "web writes no volume or directory `uplods`", "did you mean `uploads`?"),
        (
            "web: {volumes: [else]}",
            "3:19",
            "web writes no volume or directory `else`",
            "correct the name, or remove it",
        ),
        (
            "maria: {databases: shop}",
            "3:3",
            "nobody can log in to maria to back it up: it makes up its own root password",
            "give the password in its log as `MARIADB_ROOT_PASSWORD` or `MYSQL_ROOT_PASSWORD` instead",
        ),
        ("db: {to: ['/mnt/b', 'ftp://host/b']}", "3:23", "no backup can be kept at `ftp:`", ADDRESSES),
    ],
)
def test_what_would_be_passed_over_or_fail_at_night_is_told_by_its_place(
    judge: Any, policy: str, place: str, summary: str, hint: str
) -> None:
    assert said(judge, policy) == [f"{place} {summary}; {hint}"]


MORE_OFTEN = "back up more often (`schedule`), keep the log of a PostgreSQL (`pitr: true`), or promise less"
SHIP_MORE = "ship the log more often (`pitr: {ship: …}`), or promise less"
DAILY = (("db", 86400.0),)


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ("db: {schedule: 0 2 * * *, rpo: 24s}", f"3:29 `rpo` promises 24 s, and up to 1 d can be lost; {MORE_OFTEN}"),
        ("db: {schedule: 0 2 * * *, rpo: 23h}", f"3:29 `rpo` promises 23 h, and up to 1 d can be lost; {MORE_OFTEN}"),
        ("db: {schedule: 0 2 * * *, rpo: 24h}", ""),
        ("db: {schedule: 0 2 * * *, rpo: 10m, pitr: true}", ""),
        ("db: {schedule: 0 2 * * *}", ""),
        (
            "db: {schedule: 0 2 * * *, pitr: {ship: 15m}, rpo: 10m}",
            f"3:48 `rpo` promises 10 min, and up to 15 min can be lost; {SHIP_MORE}",
        ),
    ],
)
def test_a_promise_that_the_schedule_cannot_keep_is_told(judge: Any, policy: str, told: str) -> None:
    assert said(judge, policy, between_backups=DAILY) == ([told] if told else [])


def test_without_a_schedule_no_promise_is_judged(judge: Any) -> None:
    assert said(judge, "db: {rpo: 1m}") == []

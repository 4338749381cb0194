"""Timers: the same moments in cron and in systemd."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from havre.backups.timers import EVERY_HOUR, EVERY_WEEK, Runner, crontab, every, on_calendar, systemd, timers_for
from havre.model.backup import BackupPolicy, PitrPolicy

POLICIES = (
    BackupPolicy(service="db", schedule="0 2 * * *", drill="monthly"),
    BackupPolicy(service="cache", schedule="30 2 * * 1-5"),
    BackupPolicy(service="files"),
)
RUNNER = Runner(program=("/usr/bin/havre",), user="deploy")
TIMERS = tuple(timers_for("shop", ("--manifest", "/srv/my shop/havre.yaml", "--environment", "production"), POLICIES))


@pytest.mark.parametrize(
    ("schedule", "calendars"),
    [
        ("0 2 * * *", ("*-*-* 2:0:00",)),
        ("*/15 * * * *", ("*-*-* *:0/15:00",)),
        ("30 2 * * 0", ("Sun *-*-* 2:30:00",)),
        ("0 4 * * mon-fri", ("Mon..Fri *-*-* 4:0:00",)),
        ("0 0 1 jan,jul *", ("*-1,7-1 0:0:00",)),
        ("5 4-6/2 * * *", ("*-*-* 4..6/2:5:00",)),
        ("0 3 13 * 5", ("*-*-13 3:0:00", "Fri *-*-* 3:0:00")),
        ("0 1 * * 7", ("Sun *-*-* 1:0:00",)),
    ],
)
def test_cron_expressions_become_calendars(schedule: str, calendars: tuple[str, ...]) -> None:
    assert on_calendar(schedule) == calendars
    if shutil.which("systemd-analyze"):
        for calendar in calendars:
            subprocess.run(["systemd-analyze", "calendar", calendar], check=True, capture_output=True)


def test_each_schedule_and_drill_has_its_timer_and_the_app_its_alarm() -> None:
    assert [(timer.name, timer.schedule) for timer in TIMERS] == [
        ("havre-shop-backup-db", "0 2 * * *"),
        ("havre-shop-drill-db", "30 4 1 * *"),
        ("havre-shop-backup-cache", "30 2 * * 1-5"),
        ("havre-shop-alarm", EVERY_HOUR),
        ("havre-shop-repository", EVERY_WEEK),
    ]
    assert not list(timers_for("shop", (), POLICIES[2:]))
    [renewal] = timers_for("shop", (), (), certificates=True)
    assert (renewal.schedule, renewal.arguments) == ("0 3 * * *", ("certs", "--renew"))


def test_crontab_lines_run_havre_with_its_own_words() -> None:
    lines = crontab(TIMERS[:1], replace(RUNNER, variables=(("DOCKER_HOST", "unix:///x"),))).splitlines()
    assert lines[-1] == (
        "0 2 * * * deploy /usr/bin/havre backup take db --manifest '/srv/my shop/havre.yaml' --environment production"
        " 2>&1 | logger -t havre-shop-backup-db"
    )
    assert "DOCKER_HOST=unix:///x" in lines
    assert crontab(TIMERS[:1], RUNNER, log="/var/log/100%").endswith(" >> /var/log/100\\% 2>&1\n")


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    units = dict(systemd(TIMERS, replace(RUNNER, program=("/bin/true",), user="root"), log="/var/log/backup.log"))
    assert "OnCalendar=*-*-* 2:0:00\nPersistent=true" in units["havre-shop-backup-db.timer"]
    for name, content in units.items():
        (tmp_path / name).write_text(content)
    if shutil.which("systemd-analyze"):
        files = [str(tmp_path / name) for name in units]
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", *files], capture_output=True, text=True)
        assert "havre-" not in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("seconds", "schedule"),
    [
        (20, "*/1 * * * *"), (300, "*/5 * * * *"), (7 * 60, "*/6 * * * *"), (45 * 60, "*/30 * * * *"),
        (3600, "0 */1 * * *"), (5 * 3600, "0 */4 * * *"), (48 * 3600, "0 0 * * *"),
    ],
)  # fmt: skip
def test_an_interval_becomes_a_schedule_that_is_never_longer(seconds: float, schedule: str) -> None:
    assert every(seconds) == schedule


def test_a_log_that_is_kept_gets_a_timer_of_its_own() -> None:
    timer, *_ = timers_for("shop", ["--state", "/s"], [BackupPolicy(service="db", pitr=PitrPolicy(ship=60.0))])
    assert (timer.name, timer.schedule) == ("havre-shop-wal-db", "*/1 * * * *")
    assert timer.arguments == ("backup", "wal", "db", "--state", "/s")

"""What a machine does by itself, read from a root directory of any machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from havre.host.automations import read_automations, read_startup

TIMER = "[Timer]\nOnCalendar=*-*-* 02:00:00\nPersistent=true\n\n[Install]\nWantedBy=timers.target\n"
SERVICE = "[Service]\nType=oneshot\nExecStart=/opt/bin/havre backup take db\n"
BOOT = "[Service]\nExecStart=-/opt/bin/havre boot now --state /var/lib/havre\n"


def write(root: Path, name: str, text: str = "") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def link(root: Path, name: str, target: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """systemd is process 1, cron runs."""
    write(tmp_path, "proc/1/comm", "systemd\n")
    write(tmp_path, "proc/77/comm", "cron\n")
    return tmp_path


def test_cron_lines_are_read_wherever_they_are_kept(root: Path) -> None:
    write(root, "etc/crontab", "SHELL=/bin/sh\n17 *\t* * *\troot\tcd / && run-parts /etc/cron.hourly\n")
    write(root, "etc/cron.d/havre", "# made by havre\n0 2 * * * root havre backup take db 2>&1 | logger\n")
    write(root, "var/spool/cron/crontabs/root", "@reboot havre boot now\n*/5 * * * * /usr/bin/true\n\nbroken\n")
    found = [(one.place, one.schedule, one.command) for one in read_automations(root)]
    assert found == [
        ("/etc/crontab", "17 * * * *", "cd / && run-parts /etc/cron.hourly"),
        ("/etc/cron.d/havre", "0 2 * * *", "havre backup take db 2>&1 | logger"),
        ("/var/spool/cron/crontabs/root", "@reboot", "havre boot now"),
        ("/var/spool/cron/crontabs/root", "*/5 * * * *", "/usr/bin/true"),
    ]


def test_a_cron_file_that_no_cron_reads_runs_nothing(root: Path) -> None:
    write(root, "etc/cron.d/havre", "0 2 * * * root havre backup take db\n")
    assert [one.runs for one in read_automations(root)] == [True]
    write(root, "proc/77/comm", "bash\n")
    assert [one.runs for one in read_automations(root)] == [False]


def test_a_timer_counts_when_it_is_enabled_and_systemd_is_there(root: Path) -> None:
    write(root, "etc/systemd/system/havre-db.timer", TIMER)
    write(root, "etc/systemd/system/havre-db.service", SERVICE)
    (only,) = read_automations(root)
    assert (only.schedule, only.command, only.runs) == ("*-*-* 02:00:00", "/opt/bin/havre backup take db", False)
    link(root, "etc/systemd/system/timers.target.wants/havre-db.timer", "../havre-db.timer")
    assert [one.runs for one in read_automations(root)] == [True]
    write(root, "proc/1/comm", "bash\n")
    assert [one.runs for one in read_automations(root)] == [False]


def test_an_enabled_service_runs_at_boot(root: Path) -> None:
    write(root, "etc/systemd/system/havre.service", BOOT)
    assert read_automations(root) == ()
    link(root, "etc/systemd/system/multi-user.target.wants/havre.service", "../havre.service")
    (only,) = read_automations(root)
    assert (only.schedule, only.command) == ("boot", "/opt/bin/havre boot now --state /var/lib/havre")


def test_docker_is_started_by_the_init_that_really_runs(root: Path) -> None:
    assert not read_startup(root).docker_enabled
    link(root, "etc/systemd/system/multi-user.target.wants/docker.service", "/lib/systemd/system/docker.service")
    assert read_startup(root).docker_enabled
    write(root, "proc/1/comm", "init\n")
    assert not read_startup(root).docker_enabled
    link(root, "etc/rc2.d/S01docker", "../init.d/docker")
    assert read_startup(root).docker_enabled


def test_updates_and_watchmen_are_seen_when_they_are_on(root: Path) -> None:
    link(root, "etc/systemd/system/timers.target.wants/apt-daily-upgrade.timer", "/lib/x.timer")
    assert read_startup(root).updates == "", (
        "the timer is always there; apt's own configuration says whether it upgrades"
    )
    write(root, "etc/apt/apt.conf.d/20auto-upgrades", 'APT::Periodic::Unattended-Upgrade "1";\n')
    assert read_startup(root).updates == "unattended-upgrades"
    assert read_startup(root).intrusion == ""
    write(root, "proc/90/comm", "fail2ban-server\n")
    assert read_startup(root).intrusion == "fail2ban-server"


def test_an_empty_machine_does_nothing_by_itself(tmp_path: Path) -> None:
    assert read_automations(tmp_path) == ()
    assert read_startup(tmp_path).init == ""

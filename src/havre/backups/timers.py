"""Timers for whatever is to happen by itself where no daemon runs: systemd units and crontab lines; pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from havre.host.schedule import INTERVALS
from havre.model.backup import BackupPolicy

EVERY_NIGHT, EVERY_HOUR, EVERY_WEEK, EVERY_MINUTE = "0 3 * * *", "17 * * * *", "47 5 * * 6", "* * * * *"
_DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_NAMES = {name.lower(): name for name in _DAYS}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where timers look for programs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timer:
    """Something to run by itself: `schedule` is a cron expression, `arguments` are those of `havre`."""

    name: str
    schedule: str
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """How timers run Havre: the program with its first words, as whom, and variables that it needs."""

    program: tuple[str, ...]
    user: str = "root"
    variables: tuple[tuple[str, str], ...] = ()


def timers_for(
    instance: str,
    chosen: Sequence[str],
    policies: Sequence[BackupPolicy],
    *,
    certificates: bool = False,
    autoscale: bool = False,
) -> Iterator[Timer]:
    """One timer for each schedule and drill; where any is there, also an hourly alarm and a look at the repositories.

    `chosen` are the options that name the app. With `certificates` those of the whole server are renewed; with
    `autoscale` the load is looked at every minute.
    """
    scheduled = [policy for policy in policies if policy.schedule or policy.drill or policy.pitr]
    for policy in scheduled:
        if policy.schedule:
            arguments = ("backup", "take", policy.service, *chosen)
            yield Timer(name=f"havre-{instance}-backup-{policy.service}", schedule=policy.schedule, arguments=arguments)
        if policy.pitr:
            arguments = ("backup", "wal", policy.service, *chosen)
            schedule = every(policy.pitr.ship)
            yield Timer(name=f"havre-{instance}-wal-{policy.service}", schedule=schedule, arguments=arguments)
        if policy.drill:
            schedule = INTERVALS.get(policy.drill, policy.drill)
            arguments = ("drill", "restore", policy.service, *chosen)
            yield Timer(name=f"havre-{instance}-drill-{policy.service}", schedule=schedule, arguments=arguments)
    if scheduled:
        yield Timer(name=f"havre-{instance}-alarm", schedule=EVERY_HOUR, arguments=("backup", "status", *chosen))
        yield Timer(name=f"havre-{instance}-repository", schedule=EVERY_WEEK, arguments=("backup", "check", *chosen))
    if autoscale:
        arguments = ("scale", "--auto", "--yes", *chosen)
        yield Timer(name=f"havre-{instance}-autoscale", schedule=EVERY_MINUTE, arguments=arguments)
    if certificates:
        arguments = ("certs", "--renew", *chosen)
        yield Timer(name=f"havre-{instance}-certs", schedule=EVERY_NIGHT, arguments=arguments)


def every(seconds: float) -> str:
    """A cron expression that comes round at least as often as this: cron knows whole minutes and hours."""
    minutes = max(1, int(seconds // 60))
    if minutes < 60:
        return f"*/{max(part for part in range(1, minutes + 1) if 60 % part == 0)} * * * *"
    hours = min(minutes // 60, 24)
    return f"0 */{max(part for part in range(1, hours + 1) if 24 % part == 0)} * * *" if hours < 24 else "0 0 * * *"


def crontab(timers: Sequence[Timer], runner: Runner, *, log: str | None = None) -> str:
    """Lines for a file in /etc/cron.d: what is said goes to `log`, else to the system's log under the timer's name."""
    lines = ["# Made by `havre export cron`; make it again when the schedules in havre.yaml change."]
    lines += [f"{name}={value}" for name, value in (("SHELL", "/bin/sh"), ("PATH", PATH), *runner.variables)]
    for timer in timers:
        command = shlex.join([*runner.program, *timer.arguments])
        to = f">> {shlex.quote(log)} 2>&1" if log else f"2>&1 | logger -t {timer.name}"
        lines.append(f"{timer.schedule} {runner.user} {f'{command} {to}'.replace('%', chr(92) + '%')}")
    return "\n".join(lines) + "\n"


def systemd(timers: Sequence[Timer], runner: Runner, *, log: str | None = None) -> tuple[tuple[str, str], ...]:
    """(file name, content) of a service and a timer for each; a run that was missed is made up for."""
    found = []
    for timer in timers:
        command = " ".join(_quoted(word) for word in (*runner.program, *timer.arguments))
        service = ["[Unit]", f"Description={timer.name}", "", "[Service]", "Type=oneshot", f"ExecStart={command}"]
        service += [f"User={runner.user}"] if runner.user != "root" else []
        service += [f"Environment={_quoted(f'{name}={value}')}" for name, value in (("PATH", PATH), *runner.variables)]
        service += [f"StandardOutput=append:{log}", "StandardError=inherit"] if log else []
        calendars = [f"OnCalendar={calendar}" for calendar in on_calendar(timer.schedule)]
        unit = ["[Unit]", f"Description={timer.name}", "", "[Timer]", *calendars, "Persistent=true", ""]
        unit += ["[Install]", "WantedBy=timers.target"]
        found += [(f"{timer.name}.service", "\n".join(service) + "\n"), (f"{timer.name}.timer", "\n".join(unit) + "\n")]
    return tuple(found)


def on_calendar(schedule: str) -> tuple[str, ...]:
    """A cron expression as systemd's calendar expressions: two where day and weekday are both given (cron's `or`)."""
    minute, hour, day, month, weekday = schedule.split()
    time = f"{_field(hour)}:{_field(minute)}:00"
    months = _field(month, names=_MONTHS, first=1)
    dates = [f"*-{months}-{_field(day)} {time}"] if day != "*" or weekday == "*" else []
    days = [f"{_weekdays(weekday)} *-{months}-* {time}"] if weekday != "*" else []
    return tuple(dates + days)


def _field(text: str, *, names: Sequence[str] = (), first: int = 0) -> str:
    """`*/5` is `0/5` or `1/5` for systemd, `1-5` is `1..5`."""
    for number, name in enumerate(names, 1):
        text = re.sub(name, str(number), text, flags=re.IGNORECASE)
    parts = []
    for part in text.split(","):
        span, _, step = part.partition("/")
        span = str(first) if span == "*" and step else span.replace("-", "..")
        parts.append(f"{span}/{step}" if step else span)
    return ",".join(parts)


def _weekdays(text: str) -> str:
    parts = []
    for part in text.split(","):
        ends = [_NAMES.get(end.lower()) or _DAYS[int(end)] for end in part.split("-")]
        parts.append("..".join(ends))
    return ",".join(parts)


def _quoted(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if re.search(r"[\s\"';]", word) else escaped

"""Timers for backups and drills where no daemon runs: systemd units and crontab lines; pure text."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from havre.model.backup import BackupPolicy

_INTERVALS = {"daily": "30 4 * * *", "weekly": "30 4 * * 0", "monthly": "30 4 1 * *"}
_DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_NAMES = {name.lower(): name for name in _DAYS}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timer:
    """Something to run by itself: `schedule` is a cron expression, `arguments` are those of `havre`."""

    name: str
    schedule: str
    arguments: tuple[str, ...]


def timers_for(instance: str, chosen: Sequence[str], policies: Sequence[BackupPolicy]) -> Iterator[Timer]:
    """One timer for each schedule and each drill of the policies; `chosen` are the options that name the app."""
    for policy in policies:
        if policy.schedule:
            arguments = ("backup", "take", policy.service, *chosen)
            yield Timer(name=f"havre-{instance}-backup-{policy.service}", schedule=policy.schedule, arguments=arguments)
        if policy.pitr:
            arguments = ("backup", "wal", policy.service, *chosen)
            schedule = every(policy.pitr.ship)
            yield Timer(name=f"havre-{instance}-wal-{policy.service}", schedule=schedule, arguments=arguments)
        if policy.drill:
            schedule = _INTERVALS.get(policy.drill, policy.drill)
            arguments = ("drill", "restore", policy.service, *chosen)
            yield Timer(name=f"havre-{instance}-drill-{policy.service}", schedule=schedule, arguments=arguments)


def every(seconds: float) -> str:
    """A cron expression that comes round at least as often as this: cron knows whole minutes and hours."""
    minutes = max(1, int(seconds // 60))
    if minutes < 60:
        return f"*/{max(part for part in range(1, minutes + 1) if 60 % part == 0)} * * * *"
    hours = min(minutes // 60, 24)
    return f"0 */{max(part for part in range(1, hours + 1) if 24 % part == 0)} * * *" if hours < 24 else "0 0 * * *"


def crontab(timers: Sequence[Timer], program: str) -> str:
    """Lines for a file in /etc/cron.d: failures end in the system's log, under the timer's name."""
    lines = ["# Made by `havre backup timers cron`; make it again when the schedules change.", "SHELL=/bin/sh"]
    for timer in timers:
        command = shlex.join([program, *timer.arguments]).replace("%", r"\%")
        lines.append(f"{timer.schedule} root {command} 2>&1 | logger -t {timer.name}")
    return "\n".join(lines) + "\n"


def systemd(timers: Sequence[Timer], program: str) -> tuple[tuple[str, str], ...]:
    """(file name, content) of a service and a timer for each; a run that was missed is made up for."""
    found = []
    for timer in timers:
        command = " ".join(_quoted(word) for word in (program, *timer.arguments))
        service = f"[Unit]\nDescription={timer.name}\n\n[Service]\nType=oneshot\nExecStart={command}\n"
        calendars = "".join(f"OnCalendar={calendar}\n" for calendar in on_calendar(timer.schedule))
        unit = f"[Unit]\nDescription={timer.name}\n\n[Timer]\n{calendars}Persistent=true\n"
        found += [
            (f"{timer.name}.service", service),
            (f"{timer.name}.timer", f"{unit}\n[Install]\nWantedBy=timers.target\n"),
        ]
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

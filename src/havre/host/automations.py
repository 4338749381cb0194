"""What this machine does by itself: cron lines and systemd units, read from where they are installed.

systemd is not asked but read: a unit is enabled by a link below a `.wants` directory, whoever made it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from havre.host import clock
from havre.host.commands import find_program, run
from havre.model.launch import Automation, Startup

ROOT = Path("/")
USER_UNITS = ".config/systemd/user"
UNITS = ("etc/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system", "lib/systemd/system")
_CRON_DIRECTORIES = ("etc/cron.d",)
_CRONTABS = ("var/spool/cron/crontabs", "var/spool/cron")
_UPDATERS = {"apt-daily-upgrade.timer": "unattended-upgrades", "dnf-automatic.timer": "dnf-automatic",
             "dnf-automatic-install.timer": "dnf-automatic", "yum-cron.service": "yum-cron"}  # fmt: skip
_WATCHMEN = frozenset({"fail2ban-server", "crowdsec", "sshguard", "sshguard-parser", "ossec-analysisd", "wazuh-agentd",
                       "snort", "suricata"})  # fmt: skip
DAY = 86400.0
_RECORD, _TIME = 384, 340
"""Bytes of one record of btmp on Linux, and where its seconds stand."""

_TIMES = re.compile(r"On(?:Calendar|BootSec|UnitActiveSec|UnitInactiveSec|StartupSec)\s*=\s*(.+)")


def automations_here() -> tuple[Automation, ...]:
    """What this machine does by itself; for users who are not root, their own units and cron lines too."""
    return read_automations(home=None if os.geteuid() == 0 else Path.home())


def read_automations(root: Path = ROOT, home: Path | None = None) -> tuple[Automation, ...]:
    """Every cron line, and every systemd timer or service with a command, that is installed here.

    With `home` the units of that user's own too, and the crontab of whoever asks.
    """
    if home is None:
        return (*_cron(root), *_systemd(root, UNITS))
    return (*_cron(root), *_own_crontab(root), *_systemd(root, (str((home / USER_UNITS).relative_to(root)), *UNITS)))


def read_startup(root: Path = ROOT) -> Startup:
    """What process 1 is, whether it starts Docker, and what keeps the system safe by itself."""
    enabled = _enabled(root)
    return Startup(
        init=_init(root),
        docker_enabled=bool(engine_at_boot(root)),
        updates=next((name for unit, name in _UPDATERS.items() if unit in enabled and _is_on(root, name)), ""),
        updated=_last_time(root),
        awaits_reboot=any((root / path).exists() for path in ("run/reboot-required", "var/run/reboot-required")),
        intrusion=next((name for name in _running(root) if name in _WATCHMEN), ""),
        attempts=failed_logins(root / "var/log/btmp", since=clock.now() - DAY),
    )


def engine_at_boot(root: Path = ROOT) -> bool | None:
    """Whether Docker is started at boot; None where process 1 is nothing that is known to start services."""
    init = _init(root)
    if init == "systemd":
        return bool({"docker.service", "snap.docker.dockerd.service"} & _enabled(root))
    links = (path.name for pattern in ("etc/rc[2-5].d/S*", "etc/runlevels/*/*") for path in root.glob(pattern))
    return any(name.endswith("docker") for name in links) if init in ("init", "openrc-init") else None


def _init(root: Path) -> str:
    return _text(root / "proc/1/comm").strip()


def failed_logins(log: Path, *, since: float) -> int | None:
    """Logins that failed since a moment, by the records of btmp(5); None where they may not be read."""
    try:
        content = log.read_bytes()
    except FileNotFoundError:
        return 0
    except OSError:
        return None
    whole = len(content) - len(content) % _RECORD
    times = (int.from_bytes(content[at + _TIME : at + _TIME + 4], sys.byteorder) for at in range(0, whole, _RECORD))
    return sum(at >= since for at in times)


def _last_time(root: Path) -> float | None:
    """When updates were last installed, or looked for, by themselves."""
    stamps = (root / "var/lib/apt/periodic" / name for name in ("upgrade-stamp", "unattended-upgrades-stamp"))
    return max((stamp.stat().st_mtime for stamp in stamps if stamp.exists()), default=None)


def _cron(root: Path) -> Iterator[Automation]:
    runs = _cron_runs(root)
    files = [(root / "etc/crontab", True)]
    files += [(path, True) for directory in _CRON_DIRECTORIES for path in _files(root / directory)]
    files += [(path, False) for directory in _CRONTABS for path in _files(root / directory)]
    for path, has_user in files:
        for line in _text(path).splitlines():
            found = _cron_line(line, has_user=has_user)
            if found:
                yield Automation(place=_shown(path, root), schedule=found[0], command=found[1], runs=runs)


def _own_crontab(root: Path) -> Iterator[Automation]:
    """Users may not read the directory in which it lies; their own they are told."""
    program = find_program("crontab")
    done = run([program, "-l"], check=False) if program else None
    for line in done.stdout.splitlines() if done and done.exit_code == 0 else ():
        found = _cron_line(line, has_user=False)
        if found:
            yield Automation(place="crontab", schedule=found[0], command=found[1], runs=_cron_runs(root))


def _cron_runs(root: Path) -> bool:
    return any(name in ("cron", "crond", "busybox crond") for name in _running(root))


def _cron_line(line: str, *, has_user: bool) -> tuple[str, str] | None:
    """(schedule, command); lines of a system's crontab name a user between the two."""
    text = line.strip()
    if not text or text.startswith("#") or re.match(r"\w+\s*=", text):
        return None
    words = text.split(None, 1 if text.startswith("@") else 5)
    times = 1 if text.startswith("@") else 5
    if len(words) <= times:
        return None
    command = words[times].split(None, 1)[1:] if has_user else [words[times]]
    return (" ".join(words[:times]), command[0].strip()) if command else None


def _systemd(root: Path, directories: Sequence[str]) -> Iterator[Automation]:
    enabled = _enabled(root, directories)
    is_here = _text(root / "proc/1/comm").strip() == "systemd"
    units = _units(root, directories)
    for name, path in units.items():
        if name.endswith(".timer"):
            service = units.get(_triggered(path))
            schedule = "; ".join(_TIMES.findall(_text(path)))
            command = _command(service) if service else ""
        elif name.endswith(".service") and name in enabled:
            schedule, command = "boot", _command(path)
        else:
            continue
        if command:
            runs = is_here and name in enabled
            yield Automation(place=_shown(path, root), schedule=schedule, command=command, runs=runs)


def _triggered(timer: Path) -> str:
    named = re.search(r"^Unit\s*=\s*(\S+)", _text(timer), re.MULTILINE)
    return named[1] if named else f"{timer.stem}.service"


def _command(unit: Path) -> str:
    found = re.search(r"^ExecStart\s*=\s*[-@:+!]*(.+)$", _text(unit), re.MULTILINE)
    return found[1].strip() if found else ""


def _units(root: Path, directories: Sequence[str]) -> Mapping[str, Path]:
    """Unit files by name; what an administrator wrote goes before what a package brought."""
    found: dict[str, Path] = {}
    for directory in directories:
        for path in _files(root / directory):
            found.setdefault(path.name, path)
    return found


def _enabled(root: Path, directories: Sequence[str] = UNITS) -> frozenset[str]:
    """The names of units that another one wants or requires."""
    return frozenset(
        path.name
        for directory in directories
        for kind in ("wants", "requires", "upholds")
        for path in (root / directory).glob(f"*.{kind}/*")
    )


def _is_on(root: Path, updater: str) -> bool:
    """Debian's timer is always there; whether it upgrades, apt's own configuration says."""
    if updater != "unattended-upgrades":
        return True
    texts = (_text(path) for path in _files(root / "etc/apt/apt.conf.d"))
    return any(re.search(r'APT::Periodic::Unattended-Upgrade\s+"[1-9]', text) for text in texts)


def _running(root: Path) -> frozenset[str]:
    """The names of all programs that run."""
    return frozenset(_text(path).strip() for path in (root / "proc").glob("[0-9]*/comm"))


def _files(directory: Path) -> list[Path]:
    """Plain files, in order; nothing when it is not there or not ours to read."""
    try:
        return sorted(path for path in directory.iterdir() if path.is_file())
    except OSError:
        return []


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:  # it ended meanwhile, is not there, or belongs to somebody else
        return ""


def _shown(path: Path, root: Path) -> str:
    return f"/{path.relative_to(root)}"

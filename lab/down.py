"""Stop the lab's own Docker Engine; with --purge also remove its images, volumes and everything else it kept."""

from __future__ import annotations

import argparse
import shutil
import subprocess
from pathlib import Path

import dockerd
from places import LAB, say


def main() -> None:
    """Leave an engine that the lab did not start alone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--purge", action="store_true", help=f"remove {LAB} afterwards: images, containers, volumes")
    options = parser.parse_args()
    say("engine stopped" if dockerd.stop() else "no engine of the lab is running")
    if options.purge:
        _purge()


def _purge() -> None:
    for mount in _mounts_below(LAB):
        subprocess.run(["umount", mount], check=True)
    if LAB.exists():
        shutil.rmtree(LAB)
    say(f"removed {LAB}")


def _mounts_below(directory: Path) -> list[str]:
    """Deepest first, so that each can be unmounted in turn."""
    targets = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    return sorted((target for target in targets if Path(target).is_relative_to(directory)), reverse=True)


if __name__ == "__main__":
    main()

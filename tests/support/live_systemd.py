"""A machine whose process 1 is a real systemd: this one's files under an overlay, in namespaces of its own.

It keeps what was written to its disk over a reboot and nothing else: processes, /run and /tmp are new, and so is the
boot id. Its network has the loopback device only, with every port free.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
SYSTEMD = "/lib/systemd/systemd"
GROUPS = Path("/sys/fs/cgroup")
PROGRAMS = f"{os.environ['PATH']}:/usr/local/sbin:/usr/sbin:/sbin"

_BOOT = f"""
set -e
machine=$1 repository=$2 root=$1/root
echo $$ > "$3/cgroup.procs"
exec unshare --mount --pid --fork --net --uts --ipc --cgroup sh -ec '
  machine=$1 repository=$2 root=$1/root
  mount --make-rprivate /
  mount -t overlay -o "lowerdir=/,upperdir=$machine/upper,workdir=$machine/work" overlay "$root"
  if [ ! -e "$machine/installed" ]; then
    rm -rf "$root"/etc/systemd/system/* "$root"/etc/fstab "$root"/var/lib/havre
    touch "$machine/installed"
  fi
  mount --rbind "$repository" "$root$repository"
  mount -t proc proc "$root/proc"
  mount -t sysfs -o ro sysfs "$root/sys"
  mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
  for one in run tmp dev; do mount -t tmpfs "$one" "$root/$one"; done
  for one in null zero full random urandom tty; do
    touch "$root/dev/$one"; mount --bind "/dev/$one" "$root/dev/$one"
  done
  mkdir "$root/dev/pts" "$root/dev/shm"
  mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
  ln -s pts/ptmx "$root/dev/ptmx"; ln -s /proc/self/fd "$root/dev/fd"
  mount --bind "$root/proc/sys" "$root/proc/sys"; mount -o remount,bind,ro "$root/proc/sys"
  mount --bind "$machine/boot_id" "$root/proc/sys/kernel/random/boot_id"
  ip link set lo up
  cd "$root"
  pivot_root . mnt
  umount -l /mnt
  exec env -i container=namespaces PATH="$PATH" {SYSTEMD} --unit=multi-user.target --log-target=null
' boot "$machine" "$repository"
"""


class Machine:
    """`run` is a command of its root's; the first boot is over when the machine is made."""

    def __init__(self, directory: Path, group: Path) -> None:
        self._directory, self._group = directory, group
        for name in ("root", "upper", "work"):
            (directory / name).mkdir()
        self._boot()

    def run(self, *argv: str, check: bool = True, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """Run it as a login of root's would, with nothing of our environment but where programs are."""
        inside = ["nsenter", "--target", str(self._init), "--all", "--root", "--wd=/", "env", "-i"]
        done = subprocess.run(
            [*inside, f"PATH={PROGRAMS}", "HOME=/root", "LANG=C.UTF-8", *argv],
            capture_output=True, text=True, timeout=seconds, check=False,
        )  # fmt: skip
        assert done.returncode == 0 or not check, f"{' '.join(argv)}: {done.stdout}{done.stderr}"
        return done

    def write(self, path: str, text: str) -> None:
        """Put a file on its disk."""
        file = Path(f"/proc/{self._init}/root/{path.lstrip('/')}")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def reboot(self) -> None:
        """Have its systemd end everything, and boot it again."""
        self.run("systemctl", "reboot", check=False)
        self._process.wait(60)
        self._boot()

    def restart_after_a_power_cut(self) -> None:
        """End everything without a word, and boot it again."""
        self.end()
        self._boot()

    def end(self) -> None:
        """Kill process 1, and with it all others."""
        if self._process.poll() is None:
            subprocess.run(["kill", "-9", str(self._init)], check=True)
            self._process.wait(60)

    def _boot(self) -> None:
        (self._directory / "boot_id").write_text(f"{uuid.uuid4()}\n")
        argv = ["sh", "-c", _BOOT, "boot", str(self._directory), str(REPOSITORY), str(self._group)]
        self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self._found_init() and self._is_up():
                return
            assert self._process.poll() is None, "the machine ended while it booted"
            time.sleep(0.1)
        raise AssertionError(f"systemd is not up: {self.run('systemctl', '--failed', check=False)}")

    def _found_init(self) -> bool:
        """Its process 1 is the only child of `unshare`, once that has become systemd."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        self._init = int(children[0]) if children else 0
        return bool(self._init) and Path(f"/proc/{self._init}/comm").read_text().strip() == "systemd"

    def _is_up(self) -> bool:
        state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
        return state in ("running", "degraded")


@contextmanager
def machine(directory: Path) -> Iterator[Machine]:
    """One, and nothing of it afterwards."""
    directory.mkdir()
    unified = GROUPS / "unified" if (GROUPS / "unified").is_dir() else GROUPS
    group = unified / f"havre-machine-{uuid.uuid4().hex[:6]}"
    group.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "machine", directory], check=True)
    made = None
    try:
        made = Machine(directory, group)
        yield made
    finally:
        if made is not None:
            made.end()
        subprocess.run(["umount", "-l", directory], check=True)
        shutil.rmtree(directory)
        for one in sorted(group.rglob("*"), reverse=True):
            if one.is_dir():
                one.rmdir()
        group.rmdir()

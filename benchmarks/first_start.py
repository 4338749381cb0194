"""From `git clone` to the app answering through the edge, phase by phase, as a fresh user without Docker.

    python benchmarks/first_start.py [--user NAME]

A home directory without anything in it, a clone of this repository, then `make install` and `havre demo` (together that
is `make demo`): once with no package cache (cold), once with the caches that the first run left (warm), each time until
the application answers, and on to the end of the whole story. Then the app is taken down, its data stays, and it is
started once more. As root everything runs as `--user` too. At the end: the memory (proportional set size) of what Havre
itself keeps running.
The last line is one JSON object; the exit status is 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from example_stage import HOST, REPOSITORY

COLD_WITHIN, WARM_WITHIN, AGAIN_WITHIN, SUPERVISOR_WITHIN = 90.0, 30.0, 5.0, 30 * 1024**2
HELD = (
    "SSL_CERT_FILE",
    "PIP_CERT",
    "NODE_EXTRA_CA_CERTS",
    "PIP_INDEX_URL",
    "PIP_FIND_LINKS",
    "https_proxy",
    "no_proxy",
)
"""What a machine tells every user of its network; nothing else is taken over, `DOCKER_HOST` least of all."""


@dataclass
class Fresh:
    """A user with a home of their own."""

    user: str
    home: Path
    phases: dict[str, float] = field(default_factory=dict)

    @property
    def clone(self) -> Path:
        return self.home / "havre"

    @property
    def state(self) -> Path:
        """The demo's own directory."""
        return Path("/var/lib/havre-demo") if self.user == "root" else self.home / ".local/share/havre-demo"

    def command(self, *words: str) -> list[str]:
        """The words as this user, with nothing of our environment."""
        kept = [f"{name}={os.environ[name]}" for name in HELD if name in os.environ]
        bare = [
            "env",
            "-i",
            f"HOME={self.home}",
            f"USER={self.user}",
            "PATH=/usr/local/bin:/usr/bin:/bin",
            *kept,
            *words,
        ]
        if os.geteuid() != 0 or self.user == "root":
            return bare
        return ["setpriv", f"--reuid={self.user}", f"--regid={pwd.getpwnam(self.user).pw_gid}", "--clear-groups", *bare]

    def run(self, phase: str, *words: str, cwd: Path | None = None) -> None:
        """Run it to its end and remember how long it took."""
        began = time.monotonic()
        subprocess.run(self.command(*words), cwd=cwd or self.home, check=True, stdout=subprocess.DEVNULL)
        self.phases[phase] = time.monotonic() - began

    def until_answer(self, phase: str, *words: str) -> subprocess.Popen[bytes]:
        """Start it and remember how long the app takes to answer from now on."""
        began = time.monotonic()
        running = subprocess.Popen(self.command(*words), cwd=self.clone, stdout=subprocess.DEVNULL)
        while not self._answers():
            if running.poll() is not None:
                raise SystemExit(f"{' '.join(words)} ended with {running.returncode} before the app answered")
            time.sleep(0.05)
        self.phases[phase] = time.monotonic() - began
        return running

    def _answers(self) -> bool:
        settings = self.state / "state/server.yaml"
        if not settings.exists():
            return False
        port = settings.read_text().split("http_port: ")[1].split()[0]
        request = urllib.request.Request(f"http://127.0.0.1:{port}/api/version", headers={"Host": HOST})
        try:
            with urllib.request.urlopen(request, timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError, IndexError):
            return False


def main() -> int:
    """Measure, print the table and the verdict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--user", default="nobody", help="as root: who does it [%(default)s]; otherwise you do")
    given = parser.parse_args()
    user = given.user if os.geteuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is stopped all the same
    with _home(user) as home:
        with _started(Fresh(user, home)) as cold:
            _story(cold)
        with _started(Fresh(user, home)) as warm:
            _story(warm)
            _again(warm)
            idle = idle_memory(user)
    return _report(user, cold.phases, warm.phases, idle)


@contextmanager
def _home(user: str) -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="havre-first-"))
    home.chmod(0o755)
    # A copy of one's own: git refuses to clone what belongs to somebody else.
    subprocess.run(["git", "clone", "--quiet", "--bare", str(REPOSITORY), str(home / "origin.git")], check=True)
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", user, str(home)], check=True)
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _started(fresh: Fresh) -> Iterator[Fresh]:
    """A clone of one's own, prepared; whatever the demo left running is removed in the end."""
    shutil.rmtree(fresh.clone, ignore_errors=True)
    fresh.run("git clone", "git", "clone", "--quiet", str(fresh.home / "origin.git"), str(fresh.clone))
    fresh.run("make install", "make", "install", cwd=fresh.clone)
    try:
        yield fresh
    finally:
        stop = fresh.command(".venv/bin/havre", "demo", "--stop")
        subprocess.run(stop, cwd=fresh.clone, check=True, stdout=subprocess.DEVNULL)


def _story(fresh: Fresh) -> None:
    """The demo: until the app answers, and to the end of its story."""
    began = time.monotonic()
    demo = fresh.until_answer("havre demo, until the app answers", ".venv/bin/havre", "demo")
    if demo.wait(timeout=600) != 0:
        raise SystemExit(f"havre demo ended with {demo.returncode}")
    fresh.phases["havre demo, the whole story"] = time.monotonic() - began


def _again(fresh: Fresh) -> None:
    """Everything stopped, its data kept, and started once more."""
    chosen = ("--state", str(fresh.state / "state"), "--manifest", str(fresh.state / "app/havre.yaml"))
    fresh.run("havre down", ".venv/bin/havre", "down", "-y", *chosen, cwd=fresh.clone)
    deploy = (".venv/bin/havre", "deploy", "-y", "--engine", "process", *chosen)
    fresh.until_answer("second start, until the app answers", *deploy).wait(timeout=120)


def idle_memory(user: str) -> dict[str, int]:
    """What Havre itself keeps running for this user, in bytes: its supervisor, and the edge."""
    time.sleep(3.0)
    owner = pwd.getpwnam(user).pw_uid
    found = {"supervisor": 0, "edge": 0}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.stat().st_uid == owner:
                words = (process / "cmdline").read_bytes().split(b"\0")
                kind = "supervisor" if b"havre.engines.process.supervisor" in words else "edge"
                if kind == "supervisor" or Path(words[0].decode()).name == "haproxy":
                    found[kind] += _proportional(process)
        except OSError:
            continue  # it ended while we looked
    return found


def _proportional(process: Path) -> int:
    lines = (process / "smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024


def _to_answer(phases: dict[str, float]) -> float:
    return sum(phases[name] for name in ("git clone", "make install", "havre demo, until the app answers"))


def _report(user: str, cold: dict[str, float], warm: dict[str, float], idle: dict[str, int]) -> int:
    print(f"as {user}, load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    print(f"{'':42} {'cold':>8} {'warm':>8}")
    for name, seconds in warm.items():
        print(
            f"{name:42} {cold.get(name, 0.0):6.1f} s {seconds:6.1f} s"
            if name in cold
            else f"{name:42} {seconds:15.1f} s"
        )
    for name, size in idle.items():
        print(f"memory of the {name:28} {size / 1024**2:13.1f} MB")
    again = warm["second start, until the app answers"]
    targets = {
        f"warm, from clone to answer within {WARM_WITHIN:g} s ({_to_answer(warm):.1f} s)": _to_answer(warm)
        <= WARM_WITHIN,
        f"second start within {AGAIN_WITHIN:g} s ({again:.1f} s)": again <= AGAIN_WITHIN,
        f"supervisor within 30 MB ({idle['supervisor'] / 1024**2:.1f} MB)": 0 < idle["supervisor"] <= SUPERVISOR_WITHIN,
    }
    if cold:
        name = f"cold, from clone to answer within {COLD_WITHIN:g} s ({_to_answer(cold):.1f} s)"
        targets[name] = _to_answer(cold) <= COLD_WITHIN
    for text, is_met in targets.items():
        print(f"{'met   ' if is_met else 'MISSED'} {text}")
    print(json.dumps({"cold": cold, "warm": warm, "idle": idle, "targets": targets}))
    return 0 if all(targets.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())

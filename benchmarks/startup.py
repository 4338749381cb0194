"""How long a command takes to begin: whole processes, interleaved with those they replace, medians.

    python benchmarks/startup.py [--rounds N]

`havre --help` and `havre plan` of a project with 200 services, beside `docker compose --help` and `config`.
The last line is one JSON object with all figures; the exit status is 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from compose import _generate
from example_stage import BYTECODE, compose_v2

HELP_WITHIN = 0.100
PLAN_WITHIN = 1.0
SERVICES = 200
HAVRE = str(Path(sys.executable).with_name("havre"))


def main() -> int:
    """Measure, print the table and the verdict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11, help="processes per command [%(default)s]")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="start-measured-") as folder:
        project = _project(Path(folder))
        figures = _measure(_commands(project), project, rounds)
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors, medians of {rounds}")
    for name, (seconds, cpu) in figures.items():
        print(f"{name:44} {seconds:8.3f} s {cpu:8.3f} s of processor time")
    help_took, plan_took = figures["havre --help"][0], figures[f"havre plan, {SERVICES} services"][0]
    targets = {
        f"havre --help within {HELP_WITHIN} s ({help_took:.3f} s)": help_took < HELP_WITHIN,
        f"havre plan of {SERVICES} services within {PLAN_WITHIN} s ({plan_took:.3f} s)": plan_took < PLAN_WITHIN,
    }
    for text, is_met in targets.items():
        print(f"{'met   ' if is_met else 'MISSED'} {text}")
    print(json.dumps({"figures": {k: {"seconds": v[0], "cpu": v[1]} for k, v in figures.items()}, "targets": targets}))
    return 0 if all(targets.values()) else 1


def _project(folder: Path) -> Path:
    file = _generate(folder, SERVICES)
    for number in range(SERVICES):
        target = file.parent / f"config/app{number}.toml"
        target.parent.mkdir(exist_ok=True)
        target.write_text("")
    file.write_text(file.read_text().replace("memory: 256M", "memory: 6M").replace('version: "3.8"\n', ""))
    (file.parent / "havre.yaml").write_text("app: startup\n")
    (file.parent / ".env").write_text("DB_PASSWORD=4f9d0c7b1a2e5f60\n")
    return file


def _commands(project: Path) -> dict[str, list[str]]:
    peer = compose_v2()
    return {
        "havre --help": [HAVRE, "--help"],
        "docker compose --help": [*peer, "--help"],
        "docker-compose 1.29.2 --help": ["docker-compose", "--help"],
        f"havre plan, {SERVICES} services": [HAVRE, "plan", "--state", str(project.parent / "state")],
        f"docker compose config, {SERVICES} services": [*peer, "-f", str(project), "config", "-q"],
        f"docker-compose 1.29.2 config, {SERVICES} services": ["docker-compose", "-f", str(project), "config", "-q"],
    }


def _measure(commands: dict[str, list[str]], project: Path, rounds: int) -> dict[str, tuple[float, float]]:
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(rounds + 1):
        for name, command in commands.items():
            seen[name].append(_once(command, project.parent))
    # the first round compiles and fills caches, for everybody
    return {
        name: (
            round(statistics.median(each[0] for each in runs[1:]), 4),
            round(statistics.median(each[1] for each in runs[1:]), 4),
        )
        for name, runs in seen.items()
    }


def _once(command: list[str], folder: Path) -> tuple[float, float]:
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**plain, "PYTHONPYCACHEPREFIX": str(BYTECODE)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: {said.decode()[-1500:]}")
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    raise SystemExit(main())

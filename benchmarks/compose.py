"""How fast the Compose loader is, beside the programs it replaces: whole processes, interleaved, medians.

    python benchmarks/compose.py [--peers DIR] [--rounds N] [--offline]

Loads the example stack and generated projects of 100, 300 and 1,000 services. The peers are fetched once into
--peers: `docker compose` 2.26 and docker-compose 1.29.2 as Debian packages that are unpacked, never installed,
and podman-compose from PyPI. Havre itself is installed anew into an environment of its own, as its users have
it; with --offline the running environment takes its place. A peer that cannot be had is left out and named.
The last line is one JSON object with all figures; the exit status is 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import venv
from dataclasses import asdict, dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
EXAMPLE = REPOSITORY / "examples" / "lexikon"
EXAMPLE_FILE = "docker-compose.prod.yml"
SIZES = (100, 300, 1000)
SECONDS_FOR_1000 = 1.5
MEGABYTES_FOR_1000 = 150
LINEAR_WITHIN = 1.5
SLOW = 5.0
LONGEST = 30.0

_LOAD = """
import json, os, sys
from havre.compose import LoadRequest, load_project
project = load_project(LoadRequest(files=(sys.argv[1],), environment=dict(os.environ)))
json.dump(project.model, sys.stdout)
"""
_OLD_START = "import sys; sys.argv[0] = 'docker-compose'; from compose.cli.main import main; main()"
_OLD_PACKAGES = (
    *("docker-compose", "python3-attr", "python3-cached-property", "python3-certifi", "python3-chardet"),
    *("python3-charset-normalizer", "python3-distro", "python3-docker", "python3-dockerpty", "python3-docopt"),
    *("python3-dotenv", "python3-idna", "python3-jsonschema", "python3-packaging", "python3-pkg-resources"),
    *("python3-pyrsistent", "python3-requests", "python3-setuptools", "python3-six", "python3-texttable"),
    *("python3-urllib3", "python3-websocket", "python3-yaml"),
)
_SECRETS = ("POSTGRES_PASSWORD", "REDIS_PASSWORD", "DATABASE_URL", "JWT_SECRET", "API_KEY_SECRET")


@dataclass(frozen=True)
class Figures:
    """Seconds on the clock, seconds of processor time (which a busy machine does not stretch), peak megabytes."""

    seconds: float
    cpu: float
    megabytes: float


Row = dict[str, Figures]


@dataclass
class Program:
    """One way to load a Compose file; `{}` in the command is the file."""

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, file: Path) -> Figures:
        """What one whole process took."""
        command = [part.replace("{}", str(file)) for part in self.command]
        environment = {**_environment(), **self.environment}
        with tempfile.TemporaryFile() as said:
            start = time.perf_counter()
            process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=said, env=environment, cwd=file.parent
            )
            alarm = threading.Timer(LONGEST, process.kill)
            alarm.start()
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - start
            alarm.cancel()
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                said.seek(0)
                reason = said.read().decode(errors="replace")[-300:] or f"took more than {LONGEST} s"
                raise RuntimeError(f"{self.name} on {file.name}: {reason}")
        return Figures(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def main() -> int:
    """Run everything, print the table and the verdict."""
    options = _options()
    programs, left_out = _programs(options.peers, offline=options.offline)
    with tempfile.TemporaryDirectory() as folder:
        files = {"example": EXAMPLE / EXAMPLE_FILE, **{str(size): _generate(Path(folder), size) for size in SIZES}}
        rows = {name: _measure(programs, file, options.rounds) for name, file in files.items()}
    for name, reason in left_out.items():
        print(f"left out: {name}: {reason}")
    _print_table(rows)
    targets = _targets(rows)
    for text, is_met in targets.items():
        print(f"{'met   ' if is_met else 'MISSED'} {text}")
    figures = {name: {program: asdict(one) for program, one in row.items()} for name, row in rows.items()}
    print(json.dumps({"figures": figures, "targets": targets, "left_out": left_out}))
    return 0 if all(targets.values()) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(tempfile.gettempdir()) / "havre-compose-peers"
    parser.add_argument("--peers", type=Path, default=default, help="where the peers are kept [%(default)s]")
    parser.add_argument("--rounds", type=int, default=9, help="processes per program and file [%(default)s]")
    parser.add_argument("--offline", action="store_true", help="use only the peers that are there already")
    return parser.parse_args()


def _environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/root"), **dict.fromkeys(_SECRETS, "x")}


def _programs(peers: Path, *, offline: bool) -> tuple[list[Program], dict[str, str]]:
    peers.mkdir(parents=True, exist_ok=True)
    python = sys.executable if offline else _installed(peers / "havre")
    programs = [Program("havre", [python, "-c", _LOAD, "{}"])]
    left_out: dict[str, str] = {}
    wanted = (("docker compose 2.26", _compose_v2), ("docker-compose 1.29.2", _compose_v1), ("podman-compose", _podman))
    for name, find in wanted:
        try:
            programs.append(find(name, peers, offline))
        except (OSError, subprocess.SubprocessError, LookupError) as error:
            left_out[name] = str(error)
    return programs, left_out


def _installed(root: Path) -> str:
    """The Python of an environment that holds this tree and what it needs, and nothing else."""
    if not (root / "bin/pip").exists():
        venv.create(root, with_pip=True)
    _run([str(root / "bin/pip"), "install", "--quiet", str(REPOSITORY)])
    return str(root / "bin/python")


def _compose_v2(name: str, peers: Path, offline: bool) -> Program:
    root = peers / "v2"
    binary = root / "usr/libexec/docker/cli-plugins/docker-compose"
    if not binary.exists():
        _unpack(("docker-compose",), root, offline, suite="trixie")
    return Program(name, [str(binary), "-f", "{}", "config"])


def _compose_v1(name: str, peers: Path, offline: bool) -> Program:
    root = peers / "v1"
    packages = root / "usr/lib/python3/dist-packages"
    if not (packages / "compose").exists():
        _unpack(_OLD_PACKAGES, root, offline, suite="bookworm")
    return Program(name, ["/usr/bin/python3", "-c", _OLD_START, "-f", "{}", "config"], {"PYTHONPATH": str(packages)})


def _podman(name: str, peers: Path, offline: bool) -> Program:
    root = peers / "podman"
    if not (root / "bin/podman-compose").exists():
        _refuse_offline(offline)
        venv.create(root, with_pip=True)
        _run([str(root / "bin/pip"), "install", "--quiet", "podman-compose"])
    # it asks podman for its version before it reads anything; an answer is all it needs to print a configuration
    answer = root / "answer"
    answer.mkdir(exist_ok=True)
    (answer / "podman").write_text("#!/bin/sh\necho podman version 4.3.1\n")
    (answer / "podman").chmod(0o755)
    return Program(
        name, [str(root / "bin/podman-compose"), "-f", "{}", "config"], {"PATH": f"{answer}:{os.environ['PATH']}"}
    )


def _unpack(packages: tuple[str, ...], root: Path, offline: bool, *, suite: str) -> None:
    """Fetch Debian packages with an apt state of their own and unpack them, installing nothing."""
    _refuse_offline(offline)
    state = root / "apt"
    for folder in ("lists/partial", "cache/archives/partial"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    (state / "sources.list").write_text(f"deb http://deb.debian.org/debian {suite} main\n")
    apt = [
        *("apt-get", "-q", "-o", f"Dir::Etc::sourcelist={state}/sources.list", "-o", "Dir::Etc::sourceparts=/dev/null"),
        *("-o", f"Dir::State::lists={state}/lists", "-o", f"Dir::Cache={state}/cache"),
        *("-o", "APT::Sandbox::User=root"),
    ]
    _run([*apt, "update"])
    _run([*apt, "download", *packages], state)
    for package in state.glob("*.deb"):
        _run(["dpkg-deb", "-x", str(package), str(root)])
    shutil.rmtree(state)


def _refuse_offline(offline: bool) -> None:
    if offline:
        raise LookupError("not fetched yet, and --offline was given")


def _run(command: list[str], folder: Path | None = None) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)


def _measure(programs: list[Program], file: Path, rounds: int) -> Row:
    """The medians of each program; one that is slow runs once, one that fails not again."""
    runs: dict[str, list[Figures]] = {}
    done: set[str] = set()
    for _ in range(rounds):
        for program in programs:
            if program.name in done:
                continue
            try:
                figures = program.run(file)
            except RuntimeError as error:
                print(error, file=sys.stderr)
                done.add(program.name)
                continue
            runs.setdefault(program.name, []).append(figures)
            if figures.seconds > SLOW:
                done.add(program.name)
    return {name: _median(each) for name, each in runs.items()}


def _median(runs: list[Figures]) -> Figures:
    return Figures(
        round(statistics.median(run.seconds for run in runs), 4),
        round(statistics.median(run.cpu for run in runs), 4),
        round(max(run.megabytes for run in runs), 1),
    )


def _print_table(rows: dict[str, Row]) -> None:
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    print(f"{'project':10} {'program':24} {'seconds':>9} {'cpu':>9} {'MB':>7}")
    for name, row in rows.items():
        for program, one in row.items():
            print(f"{name:10} {program:24} {one.seconds:9.3f} {one.cpu:9.3f} {one.megabytes:7.1f}")


def _targets(rows: dict[str, Row]) -> dict[str, bool]:
    ours = {name: row["havre"] for name, row in rows.items()}
    example, largest = ours["example"], ours["1000"]
    targets = {
        f"example: faster than {peer} ({example.seconds:.3f} s, {one.seconds:.3f} s)": example.seconds < one.seconds
        for peer, one in rows["example"].items()
        if peer != "havre"
    }
    targets[f"1,000 services in under {SECONDS_FOR_1000} s ({largest.seconds:.3f} s)"] = (
        largest.seconds < SECONDS_FOR_1000
    )
    targets[f"1,000 services in under {MEGABYTES_FOR_1000} MB ({largest.megabytes:.0f} MB)"] = (
        largest.megabytes < MEGABYTES_FOR_1000
    )
    growth = ((largest.cpu - example.cpu) / 1000) / max((ours["300"].cpu - example.cpu) / 300, 1e-9)
    summary = f"linear: a service of 1,000 costs at most {LINEAR_WITHIN} times one of 300 ({growth:.2f} times)"
    targets[summary] = growth <= LINEAR_WITHIN
    return targets


def _generate(folder: Path, size: int) -> Path:
    """A project of `size` services like those people write, with anchors, variables and dependencies."""
    services = "\n".join(_service(number) for number in range(size))
    volumes = "\n".join(f"  data{number}: {{}}" for number in range(50))
    text = (
        "x-log: &log\n  driver: json-file\n  options: {max-size: 10m, max-file: '3'}\n"
        f"services:\n  seed: {{image: busybox}}\n{services}\nvolumes:\n{volumes}\n"
        "networks:\n  front: {}\n  back: {}\n"
    )
    file = folder / f"bench{size}" / "docker-compose.yml"
    file.parent.mkdir()
    file.write_text('version: "3.8"\n' + text)
    return file


def _service(number: int) -> str:
    return f"""\
  svc{number}:
    image: registry.example/app{number % 7}:${{TAG:-1.2.3}}
    command: python -m app.server --port 8080 --workers 4
    environment:
      DATABASE_URL: postgres://app:${{DB_PASSWORD:-x}}@db{number % 10}:5432/app
      LOG_LEVEL: info
      WORKERS: 4
      FEATURE: "true"
    ports:
      - "{10000 + number}:8080"
    volumes:
      - data{number % 50}:/var/lib/app
      - ./config/app{number}.toml:/etc/app.toml:ro
    networks: [front, back]
    depends_on: [{f"svc{number - 1}" if number % 20 else "seed"}]
    healthcheck:
      test: ["CMD", "curl", "-f", "http://localhost:8080/health"]
      interval: 10s
      timeout: 3s
      retries: 5
    labels:
      - app.tier=web
      - app.index={number}
    deploy:
      resources:
        limits: {{cpus: "0.50", memory: 256M}}
    restart: unless-stopped
    logging: *log"""


if __name__ == "__main__":
    raise SystemExit(main())

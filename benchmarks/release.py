"""Releases of the example under load: how many visitors notice.

    python benchmarks/release.py [--engine docker|process] [--releases N] [--skip-peers]

64 strict keep-alive connections ask pages (each of which asks the backend inside) and the API, by GET and POST,
while Havre releases both services again and again, rolls back, and refuses three bad releases. Any reset, early
close, 5xx or timeout is a failure. The same load then meets `docker compose up -d` of the same application, and
reloads of an nginx in front of it. The last line is one JSON object; the exit status is 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import long_lived
from example_stage import HOST, Stage, compose_v2, staged
from strict_client import Client, Load, Tally

CONNECTIONS = 64
REQUESTS = 100_000
PATHS = ("/", "/words", "/register", "/api/version", "/api/words", "/words/quay")
BODIES = (16, 1024, 4096)
ANSWERS = (200, 404, 405, 422)
"""What the application answers when it is well; 405 and 422 are its answers to what visitors post."""

NGINX = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 2;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  upstream app {{ server 127.0.0.1:{port}; keepalive 32; }}
  server {{
    listen 127.0.0.1:{listen};
    location / {{ proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""


@dataclass
class Part:
    """What happened, how often, and what visitors saw of it."""

    name: str
    times: int = 0
    requests: int = 0
    failed: int = 0
    slowest: float = 0.0
    kinds: dict[str, int] = field(default_factory=dict)
    note: str = ""


def main() -> int:
    """Run everything, print the table and the verdict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=("docker", "process"), default="docker")
    parser.add_argument("--releases", type=int, default=20, help="[%(default)s]")
    parser.add_argument("--rollbacks", type=int, default=3, help="each after a release [%(default)s]")
    parser.add_argument("--requests", type=int, default=REQUESTS, help="over the releases, at least [%(default)s]")
    parser.add_argument("--skip-peers", action="store_true", help="Havre alone")
    given = parser.parse_args()
    parts: list[Part] = []
    with staged(given.engine) as stage:
        stage.deploy()
        parts.append(_releases(stage, given.releases, given.requests))
        _show(parts[-1])
        parts.append(_rollbacks(stage, given.rollbacks))
        _show(parts[-1])
        parts.append(_open_connections(stage))
        _show(parts[-1])
        for bad in _bad_releases(stage):
            parts.append(bad)
            _show(bad)
    if not given.skip_peers and given.engine == "docker":
        with staged("docker") as stage:
            for peer in _peers(stage):
                parts.append(peer)
                _show(peer)
    return _report(parts, given.requests)


def _releases(stage: Stage, count: int, requests: int) -> Part:
    part = Part(f"havre deploy, {stage.engine}")
    with _load(stage.http_port, part) as tally:
        for number in range(count):
            stage.release(f"2.{number}.0")
            stage.deploy()
            part.times += 1
            _catch_up(tally, requests * (number + 1) // count)
    return part


def _rollbacks(stage: Stage, count: int) -> Part:
    part = Part(f"havre rollback, {stage.engine}")
    with _load(stage.http_port, part):
        for number in range(count):
            stage.release(f"2.{number}.1")
            stage.deploy()
            stage.havre("rollback", "-y")
            part.times += 1
    return part


def _open_connections(stage: Stage) -> Part:
    """Websockets and event streams across a release of an app beside the example, behind the same edge."""
    name, directory = f"{stage.name}talk", stage.directory / "talk"
    part = Part(f"havre deploy, {stage.engine}: {2 * long_lived.EACH} open websockets, streams", times=1)
    beside = replace(stage, app=directory)
    long_lived.write(directory, name, "1")
    beside.deploy()
    try:
        outcome = long_lived.measure(directory, name, stage.http_port, beside.deploy)
    finally:
        beside.havre("down", "-y", check=False)
    part.requests, part.failed = outcome.messages, outcome.early
    part.note = f"lived {min(outcome.lived)}-{max(outcome.lived)} s after the switch, limit {long_lived.DRAIN:g} s"
    return part


def _bad_releases(stage: Stage) -> Iterator[Part]:
    """Each is refused by its own cause while the old release serves, and the files are put right again."""
    compose, manifest = stage.app / "docker-compose.prod.yml", stage.app / "havre.yaml"
    good, promised = compose.read_text(), manifest.read_text()
    hasty = good.replace("interval: 30s", "interval: 2s").replace("start_period: 60s", "start_period: 4s")
    place = "    image: lexikon_frontend:latest\n"
    faults = {
        "never healthy": (hasty.replace(place, f'{place}    command: ["sleep", "600"]\n'), promised, "healthy"),
        "crashes after start": (
            hasty.replace(place, f'{place}    command: ["node", "-e", "setTimeout(() => process.exit(3), 1500)"]\n'),
            promised,
            "code 3",
        ),
        "fails verify": (good, f"{promised}    - {{get: /words, host: {HOST}, expect: {{status: 418}}}}\n", "418"),
    }
    for name, (text, rules, cause) in faults.items():
        part = Part(f"refused release, {stage.engine}: {name}")
        compose.write_text(text)
        manifest.write_text(rules)
        stage.release(f"bad-{name.replace(' ', '-')}")
        with _load(stage.http_port, part):
            refused = stage.deploy(check=False)
        part.times = 1
        told = "cause told" if cause in refused.stderr else f"CAUSE NOT TOLD: {refused.stderr[-300:]}"
        part.note = f"exit {refused.returncode}, {told}"
        compose.write_text(good)
        manifest.write_text(promised)
        yield part


def _peers(stage: Stage) -> Iterator[Part]:
    program = compose_v2()
    stage.compose(program, "build")
    stage.compose(program, "up", "-d", "--wait", "postgres", "redis")
    stage.compose(program, "run", "--rm", "backend", "alembic", "upgrade", "head")
    stage.compose(program, "up", "-d", "--wait")
    part = Part("docker compose up -d")
    with _load(stage.frontend_port, part):
        for number in range(3):
            stage.release(f"3.{number}.0")
            stage.compose(program, "up", "-d")
            part.times += 1
            time.sleep(3)
    yield part
    stage.compose(program, "up", "-d", "--wait")
    yield _nginx_reloads(stage)
    stage.compose(program, "down", "-v")


def _nginx_reloads(stage: Stage) -> Part:
    part = Part("nginx -s reload")
    with tempfile.TemporaryDirectory() as folder:
        configuration = Path(folder, "nginx.conf")
        listen = stage.http_port
        configuration.write_text(NGINX.format(folder=folder, port=stage.frontend_port, listen=listen))
        server = subprocess.Popen(["nginx", "-c", str(configuration)], stderr=subprocess.DEVNULL)
        time.sleep(1)
        try:
            with _load(listen, part):
                for _ in range(20):
                    time.sleep(0.5)
                    server.send_signal(1)
                    part.times += 1
        finally:
            server.terminate()
            server.wait()
    return part


@contextmanager
def _load(port: int, part: Part) -> Iterator[Tally]:
    """Visitors for as long as the block lasts; what they saw is in the part after it."""
    url = f"http://127.0.0.1:{port}/"
    load = Load(
        url=url, connections=CONNECTIONS, seconds=3600, post_share=0.3, body_sizes=BODIES, timeout=30,
        hosts=(HOST,), paths=PATHS, expected=ANSWERS, think=(0.0, 0.1),
    )  # fmt: skip
    client = Client(load).start()
    time.sleep(1)
    try:
        yield client.tally
    finally:
        time.sleep(1)
        tally = client.stop()
        part.requests, part.failed, part.kinds = tally.requests, tally.failed, dict(tally.kinds)
        part.slowest = round(tally.slowest, 2)
        if tally.failed:
            part.note = "; ".join(tally.examples[:2])


def _catch_up(tally: Tally, requests: int) -> None:
    """Wait until that many were asked, so that every release has its share of the load."""
    while tally.requests < requests:
        time.sleep(0.05)


def _show(part: Part) -> None:
    row = f"{part.name:46} {part.times:4} times {part.requests:9} requests {part.failed:6} failed"
    print(f"{row}  slowest {part.slowest:5.2f} s  {part.note}", flush=True)


def _report(parts: list[Part], requests: int) -> int:
    ours = [part for part in parts if part.name.startswith(("havre", "refused"))]
    check: Callable[[Part], bool] = lambda part: part.failed == 0 and "NOT TOLD" not in part.note  # noqa: E731
    targets = {f"{part.name}: 0 failed ({part.failed} of {part.requests})": check(part) for part in ours}
    releases = parts[0]
    targets[f"at least {requests} requests over the releases ({releases.requests})"] = releases.requests >= requests
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    for text, is_met in targets.items():
        print(f"{'met   ' if is_met else 'MISSED'} {text}")
    print(json.dumps({"figures": [vars(part) for part in parts], "targets": targets}))
    return 0 if all(targets.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())

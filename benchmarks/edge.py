"""What the edge costs at a thousand domains, beside a HAProxy configuration written by hand for the same job.

    python benchmarks/edge.py [--domains 1000] [--seconds 2] [--rounds 11]

One run, one machine, many short interleaved rounds, medians of their ratios: the edge and the hand-written HAProxy
serve the same hosts from the same backend, with rate limit, security headers, request id and JSON log in both. Prints
a table and, as its last line, one JSON object; exits 1 when a target is missed. Everything listens on 127.0.0.1.
`machine_load` says how busy the machine was: above the number of its processors, times mean little; `cpu_us` (per
request) and memory still do.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from havre.edge.haproxy import Edge
from havre.edge.runner import ProcessRunner
from havre.edge.state import load_pool, save_applied
from havre.host.commands import find_program
from havre.model.route import AppEdge, EdgeSettings, RateLimit, Route, Upstream
from strict_client import Load
from strict_client import run as run_load

WEB = ("web", 3000)
TARGETS = {
    "switch_ms": ("<=", 5.0),
    "add_domain_ms": ("<=", 20.0),
    "add_app_ms": ("<=", 20.0),
    "memory_mb": ("<=", 80.0),
    "throughput_ratio": (">=", 0.95),
    "p99_ratio": ("<=", 1.10),
    "failed": ("<=", 0.0),
}
BACKEND = """\
global
  nbthread 1
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 1s
frontend answer
  bind 127.0.0.1:{port}
  http-request return status 200 content-type text/plain string "hello from the app, in a few bytes"
"""
BY_HAND = """\
global
  nbthread {threads}
  maxconn 4000
  localpeer local
  log stdout len 8192 format raw local0
defaults
  mode http
  timeout connect 250ms
  timeout client 60s
  timeout server 60s
  timeout queue 10s
  timeout http-request 10s
  timeout http-keep-alive 15s
  timeout tunnel 1h
  retries 60
  option redispatch 1
  retry-on conn-failure empty-response
  option idle-close-on-response
  default-server check inter 2s fall 2 rise 1 init-addr none
backend rate
  stick-table type string len 128 size 100k expire 120s store gpc0,gpc0_rate(60s)
frontend web
  bind 127.0.0.1:{port}
  log global
  log-format '{log}'
  http-request set-var(txn.id) uuid
  http-request set-var(txn.host) req.hdr(host),field(1,:),lower
  http-request set-var(txn.limit) var(txn.host),map({limits},0)
  http-request set-var(txn.who) src,concat(|,txn.host)
  http-request track-sc0 var(txn.who) table rate if {{ var(txn.limit) -m int gt 0 }}
  http-request deny deny_status 429 hdr Retry-After 60 if {{ sc0_gpc0_rate(rate),sub(txn.limit) ge 0 }}
  http-request sc-inc-gpc0(0)
  http-request set-var(txn.most) var(txn.host),map({bodies},0)
  http-request deny deny_status 413 if {{ req.body_size,sub(txn.most) gt 0 }}
  http-request disable-l7-retry unless {{ method GET HEAD OPTIONS }}
  http-request set-header X-Request-Id %[var(txn.id)]
  http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Real-IP %[src]
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-response set-header X-Request-Id %[var(txn.id)]
  http-response set-header X-Frame-Options DENY
  http-response set-header X-Content-Type-Options nosniff
  http-response set-header Referrer-Policy strict-origin-when-cross-origin
  http-response set-header Strict-Transport-Security max-age=31536000 if {{ ssl_fc }}
  use_backend %[var(txn.host),map({hosts},none)]
backend none
  http-request return status 404
"""
LOG = (
    '{"ts":"%[date(0,ms)]","id":"%[var(txn.id)]","ip":"%ci","method":"%HM","host":"%[var(txn.host),json(utf8s)]",'
    '"path":"%[capture.req.uri,json(utf8s)]","status":%ST,"bytes":%B,"backend":"%b","server":"%s","tw":%Tw,"tc":%Tc,'
    '"tr":%Tr,"ta":%Ta,"state":"%tsc","retries":"%rc"}'
)


@dataclass(frozen=True, kw_only=True)
class Round:
    """One measurement of one contestant."""

    per_second: float
    p99_ms: float
    failed: int
    cpu_us: float
    """Processor time of the proxy per request: hardly touched by what else the machine does."""


def host(number: int) -> str:
    """The name of a domain."""
    return f"app{number:04}.example"


def replica(number: int, port: int) -> Upstream:
    """All domains end at the same server, under different addresses."""
    return Upstream(name=f"web.{number}", address="127.0.0.1", port=port)


def app(number: int, port: int, *extra: str) -> AppEdge:
    """An app as teams have them: one host, a rate limit, a body limit."""
    names = (host(number), *extra)
    limit = RateLimit(count=100_000_000, period=60)
    routes = tuple(Route(host=name, service="web", port=3000, rate_limit=limit, max_body=10_000_000) for name in names)
    return AppEdge(instance=f"app{number:04}", routes=routes, upstreams=((WEB, (replica(1, port),)),))


def by_hand(directory: Path, port: int, backend: int, domains: int, threads: int) -> Path:
    """The configuration an expert would write for the same hosts."""
    maps = {name: directory / f"{name}.map" for name in ("hosts", "limits", "bodies")}
    maps["hosts"].write_text("".join(f"{host(n)} be_{n}\n" for n in range(domains)))
    maps["limits"].write_text("".join(f"{host(n)} 100000000\n" for n in range(domains)))
    maps["bodies"].write_text("".join(f"{host(n)} 10000000\n" for n in range(domains)))
    slots = "".join(f"  server s{n} 127.0.0.1:1 check disabled\n" for n in range(2, 5))
    backends = "".join(
        f"backend be_{n}\n  balance leastconn\n  http-reuse safe\n  server s1 127.0.0.1:{backend} check\n{slots}"
        "  server hold 127.0.0.1:1 no-check disabled\n"
        for n in range(domains)
    )
    text = BY_HAND.format(port=port, threads=threads, log=LOG, **maps)
    path = directory / "by-hand.cfg"
    path.write_text(text + backends)
    return path


def milliseconds(what: Callable[[int], object], times: int) -> list[float]:
    """How long each of `times` calls took."""
    taken = []
    for number in range(times):
        began = time.perf_counter()
        what(number)
        taken.append(1000 * (time.perf_counter() - began))
    return taken


def load(port: int, master: int, given: argparse.Namespace, seconds: float) -> Round:
    """GET requests for random hosts."""
    domains, connections = given.domains, given.connections
    before = processor_time(master)
    hosts = tuple(host(n) for n in range(domains))
    tally = run_load(
        Load(url=f"http://127.0.0.1:{port}/", connections=connections, seconds=seconds, post_share=0.0, hosts=hosts)
    )
    found = tally.summary()
    return Round(
        per_second=float(str(found["per_second"])),
        p99_ms=float(str(found["p99_ms"])),
        failed=tally.failed,
        cpu_us=1e6 * (processor_time(master) - before) / max(1, tally.requests),
    )


def processor_time(master: int) -> float:
    """Seconds that a master and its workers have used."""
    pids = [master, *map(int, Path(f"/proc/{master}/task/{master}/children").read_text().split())]
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory(master: int) -> float:
    """Proportional memory of a master and its workers, in MB."""
    pids = [master, *map(int, Path(f"/proc/{master}/task/{master}/children").read_text().split())]
    total = 0
    for pid in pids:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def free_port() -> int:
    """A port nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start(configuration: Path, log: Path) -> subprocess.Popen[bytes]:
    """A HAProxy for comparison."""
    program = find_program("haproxy")
    assert program, "needs HAProxy (apt-get install haproxy)"
    with log.open("wb") as output:
        return subprocess.Popen([program, "-W", "-f", str(configuration)], stdout=output, stderr=subprocess.DEVNULL)


def fill(edge: Edge, domains: int, backend: int) -> None:
    """A thousand apps, recorded as if each had been deployed, then started once (deploying each is measured apart)."""
    from havre.edge import transition
    from havre.edge.disk import Disk

    disk = Disk(edge.layout, edge.settings)
    disk.prepare()
    pool = load_pool(edge.layout)
    for number in range(domains):
        applied = transition.to_app(None, app(number, backend), pool, edge.settings).applied
        save_applied(edge.layout, applied)
        disk.write_app_configuration(applied)
    disk.write_pool(transition.replenished(pool, edge.settings.spare_backends))
    edge.restore()


def measure(given: argparse.Namespace, directory: Path) -> dict[str, float]:
    """Everything, in one run."""
    backend, front, hand = free_port(), free_port(), free_port()
    (directory / "backend.cfg").write_text(BACKEND.format(port=backend))
    servers = [start(directory / "backend.cfg", directory / "backend.log")]
    settings = EdgeSettings(
        addresses=("127.0.0.1",), http_port=front, https_port=None, threads=given.threads, max_connections=4000
    )
    edge = Edge(directory / "edge", ProcessRunner(), settings)
    try:
        fill(edge, given.domains, backend)
        configuration = by_hand(directory, hand, backend, given.domains, given.threads)
        servers.append(start(configuration, directory / "by-hand.log"))
        time.sleep(2.0)
        found = control(edge, given.domains, backend)
        master = int(edge.layout.pid.read_text())
        found |= traffic(given, (front, master), (hand, servers[1].pid))
        found["machine_load"] = os.getloadavg()[0]
        found["memory_mb"] = memory(master)
        found["by_hand_memory_mb"] = memory(servers[1].pid)
        return found
    finally:
        edge.stop()
        for server in servers:
            server.terminate()
            server.wait(10)


def control(edge: Edge, domains: int, backend: int) -> dict[str, float]:
    """Switches, new domains and new apps: whole calls, with their files on disk."""
    instance = f"app{domains // 2:04}"
    switches = []
    for number in range(20):
        began = time.perf_counter()
        edge.switch(instance, {WEB: [replica(2 + number, backend)]})
        switches.append(1000 * (time.perf_counter() - began))
        edge.forget(instance, f"web.{1 + number}")
    more = [tuple(f"extra{m}.example" for m in range(n + 1)) for n in range(10)]
    domains_added = milliseconds(lambda n: edge.apply(app(1, backend, *more[n])), 10)
    apps_added = milliseconds(lambda n: edge.apply(app(domains + n, backend)), 10)
    return {
        "switch_ms": statistics.median(switches),
        "switch_slowest_ms": max(switches),
        "add_domain_ms": statistics.median(domains_added),
        "add_app_ms": statistics.median(apps_added),
    }


def traffic(given: argparse.Namespace, front: tuple[int, int], hand: tuple[int, int]) -> dict[str, float]:
    """Interleaved rounds, and the medians of their ratios (pairs see the same noise of the machine)."""
    pairs = []
    load(*front, given, 1.0)
    load(*hand, given, 1.0)
    for number in range(given.rounds):
        order = (front, hand) if number % 2 == 0 else (hand, front)
        rounds = {at: load(*at, given, given.seconds) for at in order}
        pairs.append((rounds[front], rounds[hand]))
    return {
        "per_second": statistics.median(ours.per_second for ours, _ in pairs),
        "by_hand_per_second": statistics.median(theirs.per_second for _, theirs in pairs),
        "throughput_ratio": statistics.median(ours.per_second / theirs.per_second for ours, theirs in pairs),
        "p99_ms": statistics.median(ours.p99_ms for ours, _ in pairs),
        "by_hand_p99_ms": statistics.median(theirs.p99_ms for _, theirs in pairs),
        "p99_ratio": statistics.median(ours.p99_ms / theirs.p99_ms for ours, theirs in pairs),
        "cpu_us": statistics.median(ours.cpu_us for ours, _ in pairs),
        "by_hand_cpu_us": statistics.median(theirs.cpu_us for _, theirs in pairs),
        "cpu_ratio": statistics.median(theirs.cpu_us / ours.cpu_us for ours, theirs in pairs),
        "failed": float(sum(ours.failed for ours, _ in pairs)),
    }


def is_met(name: str, value: float) -> bool:
    """True when a target is kept (or there is none)."""
    if name not in TARGETS:
        return True
    sign, limit = TARGETS[name]
    return value <= limit if sign == "<=" else value >= limit


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="the edge at a thousand domains")
    parser.add_argument("--domains", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args(argv)
    directory = Path(tempfile.mkdtemp(prefix="hvb"))
    try:
        found = measure(given, directory)
    finally:
        shutil.rmtree(directory)
    for name, value in found.items():
        sign, limit = TARGETS.get(name, ("", 0.0))
        target = f"{sign} {limit:g}" if sign else ""
        print(f"{name:22} {value:12.2f}   {target:10} {'' if is_met(name, value) else 'MISSED'}")
    missed = [name for name, value in found.items() if not is_met(name, value)]
    print(json.dumps({"domains": given.domains, **{k: round(v, 3) for k, v in found.items()}, "missed": missed}))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

"""How long all checks of one deploy take on a server that many apps share; must grow linearly with them.

    python benchmarks/checks.py [--rounds N]

The ledger holds 100 to 2,000 apps of 10 services each, with their ports, hosts, subnets, volumes and memory; the new
app clashes with them on purpose, because proposing free values is the dear part. The last line is one JSON object
with the figures and the targets; the exit status is 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

from havre.checks.case import Case
from havre.checks.registry import ALL
from havre.checks.report import run_checks
from havre.model.app import App
from havre.model.observed import Observed, ObservedNetwork
from havre.model.project import Network, Port, Project, Service
from havre.model.route import Route
from havre.model.server import Claim, Listener, ServerFacts

SIZES = (100, 500, 1000, 2000)
SERVICES = 10
SECONDS_FOR_1000 = 1.0
LINEAR_WITHIN = 1.5
"""The time per app at 2,000 apps may be so much that at 1,000."""


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print(f"{'apps':>6}  {'claims':>8}  {'seconds':>8}  {'ms per app':>10}  problems")
    seconds: dict[int, float] = {}
    for apps in SIZES:
        case = new_app_on(apps)
        taken, problems = measure(case, rounds)
        seconds[apps] = taken
        claims = len(case.server.claims) if case.server else 0
        print(f"{apps:>6}  {claims:>8}  {taken:>8.3f}  {taken / apps * 1000:>10.3f}  {problems}")
    growth = (seconds[2000] / 2000) / (seconds[1000] / 1000)
    figures = {
        "checks_seconds_at_1000_apps": round(seconds[1000], 4),
        "target_seconds": SECONDS_FOR_1000,
        "growth_1000_to_2000_per_app": round(growth, 3),
        "target_growth": LINEAR_WITHIN,
    }
    print(json.dumps(figures))
    return 0 if seconds[1000] <= SECONDS_FOR_1000 and growth <= LINEAR_WITHIN else 1


def measure(case: Case, rounds: int) -> tuple[float, int]:
    """(median seconds, problems found) of all checks."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        report = run_checks(case, ALL, today="2026-11-20")
        times.append(time.perf_counter() - start)
    return statistics.median(times), len(report.problems)


def new_app_on(apps: int) -> Case:
    """A new app of 10 services whose ports, hosts and subnets are all taken."""
    services = tuple(
        Service(name=f"s{n}", image=f"x:{n}", ports=(Port(target=80, published=str(1024 + n), host_ip="127.0.0.1"),))
        for n in range(SERVICES)
    )
    networks = tuple(Network(key=f"n{n}", name=f"new_n{n}", subnets=((subnet(n), None),)) for n in range(3))
    routes = tuple(Route(host=f"app{n}.example.org", service="s0", port=80) for n in range(5))
    claims = tuple(claim for number in range(apps) for claim in claims_of_app(number))
    listeners = tuple(
        Listener(port=1024 + n % 60000, address="127.0.0.1", pid=1, program="haproxy", ours=True)
        for n in range(apps * SERVICES)
    )
    observed = tuple(
        ObservedNetwork(name=f"app{n}_default", id=str(n), instance=f"app{n}", subnets=((subnet(n), None),))
        for n in range(apps)
    )
    return Case(
        app=App(name="new", routes=routes),
        project=Project(name="new", services=services, networks=networks),
        server=ServerFacts(memory_total=2**41, claims=claims, listeners=listeners),
        observed=Observed(instance="new", networks=observed),
    )


def claims_of_app(number: int) -> list[Claim]:
    """What one app of the server owns."""
    name = f"app{number}"
    first = number * SERVICES
    ports = [f"127.0.0.1:{1024 + (first + n) % 60000}/tcp" for n in range(SERVICES)]
    return [
        *(Claim(instance=name, kind="port", value=port, detail="web, /srv/app/compose.yaml:7:9") for port in ports),
        *(Claim(instance=name, kind="volume", value=f"{name}_v{n}") for n in range(SERVICES)),
        Claim(instance=name, kind="host", value=f"{name}.example.org/"),
        Claim(instance=name, kind="network", value=f"{name}_default"),
        Claim(instance=name, kind="subnet", value=subnet(number), detail=f"{name}_default"),
        Claim(instance=name, kind="memory", value=str(640 * 1024**2)),
    ]


def subnet(number: int) -> str:
    """The /24 of an app, from 172.16.0.0 on."""
    return f"172.{16 + number // 256}.{number % 256}.0/24"


if __name__ == "__main__":
    raise SystemExit(main())

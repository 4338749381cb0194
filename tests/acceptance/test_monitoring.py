"""Rows C26 to C35, L39, T23 to T27: the guides' monitoring files: scrape targets, alerts, an optional stack.

Prometheus, Alertmanager and the node exporter are real (Debian's, under the official tags); the receiver of
the Slack webhook is a service of the app.
"""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from guides import HEALTHCHECK, GuideApp, new_app, remove

from havre.workflows.demo import free_port

pytestmark = pytest.mark.docker
BASE, MONITORING = "docker-compose.prod.yml", "docker-compose.monitoring.yml"
ANSWERER = f"""\
    build: {{context: program}}
    healthcheck: {{test: {HEALTHCHECK}, interval: 5s, retries: 6}}
    restart: unless-stopped
    mem_limit: 128m
"""
FILES = {
    BASE: f"""\
services:
  backend:
{ANSWERER}
    environment: {{NAME: backend}}
  slack:
{ANSWERER}
    environment: {{NAME: slack}}
""",
    MONITORING: """\
services:
  prometheus:
    image: prom/prometheus:latest
    command: [--config.file=/etc/prometheus/prometheus.yml, --storage.tsdb.path=/prometheus]
    volumes:
      - ./prometheus/prometheus.yml:/etc/prometheus/prometheus.yml:ro
      - ./prometheus/alerts.yml:/etc/prometheus/alerts.yml:ro
      - prometheus_data:/prometheus
    ports: ["127.0.0.1:${PROMETHEUS_PORT}:9090"]
    healthcheck: {test: [CMD, wget, -q, --spider, "http://127.0.0.1:9090/-/ready"], interval: 5s, retries: 6}
    restart: unless-stopped
    mem_limit: 256m
  node-exporter:
    image: prom/node-exporter:latest
    healthcheck: {test: [CMD, wget, -q, --spider, "http://127.0.0.1:9100/metrics"], interval: 5s, retries: 6}
    restart: unless-stopped
    mem_limit: 64m
  alertmanager:
    image: prom/alertmanager:latest
    command: [--config.file=/etc/alertmanager/config.yml, --storage.path=/alertmanager]
    volumes: ["./prometheus/alertmanager.yml:/etc/alertmanager/config.yml:ro"]
    ports: ["127.0.0.1:${ALERTMANAGER_PORT}:9093"]
    healthcheck: {test: [CMD, wget, -q, --spider, "http://127.0.0.1:9093/-/ready"], interval: 5s, retries: 6}
    restart: unless-stopped
    mem_limit: 64m
volumes: {prometheus_data: }
""",
    "prometheus/prometheus.yml": """\
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [/etc/prometheus/alerts.yml]
alerting: {alertmanagers: [{static_configs: [{targets: ["alertmanager:9093"]}]}]}
scrape_configs:
  - {job_name: backend, static_configs: [{targets: ["backend:8000"]}]}
  - {job_name: node, static_configs: [{targets: ["node-exporter:9100"]}]}
""",
    "prometheus/alerts.yml": """\
groups:
  - name: site
    rules:
      - {alert: BackendDown, expr: 'up{job="backend"} == 0', labels: {severity: critical}}
""",
    "prometheus/alertmanager.yml": """\
route: {receiver: slack, group_wait: 1s}
receivers:
  - name: slack
    slack_configs: [{api_url: "http://slack:8000/services/T000/B000/XXXX", channel: "#alerts"}]
""",
    "havre.yaml": """\
app: {name}
compose: [docker-compose.prod.yml]
routes: [{{host: site.localhost, to: backend:8000}}, {{host: slack.localhost, to: slack:8000}}]
release: {{verify: [{{get: /health, host: site.localhost, expect: {{status: 200}}}}]}}
""",
}
WITH_MONITORING = ("-c", BASE, "-c", MONITORING)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuideApp]:
    app = new_app(tmp_path_factory.mktemp("monitoring") / "app", "watched", tls=False, first_port=32500)
    manifest = FILES["havre.yaml"].format(name=app.name)
    prometheus = free_port(app.http_port + 10)
    ports = f"PROMETHEUS_PORT={prometheus}\nALERTMANAGER_PORT={free_port(prometheus + 1)}\n"
    app.write({**FILES, "havre.yaml": manifest, ".env": ports})
    app.deploy()
    yield app
    remove(app)


@pytest.fixture(scope="module")
def watched(app: GuideApp) -> GuideApp:
    """The same app with the optional files beside its own."""
    before = app.container("backend")["Id"]
    app.deploy(*WITH_MONITORING)
    assert app.container("backend")["Id"] == before
    return app


def port(app: GuideApp, variable: str) -> int:
    lines = (app.directory / ".env").read_text().splitlines()
    return int(dict(line.split("=") for line in lines)[variable])


def ask(app: GuideApp, variable: str, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port(app, variable)}{path}", timeout=10) as answer:
        return json.load(answer)


def targets(app: GuideApp) -> dict[str, str]:
    """Scrape address -> health, as the operator reads it from Prometheus."""
    listed = ask(app, "PROMETHEUS_PORT", "/api/v1/targets")["data"]["activeTargets"]
    return {target["scrapeUrl"]: target["health"] for target in listed}


def eventually(look: Callable[[], Any], good: Callable[[Any], bool], seconds: float = 30.0) -> Any:
    """What `look` sees once it is good, or at the end of the time."""
    end = time.monotonic() + seconds
    while not good(seen := look()) and time.monotonic() < end:
        time.sleep(0.3)
    return seen


def test_the_site_runs_without_its_monitoring_and_is_not_touched_when_that_comes(watched: GuideApp) -> None:
    assert set(watched.states(*WITH_MONITORING).values()) == {"running"}
    assert watched.ask("site.localhost/health").status == 200


def test_prometheus_scrapes_the_backend_and_the_node_exporter(watched: GuideApp) -> None:
    seen = eventually(lambda: targets(watched), lambda found: set(found.values()) == {"up"})
    assert seen == {"http://backend:8000/metrics": "up", "http://node-exporter:9100/metrics": "up"}
    found = ask(watched, "PROMETHEUS_PORT", "/api/v1/query?query=requests_total")["data"]["result"]
    assert found[0]["metric"]["name"] == "backend"


def test_a_stopped_backend_is_told_in_the_channel_that_the_configuration_names(watched: GuideApp) -> None:
    watched.havre("stop", "-y", "backend", *WITH_MONITORING)
    try:
        posted = eventually(lambda: watched.ask("slack.localhost/posted").json, bool)
    finally:
        watched.havre("start", "-y", "backend", *WITH_MONITORING)
    assert posted[0]["channel"] == "#alerts"
    assert "BackendDown" in json.dumps(posted[0])
    assert watched.ask("site.localhost/health").status == 200


def test_alertmanager_runs_with_the_mounted_file_on_this_machine_only(watched: GuideApp) -> None:
    shown = ask(watched, "ALERTMANAGER_PORT", "/api/v2/status")["config"]["original"]
    assert "#alerts" in shown
    taken = json.loads(watched.havre("ports", "--json").stdout)["ports"]
    mine = [one["address"] for one in taken if one["port"] == port(watched, "ALERTMANAGER_PORT")]
    assert set(mine) == {"127.0.0.1"}


def test_a_target_added_to_the_file_is_scraped_after_a_restart(watched: GuideApp) -> None:
    added = '{job_name: slack, static_configs: [{targets: ["slack:8000"]}]}'
    file = watched.directory / "prometheus/prometheus.yml"
    file.write_text(f"{file.read_text()}  - {added}\n")
    watched.havre("restart", "-y", "prometheus", *WITH_MONITORING)
    seen = eventually(lambda: targets(watched), lambda found: found.get("http://slack:8000/metrics") == "up")
    assert seen["http://slack:8000/metrics"] == "up"

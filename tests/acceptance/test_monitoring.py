"""Rows C26 to C35, L39, T23 to T27: the guides' monitoring files: targets, alerts, dashboards, an optional stack.

Prometheus, Alertmanager and the node exporter are real (Debian's, under the official tags); the receivers of
the Slack webhook and of the e-mail are services of the app. Grafana and cAdvisor cannot be had: what their
stand-ins show is that Havre gives them their ports, variables, mounts and devices.
"""

from __future__ import annotations

import base64
import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from guides import HEALTHCHECK, GuideApp, new_app, remove

from havre.secrets.vault import random_value
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
  mail:
    build: {{context: mail}}
    environment: {{PYTHONUNBUFFERED: "1", PYTHONWARNINGS: ignore}}
    healthcheck:
      test: [CMD, python, -c, "import socket; socket.create_connection(('127.0.0.1', 8025), 2)"]
      interval: 5s
    restart: unless-stopped
    mem_limit: 64m
""",
    "mail/Dockerfile": 'FROM python:3.11-slim\nCOPY mailbox.py /\nCMD ["python", "/mailbox.py"]\n',
    "mail/mailbox.py": """\
import asyncore, smtpd

class Box(smtpd.SMTPServer):
    def process_message(self, peer, sender, to, data, **more):
        subject = next(line for line in data.decode().splitlines() if line.startswith("Subject:"))
        print("mail to", to[0], subject)

Box(("0.0.0.0", 8025), None)
asyncore.loop()
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
  grafana:
    image: grafana/grafana:latest
    environment:
      GF_SECURITY_ADMIN_PASSWORD: ${GRAFANA_ADMIN_PASSWORD:?}
      GF_AUTH_ANONYMOUS_ENABLED: "true"
      GF_AUTH_ANONYMOUS_ORG_ROLE: Viewer
    volumes: ["grafana_data:/var/lib/grafana", "./monitoring/grafana/dashboards:/var/lib/grafana/dashboards:ro"]
    ports: ["127.0.0.1:${GRAFANA_PORT}:3000"]
    healthcheck:
      test: [CMD, python, -c, "import urllib.request as u; u.urlopen('http://127.0.0.1:3000/api/health')"]
      interval: 5s
    restart: unless-stopped
    mem_limit: 128m
  cadvisor:
    image: gcr.io/cadvisor/cadvisor:latest
    devices: [/dev/kmsg]
    volumes: ["/:/rootfs:ro", "/var/run:/var/run:ro", "/sys:/sys:ro"]
    ports: ["127.0.0.1:${CADVISOR_PORT}:8080"]
    healthcheck:
      test: [CMD, python, -c, "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/healthz')"]
      interval: 5s
    restart: unless-stopped
    mem_limit: 128m
volumes: {prometheus_data: , grafana_data: }
""",
    "monitoring/grafana/dashboards/site.json": '{"title": "Site", "panels": []}',
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
global: {smtp_smarthost: "mail:8025", smtp_from: "alerts@site.localhost", smtp_require_tls: false}
route: {receiver: people, group_wait: 1s}
receivers:
  - name: people
    email_configs: [{to: "ops@site.localhost"}]
    slack_configs: [{api_url: "http://slack:8000/services/T000/B000/XXXX", channel: "#alerts"}]
""",
}
MANIFEST = """\
app: {name}
compose: [{files}]
routes:
  - {{host: site.localhost, to: backend:8000}}
  - {{host: slack.localhost, to: slack:8000}}
{more}
release: {{verify: [{{get: /health, host: site.localhost, expect: {{status: 200}}}}]}}
"""
ANALYTICS = "  - {host: analytics.localhost, to: grafana:3000}"
WITH_MONITORING = ("-m", "havre.monitored.yaml")
PORTS = ("PROMETHEUS_PORT", "ALERTMANAGER_PORT", "GRAFANA_PORT", "CADVISOR_PORT")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuideApp]:
    app = new_app(tmp_path_factory.mktemp("monitoring") / "app", "watched", tls=False, first_port=32500)
    base = MANIFEST.format(name=app.name, files=BASE, more="")
    monitored = MANIFEST.format(name=app.name, files=f"{BASE}, {MONITORING}", more=ANALYTICS)
    app.write({**FILES, "havre.yaml": base, "havre.monitored.yaml": monitored, ".env": settings(app)})
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


def settings(app: GuideApp) -> str:
    """An .env with free ports and the administrator's password."""
    lines, taken = ["GRAFANA_ADMIN_PASSWORD=" + random_value()], app.http_port + 10
    for variable in PORTS:
        taken = free_port(taken + 1)
        lines.append(f"{variable}={taken}")
    return "\n".join(lines) + "\n"


def setting(app: GuideApp, variable: str) -> str:
    lines = (app.directory / ".env").read_text().splitlines()
    return dict(line.split("=") for line in lines)[variable]


def ask(app: GuideApp, variable: str, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{setting(app, variable)}{path}", timeout=10) as answer:
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


def test_a_stopped_backend_is_told_in_the_channel_and_by_mail_as_the_configuration_says(watched: GuideApp) -> None:
    watched.havre("stop", "-y", "backend", *WITH_MONITORING)
    try:
        posted = eventually(lambda: watched.ask("slack.localhost/posted").json, bool)
        mailed = eventually(
            lambda: watched.havre("logs", "mail", *WITH_MONITORING).stdout, lambda text: "mail to" in text
        )
    finally:
        watched.havre("start", "-y", "backend", *WITH_MONITORING)
    assert posted[0]["channel"] == "#alerts"
    assert "BackendDown" in json.dumps(posted[0])
    assert "mail to ops@site.localhost" in mailed
    assert "BackendDown" in mailed
    assert watched.ask("site.localhost/health").status == 200


def test_alertmanager_runs_with_the_mounted_file_on_this_machine_only(watched: GuideApp) -> None:
    shown = ask(watched, "ALERTMANAGER_PORT", "/api/v2/status")["config"]["original"]
    assert "#alerts" in shown
    taken = json.loads(watched.havre("ports", "--json").stdout)["ports"]
    mine = [one["address"] for one in taken if str(one["port"]) == setting(watched, "ALERTMANAGER_PORT")]
    assert set(mine) == {"127.0.0.1"}


def test_a_target_added_to_the_file_is_scraped_after_a_restart(watched: GuideApp) -> None:
    added = '{job_name: slack, static_configs: [{targets: ["slack:8000"]}]}'
    file = watched.directory / "prometheus/prometheus.yml"
    file.write_text(f"{file.read_text()}  - {added}\n")
    watched.havre("restart", "-y", "prometheus", *WITH_MONITORING)
    seen = eventually(lambda: targets(watched), lambda found: found.get("http://slack:8000/metrics") == "up")
    assert seen["http://slack:8000/metrics"] == "up"


def test_dashboards_are_public_to_look_at_and_settings_are_for_the_administrator(watched: GuideApp) -> None:
    assert watched.ask("analytics.localhost/api/search").json == [{"title": "Site", "type": "dash-db"}]
    assert watched.ask("analytics.localhost/api/admin/settings").status == 403
    password = setting(watched, "GRAFANA_ADMIN_PASSWORD")
    for given, status in ((password, 200), ("admin", 401)):
        basic = base64.b64encode(f"admin:{given}".encode()).decode()
        asked = watched.ask("analytics.localhost/api/admin/settings", headers={"Authorization": f"Basic {basic}"})
        assert asked.status == status


def test_a_dashboard_dropped_into_the_directory_is_there_after_a_restart(watched: GuideApp) -> None:
    (watched.directory / "monitoring/grafana/dashboards/more.json").write_text('{"title": "More"}')
    watched.havre("restart", "-y", "grafana", *WITH_MONITORING)
    titles = [one["title"] for one in watched.ask("analytics.localhost/api/search").json]
    assert titles == ["More", "Site"]
    assert ask(watched, "GRAFANA_PORT", "/api/health")["database"] == "ok"


def test_cadvisor_sees_the_containers_of_the_machine_through_its_mounts(watched: GuideApp) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{setting(watched, 'CADVISOR_PORT')}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    assert watched.container("backend")["Id"] in text

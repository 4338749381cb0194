"""The production checklist against a real server: the same items on one where they pass and on one where they fail."""

from __future__ import annotations

import grp
import json
import os
import re
import shutil
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from command import HAVRE
from dns_server import Zone
from launched_shop import LaunchedShop

from havre.workflows.demo import free_port

pytestmark = pytest.mark.docker

GOOD = (
    "services-run", "health-checks", "logs-readable", "log-bounds", "cpu-only", "certificates", "tls-works",
    "https-everywhere", "tls-quality", "security-headers", "cors-strict", "rate-limit", "api-answers", "proxy",
    "ports-free", "monitoring", "row-level-security", "secrets-generated", "secrets-sealed",
    "passwords", "audit-log", "server", "ports-closed", "default-logins", "key-rotation",
)  # fmt: skip


@contextmanager
def a_real_cron(shop: LaunchedShop, lines: str) -> Iterator[str]:
    """cron runs, with this file alone in its directory; yields what shows the same directory to a command."""
    directory = shop.directory / "cron.d"
    directory.mkdir(exist_ok=True)
    (directory / "havre").write_text(lines)
    mount = f"mount --bind {directory} /etc/cron.d"
    script = f"{mount}; mount -t tmpfs none /run; exec cron -f"
    cron = subprocess.Popen(["unshare", "--mount", "sh", "-c", script])
    try:
        while Path(f"/proc/{cron.pid}/comm").read_text().strip() != "cron":
            assert cron.poll() is None, "cron did not start"
            time.sleep(0.05)
        yield mount
    finally:
        cron.kill()
        cron.wait()


def failed(found: dict[str, Any], item: str) -> str:
    """What is said of an item that failed, in one line."""
    assert found[item]["state"] == "failed", found[item]
    problems = found[item]["problems"]
    return " ".join(f"{one['subject']} {one['summary']} {' '.join(one['evidence'])}" for one in problems)


def test_a_server_in_order_passes_each_item_with_the_evidence_just_gathered(shop: LaunchedShop) -> None:
    found = shop.checklist()
    states = {item: found[item]["state"] for item in GOOD}
    assert states == dict.fromkeys(GOOD, "passed"), [found[item] for item in GOOD if states[item] != "passed"]
    assert all(found[item]["evidence"] and found[item]["last_confirmed"] for item in GOOD)
    assert "request 41 got 429" in found["rate-limit"]["evidence"][0]
    assert "accepts TLS 1.2, TLS 1.3; weak suites: none" in found["tls-quality"]["evidence"][0]
    assert "public.workspaces on" in found["row-level-security"]["evidence"][0]
    assert found["rollback"]["state"] == "not applicable"
    assert all(one["promised_by"] for one in found.values())


def test_backups_and_restores_fail_until_they_are_scheduled_taken_and_proven(shop: LaunchedShop) -> None:
    items = ("backups", "restore-drill", "backups-encrypted", "schedules", "reboot")
    before = shop.checklist(*items)
    assert "there is no good backup" in failed(before, "backups")
    assert "nobody ever restored" in failed(before, "restore-drill")
    assert "nowhere but on this server" in failed(before, "backups-encrypted")
    assert "nothing runs it" in failed(before, "schedules")
    assert "nothing brings the edge" in failed(before, "reboot")
    shop.havre("backup", "export-key", "--to", str(shop.directory / "key"))
    shop.havre("backup", "take", "db")
    shop.havre("drill", "restore", "db")
    lines = shop.havre("backup", "timers", "cron", "-m", str(shop.directory / "havre.yaml")).stdout
    with a_real_cron(shop, lines + "@reboot root /usr/bin/havre edge restart\n") as mount:
        after = shop.checklist(*items, setup=mount)
    assert {item: after[item]["state"] for item in items[:4]} == dict.fromkeys(items[:4], "passed"), after
    assert "run by /etc/cron.d/havre" in after["backups"]["evidence"][0]
    assert "passed" in after["restore-drill"]["evidence"][0]
    assert any("/etc/cron.d/havre runs at boot" in line for line in after["reboot"]["evidence"])
    silent = shop.checklist("schedules", setup=mount)
    assert "nothing runs it" in failed(silent, "schedules"), "a cron file that no cron reads was believed"


def test_only_a_firewall_that_refuses_counts_and_it_hides_what_ordinary_programs_open(shop: LaunchedShop) -> None:
    items = ("firewall", "server-ports", "monitoring-private")
    listen = "timeout 60 python3 -m http.server 9090 --bind 0.0.0.0 >/dev/null 2>&1 & sleep 2"
    bare = shop.checklist(*items, setup=listen, network=True)
    assert "no firewall refuses anything" in failed(bare, "firewall")
    assert "port 9090 is reachable from everywhere" in failed(bare, "server-ports")
    assert "port 9090" in failed(bare, "monitoring-private")
    nft = (
        "nft add table inet f; nft 'add chain inet f input { type filter hook input priority 0; policy drop; }';"
        " nft add rule inet f input tcp dport '{ 22, 80, 443 }' accept; "
    )
    behind = shop.checklist(*items, setup=nft + listen, network=True)
    assert behind["firewall"]["state"] == "passed"
    assert "lets in: tcp 22, 80, 443" in behind["firewall"]["evidence"]
    assert behind["server-ports"]["state"] == "passed"
    assert behind["monitoring-private"]["state"] == "passed"
    tables = "iptables -A INPUT -p tcp --dport 22 -j ACCEPT; iptables -A INPUT -j DROP"
    assert shop.checklist("firewall", setup=tables, network=True)["firewall"]["state"] == "passed"


def test_logins_that_everybody_knows_are_tried_for_real(shop: LaunchedShop) -> None:
    """What the database was made with counts: its variables say something else by now."""
    own = json.loads(shop.docker("inspect", shop.container("db")))[0]["Config"]["Env"]
    password = next(line.partition("=")[2] for line in own if line.startswith("POSTGRES_PASSWORD="))
    assert shop.checklist("passwords")["passwords"]["state"] == "passed"
    try:
        shop.sql("ALTER ROLE shop PASSWORD 'changeme'")
        said = failed(shop.checklist("default-logins"), "default-logins")
        assert "db it lets in shop with its own name, or a word of examples, as its password" in said
    finally:
        shop.sql(f"ALTER ROLE shop PASSWORD '{password}'")
    assert shop.checklist("default-logins")["default-logins"]["state"] == "passed"


def test_a_page_that_is_published_to_everybody_and_keeps_its_first_login_is_seen(shop: LaunchedShop) -> None:
    """A stand-in under Grafana's name: it answers `/api/user` as Grafana does, and its password can be changed."""
    image, compose = f"{shop.name}.test/grafana:1", shop.directory / "compose.yaml"
    port, stand_in = free_port(28000 + os.getpid() % 900), shop.directory / "grafana"
    stand_in.mkdir()
    (stand_in / "Dockerfile").write_text("FROM python:3.11-slim\nCOPY grafana.py /\nCMD python -u /grafana.py\n")
    (stand_in / "grafana.py").write_text(_GRAFANA)
    shop.docker("build", "-q", "-t", image, "--label", "havre.standin=true", str(stand_in))
    given = "environment: {GF_SECURITY_ADMIN_PASSWORD: f3a9c1d27be4f3}"  # what it was made with counts, not this
    service = (
        f"{{image: '{image}', ports: ['{port}:3000'], mem_limit: 64m, init: true, stop_grace_period: 1s, {given}}}"
    )
    try:
        compose.write_text(
            compose.read_text().replace("volumes: {data: {}}", f"  board: {service}\nvolumes: {{data: {{}}}}")
        )
        shop.havre("deploy", "-y")
        found = shop.checklist("default-logins", "ports-closed", "server-ports")
        assert "board it lets in admin with its first password" in failed(found, "default-logins")
        assert f"port {port} is reachable from everywhere" in failed(found, "ports-closed")
        assert str(port) not in json.dumps(found["server-ports"]["problems"]), (
            "what is the app's own is told there alone"
        )
        shop.docker("exec", shop.container("board"), "sh", "-c", "echo other > /tmp/password")
        assert shop.checklist("default-logins")["default-logins"]["state"] == "passed"
    finally:
        shop.write()
        shop.havre("deploy", "-y")
        shop.docker("rmi", "-f", image)
    assert shop.checklist("ports-closed")["ports-closed"]["state"] == "passed"


def test_an_app_that_comes_as_an_ordinary_role_has_the_least_rights(shop: LaunchedShop) -> None:
    shop.sql("CREATE ROLE clerk LOGIN")
    query = ("psql", "-U", "clerk", "-d", "shop", "-c", "select pg_sleep(15)")
    shop.docker("exec", "-d", shop.container("db"), *query)
    found = shop.checklist("database-roles")["database-roles"]
    assert found["state"] == "passed", found
    assert found["evidence"] == ["db: clerk"]


def test_updates_that_stall_are_seen(shop: LaunchedShop) -> None:
    root = shop.directory / "root"
    for name in ("apt", "units/timers.target.wants", "periodic", "run"):
        (root / name).mkdir(parents=True)
    (root / "apt/20auto").write_text('APT::Periodic::Unattended-Upgrade "1";\n')
    (root / "units/timers.target.wants/apt-daily-upgrade.timer").write_text("[Timer]\nOnCalendar=daily\n")
    (root / "periodic/upgrade-stamp").touch()
    setup = (
        f"mount --bind {root}/apt /etc/apt/apt.conf.d; mount --bind {root}/units /etc/systemd/system;"
        f" mkdir -p /var/lib/apt/periodic; mount --bind {root}/periodic /var/lib/apt/periodic"
    )
    fresh = shop.checklist("security-updates", setup=setup)["security-updates"]
    assert fresh["state"] == "passed", fresh
    os.utime(root / "periodic/upgrade-stamp", (0, time.time() - 30 * 86400))
    assert "has done nothing for 30 d" in failed(shop.checklist("security-updates", setup=setup), "security-updates")


def test_docker_at_boot_is_what_systemd_would_start(shop: LaunchedShop) -> None:
    units = shop.directory / "boot/multi-user.target.wants"
    units.mkdir(parents=True)
    (shop.directory / "init").write_text("systemd\n")
    setup = f"mount --bind {shop.directory}/init /proc/1/comm; mount --bind {units.parent} /etc/systemd/system"
    found = shop.checklist("reboot", setup=setup)
    assert "Docker is not started at boot" in failed(found, "reboot")
    assert "Docker is not started at boot" in shop.havre_inside(setup, "doctor", network=False).stdout
    (units / "docker.service").touch()
    found = shop.checklist("reboot", setup=setup)
    assert "Docker is started at boot by systemd" in found["reboot"]["evidence"]


def test_those_who_may_use_docker_are_listed(shop: LaunchedShop) -> None:
    socket = Path(os.environ.get("DOCKER_HOST", "/var/run/docker.sock").removeprefix("unix://"))
    group = grp.getgrgid(socket.stat().st_gid).gr_name
    book = shop.directory / "group"
    book.write_text(f"{group}:x:{socket.stat().st_gid}:maicivy\nsudo:x:27:maicivy,ops\n")
    setup = f"mount --bind {book} /etc/group"
    found = shop.checklist("operators", setup=setup)["operators"]
    assert found["state"] == "passed", found
    assert found["evidence"] == [f"may use Docker: maicivy (group {group})", "may become root: maicivy, ops"]
    book.write_text(f"{group}:x:{socket.stat().st_gid}:\n")
    assert shop.checklist("operators", setup=setup)["operators"]["state"] == "only a person can say"


def test_attempts_to_break_in_are_counted_where_nothing_notices_them(shop: LaunchedShop) -> None:
    log = shop.directory / "btmp"
    record = struct.pack("=hxxi32s4s32s256s2h3i16s20x", 7, 1, b"ssh", b"", b"root", b"203.0.113.9", 0, 0, 0,
                         int(time.time()), 0, b"")  # fmt: skip
    log.write_bytes(record * 60)
    setup = f"touch /var/log/btmp; mount --bind {log} /var/log/btmp"
    assert "60 logins to this server failed" in failed(shop.checklist("intrusion", setup=setup), "intrusion")
    log.write_bytes(record * 3)
    assert shop.checklist("intrusion", setup=setup)["intrusion"]["state"] == "only a person can say"
    watchman = shop.directory / "fail2ban-server"
    shutil.copy("/bin/sleep", watchman)
    found = shop.checklist("intrusion", setup=f"{setup}; {watchman} 20 & sleep 0.2")["intrusion"]
    assert (found["state"], found["evidence"]) == ("passed", ["fail2ban-server runs", "3 logins failed within a day"])


def test_places_that_support_names_must_be_there(shop: LaunchedShop) -> None:
    items = ("documentation", "runbook", "status-page")
    port = free_port(28100 + os.getpid() % 900)
    page = ThreadingHTTPServer(("127.0.0.1", port), SimpleHTTPRequestHandler)
    threading.Thread(target=page.serve_forever, daemon=True).start()
    named = "support: {{documentation: /srv/no/such, runbook: ./havre.yaml, status_page: 'http://127.0.0.1:{}/{}'}}"
    try:
        shop.write(support=named.format(port, ""))
        found = shop.checklist(*items)
        assert "there is no /srv/no/such on this server" in failed(found, "documentation")
        assert found["runbook"]["state"] == "only a person can say"
        assert found["status-page"]["state"] == "passed", found
        shop.write(support=named.format(port, "no-such-page"))
        assert "it answers 404" in failed(shop.checklist("status-page"), "status-page")
    finally:
        shop.write()
        page.shutdown()
        page.server_close()


def test_names_must_lead_to_this_server(shop: LaunchedShop) -> None:
    settings = shop.directory / "state/server.yaml"
    before, zone = settings.read_text(), Zone({"shop.havre-tests.net": "51.91.1.2"})
    try:
        settings.write_text(f"{before}addresses: [51.91.1.2]\nresolvers: ['127.0.0.1:{zone.port}']\n")
        shop.write(more="tls: self-signed", host="shop.havre-tests.net")
        shop.havre("deploy", "-y")
        here = shop.checklist("dns")["dns"]
        assert here["state"] == "passed", here
        assert "shop.havre-tests.net: 51.91.1.2" in here["evidence"]
        zone.names["shop.havre-tests.net"] = "51.91.9.9"
        assert "leads to 51.91.9.9, which is not this server" in failed(shop.checklist("dns"), "dns")
        del zone.names["shop.havre-tests.net"]
        assert "has no address in DNS" in failed(shop.checklist("dns"), "dns")
    finally:
        zone.close()
        settings.write_text(before)
        shop.write()
        shop.havre("deploy", "-y")


def test_monitoring_that_does_not_answer_is_no_monitoring(shop: LaunchedShop) -> None:
    settings = shop.directory / "state/server.yaml"
    before = settings.read_text()
    assert (
        f"edge metrics at 127.0.0.1:{shop.metrics_port}: answers"
        in shop.checklist("monitoring")["monitoring"]["evidence"]
    )
    try:
        settings.write_text(before.replace(f":{shop.metrics_port}", ":1"))
        assert "edge metrics it does not answer" in failed(shop.checklist("monitoring"), "monitoring")
    finally:
        settings.write_text(before)


def test_env_files_must_be_ignored_by_git_and_never_tracked(shop: LaunchedShop) -> None:
    env, ignore = shop.directory / ".env", shop.directory / ".gitignore"
    git = ("git", "-C", str(shop.directory))
    assert shop.checklist("secrets-out-of-git")["secrets-out-of-git"]["state"] == "not applicable"
    subprocess.run([*git, "init", "-q"], check=True)
    try:
        env.write_text("STRIPE_SECRET_KEY=f3a9c1d27be4f3a9c1d27be4\n")
        assert ".env" in failed(shop.checklist("secrets-out-of-git"), "secrets-out-of-git")
        ignore.write_text(".env\n")
        assert shop.checklist("secrets-out-of-git")["secrets-out-of-git"]["state"] == "passed"
        subprocess.run([*git, "add", "-f", ".env"], check=True)
        assert "STRIPE_SECRET_KEY" in failed(shop.checklist("secrets-out-of-git"), "secrets-out-of-git")
    finally:
        shutil.rmtree(shop.directory / ".git")
        env.unlink()
        ignore.unlink(missing_ok=True)


def test_what_only_people_know_is_recorded_with_a_name_ends_and_is_in_the_audit_log(shop: LaunchedShop) -> None:
    assert shop.checklist("team-trained")["team-trained"]["state"] == "only a person can say"
    said = shop.havre("checklist", "confirm", "team-trained", "--note", "Ana restored it", "--until", "2099-06-30")
    assert "it counts until 2099-06-30" in said.stdout
    line = shop.checklist("team-trained")["team-trained"]
    assert line["state"] == "confirmed"
    assert line["confirmation"]["note"] == "Ana restored it"
    assert "team-trained confirmed until 2099-06-30: Ana restored it" in " ".join(shop.havre("audit").stdout.split())
    people = ("environments-apart", "external-monitor", "runbook")
    for item in people:
        shop.havre("checklist", "confirm", item, "--note", f"{item} is as it should be")
    assert {one["state"] for one in shop.checklist(*people).values()} == {"confirmed"}
    shop.havre("checklist", "withdraw", "runbook")
    shop.havre("checklist", "withdraw", "team-trained")
    assert shop.checklist("team-trained")["team-trained"]["state"] == "only a person can say"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("confirm", "team-traned", "--note", "x"), 2, "did you mean `team-trained`?"),
        (("confirm", "services-run", "--note", "x"), 3, "judged by what the server shows"),
        (("confirm", "runbook", "--note", "x", "--until", "2020-01-01"), 2, "2020-01-01 is over"),
        (("confirm", "runbook", "--note", "x", "--until", "soon"), 2, "is not a date"),
        (("withdraw", "runbook"), 2, "nobody confirmed `runbook`"),
        (("--only", "dnss"), 2, "did you mean `dns`?"),
    ],
)
def test_a_wrong_answer_is_refused_with_the_next_step(
    shop: LaunchedShop, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = shop.havre("checklist", *arguments, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert said in " ".join(done.stderr.split())


class Page(HTMLParser):
    """What a page holds: headings, ids, everything it would fetch, and all its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.headings: list[str] = []
        self.ids: list[str] = []
        self.fetched: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.headings += [tag] if re.fullmatch(r"h[1-6]", tag) else []
        self.ids += [str(values["id"])] if "id" in values else []
        self.fetched += [str(values["src"])] if "src" in values else []
        self.fetched += [tag] if tag in ("script", "link", "iframe", "img", "object") else []

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_report_is_one_page_that_fetches_nothing_and_shows_no_secret(shop: LaunchedShop) -> None:
    path = shop.directory / "launch.html"
    done = shop.havre("checklist", "--html", str(path), check=False)
    assert "written to" in done.stdout
    page = Page(path.read_text())
    assert page.fetched == []
    assert "url(" not in path.read_text()
    assert page.headings[0] == "h1"
    assert page.headings.count("h1") == 1
    assert len(page.ids) == len(set(page.ids))
    assert {"services-run", "team-trained", "tls-quality"} <= set(page.ids)
    assert "developer" in page.text
    assert "dev@example.org" in page.text
    inside = json.loads(shop.docker("inspect", shop.container("db")))[0]["Config"]["Env"]
    password = next(line.partition("=")[2] for line in inside if line.startswith("POSTGRES_PASSWORD="))
    assert password not in path.read_text()
    assert password not in done.stdout


def test_waivers_of_the_manifest_are_honoured_and_shown_with_reason_and_end(shop: LaunchedShop) -> None:
    waived = "waivers: [{check: firewall, reason: the hosting filters, until: 2099-03-31}]"
    shop.write(more=waived)
    try:
        shown = subprocess.run(
            ["unshare", "--net", *HAVRE, "checklist", "--only", "firewall"],
            cwd=shop.directory, env=shop.environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert shown.returncode == 0, shown.stdout + shown.stderr
        assert "waived until 2099-03-31: the hosting filters" in shown.stdout
        assert "waiver-unknown" not in shop.havre("check", check=False).stdout
    finally:
        shop.write()


def test_a_server_out_of_order_fails_each_item_names_the_service_and_ends_with_1(shop: LaunchedShop) -> None:
    """Last: it deploys a second release with faults, and breaks what runs."""
    shop.write(bounded_logs=False, route="headers: {X-Frame-Options: }")
    web = shop.directory / "app/web.py"
    web.write_text(web.read_text().replace("listens on 8000", "listens on 8000, second"))
    shop.havre("deploy", "-y")
    assert shop.checklist("rollback", "rate-limit")["rollback"]["state"] == "passed"
    shop.write(bounded_logs=False, route="rate_limit: 15/minute")  # written, and not deployed
    shop.docker("exec", "-u", "0", shop.container("web"), "mkdir", "-p", "/opt/venv/nvidia_cublas_cu12-12.1.dist-info")
    shop.docker("exec", "-d", shop.container("db"), "psql", "-U", "shop", "-c", "select pg_sleep(120)")
    shop.docker("exec", shop.container("web"), "python", "-c", _MISBEHAVE)
    shop.sql("CREATE TABLE user_roles (id int)")
    old = [image for image in shop.docker("images", "-q", "--no-trunc", f"{shop.name}/web").split()
           if image != shop.docker("inspect", "-f", "{{.Image}}", shop.container("web")).strip()]  # fmt: skip
    shop.docker("rmi", "-f", *dict.fromkeys(old))
    done = shop.havre("checklist", "--json", check=False)
    assert done.returncode == 1
    found = {one["id"]: one for one in json.loads(done.stdout)["items"]}
    assert "the log of its running replica grows without end" in failed(found, "log-bounds")
    assert "lacks X-Frame-Options" in failed(found, "security-headers")
    assert "Access-Control-Allow-Origin: https://havre-probe.invalid" in failed(found, "cors-strict")
    assert "requests at once were all let in" in failed(found, "rate-limit")
    assert "nvidia_cublas_cu12-12.1" in failed(found, "cpu-only")
    assert "public.user_roles" in failed(found, "row-level-security")
    assert "superuser shop" in failed(found, "database-roles")
    assert "cannot be brought back" in failed(found, "rollback")
    assert found["log-bounds"]["last_confirmed"], "it passed before, and that is remembered"
    shop.docker("stop", "-t", "2", shop.container("web"))
    broken = shop.checklist("services-run", "api-answers", "health-checks", "proxy")
    assert "web 0 of 1 replicas run" in failed(broken, "services-run")
    assert "it is answered 503" in failed(broken, "api-answers")
    assert "web no replica runs" in failed(broken, "health-checks")


_GRAFANA = """
import base64, http.server, pathlib
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        own = pathlib.Path("/tmp/password")
        word = own.read_text().strip() if own.exists() else "admin"
        right = "Basic " + base64.b64encode(f"admin:{word}".encode()).decode()
        self.send_response(200 if self.headers.get("Authorization") == right else 401)
        self.end_headers()
http.server.ThreadingHTTPServer(("", 3000), Handler).serve_forever()
"""

_MISBEHAVE = (
    "import urllib.request as u; "
    "u.urlopen(u.Request('http://127.0.0.1:8000/', data=b'{\"cors\": \"echo\"}', method='POST'))"
)

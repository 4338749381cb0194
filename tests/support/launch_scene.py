"""A scene of the production checklist in which everything is in order; a test changes what is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from havre.checks.case import Case
from havre.checks.launch import ITEM_IDS, Scene
from havre.checks.registry import ALL
from havre.checks.report import run_checks
from havre.manifest import parse_app
from havre.model.diagnosis import EdgeStatus, Facts, NameAnswer, Names
from havre.model.launch import (
    ANYBODY,
    AppliedPolicy,
    Automation,
    Burst,
    Database,
    Firewall,
    Handshake,
    Inside,
    Kept,
    Login,
    Neighbour,
    Page,
    Startup,
    Trail,
    Watcher,
    WayBack,
    WebAnswer,
)
from havre.model.project import Project
from havre.model.release import Release, ReleaseState
from havre.model.route import AppEdge
from havre.model.server import FileFacts, ServerFacts, System

DIRECTORY = "/srv/shop"
NOW, TODAY = 1_800_000_000.0, "2027-01-15"
HOST = "shop.example.org"
MANIFEST = """\
app: shop
routes: [{host: shop.example.org, to: "web:80", rate_limit: 10/minute}]
backups: {db: {schedule: "0 2 * * *", drill: monthly}}
"""
HEADERS = (
    ("strict-transport-security", "max-age=31536000"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "strict-origin-when-cross-origin"),
)
GOOD_TLS = Handshake(
    host=HOST, place="127.0.0.1:443", names=(HOST,), issuer="CN=R11", days_left=80.0, trusted=True, key="EC 256",
    signature="sha256", versions=("TLS 1.2", "TLS 1.3"),
)  # fmt: skip
HAVRE = "/opt/havre/bin/havre"
TAKE = f"{HAVRE} backup take db --manifest {DIRECTORY}/havre.yaml --environment production"
DRILL = f"{HAVRE} drill restore db --manifest {DIRECTORY}/havre.yaml --environment production"


def scene(manifest: str = MANIFEST, *, project: Project | None = None, **changed: Any) -> Scene:
    """Everything passes that can be seen, but for what is changed."""
    app = parse_app(manifest, directory=DIRECTORY)
    server = ServerFacts(
        system=System(name="Debian 12", addresses=("51.91.1.2",), clock_in_step=True), engine="Docker Engine 24.0.7"
    )
    case = Case(
        app=app, project=project or Project(name="shop"), server=server, files=FileFacts(is_complete=True, in_git=True)
    )
    release = Release(instance="shop", number=2, state=ReleaseState.SERVING, kind="deploy", started_at=NOW - 900)
    edge = EdgeStatus(entrance="127.0.0.1:80", applied=AppEdge(instance="shop", routes=app.routes))
    names = Names(answers=(NameAnswer(host=HOST, addresses=("51.91.1.2",)),), own=("51.91.1.2",), is_certain=True)
    good: dict[str, Any] = {
        "facts": Facts(
            instance="shop", project=case.project, app=app, now=NOW, serving=release, last=release, edge=edge,
            names=names,
        ),
        "handshakes": (GOOD_TLS,),
        "answers": (
            WebAnswer(host=HOST, path="/", tls=False, status=301, headers=(("location", f"https://{HOST}/"),)),
            WebAnswer(host=HOST, path="/", tls=True, status=200, headers=HEADERS),
        ),
        "origins": (WebAnswer(host=HOST, path="/", tls=True, status=200),),
        "bursts": (Burst(route=f"{HOST}/", limit="10/minute", sent=11, refused_at=11),),
        "firewall": Firewall(is_active=True, by="ufw", opens=("tcp 22",)),
        "automations": (
            Automation(place="/etc/cron.d/havre", schedule="0 2 * * *", command=TAKE),
            Automation(place="/etc/cron.d/havre", schedule="30 4 1 * *", command=DRILL),
            Automation(place="/etc/systemd/system/havre.service", schedule="boot", command=f"{HAVRE} boot now"),
        ),
        "startup": Startup(init="systemd", docker_enabled=True, updates="unattended-upgrades", intrusion="crowdsec"),
        "policies": (
            AppliedPolicy(service="web", slot=1, log_driver="json-file", log_size="10m", restart="unless-stopped"),
        ),
        "inside": (Inside(service="web", frameworks=("torch-2.1.0+cpu",)),),
        "databases": (Database(service="db", tables=(("public.orders", True),), users=(("shop", False),)),),
        "kept": (
            Kept(service="db", schedule="0 2 * * *", drill_schedule="monthly", newest="db-1", age=3600.0,
                 checks=("counted",), drill_at=NOW - 86400, drill_passed=True, drill_took=30.0, repository="/b"),
        ),
        "escrowed": True,
        "way_back": WayBack(number=1),
        "logins": (Login(service="db", way=ANYBODY, is_open=False),),
        "neighbours": (Neighbour(instance="shop-staging"),),
        "pages": (Page(key="status_page", place="https://status.example.com"),),
        "trail": Trail(lines=3, newest=NOW - 60),
        "watchers": (Watcher(name="prometheus", place="172.20.0.4:9090", answers=True),),
    }  # fmt: skip
    found = {**good, **changed}
    case = found.pop("case", case)
    report = run_checks(case, ALL, today=TODAY, also_known=ITEM_IDS)
    return Scene(case=case, report=report, today=TODAY, now=NOW, **found)


def with_server(**facts: Any) -> Case:
    """The case of a good scene on a server with other facts."""
    case = scene().case
    assert case.server is not None
    return replace(case, server=replace(case.server, **facts))

"""`havre init` writes a manifest that is valid, explains itself, and leads users to the right services."""

from __future__ import annotations

from pathlib import Path

import pytest

from havre.compose import LoadRequest, load_project
from havre.compose.lower import lower
from havre.manifest import load_app, parse_app
from havre.manifest.infer import app_name, infer_manifest, infer_secrets
from havre.model.project import Project
from havre.model.server import BuildFact

EXAMPLE = Path(__file__).parents[3] / "examples/lexikon"


def project_of(text: str, tmp_path: Path) -> Project:
    (tmp_path / "compose.yaml").write_text(text)
    request = LoadRequest(
        files=(str(tmp_path / "compose.yaml"),), working_dir=str(tmp_path), environment={}, project_name="shop"
    )
    return lower(load_project(request), instance="shop")


def routes_of(text: str, tmp_path: Path) -> list[str]:
    return [str(route) for route in parse_app(infer_manifest(project_of(text, tmp_path), app="shop")).routes]


def test_the_example_gets_what_its_own_manifest_says() -> None:
    secret = dict.fromkeys(("POSTGRES_PASSWORD", "REDIS_PASSWORD", "JWT_SECRET", "API_KEY_SECRET"), "x" * 40)
    request = LoadRequest(
        files=(str(EXAMPLE / "docker-compose.prod.yml"),),
        working_dir=str(EXAMPLE),
        env_files=(str(EXAMPLE / ".env.prod.example"),),
        environment=secret,
        project_name="lexikon",
    )
    loaded = load_project(request)
    build = BuildFact(service="backend", dockerfile="backend/Dockerfile", files=frozenset({"alembic.ini"}))
    text = infer_manifest(
        lower(loaded, instance="lexikon"),
        app="lexikon",
        compose=["docker-compose.prod.yml"],
        env_files=[".env.prod"],
        variables=loaded.variables,
        builds=[build],
    )
    inferred, own = parse_app(text), load_app(EXAMPLE)
    assert {str(route) for route in inferred.routes} <= {str(route) for route in own.routes}
    assert len(inferred.routes) == 2
    assert inferred.migration is not None
    assert own.migration is not None
    assert (inferred.migration.run, inferred.migration.undo) == (own.migration.run, own.migration.undo)
    assert (inferred.compose, inferred.env_files) == (own.compose, own.env_files)
    assert [backup.service for backup in inferred.backups] == ["postgres", "redis"]
    assert inferred.secret_names == ("API_KEY_SECRET", "JWT_SECRET", "POSTGRES_PASSWORD", "REDIS_PASSWORD")
    assert "# - GOOGLE_CLIENT_SECRET" in text


def test_the_text_is_the_same_every_time_and_explains_itself(tmp_path: Path) -> None:
    project = project_of(
        """\
services:
  web:
    build: .
    ports: ["3000:3000"]
    depends_on: {db: {condition: service_healthy}}
  db: {image: 'postgres:16', volumes: ['pg:/var/lib/postgresql/data']}
volumes: {pg: }
""",
        tmp_path,
    )
    text = infer_manifest(project, app="shop", variables=["DB_PASSWORD", "LOG_LEVEL"])
    assert text == infer_manifest(project, app="shop", variables=["LOG_LEVEL", "DB_PASSWORD"])
    assert (
        text
        == """\
# What Compose cannot say about shop: how users reach it, how it is released, how it is kept safe.
# Written by `havre init` from the Compose files; it is yours now. `havre schema` describes every key.
app: shop

# Names below .localhost lead to this machine. Put your own domain here; its certificate comes by itself.
routes:
  # it publishes 3000:3000
  - {host: shop.localhost, to: web:3000}

release:
  # Asked through the edge, as a user would, before a release counts as done.
  verify:
    - {get: /, host: shop.localhost, expect: {status: 200}}

# Every backup is checked; a drill restores one into a throw-away database and says how long it took.
backups:
  db: {schedule: "0 2 * * *", keep: {daily: 30}, drill: monthly}

# Kept sealed, not in a file: `havre secrets generate` makes those that have no value yet.
secrets:
  - DB_PASSWORD

# Health checks that the Compose file lacks; a release is only as well proven as they are. Add there:
#   web:
#     healthcheck: {test: ["CMD-SHELL", "wget -q --spider http://127.0.0.1:3000/ || exit 1"], interval: 10s}
#   db:
#     healthcheck: {test: ["CMD-SHELL", "pg_isready -h 127.0.0.1 -U $$POSTGRES_USER"], interval: 10s}

# Another environment of the same app, with its own names, data and secrets: `havre deploy -e staging`.
# environments:
#   staging:
#     env_file: [.env.staging]
#     routes: [{host: staging.example.org, to: web:3000}]
"""
    )


@pytest.mark.parametrize(
    ("services", "routes"),
    [
        ("{}", []),
        ("{worker: {image: 'x:1'}, db: {image: 'postgres:16', ports: ['5432:5432']}}", []),
        ("{api: {build: ., ports: ['8000']}}", ["shop.localhost/ to api:8000"]),
        ("{thing: {build: ., ports: ['8080:5000', '9999:9229']}}", ["shop.localhost/ to thing:5000"]),
        ("{thing: {build: ., ports: ['8080:8080/udp']}}", []),
        (
            "{backend: {build: ., expose: ['8000']}, frontend: {build: ., environment: {PORT: 3000}}}",
            ["shop.localhost/ to frontend:3000", "shop.localhost/api to backend:8000"],
        ),
        (
            (
                "{web: {image: 'x:1', command: run --port 4000}, grafana: {image: 'grafana/grafana:11'},"
                " admin_panel: {image: 'x:1', ports: ['5000:5000']}, prometheus: {image: 'prom/prometheus:v2'}}"
            ),
            [
                "shop.localhost/ to web:4000",
                "grafana.shop.localhost/ to grafana:3000",
                "admin-panel.shop.localhost/ to admin_panel:5000",
            ],
        ),
        (
            (
                "{nginx: {image: 'nginx:1', ports: ['8080:80', '8443:443']}, frontend: {build: ., expose: ['3000']},"
                " kuma: {image: 'louislam/uptime-kuma:1', ports: ['3010:3001']}}"
            ),
            ["shop.localhost/ to nginx:80", "kuma.shop.localhost/ to kuma:3001"],
        ),
        ("{web: {build: ., ports: ['80'], network_mode: host}, off: {build: ., ports: ['80'], scale: 0}}", []),
        ("{app: {build: ., healthcheck: {test: 'curl -f http://localhost:7070/up'}}}", ["shop.localhost/ to app:7070"]),
    ],
)
def test_routes_lead_to_the_services_users_talk_to(services: str, routes: list[str], tmp_path: Path) -> None:
    assert routes_of(f"services: {services}", tmp_path) == routes


def test_a_health_page_at_the_front_is_verified(tmp_path: Path) -> None:
    text = "services: {app: {build: ., healthcheck: {test: 'curl -f http://localhost:7070/up'}}}"
    app = parse_app(infer_manifest(project_of(text, tmp_path), app="shop"))
    assert [check.path for check in app.verifications] == ["/up"]


@pytest.mark.parametrize(
    ("file", "run"),
    [("alembic.ini", "alembic upgrade head"), ("manage.py", "python manage.py migrate --noinput"), ("go.mod", None)],
)
def test_a_migration_is_known_by_its_file(file: str, run: str | None, tmp_path: Path) -> None:
    project = project_of("services: {api: {build: ., ports: ['8000']}}", tmp_path)
    build = BuildFact(service="api", dockerfile="Dockerfile", files=frozenset({file}))
    app = parse_app(infer_manifest(project, app="shop", builds=[BuildFact(service="x", dockerfile="x"), build]))
    assert (" ".join(app.migration.run) if app.migration else None) == run


def test_data_nobody_keeps_is_noted(tmp_path: Path) -> None:
    text = "services: {files: {image: 'x:1', volumes: ['data:/data']}}\nvolumes: {data: }"
    written = infer_manifest(project_of(text, tmp_path), app="shop")
    assert "# files writes data; to keep it:" in written
    assert parse_app(written).backups == ()
    both = text.replace("services: {", "services: {db: {image: 'redis:7', volumes: ['data:/data']}, ")
    written = infer_manifest(project_of(both, tmp_path), app="shop")
    assert [backup.service for backup in parse_app(written).backups] == ["db"]
    assert "# files writes data" in written


def test_checks_that_are_missing_are_proposed_by_what_the_service_is(tmp_path: Path) -> None:
    text = """\
services:
  a: {image: 'x:1', depends_on: {kv: {condition: service_healthy}, b: {condition: service_healthy}}}
  kv: {image: 'redis:7'}
  b: {image: 'x:1'}
"""
    written = infer_manifest(project_of(text, tmp_path), app="shop")
    assert "redis-cli ping | grep -q PONG" in written
    assert "http://127.0.0.1:PORT/" in written


def test_odd_file_names_are_quoted(tmp_path: Path) -> None:
    project = project_of("services: {}", tmp_path)
    text = infer_manifest(project, app="shop", compose=["my file.yaml"], env_files=[".env", "- x"])
    app = parse_app(text)
    assert (app.compose, app.env_files) == (("my file.yaml",), (".env", "- x"))


def test_secrets_are_known_by_name_and_by_who_issues_them() -> None:
    names = [
        "POSTGRES_PASSWORD", "JWT_SECRET", "LOG_LEVEL", "GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET", "SMTP_PASSWORD",
        "NEXT_PUBLIC_ANON_KEY", "DATABASE_URL", "TOKEN_TTL", "STRIPE_API_KEY", "JWT_SECRET",
    ]  # fmt: skip
    assert [(one.name, one.can_generate) for one in infer_secrets(names)] == [
        ("JWT_SECRET", True),
        ("POSTGRES_PASSWORD", True),
        ("GOOGLE_CLIENT_SECRET", False),
        ("SMTP_PASSWORD", False),
        ("STRIPE_API_KEY", False),
    ]


def test_only_issued_secrets_leave_the_list_commented(tmp_path: Path) -> None:
    text = infer_manifest(project_of("services: {}", tmp_path), app="shop", variables=["STRIPE_API_KEY"])
    assert "# secrets:" in text
    assert parse_app(text).secrets == ()


@pytest.mark.parametrize(
    ("text", "name"), [("My App!", "my-app"), ("--", "app"), ("a" * 50, "a" * 40), ("Été_2", "t-2"), ("shop", "shop")]
)
def test_any_name_becomes_an_app_name(text: str, name: str) -> None:
    assert app_name(text) == name
    assert parse_app(f"app: {app_name(text)}").name == name

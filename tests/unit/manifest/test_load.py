"""havre.yaml becomes an App, and what is wrong with it is told at once, each problem at its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from havre.errors import InputError, Location
from havre.manifest import load_app, parse_app
from havre.model.app import App, Migration, SecretSource, TlsPolicy, Verification, Waiver
from havre.model.backup import BackupPolicy, Retention
from havre.model.route import RateLimit, Route

DESIGN = """\
app: lexikon
compose: [docker-compose.prod.yml]
env_file: [.env.prod]
routes:
  - host: lexikon.example.org
    to: frontend:3000
  - host: lexikon.example.org
    path: /api
    to: backend:8000
    rate_limit: 100/minute
    max_body: 20MB
release:
  migrate: {service: backend, run: alembic upgrade head, undo: alembic downgrade -1}
  verify:
    - {get: /health, host: lexikon.example.org, expect: {status: 200, json: {status: healthy}}}
backups:
  postgres: {schedule: "0 2 * * *", keep: {daily: 30}, drill: monthly}
  redis:    {schedule: "30 2 * * *", keep: {daily: 7}}
environments:
  staging: {routes: [{host: staging.example.org, to: frontend:3000}], env_file: [.env.staging]}
"""


LETS_IN = "is empty, which would let everybody in"


def problems(text: str, environment: str = "production") -> list[str]:
    with pytest.raises(InputError) as caught:
        parse_app(text, environment=environment)
    return [str(problem).split("\n", 1)[0] for problem in caught.value.problems]


def hints(text: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        parse_app(text)
    return [problem.hint for problem in caught.value.problems]


def app_with(text: str) -> App:
    return parse_app(f"app: shop\n{text}")


def route(text: str) -> Route:
    return app_with(f"routes: [{{host: a.example.org, {text}}}]").routes[0]


def test_the_manifest_of_the_design_is_read_as_the_design_says() -> None:
    app = parse_app(DESIGN, directory="/srv/lexikon")
    assert app == App(
        name="lexikon",
        directory="/srv/lexikon",
        compose=("docker-compose.prod.yml",),
        env_files=(".env.prod",),
        routes=(
            Route(host="lexikon.example.org", service="frontend", port=3000),
            Route(
                host="lexikon.example.org",
                path="/api",
                service="backend",
                port=8000,
                rate_limit=RateLimit(count=100, period=60),
                max_body=20 * 1024**2,
            ),
        ),
        migration=Migration(service="backend", run=("alembic", "upgrade", "head"), undo=("alembic", "downgrade", "-1")),
        verifications=(Verification(path="/health", host="lexikon.example.org", json=(("status", '"healthy"'),)),),
        backups=(
            BackupPolicy(service="postgres", schedule="0 2 * * *", keep=Retention(daily=30), drill="monthly"),
            BackupPolicy(service="redis", schedule="30 2 * * *", keep=Retention(daily=7)),
        ),
    )


def test_an_environment_replaces_lists_and_keeps_the_rest() -> None:
    app = parse_app(DESIGN, environment="staging")
    assert app.instance == "lexikon-staging"
    assert [str(route) for route in app.routes] == ["staging.example.org/ to frontend:3000"]
    assert app.env_files == (".env.staging",)
    assert [backup.service for backup in app.backups] == ["postgres", "redis"]


def test_an_environment_merges_mappings_deeply_and_an_empty_value_removes() -> None:
    text = """\
app: shop
keep_releases: 9
backups: {db: {schedule: "0 2 * * *", keep: {daily: 30}}, cache: {}}
release: {migrate: {service: web, run: up}}
environments:
  staging:
    keep_releases:
    backups: {db: {keep: {minimum: 1}}, cache: }
    release: {migrate: {run: up --fast}}
"""
    app = parse_app(text, environment="staging")
    assert app.keep_releases == 5
    assert app.backups == (BackupPolicy(service="db", schedule="0 2 * * *", keep=Retention(daily=30, minimum=1)),)
    assert app.migration == Migration(service="web", run=("up", "--fast"))


def test_a_production_environment_is_merged_without_being_asked_for() -> None:
    text = "app: shop\nhold: 15s\nenvironments: {production: {hold: 30s}, staging: }\n"
    assert parse_app(text).hold_limit == 30
    assert parse_app(text, environment="staging").hold_limit == 15


def test_only_the_name_is_required() -> None:
    assert parse_app("app: shop") == App(name="shop")


def test_a_single_value_stands_for_a_list_or_a_mapping_where_the_table_says_so() -> None:
    app = app_with(
        "compose: compose.yaml\nenv_file: .env\ntls: off-line\n".replace("off-line", "'off'")
        + "backups: {db: 0 2 * * *}\nprocesses: {web: python app.py}\n"
        + "secrets: [JWT, {name: KEY, command: pass show key}]\n"
        + "release: {verify: [/health, {get: /x, expect: 204}]}\n"
    )
    assert (app.compose, app.env_files, app.tls) == (("compose.yaml",), (".env",), TlsPolicy(mode="off"))
    assert app.backups[0].schedule == "0 2 * * *"
    assert app.processes[0].command == "python app.py"
    assert app.secrets == (SecretSource(name="JWT"), SecretSource(name="KEY", command=("pass", "show", "key")))
    assert app.secret_names == ("JWT", "KEY")
    assert [(check.path, check.status) for check in app.verifications] == [("/health", 200), ("/x", 204)]


def test_every_key_of_a_route_reaches_the_model() -> None:
    found = route(
        "path: /api/, to: 'web:80', strip: true, timeout: 5s, websocket_timeout: 2h, balance: roundrobin, sticky: true,"
        " rate_limit: 10/15m, basic_auth: {ann: $6$salt$hashhashhash}, allow: [10.1.2.3/8, '::1'],"
        " headers: {X-A: b, X-Frame-Options: , Server: ''},"
        " cache: 5m, compress: true, maintenance: true, https_redirect: false"
    )
    assert found == Route(
        host="a.example.org",
        path="/api",
        service="web",
        port=80,
        strip_prefix=True,
        timeout=5.0,
        tunnel_timeout=7200.0,
        balance="roundrobin",
        sticky=True,
        rate_limit=RateLimit(count=10, period=900),
        basic_auth=(("ann", "$6$salt$hashhashhash"),),
        allow=("10.0.0.0/8", "::1/128"),
        headers=(("X-A", "b"), ("X-Frame-Options", None), ("Server", None)),
        cache_ttl=300,
        compress=True,
        maintenance=True,
        https_redirect=False,
    )


def test_a_redirect_needs_no_service() -> None:
    assert route("redirect: 'https://example.org'").redirect_to == "https://example.org"


def test_host_names_are_compared_in_lower_case() -> None:
    assert app_with("routes: [{host: WWW.Example.org, to: 'web:80'}]").routes[0].host == "www.example.org"


@pytest.mark.parametrize(
    ("rate", "seconds"), [("5/second", 1), ("5/s", 1), ("5/m", 60), ("5/hour", 3600), ("5/day", 86400), ("5/2h", 7200)]
)
def test_rates_are_read_in_any_unit(rate: str, seconds: int) -> None:
    assert route(f"to: 'web:80', rate_limit: {rate}").rate_limit == RateLimit(count=5, period=seconds)


def test_a_request_body_that_is_not_text_is_sent_as_json() -> None:
    check = app_with("release: {verify: [{post: /login, body: {user: ann}, expect: {contains: token}}]}").verifications[
        0
    ]
    assert (check.method, check.body, check.contains) == ("POST", '{"user": "ann"}', "token")
    assert check.headers == (("Content-Type", "application/json"),)


def test_a_text_body_and_headers_are_sent_as_they_are() -> None:
    check = app_with("release: {verify: [{put: /a, body: 'x=1', headers: {A: 1}}]}").verifications[0]
    assert (check.body, check.headers) == ("x=1", (("A", "1"),))


def test_expected_json_may_be_nested_or_dotted() -> None:
    check = app_with("release: {verify: [{get: /h, expect: {json: {db: {ok: true, n: [1]}, a.b: {}}}}]}").verifications[
        0
    ]
    assert check.json == (("db.ok", "true"), ("db.n", "[1]"), ("a.b", "{}"))


def test_waivers_keep_their_date_and_subject() -> None:
    text = "waivers: [{check: ports-public, reason: lab only, until: 2027-03-31, subject: web}]"
    assert app_with(text).waivers == (
        Waiver(check="ports-public", reason="lab only", until="2027-03-31", subject="web"),
    )


def test_the_place_of_a_key_is_known_afterwards() -> None:
    app = parse_app(DESIGN)
    assert app.place("routes[1].rate_limit") == Location("havre.yaml", 10, 5)
    assert app.place("routes[1].timeout") == Location("havre.yaml", 7, 5)
    assert app.place("nothing") is None


def test_places_do_not_make_apps_differ() -> None:
    assert parse_app("app: shop\nhold: 15s") == parse_app("\n\napp: shop")


def test_all_problems_are_told_at_once_in_the_order_of_the_file() -> None:
    text = """\
app: Lexi kon
services: {}
routes:
  - host: https://lexikon.example.org
    to: frontend
    rate: 100/minute
  - path: api
    rate_limit: 100 per minute
tls: own
backups:
  db: {schedule: "61 * * * *", keep: 5}
"""
    assert problems(text) == [
        "havre.yaml:1:1: app: `Lexi kon` is not a name of up to 40 lower-case letters, digits and `-`",
        "havre.yaml:2:1: unknown key `services`",
        "havre.yaml:4:5: routes[0].host: `https://lexikon.example.org` is not a host name (no scheme, port or path)",
        "havre.yaml:5:5: routes[0].to: `frontend` does not name a service and its port",
        "havre.yaml:6:5: routes[0]: unknown key `rate`",
        "havre.yaml:7:5: routes[1]: `host` is missing",
        "havre.yaml:7:5: routes[1]: a route has exactly one of to, redirect; here: none",
        "havre.yaml:7:5: routes[1].path: `api` is not a path: it begins with `/` and has no spaces",
        "havre.yaml:8:5: routes[1].rate_limit: `100 per minute` is not a rate",
        "havre.yaml:9:1: tls: `mode: own` needs `certificate` and `key`",
        "havre.yaml:11:8: backups.db.schedule: `61 * * * *` is not a cron schedule",
        "havre.yaml:11:32: backups.db.keep: must be a mapping, not a number",
    ]


def test_a_host_with_letters_that_dns_lacks_is_told_as_dns_writes_it() -> None:
    assert problems("app: shop\nroutes: [{host: münchen.example, to: 'web:80'}]") == [
        "havre.yaml:2:11: routes[0].host: `münchen.example` must be written as DNS knows it: `xn--mnchen-3ya.example`"
    ]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("app: a\nrouts: []", "did you mean `routes`?"),
        ("app: a\nenv: x", "did you mean `env_file` or `environments`?"),
        ("app: a\nservice: {}", "that belongs in the Compose file; `compose` names it"),
        ("app: a\nroutes: [{host: a, to: 'b:1', rate: 1/s}]", "did you mean `rate_limit`?"),
        ("app: a\nengine: podman", "write `docker` or `process` or `swarm`"),
        ("app: a\nroutes: {host: a}", "begin each item with `- `"),
        ("{}", "add `app`, for example `app: lexikon`"),
    ],
)
def test_a_problem_says_what_to_write(text: str, hint: str) -> None:
    assert hints(text) == [hint]


def test_an_unknown_key_without_a_near_one_lists_what_there_is() -> None:
    assert hints("app: a\nzzz: 1")[0].startswith("the keys of a manifest are app, compose, env_file")


def test_keys_that_begin_with_x_are_the_users_own() -> None:
    assert app_with("x-note: {anything: [1]}\nbackups: {db: {x-why: because}}").backups[0].service == "db"


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        ("keep_releases: 0", "keep_releases: must be a whole number from 1 to 1000, not `0`"),
        ("keep_releases: true", "keep_releases: must be a whole number from 1 to 1000, not `True`"),
        ("backups: {db: {keep: {daily: -1}}}", "backups.db.keep.daily: must be a whole number of 0 or more, not `-1`"),
        ("hold: soon", "hold: `soon` is not a duration"),
        ("hold: [1]", "hold: `[1]` is not a duration"),
        ("hold: 15", "hold: `15` has no unit, so it is not a duration"),
        ("hold: 1.5", "hold: `1.5` has no unit, so it is not a duration"),
        ("hold: '15'", "hold: `15` has no unit, so it is not a duration"),
        ("hold: -15", "hold: `-15` is not a duration"),
        ("hold: false", "hold: `False` is not a duration"),
        ("backups: {db: {rpo: 24}}", "backups.db.rpo: `24` has no unit, so it is not a duration"),
        ("compose: ''", "compose: is empty"),
        ("compose: {a: b}", "compose: must be a list, not a mapping"),
        ("compose: [[a]]", "compose[0]: must be text, not a list"),
        ("compose: [true]", "compose[0]: must be text, not true/false"),
        ("compose: [ ]\nprofiles: [null]", "profiles[0]: must be text, not nothing"),
        ("backups: [db]", "backups: must be a mapping from service to value, not a list"),
        ("release: yes", "release: must be a mapping, not text"),
        ("release: {migrate: {service: a, run: ''}}", "release.migrate.run: is empty"),
        ("release: {migrate: {service: a, run: ' '}}", "release.migrate.run: is empty"),
        (
            'release: {migrate: {service: a, run: "echo \'a"}}',
            "release.migrate.run: cannot be read as a command: no closing quotation",
        ),
        ("release: {migrate: {run: a}}", "release.migrate: `service` is missing"),
        ("waivers: [{check: a, reason: b, until: soon}]", "waivers[0].until: `soon` is not a date"),
        ("waivers: [{check: a, reason: b, until: 2027-02-30}]", "waivers[0].until: `2027-02-30` is not a date"),
        ("backups: {db: {drill: often}}", "backups.db.drill: `often` is not daily, weekly, monthly or a cron schedule"),
        ("backups: {db: {schedule: 0 25 * * *}}", "backups.db.schedule: `0 25 * * *` is not a cron schedule"),
        ("backups: {db: {schedule: 0 2 x! * *}}", "backups.db.schedule: `0 2 x! * *` is not a cron schedule"),
        ("backups: {db: {schedule: 0 2 * *}}", "backups.db.schedule: `0 2 * *` is not a cron schedule"),
        (
            "backups: {db: {schedule: 0 2 31 2 *}}",
            "backups.db.schedule: `0 2 31 2 *` is a cron schedule that never comes round",
        ),
        (
            "backups: {db: {schedule: 0 2 * * fri-mon}}",
            "backups.db.schedule: `0 2 * * fri-mon` is not a cron schedule",
        ),
        ("backups: {db: {command: dump, directory: out}}", "backups.db.directory: `directory` is no absolute path"),
        ("backups: {db: {directory: /out}}", "backups.db.directory: `directory` needs `command`"),
        ("backups: {db: {kind: command}}", "backups.db: `kind: command` needs `command`"),
        ("backups: {db: {kind: redis, pitr: true}}", "backups.db.pitr: `pitr` does not go with `kind: redis`"),
        ("tls: {certificate: a.pem}", "tls.certificate: `certificate` is only used with `mode: own`"),
        ("routes: [{host: a, to: 'b:1', strip: true}]", "routes[0].strip: `strip` has nothing to remove"),
        ("autoscale: {web: {max: 3}}", "autoscale.web: nothing says what load to aim at"),
        ("autoscale: {web: {min: 5, max: 3, cpu: 70}}", "autoscale.web.min: `min` is more than `max`"),
        (
            "routes: [{host: a, to: 'b:1', headers: {X A: c}}]",
            "routes[0].headers.X A: `X A` is not the name of a header",
        ),
        (
            "routes: [{host: a, to: 'b:1'}, {host: c, to: 'b:2', sticky: true}, {host: d, to: 'b:1', sticky: true}]",
            "routes[2]: the route to b:1 at line 2 says otherwise about `sticky`",
        ),
        (
            "routes: [{host: a, redirect: 'https://b', allow: 10.0.0.0/8}]",
            "routes[0].allow: `allow` does nothing for a redirect",
        ),
        ("routes: [{host: a, to: 'b:1', strip: 1}]", "routes[0].strip: must be true or false, not `1`"),
        ("routes: [{host: a, to: 'b:70000'}]", "routes[0].to: `b:70000` does not name a service and its port"),
        ("routes: [{host: a, to: 'b:1', max_body: big}]", "routes[0].max_body: `big` is not a size"),
        ("routes: [{host: a, to: 'b:1', max_body: 0}]", "routes[0].max_body: `0` is not a size"),
        ("routes: [{host: a, to: 'b:1', allow: me}]", "routes[0].allow: `me` is not an address or network"),
        ("routes: [{host: a, to: 'b:1', allow: []}]", f"routes[0].allow: {LETS_IN}"),
        ("routes: [{host: a, to: 'b:1', allow: }]", f"routes[0].allow: {LETS_IN}"),
        ("routes: [{host: a, to: 'b:1', basic_auth: {}}]", f"routes[0].basic_auth: {LETS_IN} without a login"),
        (
            "environments: {qa: {routes: [{host: a, to: 'b:1', allow: }]}}",
            f"environments.qa.routes[0].allow: {LETS_IN}",
        ),
        (
            "routes: [{host: a, to: 'b:1', redirect: 'http://c'}]",
            "routes[0]: a route has exactly one of to, redirect; here: `to` and `redirect`",
        ),
        ("environments: {staging: {app: x}}", "environments.staging: unknown key `app`"),
        ("environments: {staging: {hold: x}}", "environments.staging.hold: `x` is not a duration"),
    ],
)
def test_a_wrong_value_is_refused(text: str, summary: str) -> None:
    assert [problem.split(" ", 1)[1] for problem in problems(f"app: shop\n{text}")] == [summary]


def test_a_password_in_the_clear_is_refused_without_repeating_it() -> None:
    text = "app: shop\nroutes: [{host: a, to: 'b:1', basic_auth: {ann: hunter2}}]"
    with pytest.raises(InputError) as caught:
        parse_app(text)
    assert "must be the hash of a password" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_two_routes_for_one_place_name_each_other() -> None:
    text = "app: a\nroutes:\n- {host: A.org, path: /x, to: 'b:1'}\n- {host: a.org, path: /x/, to: 'c:1'}"
    assert problems(text) == ["havre.yaml:4:3: routes[1]: a.org/x already has a route at line 3"]


def test_the_same_problem_in_an_environment_is_told_once() -> None:
    text = "app: a\nenvironments:\n  staging:\n    routes:\n    - {to: 'b:1'}"
    assert problems(text, "staging") == ["havre.yaml:5:7: environments.staging.routes[0]: `host` is missing"]


def test_what_only_the_merged_manifest_lacks_is_found() -> None:
    text = "app: a\nenvironments: {staging: {release: {migrate: {run: up}}}}"
    assert parse_app(text).migration is None
    assert problems(text, "staging") == ["havre.yaml:2:36: release.migrate: `service` is missing"]


def test_an_unknown_environment_is_named_with_those_that_exist() -> None:
    text = "app: a\nenvironments: {staging: , qa: }"
    with pytest.raises(InputError) as caught:
        parse_app(text, environment="stagin")
    assert str(caught.value) == ("havre.yaml:2:1: there is no environment `stagin`\n  hint: did you mean `staging`?")
    with pytest.raises(InputError) as caught:
        parse_app("app: a", environment="eu")
    assert caught.value.problems[0].hint == (
        "there is production; declare another one under `environments:` in havre.yaml"
    )


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        ("", "havre.yaml: havre.yaml is empty"),
        ("# nothing\n", "havre.yaml: havre.yaml is empty"),
        ("- a\n", "havre.yaml: havre.yaml must be one mapping of keys to values"),
        ("app: a\n---\napp: b\n", "havre.yaml: havre.yaml must be one mapping of keys to values"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(text: str, summary: str) -> None:
    assert problems(text) == [summary]


def test_broken_yaml_is_located() -> None:
    assert problems("app: [a\nroutes: x")[0].startswith("havre.yaml:2:7: failed to parse YAML")


def test_a_key_given_twice_is_refused() -> None:
    assert problems("app: a\napp: b") == ['havre.yaml:2:1: mapping key "app" already defined at line 1']


def test_a_file_is_found_by_its_directory(tmp_path: Path) -> None:
    (tmp_path / "havre.yaml").write_text("app: shop\n")
    assert load_app(tmp_path).name == "shop"
    assert load_app(tmp_path / "havre.yaml").directory == str(tmp_path)


def test_an_absent_file_leads_to_init(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_app(tmp_path)
    assert "havre init" in caught.value.problems[0].hint
    assert str(tmp_path / "havre.yaml") in str(caught.value)

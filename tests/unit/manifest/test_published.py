"""The schema and the reference pages are made from the tables, and agree with what is really accepted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from havre.checks.document import checks_page
from havre.checks.launch.document import checklist_page
from havre.checks.registry import ALL
from havre.compose.tree import dotted
from havre.errors import InputError
from havre.manifest import parse_app
from havre.manifest.document import manifest_page
from havre.manifest.keys import MANIFEST
from havre.manifest.schema import manifest_schema, schema_text
from havre.manifest.shapes import Items, Key, Named, Record, Shape

SCHEMA = jsonschema.Draft202012Validator(manifest_schema())
ROOT = Path(__file__).parents[3]
EVERYTHING = """\
app: shop
compose: [a.yaml]
env_file: .env
profiles: [x]
routes:
  - {host: a.org, path: /a, to: 'web:80', strip: true, rate_limit: 5/s, max_body: 20MB, timeout: 5s,
     websocket_timeout: 60s, balance: roundrobin, sticky: true, basic_auth: {ann: $6$salt$hashhashhash},
     allow: 10.0.0.0/8, headers: {X-A: b, X-B: }, cache: 5m, compress: true, maintenance: false, https_redirect: true}
  - {host: '*.b.org', redirect: 'https://a.org'}
release:
  migrate:
    {service: web, run: up, undo: down, head: now, timeout: 5m, safeguard: false, safeguard_services: [db],
     safeguard_limit: 20GB}
  verify: [/h, {get: /h, host: a.org, headers: {A: 1}, expect: 204, timeout: 1s, retries: 0},
    {post: /p, body: {a: 1}, expect: {status: 201, json: {a: 1}, contains: x}}, {put: /p}, {patch: /p}, {delete: /p},
    {head: /p}]
backups:
  db: {schedule: 0 2 * * *, kind: postgres, keep: {last: 1, daily: 2, weekly: 3, monthly: 4, minimum: 1}, to: a,
       databases: [x], volumes: [v], command: c, directory: /d, restore_command: r, drill: weekly, assert: select 1,
       pitr: {enabled: true, ship: 1m, base: 24h, keep: 168h, limit: 4GB},
       rpo: 24h, rto: 4h}
  kv: {pitr: false}
tls: {mode: own, certificate: a, key: b, dns_hook: c}
secrets: [A, {name: B, command: pass show b}]
waivers: [{check: a, reason: b, until: 2027-01-01, subject: c}]
processes: {web: run, db: {command: x, build: [a, b], source: s, environment: {A: b}}}
autoscale: {web: {min: 2, max: 10, cpu: 70, memory: 80}}
engine: docker
keep_releases: 3
hold: 10s
notify: [https://x.org/hook]
server:
  needs: {memory: 4GB, cpus: 2, disk: 40GB, os: [debian 11, ubuntu 20.04], docker: '20.10', public_address: true,
          tools: [curl, htop]}
  recommends: {memory: 8GB, cpus: 4}
support:
  documentation: docs/
  runbook: docs/incidents.md
  monitoring: https://status.example.org
  status_page: https://up.example.org
  contacts: {developer: dev@example.org}
environments: {staging: {hold: 3s, release: {migrate: {run: up}}, tls: }, qa: }
x-mine: anything
"""
WRONG = [
    "{}", "app: A B", "app: a\nrouts: []", "app: a\nroutes: [{to: 'a:1'}]", "app: a\nroutes: [{host: a}]",
    "app: a\nroutes: [{host: a, to: 'b:1', redirect: 'http://x'}]", "app: a\nroutes: [{host: 'http://a', to: 'b:1'}]",
    "app: a\nengine: podman", "app: a\nkeep_releases: 0", "app: a\ncompose: {a: b}", "app: a\nbackups: [x]",
    "app: a\nrelease: {verify: [{host: a}]}", "app: a\nwaivers: [{check: a}]", "app: a\nbackups: {d: {keep: 3}}",
    "app: a\nroutes: [{host: a, to: 'b:1', basic_auth: {u: clear}}]",
    "app: a\nroutes: [{host: a, to: 'b:1', sticky: 1}]",
    "app: a\nroutes: [{host: a, to: 'b:1', allow: []}]", "app: a\nroutes: [{host: a, to: 'b:1', allow: }]",
    "app: a\nroutes: [{host: a, to: 'b:1', basic_auth: {}}]", "app: a\nhold: 15", "app: a\nhold: '15'",
    "app: a\nenvironments: {s: {app: b}}", "app: a\nsecrets: [1A]", "app: a\nroutes: [{host: a, to: 'b:1', path: x}]",
]  # fmt: skip


def keys(shape: Shape, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str, Key]]:
    inner = shape.of if isinstance(shape, Items | Named) else shape
    if isinstance(inner, Record):
        for name, key in inner.keys.items():
            yield dotted((*path, name)), key
            if name != "environments":
                yield from keys(key.shape, (*path, name))


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(manifest_schema())


def test_what_uses_every_key_is_accepted_by_both() -> None:
    parse_app(EVERYTHING)
    document = yaml.safe_load(EVERYTHING)
    document["waivers"][0]["until"] = "2027-01-01"
    SCHEMA.validate(document)


def test_the_example_really_uses_every_key() -> None:
    words = EVERYTHING
    assert [path for path, _ in keys(MANIFEST) if f"{path.rsplit('.', 1)[-1]}:" not in words] == []


@pytest.mark.parametrize("text", WRONG)
def test_what_the_reader_refuses_the_schema_refuses_too(text: str) -> None:
    with pytest.raises(InputError):
        parse_app(text)
    with pytest.raises(jsonschema.ValidationError):
        SCHEMA.validate(yaml.safe_load(text))


def test_every_key_is_documented_and_so_is_its_default() -> None:
    page = manifest_page()
    for path, key in keys(MANIFEST):
        assert key.doc.endswith("."), path
        assert key.doc.replace("|", "\\|") in page, path


def test_every_check_has_its_paragraph() -> None:
    page = checks_page()
    assert all(f"### `{check.id}` ({check.severity.value})" in page for check in ALL)


@pytest.mark.parametrize(
    ("file", "text", "command"),
    [
        ("src/havre/manifest/schema.json", schema_text, "havre.manifest.schema"),
        ("docs/reference/manifest.md", manifest_page, "havre.manifest.document"),
        ("docs/reference/checklist.md", checklist_page, "havre.checks.launch.document"),
        ("docs/reference/checks.md", checks_page, "havre.checks.document"),
    ],
)
def test_what_is_published_is_up_to_date(file: str, text: Any, command: str) -> None:
    assert (ROOT / file).read_text() == text(), f"run `.venv/bin/python -m {command} > {file}`"

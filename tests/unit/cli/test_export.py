"""The vhost for a proxy in front, what is said when this server's edge cannot stand behind one, and timers."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from havre.cli.main import cli


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "compose.yaml").write_text("services: {web: {image: 'web:1'}}\n")
    (tmp_path / "havre.yaml").write_text("app: shop\nroutes: [{host: shop.example, to: 'web:80'}]\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HAVRE_STATE", str(tmp_path / "state"))
    (tmp_path / "state").mkdir()
    return tmp_path / "state"


@pytest.mark.parametrize(
    ("kind", "passed_on"), [("nginx", "proxy_pass http://127.0.0.1:8099;"), ("caddy", "reverse_proxy 127.0.0.1:8099")]
)
def test_the_vhost_leads_to_where_the_edge_listens(state: Path, kind: str, passed_on: str) -> None:
    (state / "server.yaml").write_text("{http_port: 8099, https_port: 0, trusted_proxies: [127.0.0.1]}")
    done = CliRunner().invoke(cli, ["export", kind])
    assert done.exit_code == 0, done.output
    assert passed_on in done.stdout
    assert "shop.example" in done.stdout
    assert "warning" not in done.output


@pytest.mark.parametrize("kind", ["nginx", "caddy"])
def test_an_edge_that_stands_in_front_itself_is_told_of_with_all_that_is_missing(state: Path, kind: str) -> None:
    (state / "server.yaml").write_text("{http_port: 80, https_port: 443}")
    done = CliRunner().invoke(cli, ["export", kind])
    assert done.exit_code == 0
    said = " ".join(done.stderr.replace("|", " ").split())
    for words in ("http_port is 80", "https_port is 443", "trusted_proxies is empty", str(state / "server.yaml")):
        assert words in said


@pytest.mark.parametrize("kind", ["cron", "systemd"])
def test_timers_find_a_restic_that_only_the_persons_own_path_has(
    state: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (state.parent / "havre.yaml").write_text("app: shop\nbackups: {web: {kind: volume, schedule: '0 2 * * *'}}\n")
    own = state.parent / "opt"
    own.mkdir()
    (own / "restic").write_text("#!/bin/sh\n")
    (own / "restic").chmod(0o755)
    monkeypatch.setenv("PATH", f"{own}:/usr/bin:/bin")
    done = CliRunner().invoke(cli, ["export", kind])
    assert done.exit_code == 0, done.output
    assert f"HAVRE_RESTIC={own}/restic" in done.stdout
    (state / "bin").mkdir()
    (state / "bin" / "restic").write_text("")
    assert "HAVRE_RESTIC" not in CliRunner().invoke(cli, ["export", kind]).stdout

"""`server.yaml`: wrong words are told before they stop the edge of all apps, and every key is documented."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from havre.errors import InputError
from havre.workflows.settings import SETTINGS, ServerSettings, read_settings

REFERENCE = Path(__file__).parents[3] / "docs/reference/server-settings.md"


def written(directory: Path, text: str) -> Path:
    (directory / "server.yaml").write_text(text)
    return directory


def test_every_key_is_documented_and_the_example_can_be_read(tmp_path: Path) -> None:
    page = REFERENCE.read_text()
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == set(ServerSettings.__dataclass_fields__)
    (example,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    settings = read_settings(written(tmp_path, example))
    assert settings != ServerSettings()
    assert settings.edge(is_root=True).trusted_proxies == settings.trusted_proxies


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("trusted_proxies: [cloudflare]", "1:19: trusted_proxies[0]: `cloudflare` is not an address or network"),
        ("bind: [10.0.0.0/8]", "1:8: bind[0]: `10.0.0.0/8` is not an address"),
        ("\nhttp_port: 80000", "2:1: http_port: must be a whole number from 1 to 65535, not `80000`"),
        ("http_port: eighty", "1:1: http_port: must be a whole number from 1 to 65535, not `eighty`"),
        ("{http_port: 8080, https_port: 8080}", "1:19: https_port: `8080` is the port of `http_port` already"),
        ("metrics: '9101'", "1:1: metrics: `9101` is not an address and a port"),
        ("metrics: 'localhost:9101'", "1:1: metrics: `localhost:9101` is not an address and a port"),
        ("metrics: '127.0.0.1:0'", "1:1: metrics: `127.0.0.1:0` is not an address and a port"),
        ("acme_directory: production", "1:1: acme_directory: `production` is neither `staging` nor an https address"),
        ("acme_email: [a@b.org]", "1:1: acme_email: must be text, not a list"),
        ("reserve: lots", "1:1: reserve: `lots` is not a size"),
        ("bind: {a: b}", "1:1: bind: must be a list, not a mapping"),
        ("trusted_proxy: [10.0.0.1]", "1:1: unknown key `trusted_proxy`"),
        ("- http_port: 80", "1:1: must be one mapping of keys to values"),
        ("a: 1\n---\nb: 2", "1:1: must be one mapping of keys to values"),
    ],
)
def test_a_wrong_value_is_told_with_its_place_as_in_havre_yaml(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(InputError) as caught:
        read_settings(written(tmp_path, text))
    shown = [str(problem).split("\n", 1)[0] for problem in caught.value.problems]
    assert shown == [f"{tmp_path}/server.yaml:{told}"]
    assert all(problem.effect for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("http_port: [80]", "write for example `8080`"),
        ("https_port: none", "write for example `443`, or `0` where another proxy ends TLS"),
        ("reserve: lots", "write for example `1GB`"),
        ("trusted_proxy: []", "did you mean `trusted_proxies`?"),
    ],
)
def test_a_wrong_value_is_told_with_what_to_write(tmp_path: Path, text: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        read_settings(written(tmp_path, text))
    assert [problem.hint for problem in caught.value.problems] == [hint]


def test_what_is_no_yaml_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_settings(written(tmp_path, "http_port: 80\nbind: [a\n"))
    assert str(caught.value.problems[0]).startswith(f"{tmp_path}/server.yaml:3:1")


def test_all_wrong_values_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as told:
        read_settings(written(tmp_path, "{http_port: 0x1ffff, bind: [here, there]}"))
    assert len(told.value.problems) == 3


def test_one_value_stands_for_a_list_of_one_and_sizes_have_units(tmp_path: Path) -> None:
    settings = read_settings(written(tmp_path, "bind: 127.0.0.1\nreserve: 1GB\nbackup_to: /mnt/backup\nmetrics:\n"))
    assert (settings.bind, settings.reserve, settings.backup_to) == (("127.0.0.1",), 1024**3, ("/mnt/backup",))
    assert read_settings(written(tmp_path, "reserve: 0")).reserve == 0


def test_every_setting_is_in_the_table_of_keys() -> None:
    assert tuple(SETTINGS.keys) == tuple(ServerSettings.__dataclass_fields__)


@pytest.mark.parametrize("text", ["", "https_port: 0", "metrics: '[::1]:9101'", "bind: ['::', 0.0.0.0]"])
def test_what_is_right_is_read(tmp_path: Path, text: str) -> None:
    assert isinstance(read_settings(written(tmp_path, text)), ServerSettings)

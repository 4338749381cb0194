"""`server.yaml`: wrong words are told before they stop the edge of all apps, and every key is documented."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from havre.errors import InputError
from havre.workflows.settings import ServerSettings, read_settings

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
    ("text", "summary"),
    [
        ("trusted_proxies: [cloudflare]", "`trusted_proxies`: `cloudflare` does not fit"),
        ("bind: [10.0.0.0/8]", "`bind`: `10.0.0.0/8` does not fit"),
        ("http_port: 80000", "`http_port`: `80000` does not fit"),
        ("{http_port: 8080, https_port: 8080}", "`https_port`: `8080` does not fit"),
        ("metrics: '9101'", "`metrics`: `9101` does not fit"),
        ("acme_directory: production", "`acme_directory`: `production` does not fit"),
        ("trusted_proxy: [10.0.0.1]", "unknown key `trusted_proxy`"),
    ],
)
def test_a_wrong_value_is_told_with_what_to_write(tmp_path: Path, text: str, summary: str) -> None:
    with pytest.raises(InputError) as told:
        read_settings(written(tmp_path, text))
    assert [problem.summary for problem in told.value.problems] == [summary]


def test_all_wrong_values_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as told:
        read_settings(written(tmp_path, "{http_port: 0x1ffff, bind: [here, there]}"))
    assert len(told.value.problems) == 3


@pytest.mark.parametrize("text", ["", "https_port: 0", "metrics: '[::1]:9101'", "bind: ['::', 0.0.0.0]"])
def test_what_is_right_is_read(tmp_path: Path, text: str) -> None:
    assert isinstance(read_settings(written(tmp_path, text)), ServerSettings)

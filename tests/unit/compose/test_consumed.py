"""Keys that loading uses up are remembered with their places, in whatever shape they were written."""

from __future__ import annotations

import pytest

from havre.compose.consumed import consumed_keys
from havre.compose.findings import Findings
from havre.compose.tree import Map, Sources, dotted
from havre.compose.yamltext import parse_documents


def places(text: str) -> dict[str, str]:
    sources = Sources()
    (document,) = parse_documents(text, "compose.yaml", sources, Findings(sources))
    return {dotted(path): str(place) for path, place in consumed_keys(document.root, sources)}


def test_each_key_has_its_own_line() -> None:
    assert places(
        """\
version: "3.8"
include:
  - path: a.yaml
services:
  web:
    extends: {service: base}
    profiles: [debug]
    image: app
  base:
    env_file:
      - base.env
x-mine: {extends: nothing}
"""
    ) == {
        "version": "compose.yaml:1:1",
        "include": "compose.yaml:2:1",
        "include[0]": "compose.yaml:3:5",
        "include[0].path": "compose.yaml:3:5",
        "services.web.extends": "compose.yaml:6:5",
        "services.web.extends.service": "compose.yaml:6:15",
        "services.web.profiles": "compose.yaml:7:5",
        "services.web.profiles[0]": "compose.yaml:7:16",
        "services.base.env_file": "compose.yaml:10:5",
        "services.base.env_file[0]": "compose.yaml:11:9",
    }


@pytest.mark.parametrize(
    "text", ["[]", "text", "services: []", "services: {web: text}", "services: {web: {extends: }}", "services: "]
)
def test_documents_of_another_shape_have_none(text: str) -> None:
    assert places(text) == {}


def test_a_tree_without_places_has_none() -> None:
    assert list(consumed_keys(Map({"version": "3"}), Sources())) == []

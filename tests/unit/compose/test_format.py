"""The printed normal form means the same project when it is read again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from havre.compose import LoadRequest, load_project
from havre.compose.format import to_json, to_yaml

COMPOSE = """\
services:
  web:
    image: app
    command: ["a", "22:22", "0o14", "1e3", "yes", "~", "2020-01-01", "", " x ", "$$HOME", "two\\nlines", "null", "-"]
    environment: {ON: "on", EMPTY: "", NUMBER: 007, NOTHING: }
    ports: ["8080:80", "127.0.0.1:53:53/udp"]
    healthcheck: {test: "curl -f localhost || exit 1", interval: 1m30s}
    deploy: {resources: {limits: {memory: 512m, cpus: 0.5}}}
    volumes: ["data:/data", "./conf:/conf:ro"]
    secrets: [token]
    depends_on: [db]
  db: {image: db, init: false}
volumes: {data: }
secrets: {token: {environment: TOKEN}}
x-team: shop
"""


def model_of(directory: Path, text: str) -> dict[str, Any]:
    directory.mkdir(exist_ok=True)
    (directory / "compose.yaml").write_text(text)
    request = LoadRequest(working_dir=str(directory), environment={"TOKEN": "hunter2"}, project_name="shop")
    return load_project(request).model


def test_printed_yaml_is_loaded_to_the_same_model(tmp_path: Path) -> None:
    model = model_of(tmp_path, COMPOSE)
    assert model_of(tmp_path, to_yaml(model)) == model


def test_printed_json_is_loaded_to_the_same_model(tmp_path: Path) -> None:
    model = model_of(tmp_path, COMPOSE)
    assert model_of(tmp_path, to_json(model)) == model


def test_printing_is_stable_and_in_the_order_people_expect(tmp_path: Path) -> None:
    text = to_yaml(model_of(tmp_path, COMPOSE))
    assert text == to_yaml(model_of(tmp_path, text))
    top = [line.split(":")[0] for line in text.splitlines() if line[0] not in " -"]
    assert top == ["name", "services", "networks", "volumes", "secrets", "x-team"]
    assert text.index("\n  db:") < text.index("\n  web:")


def test_dollars_are_doubled_only_where_variables_were_filled_in() -> None:
    model = {"services": {"web": {"command": ["$HOME", "${A:-b}"]}}}
    assert yaml.safe_load(to_yaml(model)) == {"services": {"web": {"command": ["$$HOME", "$${A:-b}"]}}}
    assert yaml.safe_load(to_yaml(model, interpolated=False)) == model


def test_the_content_of_a_secret_is_not_printed(tmp_path: Path) -> None:
    model = model_of(tmp_path, COMPOSE)
    assert model["secrets"]["token"]["content"] == "hunter2"
    assert "hunter2" not in to_yaml(model) + to_json(model)


def test_an_empty_secret_is_printed_as_it_is() -> None:
    assert yaml.safe_load(to_yaml({"secrets": {"token": None}})) == {"secrets": {"token": None}}


scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.text(st.characters(exclude_categories=["Cs"])))
trees = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text("abcx-", min_size=1), inner))


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text("abc", min_size=1), trees))
def test_any_tree_comes_back_from_yaml_and_json(tree: dict[str, Any]) -> None:
    assert yaml.safe_load(to_yaml(tree, interpolated=False)) == tree
    assert json.loads(to_json(tree, interpolated=False)) == tree


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_any_text_is_read_as_text_by_our_own_loader(text: str) -> None:
    from havre.compose.findings import Findings
    from havre.compose.tree import Sources
    from havre.compose.yamltext import parse_documents

    sources = Sources()
    printed = to_yaml({"services": {"a": {"command": [text]}}}, interpolated=False)
    (document,) = parse_documents(printed, "printed", sources, Findings(sources))
    assert document.root == {"services": {"a": {"command": [text]}}}

"""Whatever document the specification allows: it is loaded, lowered, reported and printed, or refused with a place."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from havre.compose import LoadRequest, load_project
from havre.compose.explain import masked_model
from havre.compose.format import to_yaml
from havre.compose.lower import lower
from havre.compose.report import compose_report
from havre.compose.shapes import BOOLEAN, INTEGER, LIST, MAPPING, NULL, NUMBER, STRING, Shape
from havre.compose.specification import DOCUMENT
from havre.errors import HavreError
from havre.model.project import Project
from havre.model.project_json import project_from_json, project_to_json

WORDS = (
    "", "web", "db", "a:b", "a:b:ro", "./a:/b", "/a", "80", "8080:80", "127.0.0.1:1-2:1-2/udp", "1m30s", "512m", "-1",
    "0.5", "x", "A=1", "A", "always", "on-failure:3", "host", "service:db", "none", "NONE", "CMD", "true", "no", "$$",
    "10.0.0.0/24", "::1", "0440", "é", "a b", "every_2d", "replicated", "default", "node.x", "file:///x",
    "service_healthy",
)  # fmt: skip
NAMES = ("web", "db", "a", "data")


class OneFile:
    """A Compose file in memory and nothing else."""

    def __init__(self, text: str) -> None:
        self._text = text

    def read(self, path: str, shown: str) -> bytes:
        return self._text.encode() if path.endswith("compose.yaml") else b""

    def is_file(self, path: str) -> bool:
        return path.endswith("compose.yaml")

    def is_dir(self, path: str) -> bool:
        return False

    def real(self, path: str) -> str:
        return path


def values_of(shape: Shape, depth: int = 0) -> st.SearchStrategy[Any]:
    """Values that fit a shape, small ones."""
    by_kind = {
        STRING: st.sampled_from(shape.choices or WORDS),
        INTEGER: st.sampled_from((0, 1, 2, 80, -1)),
        NUMBER: st.sampled_from((0, 1, 0.5)),
        BOOLEAN: st.booleans(),
        NULL: st.none(),
        LIST: _lists(shape, depth),
        MAPPING: _mappings(shape, depth),
    }
    return st.one_of([by_kind[kind] for kind in sorted(shape.kinds)])


def _lists(shape: Shape, depth: int) -> st.SearchStrategy[Any]:
    return st.lists(_below(shape.items, depth) if shape.items else st.just("a"), max_size=2)


def _mappings(shape: Shape, depth: int) -> st.SearchStrategy[Any]:
    named = {key: _below(below, depth) for key, below in shape.keys.items()}
    required = {key: named.pop(key) for key in shape.required if key in named}
    if shape.every is not None:
        return st.dictionaries(st.sampled_from(NAMES), _below(shape.every, depth), max_size=2)
    return st.fixed_dictionaries(required, optional=named) if depth < 2 else _few(required, named)


def _below(shape: Shape, depth: int) -> st.SearchStrategy[Any]:
    return st.deferred(lambda: values_of(shape, depth + 1))


def _few(required: dict[str, Any], named: dict[str, Any]) -> st.SearchStrategy[Any]:
    """At most three of the optional keys, or every document would be wrong somewhere."""
    chosen = st.lists(st.sampled_from(sorted(named)), max_size=3, unique=True) if named else st.just([])
    return chosen.flatmap(lambda keys: st.fixed_dictionaries({**required, **{key: named[key] for key in keys}}))


services = values_of(DOCUMENT.keys["services"].every or DOCUMENT, 2).map(
    lambda keys: {**(keys if isinstance(keys, dict) else {}), "image": "app"}
)
documents = st.fixed_dictionaries(
    {"services": st.fixed_dictionaries({"web": services, "db": services})},
    optional={key: values_of(DOCUMENT.keys[key], 1) for key in ("networks", "volumes", "secrets", "configs")},
)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(documents)
def test_any_document_is_lowered_or_refused_and_nothing_else(document: dict[str, Any]) -> None:
    made = lowered_or_refused(document)
    if isinstance(made, Project):
        event("lowered")
        assert project_from_json(project_to_json(made)) == made
    else:
        event("refused")
        assert all(problem.hint for problem in made.problems)


def lowered_or_refused(document: dict[str, Any]) -> Project | HavreError:
    """The document's project, after the report and the printed form were made of it too."""
    request = LoadRequest(working_dir="/srv/shop", environment={}, project_name="shop")
    try:
        loaded = load_project(request, read=OneFile(json.dumps(document)))
        for engine in ("docker", "process"):
            assert str(compose_report(loaded, engine))
        assert to_yaml(masked_model(loaded))
        return lower(loaded, instance="shop")
    except HavreError as error:
        return error

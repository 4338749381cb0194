"""Laws of the Compose loader that hold for every input."""

from __future__ import annotations

import contextlib
import json

import pytest
from compose_folder import Folder, load
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from havre.compose import LoadRequest, load_project
from havre.compose.dotenv import EnvFileError, parse_env, parse_raw
from havre.compose.findings import Findings
from havre.compose.merge import Merger
from havre.compose.shortforms import parse_hosts, parse_ports, parse_volume, split_command
from havre.compose.specification import SERVICE_KEYS, TOP_KEYS
from havre.compose.template import TemplateError, references, substitute
from havre.compose.tree import Sources, clone, located, plain
from havre.compose.units import format_duration, parse_duration, parse_size
from havre.compose.yamltext import parse_documents
from havre.errors import HavreError

slow_inputs = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)

names = st.sampled_from(["a", "b", "web", "x-y"])
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-10, 70_000),
    st.floats(allow_nan=True),
    st.text(max_size=12),
    st.sampled_from(
        ["80:80", "./a:/b", "${A:-b}", "$A", "${", "1g", "10s", "a=b", "service:a", "all", "host", "~", "b"]
    ),
)
keys = st.one_of(st.sampled_from([*SERVICE_KEYS, *TOP_KEYS, "context", "target", "source", "type", "path"]), names)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=4)),
    max_leaves=12,
)
services = st.dictionaries(names, st.dictionaries(st.sampled_from(list(SERVICE_KEYS)), values, max_size=5), max_size=3)


def unset(_name: str) -> str | None:
    return None


def attempt(text: str | bytes, **files: str) -> None:
    """Load, or be refused; anything else is a defect."""
    folder = Folder({"compose.yaml": text, **{name.replace("_", "."): content for name, content in files.items()}})
    try:
        project = load_project(LoadRequest(working_dir="/work", environment={"A": "1"}), read=folder)
    except HavreError:
        return
    json.dumps(project.model)
    for path in list(project.origins)[:50]:
        assert project.origins[path].location.file


@given(st.binary(max_size=200))
@slow_inputs
def test_no_bytes_crash_the_loader(data: bytes) -> None:
    attempt(data)


@given(st.text(alphabet="ab:-[]{}&*!|>'\"#%@`,? \n\t<$", max_size=60))
@slow_inputs
def test_no_yaml_text_crashes_the_loader(text: str) -> None:
    attempt(text)


@given(st.dictionaries(st.sampled_from(list(TOP_KEYS)), values, max_size=4), services)
@slow_inputs
def test_no_document_crashes_the_loader(top: dict[str, object], found: dict[str, object]) -> None:
    attempt(json.dumps(top))
    attempt(json.dumps({**top, "services": {name: {"image": "x", **one} for name, one in found.items()}}))  # type: ignore[dict-item]


@given(services, services)
@slow_inputs
def test_no_two_documents_crash_the_loader(first: dict[str, object], second: dict[str, object]) -> None:
    attempt(f"{json.dumps({'services': first})}\n---\n{json.dumps({'services': second})}")


@given(st.text(max_size=80))
@slow_inputs
def test_no_env_file_crashes_the_loader(text: str) -> None:
    attempt("services: {a: {image: 'x:$B', env_file: b.env}}", _env=text, b_env=text)
    for parse in (lambda: parse_env(text, unset, unset), lambda: parse_raw(text, unset)):
        with contextlib.suppress(EnvFileError):
            parse()  # type: ignore[no-untyped-call]


@given(st.text(alphabet="${}AB:-+?x", max_size=30))
def test_templates_expand_or_are_refused_and_references_agree(template: str) -> None:
    try:
        text = substitute(template, {"A": "value"}.get)
    except TemplateError:
        return
    if "$" not in template:
        assert text == template
    names_used = {one.name for one in references(template)}
    assert names_used <= {"A", "B", "x", "AB"} | {name for name in names_used if set(name) <= set("ABx")}


@given(st.text(max_size=30))
def test_escaped_text_survives_interpolation(text: str) -> None:
    assert substitute(text.replace("$", "$$"), unset) == text


@given(st.text(max_size=30))
@pytest.mark.parametrize("parse", [parse_ports, parse_volume, split_command, parse_size, parse_duration])
def test_short_forms_are_read_or_refused(parse: object, text: str) -> None:
    with contextlib.suppress(ValueError):
        parse(text)  # type: ignore[operator]


@given(st.integers(-(10**18), 10**18))
def test_durations_survive_a_round_trip(nanoseconds: int) -> None:
    assert parse_duration(format_duration(nanoseconds)) == nanoseconds


@given(st.integers(0, 10**15))
def test_sizes_survive_a_round_trip(size: int) -> None:
    assert parse_size(str(size)) == size


@given(st.lists(st.text(alphabet="ab c'\"\\$;|é", min_size=1, max_size=6), max_size=4))
def test_quoted_words_survive_splitting(words: list[str]) -> None:
    quoted = " ".join('"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in words)
    assert split_command(quoted) == words


@given(st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), st.ip_addresses().map(str), max_size=3))
def test_hosts_survive_a_round_trip(hosts: dict[str, str]) -> None:
    assert parse_hosts(parse_hosts(hosts)) == parse_hosts(hosts)


json_values = st.recursive(
    st.one_of(st.booleans(), st.integers(-5, 5), st.text(alphabet="ab1", max_size=3)),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)),
    max_leaves=6,
)


@given(json_values)
def test_json_is_read_as_yaml_reads_it(value: object) -> None:
    sources = Sources()
    documents = parse_documents(json.dumps({"root": value}), "f", sources, Findings(sources))
    assert plain(documents[0].root) == {"root": value}


def merge(base: object, override: object) -> object:
    findings = Findings(Sources())
    merged = Merger(findings).documents(clone(base), clone(override))
    assume(not findings.errors)
    return plain(merged)


mappings = st.dictionaries(st.sampled_from("abc"), json_values, max_size=3).map(lambda value: located({"x-m": value}))


@given(mappings, mappings, mappings)
def test_merging_is_associative_where_no_rule_says_otherwise(one: object, two: object, three: object) -> None:
    left = merge(located(merge(one, two)), three)
    right = merge(one, located(merge(two, three)))
    assert left == right


@given(mappings)
def test_merging_nothing_changes_nothing(one: object) -> None:
    assert merge(one, located({})) == plain(one) == merge(located({}), one)


@given(services)
@slow_inputs
def test_the_normal_form_is_its_own_normal_form(found: dict[str, dict[str, object]]) -> None:
    text = json.dumps({"name": "p", "services": {name: {"image": "x", **one} for name, one in found.items()}})
    try:
        project = load(text)
    except HavreError:
        return
    normal = json.dumps(project.model).replace("$", "$$")
    assert load(normal).model == project.model

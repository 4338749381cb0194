"""The variable syntax: every operator, nesting, escapes, and what is refused."""

from __future__ import annotations

import pytest

from havre.compose.template import (
    LONGEST_VALUE,
    MissingVariableError,
    Reference,
    TemplateError,
    references,
    substitute,
)

VALUES = {"SET": "value", "EMPTY": ""}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("plain", "plain"),
        ("$SET and ${SET}", "value and value"),
        ("$$SET $${SET}", "$SET ${SET}"),
        ("costs 5$ or $ 5", "costs 5$ or $ 5"),
        ("$SET-suffix", "value-suffix"),
        ("[$MISSING]", "[]"),
        ("${SET:-d} ${EMPTY:-d} ${MISSING:-d}", "value d d"),
        ("${SET-d} ${EMPTY-d} ${MISSING-d}", "value  d"),
        ("${SET:+d} ${EMPTY:+d} ${MISSING:+d}", "d  "),
        ("${SET+d} ${EMPTY+d} ${MISSING+d}", "d d "),
        ("${SET:?no} ${SET?no} ${EMPTY?no}", "value value "),
        ("${MISSING:-${EMPTY:-${SET}}}", "value"),
        ("${MISSING:-$SET/$SET}", "value/value"),
        ('${MISSING:-{"a": {"b": 1}}}', '{"a": {"b": 1}}'),
        ("${MISSING:-a:-b?c+d}", "a:-b?c+d"),
        ("${MISSING:-{}", "{"),
        ("{{ ${SET} }}", "{{ value }}"),
    ],
)
def test_templates_expand_as_in_a_shell(template: str, text: str) -> None:
    assert substitute(template, VALUES.get) == text


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("${MISSING:?set it}", "required variable MISSING is missing a value: set it"),
        ("${EMPTY:?}", "required variable EMPTY is missing a value"),
        ("${MISSING?see $SET}", "required variable MISSING is missing a value: see value"),
    ],
)
def test_required_variables_are_told_with_their_message(template: str, problem: str) -> None:
    with pytest.raises(MissingVariableError) as raised:
        substitute(template, VALUES.get)
    assert str(raised.value) == problem


@pytest.mark.parametrize(
    "template", ["${SET:-${MISSING:?set it}}", "${SET-${MISSING?set it}}", "${MISSING+${MISSING?set it}}"]
)
def test_what_a_default_requires_is_required_even_when_the_default_is_not_used(template: str) -> None:
    with pytest.raises(MissingVariableError, match="MISSING is missing a value: set it"):
        substitute(template, VALUES.get)


@pytest.mark.parametrize(
    "template", ["${", "${}", "${ A}", "${A }", "${A!}", "${1A}", "x ${A", "${A:-${B}", "${A:-x\ny}"]
)
def test_malformed_templates_are_refused(template: str) -> None:
    with pytest.raises(TemplateError, match="Invalid template"):
        substitute(template, VALUES.get)


def test_nesting_has_a_limit() -> None:
    with pytest.raises(TemplateError, match="nested more than"):
        substitute("${A:-" * 30 + "}" * 30, VALUES.get)


def test_the_expanded_value_has_a_limit() -> None:
    with pytest.raises(TemplateError, match="longer than"):
        substitute("${BIG}${BIG}", {"BIG": "x" * LONGEST_VALUE}.get)


def test_the_listener_hears_what_fell_back() -> None:
    heard: list[tuple[str, bool]] = []
    substitute("$SET ${EMPTY:-a} ${MISSING}", VALUES.get, lambda one, fell: heard.append((one.name, fell)))
    assert heard == [("SET", False), ("EMPTY", True), ("MISSING", True)]


def test_references_include_those_of_defaults() -> None:
    found = list(references("${A:-${B?why}} $$C"))
    assert found == [Reference("B", "?", "why"), Reference("A", ":-", "${B?why}")]

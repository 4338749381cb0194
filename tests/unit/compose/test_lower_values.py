"""Scalars of the normal form as the model holds them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.compose.lower_values import canonical, host_entries, mode, seconds, text
from havre.compose.units import format_duration


@given(st.integers(min_value=0, max_value=10**15))
def test_a_printed_duration_is_the_same_number_of_seconds(nanoseconds: int) -> None:
    assert seconds(format_duration(nanoseconds)) == nanoseconds / 1e9


@pytest.mark.parametrize(
    ("value", "shown"), [(True, "true"), (False, "false"), (None, ""), (1, "1"), (0.5, "0.5"), ("x", "x")]
)
def test_scalars_as_containers_see_them(value: object, shown: str) -> None:
    assert text(value) == shown


@pytest.mark.parametrize(("value", "bits"), [("0440", 0o440), ("1777", 0o1777), (0o600, 0o600)])
def test_text_modes_are_octal(value: str | int, bits: int) -> None:
    assert mode(value) == bits


def test_host_entries_have_a_colon_and_keep_ipv6() -> None:
    assert host_entries(("a=1.2.3.4", "b=::1", "c:5.6.7.8")) == ("a:1.2.3.4", "b:::1", "c:5.6.7.8")


@given(st.dictionaries(st.text(), st.integers()))
def test_canonical_json_does_not_depend_on_order(values: dict[str, int]) -> None:
    assert canonical(values) == canonical(dict(reversed(values.items())))

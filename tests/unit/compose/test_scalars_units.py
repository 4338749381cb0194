"""What plain scalars, sizes and durations mean."""

from __future__ import annotations

import math
from typing import Any

import pytest

from havre.compose.scalars import Date, resolve
from havre.compose.units import format_duration, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("on", "on"),
        ("22:22", "22:22"),
        ("1.2.3", "1.2.3"),
        ("true", True),
        ("FALSE", False),
        ("", None),
        ("~", None),
        ("null", None),
        ("12", 12),
        ("+12", 12),
        ("-3", -3),
        ("1_000", 1000),
        ("010", 8),
        ("0o10", 8),
        ("0x1F", 31),
        ("0b11", 3),
        ("-0x1F", -31),
        ("0", 0),
        ("08", 8.0),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        (".inf", math.inf),
        ("-.inf", -math.inf),
        ("9" * 500, "9" * 500),
        ("-", "-"),
        ("+x", "+x"),
    ],
)
def test_scalars_follow_yaml_1_2_as_compose_does(text: str, value: Any) -> None:
    found = resolve(text)
    assert found == value
    assert type(found) is type(value)


def test_not_a_number_is_a_number() -> None:
    assert math.isnan(resolve(".nan"))  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["2024-01-31", "2024-01-31T12:30:00Z", "2024-01-31 12:30:00.5 +01:00"])
def test_dates_are_neither_text_nor_number(text: str) -> None:
    assert isinstance(resolve(text), Date)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("-1", -1),
        ("1024", 1024),
        ("1k", 1024),
        ("1KB", 1024),
        ("1.5g", 1610612736),
        ("2 MiB", 2097152),
        (".5k", 512),
        ("1t", 1024**4),
        ("3b", 3),
        ("+3", 3),
        ("1e3", 1000),
        ("1.5e1 k", 15360),
        ("2e-1kib", 204),
        (7, 7),
        (7.9, 7),
    ],
)
def test_sizes_have_base_1024(text: str | float, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "x", "1x", "-1k", "1 0", "9" * 30 + "g", "1" * 100, "1ib", "1e99", "1e9999", math.nan, math.inf]
)
def test_other_sizes_are_refused(text: str | float) -> None:
    with pytest.raises(ValueError, match="invalid size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("0", "0s"),
        ("90s", "1m30s"),
        ("1m30s", "1m30s"),
        ("1.5h", "1h30m0s"),
        ("250ms", "250ms"),
        ("1500us", "1.5ms"),
        ("10ns", "10ns"),
        ("2d", "48h0m0s"),
        ("1w", "168h0m0s"),
        ("-5s", "-5s"),
        ("+5s", "5s"),
        ("1.25s", "1.25s"),
    ],
)
def test_durations_are_printed_as_compose_prints_them(text: str, shown: str) -> None:
    assert format_duration(parse_duration(text)) == shown


@pytest.mark.parametrize("text", ["", "5", "s", "5 s", "5x", "1s2", "1" * 70 + "s", "999999999999h"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="invalid duration"):
        parse_duration(text)

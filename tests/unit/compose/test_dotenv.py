"""Env files by Compose's rules: quoting, comments, escapes, expansion, precedence."""

from __future__ import annotations

import pytest

from havre.compose import dotenv
from havre.compose.dotenv import Assignment, EnvFileError, parse_env, parse_raw

ENVIRONMENT = {"HOST": "from-host", "EMPTY": ""}


def nothing(_name: str) -> str | None:
    return None


def values(text: str, earlier: dict[str, str] | None = None) -> dict[str, str]:
    return {one.name: one.value for one in parse_env(text, ENVIRONMENT.get, (earlier or {}).get)}


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("K=plain text", "plain text"),
        ("K = spaced  ", "spaced"),
        ("K: yaml style", "yaml style"),
        ("export K=exported", "exported"),
        ("  export\tK=tab", "tab"),
        ("K=", ""),
        ("K=a=b=c", "a=b=c"),
        ("K=text # comment", "text"),
        ("K=text#no-comment", "text#no-comment"),
        ("K='literal $HOST #x' # c", "literal $HOST #x"),
        ("K='it\\'s'", "it's"),
        ('K="double $HOST"', "double from-host"),
        ('K="a\\nb\\tc\\\\d\\"e"', 'a\nb\tc\\d"e'),
        ('K="\\0101 \\q"', "A \\q"),
        ('K="it\\\'s"', "it\\'s"),
        ('K="\\$HOST \\${HOST}"', "$HOST ${HOST}"),
        ("K=a\\nb", "a\\nb"),
        ("K=${HOST}/${NONE:-x}", "from-host/x"),
        ('K="first\nsecond"', "first\nsecond"),
        ("\ufeffK=bom", "bom"),
        ("K=win\r\n", "win"),
    ],
)
def test_values_are_read_as_compose_reads_them(line: str, value: str) -> None:
    assert values(line) == {"K": value}


def test_bare_names_take_the_value_of_the_environment_or_stay_away() -> None:
    assert values("HOST\nNONE\nEMPTY") == {"HOST": "from-host", "EMPTY": ""}


def test_the_environment_wins_in_expansions_then_the_file_then_earlier_files() -> None:
    text = "HOST=mine\nOWN=own\nA=$HOST-$OWN-$OLD"
    assert values(text, {"OWN": "old-own", "OLD": "old"})["A"] == "from-host-own-old"


def test_comments_and_blank_lines_are_skipped_and_lines_counted() -> None:
    found = parse_env("# one\n\n  # two\nA=1\n\nB='x\ny'\nC=3\n", ENVIRONMENT.get, nothing)
    assert [(one.name, one.line) for one in found] == [("A", 4), ("B", 6), ("C", 8)]


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("A=1\nTWO WORDS=2", 2, "space"),
        ("A=1\nB$C=2", 2, 'unexpected character "\\$"'),
        ("\n\nA='open", 3, "unterminated quoted value"),
        ('A="open\\"', 1, "unterminated quoted value"),
        ("A=${B:?needed}", 1, "required variable B"),
        ("A=${", 1, "Invalid template"),
    ],
)
def test_malformed_files_are_refused_with_their_line(text: str, line: int, problem: str) -> None:
    with pytest.raises(EnvFileError, match=problem) as raised:
        values(text)
    assert raised.value.line == line


def test_messages_never_repeat_the_content_of_a_line() -> None:
    with pytest.raises(EnvFileError) as raised:
        values("MIIEvQIBADANBgkqh/hunter2")
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("line", "suspicious"),
    [
        ("A=$(pwgen 20)", True),
        ('A="x $(id) y"', True),
        ("A=`id`", True),
        ("A='$(literal)'", False),
        ("A=$HOST (x)", False),
    ],
)
def test_command_substitutions_are_noticed_and_never_run(line: str, suspicious: bool) -> None:
    (one,) = parse_env(line, ENVIRONMENT.get, nothing)
    assert one.runs_command is suspicious
    assert "uid=" not in one.value


def test_expansion_of_a_whole_file_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dotenv, "MOST_EXPANDED", 100)
    with pytest.raises(EnvFileError, match="too much text"):
        values("A=xxxxxxxxxx\n" + "B=$A$A$A$A\n" * 5)


def test_the_raw_format_takes_everything_after_the_equals_sign() -> None:
    found = parse_raw("# c\n\nA='x' # y $HOST\r\nHOST\nNONE\nB=", ENVIRONMENT.get)
    assert found == [Assignment("A", "'x' # y $HOST", 3), Assignment("HOST", "from-host", 4), Assignment("B", "", 6)]


def test_the_raw_format_refuses_names_with_spaces() -> None:
    with pytest.raises(EnvFileError, match="whitespace"):
        parse_raw("A B=c", ENVIRONMENT.get)

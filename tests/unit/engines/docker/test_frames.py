"""Output streams taken apart, however the network cuts them."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from havre.engines.docker import frames

NUMBERS = {"stdout": 1, "stderr": 2}
PIECES = st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.binary(min_size=1, max_size=40)), max_size=8)


def framed(pieces: list[tuple[str, bytes]]) -> bytes:
    return b"".join(
        bytes([NUMBERS[stream], 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload for stream, payload in pieces
    )


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@given(PIECES, st.lists(st.integers(0, 1000), max_size=6))
def test_frames_come_out_as_they_went_in_wherever_the_stream_is_cut(
    pieces: list[tuple[str, bytes]], places: list[int]
) -> None:
    assert list(frames.demultiplex(cut(framed(pieces), places))) == pieces


def test_the_beginning_of_a_frame_that_was_cut_off_is_given() -> None:
    whole = framed([("stderr", b"last words")])

    assert list(frames.demultiplex([whole[:-3]])) == [("stderr", b"last wo")]


@given(st.lists(st.text("abc é", max_size=10), max_size=6), st.lists(st.integers(0, 200), max_size=5))
def test_lines_are_whole_wherever_they_are_cut(texts: list[str], places: list[int]) -> None:
    data = "".join(f"{text}\n" for text in texts).encode()
    pieces = [("stdout", piece) for piece in cut(data, places)]

    assert [line for _, line in frames.lines(pieces)] == texts


def test_streams_do_not_mix_within_a_line() -> None:
    pieces = [("stdout", b"one "), ("stderr", b"oops\n"), ("stdout", b"line\r\nrest")]

    assert list(frames.lines(pieces)) == [("stderr", "oops"), ("stdout", "one line"), ("stdout", "rest")]


def test_bytes_that_are_no_text_are_shown_as_such() -> None:
    assert list(frames.lines([("stdout", b"a\xff\n")])) == [("stdout", "a�")]


def test_a_terminal_has_no_frames() -> None:
    assert list(frames.lines(frames.raw([b"a\r\n", b"b"]))) == [("stdout", "a"), ("stdout", "b")]


STAMP = b"2026-11-20T22:28:19.439201123Z "


def test_the_parts_of_a_long_line_lose_their_times() -> None:
    pieces = [
        ("stdout", STAMP + b"xxx"),
        ("stderr", STAMP + b"e\n"),
        ("stdout", STAMP + b"yyy\n"),
        ("stdout", STAMP + b"z\n"),
    ]

    joined = [line for _, line in frames.lines(frames.rejoin(pieces))]

    assert [frames.timed(line)[1] for line in joined] == ["e", "xxxyyy", "z"]


def test_a_continuation_that_only_looks_like_a_time_stays() -> None:
    pieces = [("stdout", STAMP + b"a "), ("stdout", b"b c\n")]

    assert [line for _, line in frames.lines(frames.rejoin(pieces))] == [(STAMP + b"a b c").decode()]


def test_a_line_gives_its_time_and_its_text() -> None:
    assert frames.timed("2026-11-20T22:28:19.500000000Z hello  world") == (1795213699.5, "hello  world")
    assert frames.timed("no time here") == (0.0, "no time here")


def test_a_time_is_asked_for_with_all_its_digits() -> None:
    assert frames.since("2026-11-20T22:28:19.000000123Z") == "1795213699.000000123"
    assert frames.since("2026-11-20T22:28:19.000000123Z", earlier=1) == "1795213698.000000123"

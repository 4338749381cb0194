"""A replica's log keeps whole lines, with time and stream, within its size."""

from __future__ import annotations

from pathlib import Path

from havre.engines.process.logfile import LONGEST_LINE, LogFile, log_paths, parse


def _lines(directory: Path) -> list[tuple[float, str, str]]:
    content = b"".join(Path(path).read_bytes() for path in log_paths(str(directory)))
    return list(parse(iter(content.splitlines(keepends=True))))


def test_lines_carry_time_and_stream(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path), size=1000, files=3)
    log.write("o", b"one\ntwo\n", 1.5)
    log.write("e", b"three\r\n", 2.0)
    assert _lines(tmp_path) == [(1.5, "stdout", "one"), (1.5, "stdout", "two"), (2.0, "stderr", "three")]


def test_a_line_in_pieces_is_one_line_and_streams_do_not_mix(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path), size=1000, files=3)
    log.write("o", b"hel", 1.0)
    log.write("e", b"oops\n", 1.0)
    log.write("o", b"lo\n", 2.0)
    assert [text for _, _, text in _lines(tmp_path)] == ["oops", "hello"]


def test_an_unfinished_last_line_is_kept_at_the_end(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path), size=1000, files=3)
    log.write("o", b"panic: no newline", 1.0)
    assert _lines(tmp_path) == []
    log.finish(3.0)
    assert _lines(tmp_path) == [(3.0, "stdout", "panic: no newline")]


def test_endless_lines_are_cut(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path), size=10**6, files=3)
    log.write("o", b"x" * (2 * LONGEST_LINE + 5), 1.0)
    assert [len(text) for _, _, text in _lines(tmp_path)] == [LONGEST_LINE, LONGEST_LINE]


def test_rotation_keeps_the_newest_files_within_their_size(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path), size=100, files=3)
    for number in range(40):
        log.write("o", f"line {number:02}\n".encode(), float(number))
    paths = log_paths(str(tmp_path))
    assert [Path(path).name for path in paths] == ["log.2", "log.1", "log"]
    assert all(Path(path).stat().st_size <= 100 for path in paths)
    texts = [text for _, _, text in _lines(tmp_path)]
    assert texts == [f"line {number:02}" for number in range(40 - len(texts), 40)]


def test_one_file_only_means_one_file(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path), size=60, files=1)
    for number in range(10):
        log.write("o", f"line {number}\n".encode(), 1.0)
    assert [Path(path).name for path in log_paths(str(tmp_path))] == ["log"]


def test_a_second_writer_goes_on_in_the_same_file(tmp_path: Path) -> None:
    LogFile(str(tmp_path), size=1000, files=3).write("o", b"before\n", 1.0)
    LogFile(str(tmp_path), size=1000, files=3).write("o", b"after\n", 2.0)
    assert [text for _, _, text in _lines(tmp_path)] == ["before", "after"]


def test_a_line_cut_short_by_a_crash_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"1.0 o whole\n2.0 o cut")
    assert [text for _, _, text in _lines(tmp_path)] == ["whole"]

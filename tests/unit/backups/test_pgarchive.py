"""The reader of custom-format dumps, on dumps written here field by field (real ones: tests/data)."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.backups.pgarchive import ArchiveError, ArchiveReader

COPY_END = b"\\.\n\n\n"


def integer(value: int) -> bytes:
    return struct.pack("<BI", value < 0, abs(value))


def text(value: str | None) -> bytes:
    return integer(-1) if value is None else integer(len(value.encode())) + value.encode()


def entry(number: int, name: str, version: tuple[int, int], *, description: str = "TABLE DATA") -> bytes:
    found = integer(number) + integer(1) + text("0") + text("0") + text(name) + text(description) + integer(3)
    found += text("") + text("") + text("COPY x") + text("public") + text("")
    found += text("heap") if version >= (1, 14) else b""
    found += integer(114) if version >= (1, 16) else b""
    return found + text("shop") + text("false") + text("12") + text(None) + b"\x00" + bytes(8)


def dump(tables: dict[str, list[bytes]], *, version: tuple[int, int] = (1, 14), compressed: bool = False) -> bytes:
    head = b"PGDMP" + bytes([*version, 0, 4, 8, 1])
    head += bytes([compressed]) if version >= (1, 15) else integer(6 if compressed else 0)
    head += integer(0) * 7 + text("shop") + text("15.1") + text("15.1") + integer(len(tables))
    head += b"".join(entry(number, name, version) for number, name in enumerate(tables, 10))
    return head + b"".join(block(number, chunks) for number, chunks in enumerate(tables.values(), 10))


def block(number: int, chunks: list[bytes]) -> bytes:
    return b"\x01" + integer(number) + b"".join(integer(len(c)) + c for c in chunks) + integer(0)


def rows(content: bytes, *, piece: int = 1 << 20) -> dict[str, int]:
    reader = ArchiveReader()
    for start in range(0, len(content), piece):
        reader.feed(content[start : start + piece])
    return reader.finish()


@pytest.mark.parametrize("version", [(1, 12), (1, 13), (1, 14), (1, 15), (1, 16)])
def test_every_version_of_the_format_is_read(version: tuple[int, int]) -> None:
    content = dump({"orders": [b"1\ta\n", b"2\tb\n", COPY_END], "empty": [COPY_END]}, version=version)
    assert rows(content) == {"public.orders": 2, "public.empty": 0}


def test_several_rows_may_share_a_chunk_with_the_end_of_the_table() -> None:
    assert rows(dump({"orders": [b"1\n2\n3\n" + COPY_END]})) == {"public.orders": 3}


@given(st.lists(st.lists(st.integers(0, 40), max_size=8), min_size=1, max_size=5), st.integers(1, 300), st.booleans())
def test_rows_are_counted_however_the_stream_is_cut(sizes: list[list[int]], piece: int, together: bool) -> None:
    tables = {}
    for number, lengths in enumerate(sizes):
        lines = [b"x" * length + b"\n" for length in lengths]
        tables[f"t{number}"] = [b"".join(lines) + COPY_END] if together else [*lines, COPY_END]
    wanted = {f"public.t{number}": len(lengths) for number, lengths in enumerate(sizes)}
    assert rows(dump(tables), piece=piece) == wanted


@given(st.data())
def test_a_dump_cut_anywhere_is_not_whole(data: st.DataObject) -> None:
    content = dump({"orders": [b"1\n", b"2\n", COPY_END], "papers": [b"3\n", COPY_END]})
    cut = data.draw(st.integers(0, len(content) - 1))
    with pytest.raises(ArchiveError):
        rows(content[:cut])


def test_a_table_without_its_data_is_missed() -> None:
    whole = dump({"orders": [COPY_END], "papers": [COPY_END]})
    with pytest.raises(ArchiveError, match=r"no data of public\.papers"):
        rows(whole[: -len(block(11, [COPY_END]))])


def test_what_is_no_dump_is_said() -> None:
    with pytest.raises(ArchiveError, match="not a custom-format dump"):
        rows(b"-- PostgreSQL database dump\n" * 400)


@pytest.mark.parametrize("version", [(1, 14), (1, 15)])
def test_compressed_dumps_cannot_be_counted(version: tuple[int, int]) -> None:
    with pytest.raises(ArchiveError, match="compressed"):
        rows(dump({"orders": [COPY_END]}, version=version, compressed=True))


def test_large_objects_are_passed_over() -> None:
    blobs = b"\x03" + integer(12) + integer(16403) + integer(3) + b"\n\x00\n" + integer(0) + integer(0)
    assert rows(dump({"orders": [b"1\n", COPY_END]}) + blobs) == {"public.orders": 1}

"""The reader of tar streams, on archives that Python writes."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.backups.tararchive import TarError, TarReader


def archive(files: dict[str, bytes], *, form: int = tarfile.PAX_FORMAT) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=form) as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        tar.addfile(_directory("data"))
    return target.getvalue()


def _directory(name: str) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type = tarfile.DIRTYPE
    return entry


def read(content: bytes, piece: int = 1 << 16) -> tuple[int, int]:
    reader = TarReader()
    for start in range(0, len(content), piece):
        reader.feed(content[start : start + piece])
    reader.finish()
    return reader.files, reader.size


@given(st.lists(st.binary(max_size=1500), max_size=6), st.integers(1, 3000))
def test_files_and_bytes_are_counted_however_the_stream_is_cut(contents: list[bytes], piece: int) -> None:
    files = {f"data/{number}": content for number, content in enumerate(contents)}
    assert read(archive(files), piece) == (len(files), sum(map(len, contents)))


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_format_is_read(form: int) -> None:
    assert read(archive({"a": b"1" * 700, "b" * 90: b""}, form=form)) == (2, 700)


def test_long_names_are_no_files_of_their_own() -> None:
    assert read(archive({"x" * 180 + "/" + "y" * 90: b"12"})) == (1, 2)


@given(st.integers(0, 3 * 512 + 900))
def test_an_archive_cut_before_its_end_is_not_whole(cut: int) -> None:
    content = archive({"a": b"1" * 900}, form=tarfile.USTAR_FORMAT)
    with pytest.raises(TarError):
        read(content[:cut])


def test_a_damaged_header_is_said() -> None:
    content = bytearray(archive({"a": b"1"}, form=tarfile.USTAR_FORMAT))
    content[0] ^= 0xFF
    with pytest.raises(TarError, match="checksum"):
        read(bytes(content))


def test_small_files_that_are_wanted_are_kept_however_the_pieces_fall() -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as made:
        for name, content in (("base/1", b"x" * 5000), ("backup_label", b"START WAL\n" * 70), ("empty", b"")):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            made.addfile(entry, io.BytesIO(content))
    data = archive.getvalue()
    for size in (1, 511, 513, len(data)):
        reader = TarReader(wanted=frozenset({"backup_label", "empty"}))
        for start in range(0, len(data), size):
            reader.feed(data[start : start + size])
        reader.finish()
        assert reader.kept == {"backup_label": b"START WAL\n" * 70, "empty": b""}

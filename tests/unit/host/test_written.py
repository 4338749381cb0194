"""A stream that is written while it is read."""

from __future__ import annotations

from typing import BinaryIO

import pytest

from havre.host.piping import written


def test_what_is_written_is_read_whatever_its_size() -> None:
    def write(sink: BinaryIO) -> None:
        sink.writelines(bytes([number % 251]) * 1000 for number in range(3000))

    with written(write) as source:
        assert len(source.read()) == 3_000_000


def test_what_the_writer_raises_is_raised_to_the_reader() -> None:
    def write(sink: BinaryIO) -> None:
        sink.write(b"half")
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"), written(write) as source:
        assert source.read() == b"half"


def test_a_reader_that_has_enough_is_nobodys_error() -> None:
    def write(sink: BinaryIO) -> None:
        sink.writelines(b"x" * 100_000 for _ in range(1000))

    with written(write) as source:
        assert source.read(3) == b"xxx"

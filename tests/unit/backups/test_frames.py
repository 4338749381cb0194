"""Dumps compressed in frames: whole again afterwards, and what did not change is the same bytes."""

from __future__ import annotations

import contextlib
import io
import random
import threading
import time
from typing import Any, BinaryIO, cast

import pytest
import zstandard

from havre.backups.frames import FRAME, Framed, unframed


class Marked:
    """A reader for which every `#` begins a block."""

    def __init__(self) -> None:
        self.block_starts: list[int] = []
        self._fed = 0

    def feed(self, piece: bytes) -> None:
        self.block_starts = [self._fed + at for at, byte in enumerate(piece) if byte == ord("#")]
        self._fed += len(piece)


def framed(data: bytes, size: int) -> bytes:
    sink = io.BytesIO()
    made = Framed(sink, Marked())
    for start in range(0, len(data), size):
        made.write(data[start : start + size])
    made.finish()
    assert made.size == len(data)
    return sink.getvalue()


def table(seed: int, size: int) -> bytes:
    return b"#" + random.Random(seed).randbytes(size).replace(b"#", b"-")


@pytest.mark.parametrize("size", [1, 7, 4096, 1 << 20])
def test_what_was_compressed_is_whole_again_however_the_pieces_fell(size: int) -> None:
    data = b"head" + table(1, 3000) + b"##" + table(2, 5000)
    with unframed(contextlib.nullcontext(io.BytesIO(framed(data, size))), "shop.pgdump.zst") as whole:
        assert whole.read() == data
    assert framed(data, size) == framed(data, 4096)


def test_an_unchanged_table_is_the_same_bytes_behind_a_changed_one() -> None:
    cold, head = table(3, 200_000), b"head"
    first, second = framed(head + table(4, 500) + cold, 999), framed(head + table(5, 777) + cold, 1000)
    assert first[-200_000:] == second[-200_000:]


def test_a_table_that_grew_begins_with_the_same_bytes() -> None:
    grown = table(6, FRAME + 1000)
    shorter = framed(grown[: FRAME + 500], 1 << 16)
    assert framed(grown, 1 << 16)[:FRAME] == shorter[:FRAME]


def test_a_damaged_stream_is_noticed() -> None:
    stored = bytearray(framed(table(7, 5000), 512))
    stored[2000] ^= 1
    source = contextlib.nullcontext(io.BytesIO(bytes(stored)))
    with pytest.raises(zstandard.ZstdError), unframed(source, "shop.pgdump.zst") as whole:
        whole.read()


def test_what_was_stored_as_it_is_is_given_back_as_it_is() -> None:
    with unframed(contextlib.nullcontext(io.BytesIO(b"RDB")), "dump.rdb") as whole:
        assert whole.read() == b"RDB"


class Trickle(io.RawIOBase):
    """Gives little at a time, as a pipe does."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        time.sleep(0.001)
        piece = self._data.read(min(len(buffer), 1 << 16))
        buffer[: len(piece)] = piece
        return len(piece)


def test_a_stream_may_be_let_go_while_another_thread_still_reads_it() -> None:
    stored = zstandard.ZstdCompressor(level=1).compress(random.Random(7).randbytes(8 << 20))
    for _ in range(5):
        with unframed(contextlib.nullcontext(cast("BinaryIO", Trickle(stored))), "shop.pgdump.zst") as whole:
            reading = threading.Thread(target=_read_all, args=(whole,))
            reading.start()
            time.sleep(0.01)
        reading.join(5)
        assert not reading.is_alive()


def _read_all(whole: BinaryIO) -> None:
    with contextlib.suppress(ValueError):  # it was closed meanwhile
        while whole.read(1 << 16):
            pass

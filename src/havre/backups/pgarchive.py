"""Read a PostgreSQL custom-format dump while it passes by: is it whole, and how many rows has each table.

The rows are those of the dump itself, so the counts are exact whatever is written to the live database meanwhile.
The format is the one `pg_dump -Fc -Z0` writes (archive versions 1.12 to 1.16): a head, a table of contents, then
blocks of data, each a number of chunks with their lengths; without compression a chunk is the text of COPY.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

_DATA, _BLOBS = 1, 3
_COPY_END = b"\\.\n\n\n"
"""What pg_dump writes behind a table's last row."""
_LEAST_TO_READ = 4096
_NOT_A_DUMP = "it is not a custom-format dump of pg_dump"


class ArchiveError(Exception):
    """This is no whole dump; the message says what is missing or wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A line of the dump's table of contents."""

    number: int
    has_data: bool
    description: str
    schema: str
    name: str


@dataclass(slots=True)
class ArchiveReader:
    """Give it every piece of a dump in order with `feed`, then ask `finish` for the verdict."""

    server_version: str = ""
    entries: tuple[Entry, ...] = ()
    block_starts: list[int] = field(default_factory=list)
    """Where the blocks begin that the last piece brought, in bytes from the beginning of the dump."""
    _fed: int = 0
    _rest: bytes = b""
    _awaited: int = _LEAST_TO_READ
    _rows: dict[int, int] = field(default_factory=dict)
    _blobs: int = 0
    _kind: int = 0
    """What is being read: 0 between blocks, else the kind of block."""
    _inside_blob: bool = False
    _current: int = 0
    _left: int = 0
    """Bytes of the current chunk that have not come yet."""
    _newlines: int = 0
    _tail: bytes = b""
    _head: struct.Struct = field(default_factory=lambda: struct.Struct("<BI"))

    def feed(self, piece: bytes) -> None:
        """The next piece; raises ArchiveError when it cannot be part of a dump."""
        self.block_starts.clear()
        self._fed += len(piece)
        if not self.entries:
            self._rest += piece
            if len(self._rest) < self._awaited:
                return
            piece = self._read_contents()
            if not self.entries:
                return
        self._read_blocks(piece)

    def finish(self) -> dict[str, int]:
        """Rows by table (`schema.table`); raises ArchiveError unless the dump is whole."""
        if not self.entries:
            rest = self._read_contents()
            if not self.entries:
                raise ArchiveError("it ends within its table of contents")
            self._read_blocks(rest)
        if self._kind or self._left or self._rest:
            raise ArchiveError(f"it ends within the data of {self._name(self._current)}")
        tables = [entry for entry in self.entries if entry.description == "TABLE DATA" and entry.has_data]
        missing = [f"{entry.schema}.{entry.name}" for entry in tables if entry.number not in self._rows]
        if missing:
            raise ArchiveError(f"it has no data of {', '.join(missing[:5])}")
        return {f"{entry.schema}.{entry.name}": self._rows[entry.number] for entry in tables}

    def _name(self, number: int) -> str:
        return next((f"{e.schema}.{e.name}" for e in self.entries if e.number == number), f"entry {number}")

    def _read_contents(self) -> bytes:
        """Read head and contents when all of them are here; gives back what follows them."""
        try:
            contents = _Contents(self._rest)
        except (IndexError, struct.error):
            self._awaited = 2 * len(self._rest)
            return b""
        self.server_version = contents.server_version
        self.entries = contents.entries
        rest, self._rest = self._rest[contents.end :], b""
        return rest

    def _read_blocks(self, piece: bytes) -> None:
        data = self._rest + piece if self._rest else piece
        position, size, unpack = 0, len(data), self._head.unpack_from
        count = data.count
        while True:
            if self._left:
                end = min(position + self._left, size)
                self._newlines += count(b"\n", position, end)
                self._left -= end - position
                self._tail = (self._tail + data[max(position, end - 5) : end])[-5:]
                position = end
            if self._kind == 0 and position < size:
                position = self._begin_block(data, position)
            if size - position < 5 or self._kind == 0:
                break
            _, self._left = unpack(data, position)
            position += 5
            if not self._left:
                self._end_of_chunks()
            elif self._kind == _BLOBS and not self._inside_blob:
                self._left, self._inside_blob = 0, True
        self._rest = data[position:]

    def _begin_block(self, data: bytes, position: int) -> int:
        if len(data) - position < 6:
            return position
        self._kind = data[position]
        self.block_starts.append(self._fed - len(data) + position)
        _, self._current = self._head.unpack_from(data, position + 1)
        if self._kind not in (_DATA, _BLOBS):
            raise ArchiveError(f"an unknown block (kind {self._kind}) stands where data should begin")
        self._newlines, self._tail, self._inside_blob = 0, b"", False
        return position + 6

    def _end_of_chunks(self) -> None:
        if self._kind == _BLOBS and self._inside_blob:
            self._inside_blob = False
            self._blobs += 1
            return
        if self._kind == _DATA:
            ended_copy = self._tail == _COPY_END
            self._rows[self._current] = self._newlines - (_COPY_END.count(b"\n") if ended_copy else 0)
        self._kind = 0


class _Contents:
    """The head and the table of contents; IndexError or struct.error while they are not all here."""

    def __init__(self, data: bytes) -> None:
        if not b"PGDMP".startswith(data[:5]) and not data.startswith(b"PGDMP"):
            raise ArchiveError(_NOT_A_DUMP)
        self._data = data
        self._at = 8
        self.version = (data[5], data[6])
        integer, self._offset_size, archive = data[8], data[9], data[10]
        if integer != 4 or archive != 1:
            raise ArchiveError(_NOT_A_DUMP)
        self._at = 11
        self._skip_compression()
        for _ in range(7):
            self._integer()
        self._text()
        self.server_version = self._text() or ""
        self._text()
        self.entries = tuple(self._entry() for _ in range(self._integer()))
        self.end = self._at

    def _skip_compression(self) -> None:
        if self.version >= (1, 15):
            if self._data[self._at] != 0:
                raise ArchiveError("it is compressed; rows can be counted with `-Z0` only")
            self._at += 1
        elif self._integer() > 0:
            raise ArchiveError("it is compressed; rows can be counted with `-Z0` only")

    def _integer(self) -> int:
        sign, value = struct.unpack_from("<BI", self._data, self._at)
        self._at += 5
        return -int(value) if sign else int(value)

    def _text(self) -> str | None:
        length = self._integer()
        if length < 0:
            return None
        start, self._at = self._at, self._at + length
        if self._at > len(self._data):
            raise IndexError
        return self._data[start : self._at].decode(errors="replace")

    def _entry(self) -> Entry:
        number, has_data = self._integer(), self._integer() != 0
        self._text(), self._text()  # oids
        name, description = self._text() or "", self._text() or ""
        self._integer()  # section
        for _ in range(3):  # definition, drop and copy statement
            self._text()
        schema = self._text() or ""
        self._text()  # tablespace
        if self.version >= (1, 14):
            self._text()  # access method
        if self.version >= (1, 16):
            self._integer()  # kind of relation
        self._text(), self._text()  # owner, with oids
        while self._text() is not None:
            pass  # dependencies
        self._at += 1 + self._offset_size
        if self._at > len(self._data):
            raise IndexError
        return Entry(number=number, has_data=has_data, description=description, schema=schema, name=name)

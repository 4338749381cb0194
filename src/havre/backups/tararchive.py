"""Read a tar stream while it passes by: is it whole, and how many files has it."""

from __future__ import annotations

from dataclasses import dataclass, field

_BLOCK = 512
_FILES = frozenset(b"0\x007")


class TarError(Exception):
    """This is no whole tar archive; the message says what is wrong."""


@dataclass(slots=True)
class TarReader:
    """Give it every piece in order with `feed`, then ask `finish`."""

    files: int = 0
    size: int = 0
    """Bytes of the files' content."""
    newest: int = 0
    """When the file that was changed last was changed."""
    wanted: frozenset[str] = frozenset()
    """Small files whose content is `kept`."""
    kept: dict[str, bytearray] = field(default_factory=dict)
    _rest: bytes = b""
    _skip: int = 0
    _keep: tuple[str, int] = ("", 0)
    """Which file's content is passing by, and how much of it is to come; only of those that are wanted."""
    _empty_blocks: int = 0

    def feed(self, piece: bytes) -> None:
        """The next piece; raises TarError when it cannot be part of an archive."""
        data = self._rest + piece
        position = 0
        while True:
            skipped = min(self._skip, len(data) - position)
            if self._keep[1]:
                self._keep_some(data[position : position + skipped])
            position += skipped
            self._skip -= skipped
            if self._skip or len(data) - position < _BLOCK:
                break
            self._header(data[position : position + _BLOCK])
            position += _BLOCK
        self._rest = data[position:]

    def finish(self) -> None:
        """Raises TarError unless the archive ended as archives do."""
        if self._skip or self._rest or self._empty_blocks < 2:
            raise TarError("it ends in the middle")

    def _header(self, block: bytes) -> None:
        if not any(block):
            self._empty_blocks += 1
            return
        if self._empty_blocks >= 2:
            raise TarError("something follows its end")
        unsigned = sum(block[:148]) + 8 * 32 + sum(block[156:])
        if unsigned != int(block[148:156].strip(b" \0") or b"0", 8):
            raise TarError("a header has a wrong checksum")
        size = _size(block[124:136])
        if block[156] in _FILES:
            self.files += 1
            self.size += size
            self.newest = max(self.newest, _size(block[136:148]))
        self._skip = -(-size // _BLOCK) * _BLOCK
        if (name := block[:100].rstrip(b"\0").decode(errors="replace").removeprefix("./")) in self.wanted:
            self.kept[name], self._keep = bytearray(), (name, size)

    def _keep_some(self, content: bytes) -> None:
        name, left = self._keep
        self.kept[name] += content[:left]
        self._keep = (name, left - min(left, len(content)))


def _size(text: bytes) -> int:
    """Octal digits, or (sizes from 8 GiB) a big-endian number behind a set first bit."""
    if text[0] & 0x80:
        return int.from_bytes(text, "big") & ~(0x80 << 88)
    return int(text.strip(b" \0") or b"0", 8)

"""An archive keeps what came whole, encrypted, and says when it is not what was stored."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import BinaryIO

import pyrage  # type: ignore[import-untyped]
import pytest
import zstandard

from havre.backups.archive import Archive
from havre.backups.feeding import Writable
from havre.errors import FailedError, InputError, Problem, UnavailableError

KEY = "havre-aaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaa"
PIECES = [os.urandom(300_000), b"", b"x" * 5_000_000, b"end"]
WHOLE = b"".join(PIECES)


def produce(sink: Writable) -> int:
    for piece in PIECES:
        sink.write(piece)
    return 0


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sealing the key with a passphrase is slow by design: done once."""
    made = Archive(str(tmp_path_factory.mktemp("archive") / "fresh"), KEY)
    made.make()
    return Path(made.url)


@pytest.fixture
def archive(tmp_path: Path, fresh: Path) -> Archive:
    return Archive(str(shutil.copytree(fresh, tmp_path / "archive")), KEY)


def files(archive: Archive) -> list[str]:
    return sorted(path.name for path in Path(archive.url).glob("*/*"))


def test_a_stream_comes_back_as_it_was_and_was_looked_at(archive: Archive) -> None:
    seen = bytearray()
    stored = archive.store("db.pgdump", ["backup=db-1"], produce, seen.extend)
    assert (stored.size, bytes(seen)) == (len(WHOLE), WHOLE)
    assert stored.added < 400_000
    [listed] = archive.snapshots(["backup=db-1"])
    assert (listed.id, listed.paths) == (stored.id, ("/db.pgdump",))
    assert archive.snapshots(["backup=other"]) == ()
    with archive.open(stored.id, "db.pgdump") as stream:
        assert stream.read() == WHOLE
    with archive.open(stored.id, "db.pgdump", to_end=False) as stream:
        assert stream.read(10) == WHOLE[:10]


def test_nothing_of_the_content_is_in_the_clear_and_plain_age_and_zstd_read_it(archive: Archive) -> None:
    stored = archive.store_small("note", [], b"a secret" * 100)
    directory = Path(archive.url)
    content = (directory / "data" / f"{stored.id}.zst.age").read_bytes()
    assert content.startswith(b"age-encryption.org/v1")
    identity = pyrage.ssh.Identity.from_buffer(pyrage.passphrase.decrypt((directory / "key.age").read_bytes(), KEY))
    plain = zstandard.ZstdDecompressor().decompressobj().decompress(pyrage.decrypt(content, [identity]))
    assert plain == b"a secret" * 100
    assert all(path.stat().st_mode & 0o077 == 0 for path in directory.glob("*/*"))


def test_what_comes_in_zstd_frames_is_not_compressed_again(archive: Archive) -> None:
    frames = zstandard.ZstdCompressor().compress(WHOLE)

    def framed(sink: Writable) -> int:
        sink.write(frames)
        return 0

    stored = archive.store("db.pgdump.zst", ["backup=db-2"], framed)
    with archive.open(stored.id, "db.pgdump.zst") as stream:
        assert stream.read() == frames
    entry = json.loads((Path(archive.url) / "snapshots" / f"{stored.id}.json").read_text())
    assert (entry["packed"], entry["size"]) == (False, len(frames))
    assert 0 < entry["stored"] - len(frames) < 1000, "what encryption adds"


def test_a_source_that_fails_leaves_nothing(archive: Archive) -> None:
    def half(sink: Writable) -> int:
        sink.write(WHOLE)
        return 3

    def raising(sink: Writable) -> int:
        sink.write(WHOLE)
        raise FailedError(Problem(summary="the dump was killed", hint="look"))

    with pytest.raises(FailedError, match="ended with exit code 3"):
        archive.store("half", [], half)
    with pytest.raises(FailedError, match="the dump was killed"):
        archive.store("raising", [], raising)
    assert files(archive) == []


def test_another_key_and_no_archive_are_said(archive: Archive, tmp_path: Path) -> None:
    other = Archive(archive.url, KEY.replace("aaaa", "bbbb"))
    with pytest.raises(FailedError, match="the key does not open the repository"):
        other.exists()
    with pytest.raises(FailedError, match="the key does not open the repository"):
        other.store_small("x", [], b"x")
    gone = Archive(str(tmp_path / "gone"), KEY)
    assert not gone.exists()
    with pytest.raises(UnavailableError, match="there is no repository at"):
        gone.snapshots()
    with pytest.raises(InputError, match="needs a directory of this machine"):
        Archive("age:s3:bucket", KEY)


@pytest.mark.parametrize("damage", ["cut", "flipped", "gone"])
def test_a_damaged_stream_is_an_error_when_it_is_read_and_when_it_is_checked(archive: Archive, damage: str) -> None:
    stored = archive.store("db", [], produce)
    path = Path(archive.url) / "data" / f"{stored.id}.zst.age"
    content = bytearray(path.read_bytes())
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(content[:-70_000])
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    with pytest.raises(FailedError, match="is not what was stored"):
        archive.check(share="100%")
    with pytest.raises(FailedError, match="is not what was stored"), archive.open(stored.id, "db") as stream:
        stream.read()
    with (
        pytest.raises(FailedError, match="is not what was stored") as told,
        archive.open(stored.id, "db", to_end=False) as stream,
    ):
        complain(stream)
    assert isinstance(told.value.__cause__, ReaderError)


class ReaderError(Exception):
    """What a reader makes of a stream that broke off."""


def complain(stream: BinaryIO) -> None:
    raise ReaderError(f"only {len(stream.read())} bytes")


def test_a_reader_that_has_enough_or_fails_by_itself_says_nothing_of_the_archive(archive: Archive) -> None:
    stored = archive.store("db", [], produce)
    with archive.open(stored.id, "db", to_end=False) as stream:
        assert stream.read(10) == WHOLE[:10]
    with pytest.raises(ReaderError, match=f"only {len(WHOLE)} bytes"), archive.open(stored.id, "db") as stream:
        complain(stream)


def test_a_directory_comes_back_without_what_was_left_out(archive: Archive, tmp_path: Path) -> None:
    root = tmp_path / "app"
    for name in ("src/main.py", "src/node_modules/x.js", "data/big", ".git/HEAD", "app.log"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / "link").symlink_to("src/main.py")
    stored = archive.store_directory(root, ["part=app"], exclude=[".git", "node_modules", "*.log", str(root / "data")])
    archive.restore_directory(stored.id, tmp_path / "back")
    back = tmp_path / "back"
    assert sorted(str(path.relative_to(back)) for path in back.rglob("*")) == ["link", "src", "src/main.py"]
    assert (back / "link").read_text() == "src/main.py"


def test_what_is_forgotten_is_gone_and_old_leftovers_go_with_a_prune(archive: Archive) -> None:
    first, second = (archive.store_small("x", [f"n={number}"], b"x") for number in (1, 2))
    archive.forget([first.id])
    leftover = Path(archive.url) / "data" / ".killed.part"
    leftover.write_bytes(b"half")
    archive.prune()
    assert leftover.exists(), "a backup may be under way"
    os.utime(leftover, (0, 0))
    archive.prune()
    assert files(archive) == [f"{second.id}.json", f"{second.id}.zst.age"]
    archive.check(share="1/2")


def test_streams_are_copied_between_archives(archive: Archive, fresh: Path, tmp_path: Path) -> None:
    archive.store("db", ["backup=1"], produce)
    archive.store("other", ["backup=2"], produce)
    second = Archive(f"age:{shutil.copytree(fresh, tmp_path / 'second')}", KEY)
    second.copy_from(archive, ["backup=1"])
    [listed] = second.snapshots()
    assert second.read_small(listed.id, "db") == WHOLE

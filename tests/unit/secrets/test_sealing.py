"""What is sealed is opened by the server's key alone, and that key is made once, kept private and can be moved."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from havre.errors import FailedError, HavreError, InputError, RefusedError, UnavailableError
from havre.secrets.escrow import confirm_escrow, read_escrow, require_escrow
from havre.secrets.sealing import KEY_FILE, export_key, import_key, public_key, seal, unseal


def test_what_is_sealed_comes_back_and_is_not_readable_meanwhile(tmp_path: Path) -> None:
    sealed = seal(tmp_path / "keys", b"hunter2 hunter2")
    assert b"hunter2" not in sealed
    assert unseal(tmp_path / "keys", sealed) == b"hunter2 hunter2"


def test_the_key_is_private_and_made_once(tmp_path: Path) -> None:
    first = public_key(tmp_path / "keys")
    assert public_key(tmp_path / "keys") == first
    assert (tmp_path / "keys" / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700


def test_threads_that_need_a_key_at_once_get_the_same(tmp_path: Path) -> None:
    found: set[str] = set()
    threads = [threading.Thread(target=lambda: found.add(public_key(tmp_path / "keys"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 1


def test_another_key_opens_nothing(tmp_path: Path) -> None:
    sealed = seal(tmp_path / "a", b"x")
    public_key(tmp_path / "b")
    with pytest.raises(FailedError, match="sealed with another key"):
        unseal(tmp_path / "b", sealed)


def test_damage_is_noticed(tmp_path: Path) -> None:
    sealed = bytearray(seal(tmp_path, b"x" * 100))
    sealed[-5] ^= 1
    with pytest.raises(FailedError):
        unseal(tmp_path, bytes(sealed))


def test_without_a_key_nothing_is_opened_and_none_is_made(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="import-key"):
        unseal(tmp_path / "keys", b"x")
    assert not (tmp_path / "keys").exists()


def test_an_exported_key_opens_on_another_server(tmp_path: Path) -> None:
    sealed = seal(tmp_path / "old", b"x")
    text = export_key(tmp_path / "old")
    assert "AGE-SECRET-KEY-1" in text
    import_key(tmp_path / "new", text)
    import_key(tmp_path / "new", text)
    assert unseal(tmp_path / "new", sealed) == b"x"


def test_a_key_is_never_overwritten_by_another(tmp_path: Path) -> None:
    before = public_key(tmp_path / "new")
    with pytest.raises(InputError, match="already has another key"):
        import_key(tmp_path / "new", export_key(tmp_path / "old"))
    assert public_key(tmp_path / "new") == before


@pytest.mark.parametrize("text", ["", "# only a comment\n", "AGE-SECRET-KEY-1NONSENSE", "a\nb"])
def test_what_is_no_key_is_refused_without_repeating_it(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match="not an age key") as caught:
        import_key(tmp_path, text)
    assert "NONSENSE" not in str(caught.value)


def test_a_key_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).mkdir()
    with pytest.raises(HavreError, match="cannot be read"):
        public_key(tmp_path)


def test_escrow_is_confirmed_by_showing_the_copy(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="confirm-key"):
        require_escrow(tmp_path)
    confirm_escrow(tmp_path, export_key(tmp_path), by="ann", at=5.0)
    assert require_escrow(tmp_path).by == "ann"
    assert "AGE-SECRET" not in (tmp_path / "escrow.json").read_text()


def test_the_copy_of_another_key_confirms_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="key of another server"):
        confirm_escrow(tmp_path / "a", export_key(tmp_path / "b"), by="ann", at=5.0)
    assert read_escrow(tmp_path / "a") is None


def test_a_confirmation_does_not_outlive_its_key(tmp_path: Path) -> None:
    confirm_escrow(tmp_path, export_key(tmp_path), by="ann", at=5.0)
    (tmp_path / KEY_FILE).unlink()
    assert read_escrow(tmp_path) is None

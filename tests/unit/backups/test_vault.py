"""The repositories' key: made once, sealed, escrowed, found again on paper."""

from __future__ import annotations

from pathlib import Path

import pytest

from havre.backups.vault import Vault, escrow_text, repository_key_from
from havre.errors import InputError, RefusedError


def vault(directory: Path) -> Vault:
    return Vault(directory / "key.sealed", lambda content: content[::-1], lambda content: content[::-1])


def test_the_password_is_made_once_and_never_lies_in_the_clear(tmp_path: Path) -> None:
    password = vault(tmp_path).password()
    assert vault(tmp_path).password() == password
    assert password.encode() not in (tmp_path / "key.sealed").read_bytes()
    assert (tmp_path / "key.sealed").stat().st_mode & 0o777 == 0o600


def test_nothing_is_backed_up_before_somebody_has_the_key(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="nobody has confirmed"):
        vault(tmp_path).refuse_without_escrow()
    vault(tmp_path).confirm()
    vault(tmp_path).refuse_without_escrow()


def test_the_paper_gives_the_key_back_and_hides_the_storages_password(tmp_path: Path) -> None:
    password = vault(tmp_path).password()
    paper = escrow_text(password, ("rest:https://me:hush@example.org/r",), "mercury")
    assert repository_key_from(paper) == repository_key_from(f" {password} \n") == password
    assert "hush" not in paper


def test_another_text_holds_no_key() -> None:
    with pytest.raises(InputError, match="no repository key"):
        repository_key_from("key: hunter2")


def test_storage_credentials_are_remembered_for_timers(tmp_path: Path) -> None:
    url = "s3:https://s3.example.org/b"
    vault(tmp_path).destination(url, {"AWS_ACCESS_KEY_ID": "id", "HOME": "/root"})
    assert vault(tmp_path).destination(url, {}).environment == {"AWS_ACCESS_KEY_ID": "id"}
    assert vault(tmp_path).destination("/var/backups", {"AWS_ACCESS_KEY_ID": "id"}).environment == {}


def test_other_storage_credentials_are_used_but_only_kept_once_they_are_remembered(tmp_path: Path) -> None:
    url = "s3:https://s3.example.org/b"
    vault(tmp_path).destination(url, {"AWS_ACCESS_KEY_ID": "id", "AWS_REGION": "eu"})
    other = vault(tmp_path).destination(url, {"AWS_ACCESS_KEY_ID": "other"})
    assert other.environment == {"AWS_ACCESS_KEY_ID": "other", "AWS_REGION": "eu"}
    assert not vault(tmp_path).is_sealed(other)
    assert vault(tmp_path).destination(url, {}).environment == {"AWS_ACCESS_KEY_ID": "id", "AWS_REGION": "eu"}
    vault(tmp_path).remember(other)
    assert vault(tmp_path).is_sealed(other)
    assert vault(tmp_path).destination(url, {}).environment == other.environment

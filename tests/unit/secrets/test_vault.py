"""The sealed store keeps secrets, makes and rotates them, and shows their names and ages only."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from havre.errors import InputError
from havre.model.app import App, SecretSource
from havre.secrets.sources import import_env_file, missing_secrets, secret_values
from havre.secrets.vault import Vault


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    ticks = iter(range(1000, 2000))
    return Vault(tmp_path / "secrets", tmp_path / "keys", "shop", now=lambda: float(next(ticks)))


def test_an_empty_store_has_no_file_and_no_values(vault: Vault) -> None:
    assert vault.values() == {}
    assert vault.list() == ()
    assert not vault.file.exists()


def test_generated_values_are_64_hexadecimal_characters_and_differ(vault: Vault) -> None:
    assert vault.generate(["A", "B", "A"]) == ("A", "B")
    values = vault.values()
    assert all(re.fullmatch("[0-9a-f]{64}", value) for value in values.values())
    assert values["A"] != values["B"]


def test_generating_again_keeps_what_is_there(vault: Vault) -> None:
    vault.put({"A": "mine"})
    assert vault.generate(["A"]) == ()
    assert vault.values() == {"A": "mine"}


def test_the_file_is_private_and_holds_nothing_readable(vault: Vault) -> None:
    vault.put({"DB_PASSWORD": "correct horse"})
    content = vault.file.read_bytes()
    assert vault.file.stat().st_mode & 0o777 == 0o600
    assert b"horse" not in content
    assert b"DB_PASSWORD" not in content


def test_a_change_that_changes_nothing_does_not_touch_the_file(vault: Vault) -> None:
    vault.put({"A": "x"})
    before = vault.file.read_bytes()
    assert vault.put({"A": "x"}) == ()
    assert vault.file.read_bytes() == before


def test_lists_show_names_and_ages_only(vault: Vault) -> None:
    vault.put({"B": "secret-b"})
    vault.put({"A": "secret-a"})
    vault.put({"B": "secret-c"})
    listed = vault.list()
    assert [(one.name, one.origin, one.created_at, one.changed_at) for one in listed] == [
        ("A", "set", 1001.0, 1001.0),
        ("B", "set", 1000.0, 1002.0),
    ]
    assert "secret-" not in repr(listed) + repr(vault) + repr(vault._read())


def test_instances_do_not_see_each_other(vault: Vault) -> None:
    vault.put({"A": "x"})
    other = Vault(vault.directory, vault.keys, "shop-staging")
    assert other.values() == {}


def test_a_secret_can_be_removed(vault: Vault) -> None:
    vault.put({"A": "x", "B": "y"})
    vault.remove("A")
    assert vault.values() == {"B": "y"}


@pytest.mark.parametrize("change", ["remove", "begin_rotation", "confirm_rotation", "undo_rotation"])
def test_a_secret_that_is_not_there_is_named(vault: Vault, change: str) -> None:
    with pytest.raises(InputError, match="shop has no secret NOPE"):
        getattr(vault, change)("NOPE")


def test_a_rotation_keeps_the_old_value_until_it_is_confirmed(vault: Vault) -> None:
    vault.put({"A": "old"})
    old, new = vault.begin_rotation("A")
    assert (old, len(new)) == ("old", 64)
    assert vault.values() == {"A": new}
    assert vault.list()[0].rotation_pending
    vault.confirm_rotation("A")
    assert (vault.list()[0].rotation_pending, vault.list()[0].origin) == (False, "rotated")
    assert vault.values() == {"A": new}


def test_a_rotation_that_was_cut_short_is_taken_up_again(vault: Vault) -> None:
    vault.put({"A": "old"})
    first = vault.begin_rotation("A", "chosen")
    assert first == ("old", "chosen")
    assert vault.begin_rotation("A", "another") == first


def test_a_rotation_can_be_undone(vault: Vault) -> None:
    vault.put({"A": "old"})
    vault.begin_rotation("A")
    vault.undo_rotation("A")
    vault.undo_rotation("A")
    assert vault.values() == {"A": "old"}


def test_unusable_names_and_values_are_all_told_and_nothing_is_kept(vault: Vault) -> None:
    with pytest.raises(InputError) as caught:
        vault.put({"A B": "x", "1A": "y", "EMPTY": "", "GOOD": "z", "NUL": "secret\0"})
    assert [problem.summary for problem in caught.value.problems] == [
        "`A B` is not the name of a variable",
        "`1A` is not the name of a variable",
        "the value for EMPTY is empty",
        "the value for NUL is not text",
    ]
    assert vault.values() == {}


def test_secrets_of_an_env_file_are_imported_and_the_rest_stays(vault: Vault, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("DB_PASSWORD=kx88$$x\nLOG_LEVEL=info\nAPI_TOKEN=\nURL=postgres://u:${DB_PASSWORD}@db/x\n")
    assert import_env_file(vault, file) == ("DB_PASSWORD",)
    assert import_env_file(vault, file) == ()
    assert vault.list()[0].origin == "imported"
    assert set(import_env_file(vault, file, every=True)) == {"LOG_LEVEL", "URL"}


def test_placeholders_are_not_imported(vault: Vault, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("A_PASSWORD=changeme\nB_SECRET=fine-one-8731\n\nC_KEY=your-key-here\n")
    with pytest.raises(InputError) as caught:
        import_env_file(vault, file)
    assert [str(problem).split("\n", 1)[0] for problem in caught.value.problems] == [
        f"{file}:1: A_PASSWORD: the value of A_PASSWORD is a placeholder",
        f"{file}:4: C_KEY: the value of C_KEY is a placeholder",
    ]
    assert vault.values() == {}


def test_an_env_file_that_cannot_be_read_is_located(vault: Vault, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        import_env_file(vault, tmp_path / "absent.env")
    (tmp_path / "bad.env").write_text("A=1\nB C=2\n")
    with pytest.raises(InputError, match=r"bad\.env:2"):
        import_env_file(vault, tmp_path / "bad.env")


def app_with(*sources: SecretSource) -> App:
    return App(name="shop", secrets=sources)


def test_commands_and_the_store_together_give_all_values(vault: Vault) -> None:
    vault.put({"SEALED": "s", "BOTH": "sealed"})
    app = app_with(
        SecretSource(name="SEALED"),
        SecretSource(name="BOTH", command=("printf", "printed\\n")),
        SecretSource(name="LINES", command=("printf", "a\\nb\\n")),
    )
    assert secret_values(app, vault) == {"SEALED": "s", "BOTH": "printed", "LINES": "a\nb"}


def test_everything_that_provides_nothing_is_told_at_once(vault: Vault) -> None:
    app = app_with(
        SecretSource(name="ABSENT"),
        SecretSource(name="FAILS", command=("sh", "-c", "echo hunter2; exit 3")),
        SecretSource(name="QUIET", command=("true",)),
        SecretSource(name="NO_PROGRAM", command=("no-such-vault-cli", "get")),
    )
    with pytest.raises(InputError) as caught:
        secret_values(app, vault)
    assert [problem.summary for problem in caught.value.problems] == [
        "the command for FAILS (`sh`) ended with code 3",
        "the command for QUIET (`true`) printed nothing",
        "NO_PROGRAM: the program `no-such-vault-cli` is not installed on this server",
    ]
    assert "hunter2" not in str(caught.value)


def test_a_listed_secret_that_is_nowhere_is_told() -> None:
    app = app_with(SecretSource(name="A"), SecretSource(name="B"), SecretSource(name="C", command=("x",)))
    (problem,) = missing_secrets(app, {"A"})
    assert problem.summary == "the secret B has no value"

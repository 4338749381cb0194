"""The verifier is the one PostgreSQL itself computes."""

from __future__ import annotations

import base64

import pytest

from havre.secrets.verifier import postgres_verifier


def test_the_verifier_matches_the_published_example() -> None:
    """The salt, password and keys of RFC 7677, section 3 (`pencil`)."""
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    assert postgres_verifier("pencil", salt) == (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ=="
        "$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )


def test_every_verifier_has_its_own_salt() -> None:
    assert postgres_verifier("pencil") != postgres_verifier("pencil")


def test_other_characters_are_left_to_the_server() -> None:
    with pytest.raises(ValueError, match="ASCII"):
        postgres_verifier("naïve")

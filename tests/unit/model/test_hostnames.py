"""Which names mean something to the world, and which only here."""

from __future__ import annotations

import pytest

from havre.model.hostnames import is_in_public_dns, is_local


@pytest.mark.parametrize(
    ("host", "local", "public"),
    [
        ("shop.localhost", True, False),
        ("*.Shop.Local", True, False),
        ("intranet", True, False),
        ("nas.home.arpa.", True, False),
        ("db.internal", True, False),
        ("local.acme.io", False, True),
        ("shop.example.org", False, False),
        ("example.com", False, False),
        ("notexample.com", False, True),
        ("*.acme.io", False, True),
    ],
)
def test_names_of_this_machine_and_of_documentation_are_told_apart(host: str, local: bool, public: bool) -> None:
    assert (is_local(host), is_in_public_dns(host)) == (local, public)

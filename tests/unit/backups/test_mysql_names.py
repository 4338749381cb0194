"""Names that whoever may make databases chooses, in files and statements."""

from __future__ import annotations

import pytest

from havre.backups.databases import as_file


@pytest.mark.parametrize("name", ["/etc/cron.d/x", "../up", "a/b", "a%2Fb"])
def test_a_name_of_a_database_names_no_directory(name: str) -> None:
    assert "/" not in as_file(name)
    assert as_file(name) != as_file(name.replace("/", "%2F")) or "/" not in name

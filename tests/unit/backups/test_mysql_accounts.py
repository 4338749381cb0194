"""What MySQL's servers say of their accounts, as statements that can be run one by one (real ones: tests/data)."""

from __future__ import annotations

from havre.backups.mysql_accounts import _as_statements, _blocks

ANSWER = """\
-- 'reader'@'%'
CREATE USER `reader`@`%` IDENTIFIED WITH 'caching_sha2_password' AS 0x24 DEFAULT ROLE `all`@`%`,`some`@`%` REQUIRE NONE
GRANT USAGE ON *.* TO `reader`@`%`
GRANT `all`@`%`,`some`@`%` TO `reader`@`%`
-- 'all'@'%'
CREATE USER `all`@`%` IDENTIFIED WITH 'caching_sha2_password' REQUIRE NONE PASSWORD EXPIRE ACCOUNT LOCK
GRANT SELECT ON `shop`.* TO `all`@`%`
"""


def test_default_roles_are_given_when_there_are_roles() -> None:
    script = "".join(_as_statements(ANSWER))
    blocks = dict(_blocks(script))
    assert blocks["'reader'@'%'"] == [
        "CREATE USER `reader`@`%` IDENTIFIED WITH 'caching_sha2_password' AS 0x24 REQUIRE NONE;\n",
        "GRANT USAGE ON *.* TO `reader`@`%`;\n",
        "GRANT `all`@`%`,`some`@`%` TO `reader`@`%`;\n",
        "SET DEFAULT ROLE `all`@`%`,`some`@`%` TO 'reader'@'%';\n",
    ]
    assert list(blocks) == ["'reader'@'%'", "'all'@'%'"]
    assert len(blocks["'all'@'%'"]) == 2

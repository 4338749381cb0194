"""MariaDB: dumps that are proven, restores beside the live database and in its place, drills."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from mysql_stand import COUNTS, MysqlStand, deployed

from havre.workflows.backup import back_up
from havre.workflows.restore import drop_kept, restore

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MysqlStand]:
    """One server for all of these."""
    made = deployed(tmp_path_factory.mktemp("mysql"))
    try:
        yield made
    finally:
        made.tear_down()


def test_a_backup_counts_every_row(shop: MysqlStand) -> None:
    [snapshot] = back_up(shop.storage, shop.intent, ["db"], progress=print)
    assert snapshot.is_good
    print(snapshot)
    assert dict(snapshot.parts[0].counts) == COUNTS
    done = restore(shop.storage, shop.intent, "db", to="beside", progress=print)
    print(done)
    shop.sql("INSERT INTO orders (customer, total) VALUES (1, 5)")
    done = restore(shop.storage, shop.intent, "db", progress=print)
    print(done)
    print(shop.sql("SELECT COUNT(*) FROM a_bigger; SHOW TRIGGERS; SHOW EVENTS; SHOW GRANTS FOR shop; SHOW DATABASES; select count(*) from %s.orders" % done.kept[0]))
    print(drop_kept(shop.storage, shop.intent, "db"))

"""Dumps of MySQL and MariaDB: counted in pieces of any size, and never taken for whole when they are not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.backups.mysqldump import CODE, Code, DumpError, DumpReader, Section, unqualified

MARIADB = rb"""/*M!999999\- enable the sandbox mode */
-- MariaDB dump 10.19
/*!40101 SET NAMES utf8mb4 */;
/*!40103 SET TIME_ZONE='+00:00' */;

--
-- Sequence structure for `numbers`
--
CREATE SEQUENCE `numbers` start with 1;

--
-- Table structure for table `it's (``odd``)`
--
CREATE TABLE `it's (``odd``)` (
  `id` int(11) DEFAULT '),('
);

--
-- Dumping data for table `it's (``odd``)`
--

LOCK TABLES `it's (``odd``)` WRITE;
INSERT INTO `it's (``odd``)` VALUES
(1,'x\'),(\'y\nz\\',0x0027295C),
(2,'b), (c;',NULL),
(3,'\\','\\\\'''),
(4,';','');
INSERT INTO `it's (``odd``)` VALUES
(5,'',-1.5);
UNLOCK TABLES;
COMMIT;
SET AUTOCOMMIT=@OLD_AUTOCOMMIT;
ALTER DATABASE `sh``op` CHARACTER SET latin1 COLLATE latin1_swedish_ci ;
/*!50003 SET @saved_cs_client      = @@character_set_client */ ;
DELIMITER ;;
/*!50003 CREATE*/ /*!50017 DEFINER=`root`@`%`*/ /*!50003 TRIGGER shop.t AFTER INSERT ON `shop`.orders FOR EACH ROW BEGIN
--
-- Dumping data for table `orders`
--
INSERT INTO `orders` VALUES
(1),(2);
END */;;
DELIMITER ;
ALTER DATABASE `sh``op` CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci ;

--
-- Table structure for table `empty`
--
CREATE TABLE `empty` (`id` int);

--
-- Dumping data for table `empty`
--
LOCK TABLES `empty` WRITE;
UNLOCK TABLES;

--
-- Dumping events for database 'shop'
--
/*!50106 CREATE*/ /*!50106 EVENT `tidy` ON SCHEDULE EVERY 1 HOUR DO SELECT 1 */ ;

--
-- Final view structure for view `v`
--
/*!50001 VIEW `v` AS select 1 */;
/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;

-- Dump completed
"""
MYSQL = (
    MARIADB.partition(b"\n")[2]
    .replace(b"VALUES\n(", b"VALUES (")
    .replace(b"),\n(", b"),(")
    .replace(b"INSERT INTO `it's (``odd``)` VALUES (5", b"INSERT INTO `it's (``odd``)` (`a(`, `b`) VALUES (5")
)
COUNTS = {"it's (`odd`)": 5, "empty": 0}


def read(dump: bytes, sizes: list[int]) -> tuple[dict[str, int], bytes, str]:
    reader, code, passed, at = DumpReader(), Code(), b"", 0
    for size in [*sizes, len(dump)]:
        for section, piece in reader.split(dump[at : at + size]):
            code.add(section, piece)
            passed += piece
        at += size
    return reader.finish(), passed, code.script()


@pytest.mark.parametrize("dump", [MARIADB, MYSQL])
@given(sizes=st.lists(st.integers(min_value=1, max_value=90), max_size=60))
def test_rows_are_counted_and_nothing_is_lost_however_it_comes(dump: bytes, sizes: list[int]) -> None:
    counts, passed, code = read(dump, sizes)
    assert counts == COUNTS
    assert passed == dump
    assert code == read(dump, [])[2]


@pytest.mark.parametrize("dump", [MARIADB, MYSQL])
def test_a_dump_that_ends_early_is_not_whole(dump: bytes) -> None:
    for end in range(len(dump) - 1):
        with pytest.raises(DumpError):
            read(dump[:end], [])
    with pytest.raises(DumpError, match="it ends within the data of a table `it's "):
        read(dump[: dump.index(b"(2,") + 5], [])
    with pytest.raises(DumpError, match="without the line that says it is completed"):
        read(dump + b"ERROR 2013: lost connection\n", [])


def test_structures_and_data_begin_blocks_of_their_own() -> None:
    reader = DumpReader()
    reader.feed(MARIADB)
    headers = (b"-- Sequence structure", b"-- Table structure", b"-- Dumping data")
    lines = [MARIADB[start:].partition(b"\n")[0] for start in reader.block_starts]
    assert [next(header for header in headers if line.startswith(header)) for line in lines] == [
        headers[0], headers[1], headers[2], headers[1], headers[2],
    ]  # fmt: skip
    assert reader.tables == {"numbers", "it's (`odd`)", "empty"}


def test_code_is_kept_without_the_data_and_triggers_name_no_database() -> None:
    code = Code()
    for section, piece in DumpReader().split(MARIADB):
        code.add(section, piece)
    script = code.script()
    assert script.startswith("/*!40101 SET NAMES utf8mb4 */;\n"), "what only the dump's own reader is told stays away"
    assert "TRIGGER t AFTER INSERT ON orders FOR EACH ROW BEGIN" in script
    assert "CREATE TABLE" not in script
    assert "AUTOCOMMIT" not in script, "what only the data has set cannot be set back"
    collated = [line for line in script.splitlines() if line.startswith("ALTER")]
    assert collated == [
        "ALTER DATABASE CHARACTER SET latin1 COLLATE latin1_swedish_ci ;",
        "ALTER DATABASE CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci ;",
    ], "of the database that the code is made in"
    assert "VIEW `v`" in script
    assert code.has_events
    assert "EVENT" not in code.script(CODE - {Section.EVENTS})
    assert Code().script() == ""


@pytest.mark.parametrize(
    ("typed", "made"),
    [
        (
            "TRIGGER `a.b` BEFORE UPDATE\n ON shop . `c` FOR EACH ROW",
            "TRIGGER `a.b` BEFORE UPDATE\n ON `c` FOR EACH ROW",
        ),
        (
            "TRIGGER a AFTER DELETE ON b FOR EACH ROW SET x.y = 1",
            "TRIGGER a AFTER DELETE ON b FOR EACH ROW SET x.y = 1",
        ),
        (
            "trigger IF NOT EXISTS s.a before insert on s.b for each row",
            "trigger IF NOT EXISTS a before insert on b for each row",
        ),
    ],
)
def test_only_the_head_of_a_trigger_changes(typed: str, made: str) -> None:
    assert unqualified(typed.encode()) == made

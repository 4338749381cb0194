"""Read a dump of MySQL or MariaDB while it passes by: is it whole, how many rows has each table, what is its code.

The rows are those of the dump itself, so the counts are exact whatever is written to the live database meanwhile. The
text is the one `mysqldump` and `mariadb-dump` write for one database, with comments and `--hex-blob`: then a line
begins every statement, and nothing outside of strings has a parenthesis but rows.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field


class Section(enum.Enum):
    """What a piece of a dump is about."""

    PRELUDE = "settings"
    TABLE = "the structure of a table"
    DATA = "the data of a table"
    TRIGGERS = "triggers"
    VIEW = "a view"
    EVENTS = "events"
    ROUTINES = "routines"
    END = "the end"


CODE = frozenset({Section.TRIGGERS, Section.VIEW, Section.EVENTS, Section.ROUTINES})
"""What is not data, and cannot be renamed from one database into another."""

_HEADERS = (
    (rb"Table structure for table", Section.TABLE),
    (rb"Sequence structure for", Section.TABLE),
    (rb"Dumping data for table", Section.DATA),
    (rb"Temporary (?:table|view) structure for view", Section.VIEW),
    (rb"Final view structure for view", Section.VIEW),
    (rb"Dumping events for database", Section.EVENTS),
    (rb"Dumping routines for database", Section.ROUTINES),
)
_HEADER = re.compile(rb"-- (?:" + rb"|".join(rb"(" + words + rb")" for words, _ in _HEADERS) + rb") [`'](.*)[`']\s*$")
_NAME = rb"`(?:[^`]|``)+`"
_INSERT = re.compile(
    rb"INSERT (?:IGNORE )?INTO " + _NAME + rb" (?:\(" + _NAME + rb"(?:, ?" + _NAME + rb")*\) )?VALUES[ \n]"
)
_STRING = re.compile(rb"'[^'\\]*+(?:\\.[^'\\]*+)*+'", re.DOTALL)
_TRIGGERS = (b"ALTER DATABASE `", b"/*!50003 SET @saved_")
"""How the first line of a table's triggers begins; what ends its data (a COMMIT, since MariaDB 11) is none of them."""
_END = b"/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;"
_COMPLETED = b"-- Dump completed"
_QUALIFIED = re.compile(
    r"(\bTRIGGER\s+(?:IF\s+NOT\s+EXISTS\s+)?)(?:({name})\s*\.\s*)?({name}\s+(?:BEFORE|AFTER)\s+[A-Z, ]+?\s+ON\s+)"
    r"(?:({name})\s*\.\s*)?({name}\s+FOR\s+EACH\s+ROW\b)".replace("{name}", r"(?:`(?:[^`]|``)+`|[^\s`.]+)"),
    re.IGNORECASE,
)
_COLLATED = re.compile(r"^ALTER DATABASE `(?:[^`]|``)+` (?=CHARACTER SET \S+ COLLATE \S+ ;\r?$)", re.MULTILINE)
"""Around code from when its database had another collation: the dump names the database that it was taken of."""


class DumpError(Exception):
    """This is no whole dump; the message says what is missing or wrong."""


@dataclass(slots=True)
class DumpReader:
    """Give it every piece of a dump in order with `feed` or `split`, then ask `finish` for the verdict."""

    block_starts: list[int] = field(default_factory=list)
    """Where structures and data of tables begin that the last piece brought, in bytes from the beginning."""
    tables: set[str] = field(default_factory=set)
    """Those whose structure came."""
    section: Section = Section.PRELUDE
    _rows: dict[str, int] = field(default_factory=dict)
    _done: int = 0
    """Bytes that were read and need not be seen again."""
    _rest: bytes = b""
    _in_statement: bool = False
    """A statement with its own delimiter: whatever stands in it is the user's."""
    _rows_of: str = ""
    _in_rows: bool = False
    _in_string: bool = False
    _escape: bytes = b""
    _completed: bool = False

    def feed(self, piece: bytes) -> None:
        """The next piece; raises DumpError when it cannot be part of a dump."""
        for _ in self.split(piece):
            pass

    def split(self, piece: bytes) -> Iterator[tuple[Section, bytes]]:
        """The next piece, cut where it begins to be about something else; what is not clear yet comes with the next."""
        self.block_starts.clear()
        data = self._rest + piece if self._rest else piece
        start = at = 0
        while True:
            is_of_rows = self._in_rows
            if (after := self._read(data, at)) == at:
                break
            if is_of_rows or self._in_rows or data[at:after].isspace():
                at = after
                continue
            section = self._section_at(data[at:after], self._done + at)
            if section is not self.section:
                yield self.section, data[start:at]
                self.section, start = section, at
            at = after
        self._done += at
        self._rest = data[at:]
        yield self.section, data[start:at]

    def finish(self) -> dict[str, int]:
        """Rows by table; raises DumpError unless the dump is whole."""
        if self._rest.strip() or self._in_rows:
            raise DumpError(f"it ends within {self._where}")
        if not self._completed:
            raise DumpError(f"it ends after {self._where}, without the line that says it is completed")
        return dict(self._rows)

    @property
    def _where(self) -> str:
        about = f" `{self._rows_of}`" if self.section is Section.DATA else ""
        return f"{self.section.value}{about}"

    def _read(self, data: bytes, at: int) -> int:
        """Where what begins at `at` ends: a line, or as much of the rows of a statement as is here."""
        if self._in_rows:
            return self._read_rows(data, at)
        if self.section is Section.DATA and (insert := _INSERT.match(data, at)):
            self._in_rows, self._in_string, self._escape = True, False, b""
            return insert.end()
        end = data.find(b"\n", at)
        return end + 1 if end >= 0 else at

    def _read_rows(self, data: bytes, at: int) -> int:
        """Strings hold no bare line feed, so a semicolon at the end of a line ends the statement."""
        end = data.find(b";\n", at)
        if end >= 0:
            self._count(data[at:end])
            self._in_rows = False
            return end + 2
        end = len(data) - data.endswith(b";")
        self._count(data[at:end])
        return end

    def _count(self, values: bytes) -> None:
        """Every row begins with a parenthesis, and there is no other one outside of strings."""
        values = self._escape + values
        backslashes = len(values) - len(values.rstrip(b"\\"))
        self._escape = b"\\" * (backslashes % 2)
        values = values[: len(values) - len(self._escape)]
        opened = b"'" + values if self._in_string else values
        outside = _STRING.sub(b"", opened + b"'")  # the last quote closes an open string, or opens one that stays
        self._in_string = not outside.endswith(b"'")
        self._rows[self._rows_of] += outside.count(b"(")

    def _section_at(self, line: bytes, start: int) -> Section:
        """What the line that begins at `start` is about."""
        self._completed = line.startswith(_COMPLETED) and self.section is Section.END
        if self._in_statement or line.startswith(b"DELIMITER ;"):
            self._in_statement = line.rstrip() != b"DELIMITER ;"
            return self.section
        if header := _HEADER.match(line):
            return self._begin(header, start)
        if self.section in (Section.TABLE, Section.DATA) and line.startswith(_TRIGGERS):
            return Section.TRIGGERS
        return Section.END if line.startswith(_END) else self.section

    def _begin(self, header: re.Match[bytes], start: int) -> Section:
        section = next(section for index, (_, section) in enumerate(_HEADERS, 1) if header[index])
        name = header[len(_HEADERS) + 1].decode(errors="replace").replace("``", "`")
        if section is Section.TABLE:
            self.tables.add(name)
        if section is Section.DATA:
            self._rows_of = name
            self._rows.setdefault(name, 0)
        if section in (Section.TABLE, Section.DATA):
            self.block_starts.append(start)
        return section


@dataclass(slots=True)
class Code:
    """What of a dump is not data: kept while the dump passes, as a script for a database that has the tables."""

    _settings: bytearray = field(default_factory=bytearray)
    _pieces: list[tuple[Section, bytes]] = field(default_factory=list)

    def add(self, section: Section, piece: bytes) -> None:
        """The next piece of a dump."""
        if section is Section.PRELUDE:
            self._settings += piece
        elif section in CODE:
            self._pieces.append((section, piece))

    def script(self, of: Collection[Section] = CODE) -> str:
        """Settings first; nothing where there is no code. Nothing in it names the database that it was dumped of."""
        code = b"".join(piece for section, piece in self._pieces if section in of)
        lines = self._settings.decode(errors="surrogateescape").splitlines()
        settings = "\n".join(line for line in lines if line.startswith("/*!"))
        return f"{settings}\n{unqualified(code)}\n" if code.strip() else ""

    @property
    def has_events(self) -> bool:
        """Whether anything of it runs by itself."""
        return " EVENT `" in self.script({Section.EVENTS})


def unqualified(code: bytes) -> str:
    """Triggers are dumped as they were typed: one that names its database could not be made in another one.

    A change of the collation is one of the database that the code is made in, not of the live one.
    """
    return _COLLATED.sub("ALTER DATABASE ", _QUALIFIED.sub(r"\1\3\5", code.decode(errors="surrogateescape")))

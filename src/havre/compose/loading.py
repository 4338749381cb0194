"""What one load carries through all its phases: the switches, the files read, the problems found."""

import posixpath
from typing import NamedTuple

from havre.compose.consumed import consumed_keys
from havre.compose.findings import Findings, fail
from havre.compose.paths import PathResolver
from havre.compose.reader import Reader
from havre.compose.tree import Path, Sources
from havre.compose.yamltext import Document, parse_documents
from havre.errors import Location

MOST_BYTES = 256 * 1024 * 1024
MOST_FILES = 1_000


class Switches(NamedTuple):
    """Phases that can be left out; everything is on for a deployment."""

    validates: bool = True
    interpolates: bool = True
    normalises: bool = True
    checks_consistency: bool = True
    extends: bool = True
    includes: bool = True
    resolves_environment: bool = True
    sets_defaults: bool = True
    resolves_paths: bool = True
    keeps_env_files: bool = False
    is_strict: bool = False


class Loading:
    """One load under way; `named` are the files the caller asked for, `inside` the directories they lie in."""

    def __init__(self, *, reader: Reader, base: str, home: str = "", switches: Switches | None = None) -> None:
        self.reader = reader
        self.base = base
        self.home = home
        self.switches = switches or Switches()
        self.sources = Sources()
        self.files: list[str] = []
        self.named: set[str] = set()
        self.inside = {base}
        self.consumed: list[tuple[Path, Location]] = []
        self.findings = Findings(self.sources)
        self._bytes = 0
        self._parsed = 0

    def shown(self, path: str) -> str:
        """A path as the user would type it: relative when it lies below the directory of the command."""
        below = self.base.rstrip("/") + "/"
        return path.removeprefix(below)

    def read(self, path: str) -> bytes:
        """The content of a file, which is remembered as one this project consists of."""
        data = self.reader.read(path, self.shown(path))
        self._bytes += len(data)
        if self._bytes > MOST_BYTES:
            raise fail(
                f"this project makes its loader read more than {MOST_BYTES // 1024 // 1024} MiB of files",
                hint="include fewer files, or smaller ones",
                at=Location(self.shown(path)),
                code="too-much",
            )
        if path not in self.files:
            self.files.append(path)
            self._tell_outside(path)
        return data

    def _tell_outside(self, path: str) -> None:
        """Say that a file no one named on the command line lies outside the project."""
        if path in self.named or path.startswith(tuple(f"{place.rstrip('/')}/" for place in self.inside)):
            return
        self.findings.warn(
            "this file lies outside the project directory, and the project reads it",
            hint="check that the project is meant to, or move the file into the project",
            at=Location(self.shown(path)),
            code="outside-project",
        )

    def parse(self, path: str) -> list[Document]:
        """The documents of a Compose file."""
        self._parsed += 1
        if self._parsed > MOST_FILES:
            summary = f"this project consists of more than {MOST_FILES} Compose files"
            raise fail(summary, hint="include each file once", at=Location(self.shown(path)), code="too-much")
        documents = parse_documents(self.read(path), self.shown(path), self.sources, self.findings)
        for document in documents:
            self.consumed += consumed_keys(document.root, self.sources)
        return documents

    def paths_below(self, directory: str) -> PathResolver:
        """A resolver of relative paths against `directory`."""
        return PathResolver(directory, self.home, self.findings, self.reader.real)

    def absolute(self, path: str, directory: str) -> str:
        """A path given in a file of `directory`, as an absolute one."""
        return self.paths_below(directory).absolute(path)


def relative_to(path: str, directory: str) -> str:
    """`path` as seen from `directory`, both absolute."""
    return posixpath.relpath(path, directory)

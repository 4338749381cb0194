"""Where data lives, as backups see it: one replica in which commands run and files lie."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol, runtime_checkable

from havre.backups.feeding import Writable
from havre.backups.repository import Produce, Stored
from havre.errors import FailedError, Problem
from havre.model.backup import Part, Streamed

Environment = Sequence[tuple[str, str]]
Look = Callable[[bytes], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How a short command ended; stdout alone, and the end of stderr."""

    exit_code: int
    output: str
    complaints: str = ""


class Place(Protocol):
    """A replica. Raises only HavreErrors."""

    @property
    def name(self) -> str:
        """`postgres.1`, or `a throw-away replica of postgres`."""
        ...

    @property
    def log(self) -> str:
        """The command that shows what it wrote; empty for a throw-away replica, whose log goes with it."""
        ...

    def last_words(self) -> tuple[str, ...]:
        """The end of what a throw-away replica wrote; nothing of one that stays, for its log can be read."""
        ...

    def ask(self, command: Sequence[str], *, environment: Environment = (), stdin: BinaryIO | None = None) -> Answer:
        """Run a command with little output and wait for it."""
        ...

    def stream(
        self, command: Sequence[str], *, stdout: Writable, stdin: BinaryIO | None = None,
        environment: Environment = (), bulk: bool = False,
    ) -> Streamed:  # fmt: skip
        """Run a command and hand on what it writes as it comes; `bulk` says that it will be much."""
        ...

    def read_files(self, path: str, sink: Writable) -> None:
        """A directory as a tar stream; works for a stopped replica too."""
        ...

    def write_files(self, path: str, source: BinaryIO) -> None:
        """Unpack a tar stream below `path`; works for a stopped replica too."""
        ...


class Keep(Protocol):
    """Stores one stream as a part of the snapshot under way; raises and keeps nothing when its source fails."""

    def __call__(self, file: str, produce: Produce, look: Look) -> Stored: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What a kind of backup stored, what it verified, and what made it doubt."""

    parts: tuple[Part, ...]
    checks: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    globals_sql: str = ""
    version: str = ""


class Kind(Protocol):
    """How one sort of service is backed up."""

    @property
    def name(self) -> str:
        """`postgres`, `mysql`, `redis`, `volume` or `command`."""
        ...

    def estimate(self, place: Place) -> int | None:
        """About how many bytes it holds now; None where that cannot be told without reading them."""
        ...

    def take(self, place: Place, keep: Keep) -> Taken:
        """Store everything of it; raises FailedError when any of it cannot be stored whole."""
        ...


@runtime_checkable
class Provable(Protocol):
    """A kind whose stored streams are looked at once more where they are kept."""

    proof: str
    """What is shown by it."""

    def prove(self, place: Place, part: Part, stored: AbstractContextManager[BinaryIO]) -> str:
        """What it holds, in few words; raises FailedError when it cannot be read."""
        ...


@dataclass(slots=True)
class Collected:
    """A small output, kept; more than `limit` bytes is cut."""

    limit: int = 4 * 1024 * 1024
    content: bytearray = field(default_factory=bytearray)

    def write(self, piece: bytes) -> int:
        """Take a piece."""
        self.content += piece[: max(0, self.limit - len(self.content))]
        return len(piece)

    @property
    def text(self) -> str:
        """What came."""
        return self.content.decode(errors="replace")


def produced(place: Place, command: Sequence[str], *, environment: Environment = ()) -> Produce:
    """The producer that is a command's output; a failing command raises FailedError with its own words."""

    def produce(sink: Writable) -> int:
        done = place.stream(command, stdout=sink, environment=environment, bulk=True)
        if done.exit_code != 0:
            raise FailedError(command_failed(place, command, done.exit_code, done.complaints))
        return 0

    return produce


def answered(
    place: Place, command: Sequence[str], *, environment: Environment = (), stdin: BinaryIO | None = None
) -> str:
    """What a command that must succeed says."""
    answer = place.ask(command, environment=environment, stdin=stdin)
    if answer.exit_code != 0:
        raise FailedError(command_failed(place, command, answer.exit_code, answer.complaints or answer.output))
    return answer.output


OWN_WORDS = "its own words are above: correct what they name, then try again"
"""The next step where nothing but the evidence is left of a replica."""
_REFUSED = (
    "give the service root's password as it is now (MARIADB_ROOT_PASSWORD, MYSQL_ROOT_PASSWORD), or write"
    " `kind: volume` under `backups:` in havre.yaml: then the service stands still for each backup"
)
ENDED = "throw-away-ended"
"""The code of the problem that a throw-away replica is not there any more: waiting for it is in vain."""
DATABASE = "dbname="
"""How a word begins that tells one of PostgreSQL's programs its database."""


def command_failed(place: Place, command: Sequence[str], code: int, complaints: str) -> Problem:
    """A command in a replica ended badly; its own last words are the evidence."""
    words = [word for word in command if "/" not in word[:1]]
    shown = next((word for word in words if word not in ("sh", "-c", "havre") and "\n" not in word), command[0])
    ended = "was killed" if code in (137, -9) else "lost its connection" if code == -1 else f"exit code {code}"
    told = (word.removeprefix(DATABASE) for word in command if word.startswith(DATABASE) and word != DATABASE)
    about = next((f" of {word}" for word in told), "")
    own = f"its own words are above; `{place.log}` may say more" if place.log else OWN_WORDS
    return Problem(
        summary=f"`{shown}`{about} in {place.name} failed: {ended}",
        evidence=(*complaints.strip().splitlines()[-6:], *place.last_words()),
        effect="nothing that is not whole was kept or taken into use",
        hint=_REFUSED if "Access denied for user" in complaints else own,
        code="backup-source-failed",
    )

"""What is known of the server and of the files around a project: facts the shell gathers and checks look at."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address

from havre.errors import Location


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A socket of this machine that waits for connections.

    `pid` is None and `program` empty where the kernel does not tell us; `ours` means Havre's own edge, or a
    replica that Havre runs: it holds the port on behalf of an instance.
    """

    port: int
    address: str
    protocol: str = "tcp"
    pid: int | None = None
    program: str = ""
    user: str = ""
    detail: str = ""
    """More for people, such as the container a docker-proxy works for."""
    ours: bool = False

    def __str__(self) -> str:
        who = f"pid {self.pid} ({self.program})" if self.pid else "a process this user may not see"
        user = f", user {self.user}" if self.user else ""
        return f"{who}{user}{f', {self.detail}' if self.detail else ''}"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Claim:
    """Something an instance owns on the server; `detail` says for whom and where it is written.

    By `kind`, `value` is: `port` `0.0.0.0:8080/tcp`; `host` `app.example.org/api`; `subnet` `172.21.0.0/24`;
    `network`, `volume`, `container` a name; `memory` bytes with everything running once; `surplus` the bytes
    a release needs on top; `disk-` and the purpose of a disk: bytes that logs and backups may still take there.
    """

    instance: str
    kind: str
    value: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A file system that matters to Havre: `purpose` is `state`, `images`, `backups`; sizes in bytes."""

    purpose: str
    path: str
    total: int
    free: int
    also: tuple[str, ...] = ()
    """Other purposes that lie on it as well."""
    files: int = 0
    """How many files it can hold (inodes); 0 where it has no such limit."""
    files_free: int = 0

    @property
    def purposes(self) -> str:
        """`images, state`: all of them, for people."""
        return ", ".join((self.purpose, *self.also))

    def serves(self, purpose: str) -> bool:
        """Whether what has that purpose lies here."""
        return purpose == self.purpose or purpose in self.also


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskNeed:
    """Room on a disk that a release or a backup will take, in bytes; `note` says where the figure comes from."""

    purpose: str
    name: str
    size: int
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """What machine this is; texts are empty where the system does not say. `id` is `debian`, `ubuntu`, …"""

    hostname: str = ""
    name: str = ""
    id: str = ""
    version: str = ""
    kernel: str = ""
    architecture: str = ""
    clock_in_step: bool | None = None
    """Whether something disciplines the clock; None where the kernel will not say."""
    addresses: tuple[str, ...] = ()
    """The machine's own addresses, loopback and link-local ones left out."""
    programs: frozenset[str] | None = None
    """The names of all programs that are installed for everybody; None where nobody looked."""
    uptime: float = 0.0
    """Seconds since it was started; 0 where nobody knows."""

    @property
    def public_addresses(self) -> tuple[str, ...]:
        """Those that the whole internet can reach, as far as routing goes."""
        return tuple(address for address in self.addresses if ip_address(address).is_global)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """This machine at one moment; sizes in bytes. `claims` are those of all instances on it."""

    memory_total: int = 0
    memory_available: int = 0
    swap_total: int = 0
    cpus: int = 1
    disks: tuple[Disk, ...] = ()
    listeners: tuple[Listener, ...] = ()
    subnets: tuple[tuple[str, str], ...] = ()
    """(subnet, interface) the machine itself is attached to; the engine's networks are not among them."""
    claims: tuple[Claim, ...] = ()
    system: System | None = None
    engine: str = ""
    """What runs containers here, as it says itself: `Docker 24.0.7`; empty where nobody asked."""

    def claims_of_others(self, instance: str, kind: str) -> tuple[Claim, ...]:
        """The claims of one kind that other instances hold."""
        return tuple(claim for claim in self.claims if claim.kind == kind and claim.instance != instance)


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A file whose first line names the program that runs it; `is_windows` when that line ends with a return."""

    name: str
    is_windows: bool = False
    is_executable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PathFact:
    """What lies at a path: `file`, `directory`, `other` (sockets, devices) or `missing` with similar files."""

    path: str
    kind: str
    similar: tuple[str, ...] = ()
    script: Script | None = None
    """Where it is a file that can be run; its name as shown to people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mentions:
    """What a tree of sources says about variables; names in `words` are in one spelling: small letters and digits."""

    words: frozenset[str] = frozenset()
    reads: frozenset[str] = frozenset()
    """Variables that are plainly read, as they are written in the environment."""
    by_any_name: bool = False
    """More may be read than is mentioned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenSecret:
    """A secret that stands in a source file; what it is in words, never its value."""

    what: str
    at: Location
    is_certain: bool = False
    """Its shape alone says that it is one: a provider's key, a private key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildFact:
    """A service's build as it lies on disk.

    `files` are the relative paths that reach the builder (after `.dockerignore`), `ignored` those that do
    not; both are None where the context is a URL or too large to list. `texts` holds (path, content) of the
    small files that say what is installed (`package.json`, `package-lock.json`, …).
    """

    service: str
    dockerfile: str
    """As shown to people: relative to the manifest where it lies below it."""
    context: str = ""
    """The context's directory, as shown to people."""
    ignore_file: str = ".dockerignore"
    """Where what shall not reach the builder is listed, as shown to people."""
    state: str = ""
    """Havre's own directory, where it lies in the context and reaches the builder."""
    of_this_machine: tuple[str, ...] = ()
    """Directories that reach the builder and belong to this machine: the history, installed packages."""
    scripts: tuple[Script, ...] = ()
    """Shell scripts and files without a suffix that reach the builder and can be run, by their place in the context."""
    text: str | None = None
    """The Dockerfile; None when it does not exist."""
    context_exists: bool = True
    files: frozenset[str] | None = None
    ignored: frozenset[str] = frozenset()
    texts: tuple[tuple[str, str], ...] = ()
    mentions: Mentions = Mentions()
    written: tuple[WrittenSecret, ...] = ()
    env_secrets: frozenset[str] = frozenset()
    """Env files that reach the builder with real secrets in them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """The files around a project. `is_complete` False means: nobody looked, so nothing is said to be missing."""

    is_complete: bool = False
    paths: tuple[PathFact, ...] = ()
    builds: tuple[BuildFact, ...] = ()
    in_git: bool = False
    """Whether the project lies in a git work tree."""
    tracked: frozenset[str] = frozenset()
    """Absolute paths of sensitive-looking files that git tracks (env files, databases, private keys)."""
    exposed: frozenset[str] = frozenset()
    """Absolute paths of env files that git neither tracks nor ignores."""

    def at(self, path: str) -> PathFact | None:
        """What is known of a path."""
        return next((fact for fact in self.paths if fact.path == path), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedFile:
    """A configuration file that the program of its image does not accept; texts hold no secrets."""

    service: str
    tool: str
    """What said so: `nginx -t`."""
    said: tuple[str, ...]
    at: Location | None = None
    """The place on this server, where the program named one."""
    line: str = ""
    """What is written there."""
    unknown_host: str = ""
    """A name without a dot that nothing in the project has, and that the file needs at the start."""
    is_certain: bool = True
    """False where it may be about something that is there only when the app runs, such as a certificate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VariableFact:
    """A variable of the project's environment: its value is looked at, and never shown."""

    name: str
    value: str = field(repr=False)
    source: str = "environment"
    """`environment`, `env file`, `secret` (the sealed store or a command)."""
    file: str = ""
    line: int = 0

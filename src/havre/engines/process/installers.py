"""The programs that install packages, with the user's own settings, and where what they fetch is kept."""

from __future__ import annotations

import ast
import sys
import threading
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from havre.engines.process.filling import fill
from havre.host.commands import run
from havre.host.home import home_directory

_UV_NAMES = {
    "index-url": ("UV_DEFAULT_INDEX", " "),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "trusted-host": ("UV_INSECURE_HOST", " "),
    "cert": ("SSL_CERT_FILE", " "),
}
"""What pip is told of indexes and certificates, as uv wants to hear it, and what separates several values there."""


def uv_program() -> str:
    """uv, which came with Havre."""
    with _ONE_AT_A_TIME:  # services are prepared side by side, and `sysconfig`, which uv asks, is not made for threads
        return _uv_program()


@cache
def _uv_program() -> str:
    from uv import find_uv_bin

    return find_uv_bin()


_ONE_AT_A_TIME = threading.Lock()


def base_python() -> Path:
    """The interpreter below our own virtual environment."""
    return Path(getattr(sys, "_base_executable", sys.executable)).resolve()


def run_uv(arguments: Sequence[str], caches: Path, *, timeout: float, cwd: Path | None = None) -> str:
    """Run uv, which looks where the user's pip looks; what it wrote."""
    return run([uv_program(), *arguments], settings=dict(_uv_variables(caches)), timeout=timeout, cwd=cwd).stdout


def fill_by_uv(
    directory: Path, arguments: Sequence[str], caches: Path, *, timeout: float, cwd: Path | None = None
) -> None:
    """Run uv to put packages into `directory`."""
    argv = [uv_program(), *arguments]
    named = " ".join(["uv", *arguments[:2]])
    fill(directory, argv, settings=dict(_uv_variables(caches)), timeout=timeout, cwd=cwd, named=named)


def kept(name: str, caches: Path) -> Path:
    """The cache of a package manager: the user's own where there is one, else one below `caches`.

    So a package cache that is warm is used, and nothing is written outside the state directory where there is none.
    """
    own = {"npm": home_directory() / ".npm"}.get(name, home_directory() / ".cache" / name)
    return own if own.is_dir() else caches / "packages" / name


def _uv_variables(caches: Path) -> Iterator[tuple[str, str]]:
    """uv trusts the certificates that this machine trusts, and finds packages where pip does."""
    yield "UV_SYSTEM_CERTS", "1"
    yield "UV_NATIVE_TLS", "1"  # the same for older versions
    yield "UV_CACHE_DIR", str(kept("uv", caches))
    yield "UV_TOOL_DIR", str(caches / "packages" / "uv-tools")
    yield "UV_INDEX_STRATEGY", "unsafe-best-match"  # pip's own: several indexes count alike
    yield from _pip_settings()


@cache
def _pip_settings() -> tuple[tuple[str, str], ...]:
    said = run([sys.executable, "-m", "pip", "config", "list"], check=False)
    found = {}
    for line in said.stdout.splitlines() if said.exit_code == 0 else ():
        key, _, value = line.partition("=")
        name = key.rpartition(".")[2]
        if name in _UV_NAMES:
            variable, between = _UV_NAMES[name]
            found[variable] = between.join(str(ast.literal_eval(value)).split())
    return tuple(found.items())

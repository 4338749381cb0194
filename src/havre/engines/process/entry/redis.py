"""Stands in for `redis-server` of the Redis and Valkey images: the same arguments, none of them seen in `ps`.

The arguments become a configuration that the server reads from its standard input, so that a password given
as `--requirepass` is not in the process list; the address to listen on is the replica's own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

OURS = frozenset({"bind", "daemonize", "supervised", "pidfile"})
"""Settings that are the engine's, whatever the arguments say."""


def main(arguments: Sequence[str]) -> None:
    """Become the server; any other command than the server is simply executed."""
    argv = list(arguments)
    if argv and Path(argv[0]).name in {"redis-server", "valkey-server"}:
        argv.pop(0)
    elif argv and not argv[0].startswith("-") and not argv[0].endswith(".conf"):
        os.execvp(argv[0], argv)  # noqa: S606
    environment = dict(os.environ)  # noqa: TID251
    text = configuration(argv, environment)
    handle = os.memfd_create("configuration")
    os.write(handle, text.encode())
    os.lseek(handle, 0, os.SEEK_SET)
    os.dup2(handle, 0)
    program = environment["HAVRE_REDIS"]
    os.execv(program, [Path(program).name, "-"])  # noqa: S606


def configuration(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """The arguments as a configuration file; they win over a file that they name, and ours over both."""
    lines = []
    rest = list(arguments)
    if rest and not rest[0].startswith("--"):
        lines.append(f"include {_quoted(rest.pop(0))}")
    given = list(_directives(rest))
    lines += [" ".join([name, *map(_quoted, values)]) for name, values in given if name not in OURS]
    names = {name for name, _ in given}
    if "port" not in names:
        lines.append(f"port {environment['PORT']}")
    return "\n".join([*lines, f"bind {environment['HOST']}", "daemonize no"]) + "\n"


def _directives(arguments: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    name, values = "", list[str]()
    for argument in arguments:
        if argument.startswith("--"):
            if name:
                yield name, values
            name, values = argument[2:].lower(), []
        elif argument != "-":
            values.append(argument)
    if name:
        yield name, values


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


if __name__ == "__main__":
    main(sys.argv[1:])

"""Stands in for `redis-cli` where the server came without it: commands, replies and exit codes as there."""

from __future__ import annotations

import io
import os
import shlex
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit


@dataclass(slots=True)
class Options:
    """What the command line says; the address is the replica's unless it says otherwise."""

    host: str = "127.0.0.1"
    port: int = 6379
    password: str = ""
    user: str = ""
    database: str = ""
    raw: bool = False
    rdb: str = ""
    stdin_value: bool = False
    command: list[str] = field(default_factory=list)


class ReplyError(Exception):
    """The server's own error reply."""


def main(arguments: Sequence[str]) -> int:
    """Run one command, or those on standard input, and print the replies."""
    options = parse(arguments, os.environ)  # noqa: TID251
    try:
        with socket.create_connection((options.host, options.port), timeout=60) as connection:
            stream = connection.makefile("rwb")
            for introduction in _introduction(options):
                _ask(stream, introduction)
            if options.rdb:
                return _save_rdb(stream, options.rdb)
            return _converse(stream, options)
    except OSError as error:
        place = f"{options.host}:{options.port}"
        print(f"Could not connect to Redis at {place}: {error.strerror or error}", file=sys.stderr)  # noqa: T201
        return 1
    except ReplyError as error:
        print(f"AUTH failed: {error}" if "AUTH" in str(error) or "PASS" in str(error) else error)  # noqa: T201
        return 1


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Options:
    """The options, up to the first word that is none."""
    options = Options(
        host=environment.get("HOST", "127.0.0.1"),
        port=int(environment.get("PORT", "6379")),
        password=environment.get("REDISCLI_AUTH", ""),
    )
    words = list(arguments)
    named = {"-h": "host", "-a": "password", "--pass": "password", "--user": "user", "-n": "database", "--rdb": "rdb"}
    while words and words[0].startswith("-"):
        word = words.pop(0)
        if word in named:
            setattr(options, named[word], words.pop(0))
        elif word == "-p":
            options.port = int(words.pop(0))
        elif word == "-u":
            _address(options, words.pop(0))
        elif word == "--raw":
            options.raw = True
        elif word == "-x":
            options.stdin_value = True
        elif word in {"-t", "-r", "-i"}:
            words.pop(0)
    options.command = words
    return options


def shown(reply: object, *, raw: bool, indent: str = "") -> str:
    """A reply as `redis-cli` prints it."""
    match reply:
        case None:
            return "" if raw else "(nil)"
        case ReplyError():
            return str(reply) if raw else f"(error) {reply}"
        case int():
            return str(reply) if raw else f"(integer) {reply}"
        case list():
            if not reply:
                return "" if raw else "(empty array)"
            if raw:
                return "\n".join(shown(item, raw=True) for item in reply)
            return f"\n{indent}".join(
                f"{n}) {shown(item, raw=False, indent=indent + '   ')}" for n, item in enumerate(reply, 1)
            )
        case bytes():
            text = reply.decode(errors="replace")
            return text if raw else '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
        case _:
            return str(reply)


def _converse(stream: io.BufferedRWPair, options: Options) -> int:
    raw = options.raw or not sys.stdout.isatty()
    failed = False
    for command in _commands(options):
        try:
            reply = _ask(stream, command)
        except ReplyError as error:
            reply, failed = error, failed or bool(options.command and command[0].upper() == b"AUTH")
        print(shown(reply, raw=raw), flush=True)  # noqa: T201
    return int(failed)


def _commands(options: Options) -> Iterator[list[bytes]]:
    if options.command:
        words = [word.encode() for word in options.command]
        yield [*words, sys.stdin.buffer.read()] if options.stdin_value else words
        return
    for line in sys.stdin:
        if line.strip():
            yield [word.encode() for word in shlex.split(line)]


def _introduction(options: Options) -> Iterator[list[bytes]]:
    if options.password:
        words = ["AUTH", *([options.user] if options.user else []), options.password]
        yield [word.encode() for word in words]
    if options.database:
        yield [b"SELECT", options.database.encode()]


def _ask(stream: io.BufferedRWPair, words: Sequence[bytes]) -> object:
    stream.write(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))
    stream.flush()
    return _reply(stream)


def _reply(stream: io.BufferedRWPair) -> object:
    line = stream.readline()
    if not line.endswith(b"\r\n"):
        raise ConnectionError("the server closed the connection")
    kind, rest = line[:1], line[1:-2]
    match kind:
        case b"+":
            return rest.decode()
        case b"-":
            raise ReplyError(rest.decode())
        case b":":
            return int(rest)
        case b"$":
            return None if rest == b"-1" else stream.read(int(rest) + 2)[:-2]
        case b"*":
            return None if rest == b"-1" else [_item(stream) for _ in range(int(rest))]
        case _:
            raise ConnectionError(f"not a reply: {line!r}")


def _item(stream: io.BufferedRWPair) -> object:
    try:
        return _reply(stream)
    except ReplyError as error:
        return error


def _save_rdb(stream: io.BufferedRWPair, target: str) -> int:
    """Ask for the whole data set as a replica would, and write it to a file, or to standard output for `-`."""
    stream.write(b"*1\r\n$4\r\nSYNC\r\n")
    stream.flush()
    head = stream.readline().strip()
    while head == b"":
        head = stream.readline().strip()
    if head.startswith(b"-"):
        raise ReplyError(head[1:].decode())
    with Path("/dev/stdout" if target == "-" else target).open("wb") as file:
        file.writelines(_payload(stream, head))
    return 0


def _payload(stream: io.BufferedRWPair, head: bytes) -> Iterator[bytes]:
    if not head.startswith(b"$EOF:"):
        left = int(head[1:])
        while left:
            block = stream.read(min(left, 1 << 16))
            left -= len(block)
            yield block
        return
    mark, kept = head[5:], b""
    while True:
        kept += stream.read1(1 << 16)
        if kept.endswith(mark):
            yield kept[: -len(mark)]
            return
        yield kept[: -len(mark)]
        kept = kept[-len(mark) :]


def _address(options: Options, text: str) -> None:
    parts = urlsplit(text)
    options.host, options.port = parts.hostname or options.host, parts.port or options.port
    options.user, options.password = unquote(parts.username or ""), unquote(parts.password or options.password)
    options.database = parts.path.strip("/") or options.database


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

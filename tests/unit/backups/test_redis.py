"""What Redis says is believed only when it is an answer, and an RDB file only when it is whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

import pytest

from havre.backups.feeding import Writable
from havre.backups.place import Answer, Environment
from havre.backups.redis import RdbReader, Server
from havre.errors import FailedError
from havre.model.backup import Streamed


@dataclass
class Replies:
    """A replica in which redis-cli answers from a table, with exit code 0 as redis-cli has it."""

    table: Mapping[str, str]
    environments: list[Environment] = field(default_factory=list)
    name: str = "cache.1"
    log: str = "havre logs cache"

    def last_words(self) -> tuple[str, ...]:
        return ()

    def ask(self, command: Sequence[str], *, environment: Environment = (), stdin: BinaryIO | None = None) -> Answer:
        self.environments.append(environment)
        return Answer(exit_code=0, output=self.table[" ".join(command[1:])])

    def stream(
        self, command: Sequence[str], *, stdout: Writable, stdin: BinaryIO | None = None,
        environment: Environment = (), bulk: bool = False,
    ) -> Streamed:  # fmt: skip
        raise AssertionError

    def read_files(self, path: str, sink: Writable) -> None:
        raise AssertionError

    def write_files(self, path: str, source: BinaryIO) -> None:
        raise AssertionError


@pytest.mark.parametrize(
    "reply",
    ["NOAUTH Authentication required.", "WRONGPASS invalid username-password pair", "ERR unknown command", "MISCONF x"],
)
def test_an_error_reply_is_an_error_although_redis_cli_ends_with_0(reply: str) -> None:
    with pytest.raises(FailedError, match="refused `INFO`") as caught:
        Server(Replies({"INFO keyspace": reply}), None).keys()
    assert reply[:8] in caught.value.problems[0].evidence[0]


def test_keys_of_all_databases_are_counted() -> None:
    replies = Replies({"INFO keyspace": "# Keyspace\r\ndb0:keys=12,expires=0,avg_ttl=0\r\ndb3:keys=30,expires=1\r\n"})
    assert Server(replies, "hush").keys() == 42
    assert replies.environments == [(("REDISCLI_AUTH", "hush"),)]


def test_files_lie_where_the_server_says_or_where_images_put_them() -> None:
    told = Replies({"CONFIG GET dir": "dir\n/srv/redis", "CONFIG GET dbfilename": "dbfilename\nmine.rdb"})
    assert Server(told, None).path == "/srv/redis/mine.rdb"
    silent = Replies({"CONFIG GET dir": "ERR unknown command", "CONFIG GET dbfilename": "ERR unknown command"})
    assert Server(silent, None).path == "/data/dump.rdb"


@pytest.mark.parametrize(
    ("content", "whole"),
    [
        (b"REDIS0011" + b"x" * 50 + b"\xff" + bytes(8), True),
        (b"VALKEY080" + b"x" * 50 + b"\xff" + bytes(8), True),
        (b"REDIS0011" + b"x" * 50, False),
        (b"REDIS", False),
        (b"", False),
        (b"<html>" + bytes(80) + b"\xff" + bytes(8), False),
    ],
)
def test_an_rdb_file_has_its_head_and_its_end(content: bytes, whole: bool) -> None:
    reader = RdbReader()
    for start in range(0, len(content), 7):
        reader.feed(content[start : start + 7])
    assert reader.is_whole is whole

"""The arguments of `redis-server` as a configuration nobody sees in `ps`."""

from __future__ import annotations

import pytest

from havre.engines.process.entry import redis, redis_cli
from havre.engines.process.entry.redis_cli import ReplyError

HERE = {"HOST": "127.64.0.18", "PORT": "6379"}


def test_arguments_become_directives() -> None:
    text = redis.configuration(["--requirepass", 'a"b c', "--save", "60", "1", "--APPENDONLY", "yes"], HERE)
    assert text.splitlines() == [
        'requirepass "a\\"b c"',
        'save "60" "1"',
        'appendonly "yes"',
        "port 6379",
        "bind 127.64.0.18",
        "daemonize no",
    ]


def test_an_empty_value_stays_one() -> None:
    assert 'save ""' in redis.configuration(["--save", ""], HERE).splitlines()


def test_a_named_file_comes_first_so_that_arguments_win() -> None:
    text = redis.configuration(["/etc/redis.conf", "--maxmemory", "1mb"], HERE)
    assert text.splitlines()[:2] == ['include "/etc/redis.conf"', 'maxmemory "1mb"']


def test_where_it_listens_is_ours_to_say() -> None:
    lines = redis.configuration(["--bind", "0.0.0.0", "--daemonize", "yes", "--port", "7000"], HERE).splitlines()
    assert lines == ['port "7000"', "bind 127.64.0.18", "daemonize no"]


def test_the_client_asks_its_own_replica_unless_told_otherwise() -> None:
    options = redis_cli.parse(["--raw", "-a", "pw", "-n", "3", "get", "-h"], HERE)
    assert (options.host, options.port, options.password, options.database) == ("127.64.0.18", 6379, "pw", "3")
    assert options.command == ["get", "-h"]
    there = redis_cli.parse(["-u", "redis://:p%40w@10.0.0.1:7000/2", "ping"], HERE)
    assert (there.host, there.port, there.password, there.database) == ("10.0.0.1", 7000, "p@w", "2")


@pytest.mark.parametrize(
    ("reply", "plain", "raw"),
    [
        ("OK", "OK", "OK"),
        (3, "(integer) 3", "3"),
        (None, "(nil)", ""),
        (b'a"b', '"a\\"b"', 'a"b'),
        ([b"a", 1], '1) "a"\n2) (integer) 1', "a\n1"),
        ([], "(empty array)", ""),
        (ReplyError("NOAUTH x"), "(error) NOAUTH x", "NOAUTH x"),
    ],
)
def test_replies_look_as_everybody_knows_them(reply: object, plain: str, raw: str) -> None:
    assert redis_cli.shown(reply, raw=False) == plain
    assert redis_cli.shown(reply, raw=True) == raw

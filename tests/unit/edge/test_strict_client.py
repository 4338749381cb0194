"""The load client must see every failure: what it misses, no benchmark of ours would show."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from strict_client import Load, Tally, run

Answer = Callable[[socket.socket, int], bool]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


@pytest.fixture
def against() -> Iterator[Callable[..., Tally]]:
    """Run a small load against a server that answers as told: (connection, number of the request) -> go on?"""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(answer: Answer) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                number = 0
                while _request(connection) and answer(connection, number):
                    number += 1

    def start(answer: Answer, **load: object) -> Tally:
        threading.Thread(target=serve, args=(answer,), daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        given = {"url": url, "connections": 1, "seconds": 5.0, "requests": 5, "post_share": 0.0, **load}
        return run(Load(**given))  # type: ignore[arg-type]

    yield start
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def _request(connection: socket.socket) -> bool:
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            return False
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:")), 0)
    while len(body) < length:
        body += connection.recv(65536)
    return True


def say(connection: socket.socket, answer: bytes) -> bool:
    connection.sendall(answer)
    return True


def test_good_answers_of_every_form_are_no_failure(against: Callable[..., Tally]) -> None:
    forms = [
        OK,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n3;x=y\r\nyou\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK,
    ]
    tally = against(lambda connection, number: say(connection, forms[number % 4]), requests=8, post_share=0.5)
    assert (tally.requests, tally.failed, dict(tally.statuses)) == (8, 0, {200: 6, 204: 2})


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "status-503"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "status-404"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nhi", "answered-early"),
    ],
)
def test_wrong_answers_are_failures(against: Callable[..., Tally], answer: bytes, kind: str) -> None:
    tally = against(lambda connection, _: say(connection, answer), requests=3)
    assert (tally.failed, set(tally.kinds)) == (3, {kind})


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf"])
def test_a_close_before_the_answer_is_complete_is_a_failure(against: Callable[..., Tally], begun: bytes) -> None:
    tally = against(lambda connection, _: say(connection, begun) and False, requests=3)
    assert (tally.failed, set(tally.kinds)) == (3, {"closed-early"})


def test_closing_a_kept_connection_without_a_word_is_a_failure(against: Callable[..., Tally]) -> None:
    tally = against(lambda connection, number: say(connection, OK) and number < 1, requests=6)
    assert tally.failed >= 2


def test_closing_after_saying_so_is_none(against: Callable[..., Tally]) -> None:
    closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"
    tally = against(lambda connection, _: say(connection, closing) and False, requests=4)
    assert (tally.requests, tally.failed) == (4, 0)


def test_silence_is_a_failure(against: Callable[..., Tally]) -> None:
    tally = against(lambda _connection, _number: True, requests=1, timeout=0.3)
    assert dict(tally.kinds) == {"timeout": 1}


def test_nobody_listening_is_a_failure() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    tally = run(Load(url=f"http://127.0.0.1:{port}/", connections=1, seconds=0.1))
    assert tally.failed >= 1
    assert set(tally.kinds) == {"ConnectionRefusedError"}

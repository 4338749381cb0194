"""Health checks are asked at the replica's own address, and wrong addresses are explained."""

from __future__ import annotations

import pytest

from havre.engines.process.probing import (
    at_address,
    explain_listening,
    is_missing_program,
    plain_url,
    question_of,
)

AT = "127.64.0.16"


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("http://localhost:8000/health", f"http://{AT}:8000/health"),
        ("curl -f http://127.0.0.1/", f"curl -f http://{AT}/"),
        ("http://0.0.0.0:80", f"http://{AT}:80"),
        ("http://[::1]:80", f"http://{AT}:80"),
        ("pg_isready -h localhost -U u", f"pg_isready -h {AT} -U u"),
        ("localhost.example.org", "localhost.example.org"),
        ("not-localhost", "not-localhost"),
        ("127.0.0.11", "127.0.0.11"),
        ("1127.0.0.1", "1127.0.0.1"),
    ],
)
def test_every_way_of_writing_this_machine_becomes_its_address(text: str, asked: str) -> None:
    assert at_address(text, AT) == asked


def test_a_shell_line_stays_one_line() -> None:
    question = question_of(("redis-cli -h 127.0.0.1 ping | grep -q PONG",), shell=True, address=AT)
    assert question.argv == ("/bin/sh", "-c", f"redis-cli -h {AT} ping | grep -q PONG")
    assert question.asked == f"redis-cli -h {AT} ping | grep -q PONG"


@pytest.mark.parametrize(
    ("test", "shell", "url"),
    [
        (("curl", "-f", "http://localhost:80/x"), False, f"http://{AT}:80/x"),
        (("wget -q --spider http://localhost:80/ || exit 1",), True, f"http://{AT}:80/"),
        (("curl http://localhost/ | grep ok",), True, None),
        (("curl http://localhost/a && curl http://localhost/b",), True, None),
        (("python", "-c", "http://localhost/"), False, None),
        (("curl 'unfinished http://localhost/",), True, None),
    ],
)
def test_only_a_plain_fetch_can_be_made_by_us(test: tuple[str, ...], shell: bool, url: str | None) -> None:
    assert plain_url(question_of(test, shell=shell, address=AT)) == url


def test_a_missing_program_is_told_from_a_failed_check() -> None:
    question = question_of(("curl", "http://localhost/"), shell=False, address=AT)
    assert is_missing_program(127, "No such file or directory: curl", question)
    assert not is_missing_program(7, "curl: (7) refused", question)


@pytest.mark.parametrize(
    ("listening", "words"),
    [
        ([(AT, 8000)], None),
        ([], None),
        ([("0.0.0.0", 8000)], "every address of the server"),
        ([("::", 8000)], "every address of the server"),
        ([("127.0.0.1", 8000)], "listens on 127.0.0.1 port 8000, not on its own address"),
        ([(AT, 3000)], "listens on port 3000, not on 8000"),
        ([(AT, 8000), ("0.0.0.0", 9229)], None),
    ],
)
def test_where_it_listens_is_explained(listening: list[tuple[str, int]], words: str | None) -> None:
    told = explain_listening(listening, AT, 8000)
    assert (told is None) if words is None else (told is not None and words in told and "$HOST:$PORT" in told)

"""What an image's history tells of its build, as the classic builder and BuildKit write it."""

from __future__ import annotations

import pytest

from havre.checks.written import secrets_in_steps
from havre.engines.docker.lookup import arguments


@pytest.mark.parametrize(
    ("step", "found"),
    [
        ("|2 TOKEN=abc MODE=x /bin/sh -c make", [("TOKEN", "abc"), ("MODE", "x")]),
        ("RUN |1 TOKEN=abc /bin/sh -c make # buildkit", [("TOKEN", "abc")]),
        ("RUN |1 TOKEN=abc /bin/bash -c make A=1 # buildkit", [("TOKEN", "abc")]),
        ("/bin/sh -c #(nop)  ARG TOKEN=abc", [("TOKEN", "abc")]),
        ("ARG TOKEN=abc", [("TOKEN", "abc")]),
        ("ARG TOKEN", []),
        ("RUN /bin/sh -c make A=1 # buildkit", []),
        ('CMD ["python" "A=1"]', []),
    ],
)
def test_build_arguments_are_read_from_the_steps(step: str, found: list[tuple[str, str]]) -> None:
    assert arguments(step) == found


@pytest.mark.parametrize(
    ("step", "what"),
    [
        ("RUN /bin/sh -c export API_TOKEN=kx9f2kd8sl2q && make # buildkit", ("the value of API_TOKEN",)),
        ('RUN curl -H "Authorization: Bearer kx9f2kd8sl2q" https://x.org', ("the token of an Authorization header",)),
        ("RUN git clone https://ana:kx9f2kd8sl2q@git.acme.io/x", ("a password in a URL",)),
        ("RUN gpg --recv-keys A035C8C19219BA821ECEA86B64E628F8D684696D", ()),
        ("ENV GPG_KEY=A035C8C19219BA821ECEA86B64E628F8D684696D", ()),
        ("ENV PYTHON_SHA256=32a28f0b1c7d9a7d5c1b6ad4b2b9c7fd8e8c0a1b2c3d4e5f60718293a4b5c6d7", ()),
        ("RUN PASSWORD_FILE=/run/secrets/db1234567 make", ()),
        ("RUN API_TOKEN=$(cat /run/secrets/token1) make", ()),
    ],
)
def test_secrets_in_commands_are_told_in_words(step: str, what: tuple[str, ...]) -> None:
    assert secrets_in_steps([step]) == what

"""Verify a release: ask what the manifest promises, and say exactly how the answer differs (I5)."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from havre.errors import FailedError, Problem
from havre.model.app import Verification
from havre.workflows.execute import Cancellation

RETRY_PAUSE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where to ask: an address and port of this machine, with or without TLS.

    The host asked for is sent as Host and SNI; the certificate is not judged here (a check of its own does).
    """

    address: str
    port: int
    tls: bool = False
    scheme_seen: str = "http"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    body: str
    headers: tuple[tuple[str, str], ...] = ()
    """Names in lower case."""


def verify(
    checks: Sequence[Verification], target: Target, *, where: str, default_host: str, cancellation: Cancellation
) -> None:
    """Ask every check at `target`; raises FailedError listing all that are not answered as promised.

    `where` says in words which side was asked (`through the edge`, `at backend.2`).
    """
    problems = [
        problem
        for check in checks
        if (problem := _one(check, target, where, check.host or default_host, cancellation)) is not None
    ]
    if problems:
        raise FailedError(problems)


def ask(check: Verification, target: Target, host: str) -> Answer:
    """Send one request; raises OSError or http.client.HTTPException when no whole answer comes."""
    connection = _connect(target, host, check.timeout)
    try:
        sent = {"Host": host, "User-Agent": "havre-verify", "Connection": "close", **dict(check.headers)}
        if target.scheme_seen == "https" and not target.tls:
            sent["X-Forwarded-Proto"] = "https"
        connection.request(check.method, check.path, body=check.body, headers=sent)
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(
            status=response.status, body=response.read().decode(errors="replace"), headers=tuple(headers.items())
        )
    finally:
        connection.close()


def differences(check: Verification, answer: Answer) -> tuple[str, ...]:
    """How the answer differs from what was promised; empty when it does not."""
    found = []
    if answer.status != check.status:
        found.append(f"status {answer.status} instead of {check.status}")
    if check.contains is not None and check.contains not in answer.body:
        found.append(f"the body does not contain {check.contains!r}")
    found += _json_differences(check, answer)
    return tuple(found)


def _one(check: Verification, target: Target, where: str, host: str, cancellation: Cancellation) -> Problem | None:
    evidence: tuple[str, ...] = ()
    for attempt in range(check.retries + 1):
        if attempt:
            cancellation.pause(RETRY_PAUSE)
        try:
            answer = ask(check, target, host)
        except (OSError, http.client.HTTPException) as error:
            evidence = (f"no answer: {str(error) or type(error).__name__}",)
            continue
        different = differences(check, answer)
        if not different:
            return None
        evidence = (*different, f"body: {answer.body[:300]!r}")
    return Problem(
        summary=f"{check.method} {check.path} (host {host}) is not answered as promised {where}",
        evidence=evidence,
        hint="correct the application, or `release.verify` in havre.yaml if the promise is out of date",
        code="verify-failed",
    )


def _connect(target: Target, host: str, timeout: float) -> http.client.HTTPConnection:
    if not target.tls:
        return http.client.HTTPConnection(target.address, target.port, timeout=timeout)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connection = http.client.HTTPSConnection(host, target.port, timeout=timeout, context=context)
    # Ask for `host` in SNI but reach the edge where it listens, whatever DNS says.
    connection._create_connection = (  # type: ignore[attr-defined]  # noqa: SLF001
        lambda _address, *rest, **named: _open(target, *rest, **named)
    )
    return connection


def _open(target: Target, *rest: object, **named: object) -> object:
    import socket

    return socket.create_connection((target.address, target.port), *rest, **named)  # type: ignore[arg-type]


def _json_differences(check: Verification, answer: Answer) -> list[str]:
    if not check.json:
        return []
    try:
        body = msgspec.json.decode(answer.body.encode())
    except msgspec.DecodeError:
        return ["the body is not JSON"]
    found = []
    for key, wanted in check.json:
        got = _lookup(body, key)
        if got != msgspec.json.decode(wanted.encode()):
            shown = msgspec.json.encode(got).decode()[:80]
            found.append(f"`{key}` is {shown} instead of {wanted}")
    return found


def _lookup(body: object, key: str) -> object:
    for part in key.split("."):
        if not isinstance(body, dict):
            return None
        body = body.get(part)
    return body

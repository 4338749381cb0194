"""The first logins of well-known servers that are no databases, each tried in the protocol that the server speaks."""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from socket import create_connection, socket
from urllib.parse import urlencode

from havre.host import clock
from havre.model.app import Verification
from havre.model.launch import ANYBODY
from havre.workflows.live.s3_signature import signed
from havre.workflows.verify import Answer, Target, ask

PATIENCE = 20.0
"""Seconds that a server may take to answer."""

Knock = Callable[[str, int], bool]
"""(address, port) -> whether the login was let in; raises OSError or HTTPException when nobody could be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One login that everybody knows, in words, and how it is tried."""

    who: str
    port: int
    knock: Knock


_LET_IN, _TURNED_AWAY, _NOWHERE = (200, 204), (400, 401, 403), 404
_WANTS_TLS = re.compile(r"HTTPS? (?:server|port)", re.IGNORECASE)
_FORM = "application/x-www-form-urlencoded"


def _page(*questions: Verification, unjudged: str = "") -> Knock:
    """The first of `questions` whose page is there; an answer with `unjudged` in it says nothing of the password."""

    def knock(address: str, port: int) -> bool:
        answer, path = Answer(status=_NOWHERE, body="", headers=()), ""
        for question in questions:
            answer, path = _ask(question, address, port), question.path
            if answer.status != _NOWHERE:
                break
        if answer.status in _LET_IN:
            return True
        if answer.status not in _TURNED_AWAY or (unjudged and re.search(unjudged, answer.body)):
            raise ConnectionError(f"{path} answers {answer.status}, which tells nothing of the password")
        return False

    return knock


def _ask(question: Verification, address: str, port: int) -> Answer:
    """Without TLS, and with it where the port wants that."""
    plain, secure = Target(address=address, port=port), Target(address=address, port=port, tls=True)
    host = f"{address}:{port}"
    try:
        answer = ask(question, plain, host)
    except ConnectionRefusedError:
        raise
    except (ConnectionError, HTTPException):
        return ask(question, secure, address)
    wants_tls = answer.status == 400 and _WANTS_TLS.search(answer.body)
    return ask(question, secure, address) if wants_tls else answer


def _get(path: str, user: str = "", password: str = "") -> Verification:
    word = base64.b64encode(f"{user}:{password}".encode()).decode()
    return Verification(path=path, headers=(("Authorization", f"Basic {word}"),) if user else (), timeout=PATIENCE)


def _keycloak(prefix: str) -> Verification:
    form = {"grant_type": "password", "client_id": "admin-cli", "username": "admin", "password": "admin"}
    return Verification(
        method="POST",
        path=f"{prefix}/realms/master/protocol/openid-connect/token",
        headers=(("Content-Type", _FORM),),
        body=urlencode(form),
        timeout=PATIENCE,
    )


def _s3(key: str, secret: str) -> Knock:
    """The console has another port with every start; the buckets are listed where programs list them."""

    def knock(address: str, port: int) -> bool:
        headers = signed(host=f"{address}:{port}", key=key, secret=secret, at=clock.now())
        question = Verification(path="/", headers=tuple(headers.items()), timeout=PATIENCE)
        return _page(question, unjudged="RequestTimeTooSkewed|ServerNotInitialized")(address, port)

    return knock


_START, _START_OK, _TUNE, _CLOSE = (10, 10), (10, 11), (10, 30), (10, 50)
"""Classes and methods of AMQP 0-9-1."""

_REFUSED = 403
_METHOD_FRAME, _FRAME_END = 1, b"\xce"
_SAY_WHEN_REFUSED = b"\x0ccapabilitiesF" + struct.pack(">I", 31) + b"\x1cauthentication_failure_close" + b"t\x01"
"""Without this, RabbitMQ hangs up without a word on who may not come in."""


def _amqp(user: str, password: str) -> Knock:
    def knock(address: str, port: int) -> bool:
        with create_connection((address, port), timeout=PATIENCE) as link:
            link.sendall(b"AMQP\x00\x00\x09\x01")
            if _amqp_method(link)[0] != _START:
                raise ConnectionError("it does not speak AMQP 0-9-1")
            link.sendall(_amqp_login(user, password))
            try:
                method, arguments = _amqp_method(link)
            except ConnectionError:  # a server that does not say why hangs up
                return False
        if method == _CLOSE and int.from_bytes(arguments[:2]) != _REFUSED:
            raise ConnectionError(f"it closed with code {int.from_bytes(arguments[:2])}")
        return method == _TUNE

    return knock


def _amqp_login(user: str, password: str) -> bytes:
    answer = f"\0{user}\0{password}".encode()
    table = struct.pack(">I", len(_SAY_WHEN_REFUSED)) + _SAY_WHEN_REFUSED
    body = (
        struct.pack(">HH", *_START_OK) + table + b"\x05PLAIN" + struct.pack(">I", len(answer)) + answer + b"\x05en_US"
    )
    return struct.pack(">BHI", _METHOD_FRAME, 0, len(body)) + body + _FRAME_END


def _amqp_method(link: socket) -> tuple[tuple[int, int], bytes]:
    """((class, method), arguments) of the next frame; raises ConnectionError for what is no method frame."""
    kind, _, length = struct.unpack(">BHI", _exactly(link, 7))
    if kind != _METHOD_FRAME or length < 4:
        raise ConnectionError("it does not speak AMQP 0-9-1")
    body = _exactly(link, length + len(_FRAME_END))
    return struct.unpack(">HH", body[:4]), body[4:-1]


def _exactly(link: socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        piece = link.recv(count - len(found))
        if not piece:
            raise ConnectionResetError("it hung up")
        found += piece
    return found


DOORS: Mapping[str, tuple[Door, ...]] = {
    "grafana": (
        Door(who="admin with its first password", port=3000, knock=_page(_get("/api/user", "admin", "admin"))),
    ),
    "keycloak": (
        Door(
            who="admin with the password of examples",
            port=8080,
            knock=_page(_keycloak(""), _keycloak("/auth"), unjudged="HTTPS required|unauthorized_client"),
        ),
    ),
    "rabbitmq": (Door(who="guest with its first password", port=5672, knock=_amqp("guest", "guest")),),
    "minio": (Door(who="minioadmin with its first password", port=9000, knock=_s3("minioadmin", "minioadmin")),),
    "elasticsearch": (
        Door(who=ANYBODY, port=9200, knock=_page(_get("/"))),
        Door(who="elastic with the password of examples", port=9200, knock=_page(_get("/", "elastic", "changeme"))),
        Door(who="admin with its first password", port=9200, knock=_page(_get("/", "admin", "admin"))),
    ),
}
"""By kind of image; the second is tried only where the first did not open."""

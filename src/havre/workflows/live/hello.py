"""The beginning of a TLS handshake, written out: it offers what modern libraries no longer can, and reads the answer.

A server that picks an outdated version or suite would really speak it. Nothing is encrypted and nothing sent after.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Mapping, Sequence

SSL3, TLS10, TLS11, TLS12 = 0x0300, 0x0301, 0x0302, 0x0303
OLD_VERSIONS: Mapping[int, str] = {SSL3: "SSL 3.0", TLS10: "TLS 1.0", TLS11: "TLS 1.1"}

WEAK_SUITES: Mapping[int, str] = {
    0x0001: "RSA_NULL_MD5", 0x0002: "RSA_NULL_SHA", 0x003B: "RSA_NULL_SHA256", 0xC006: "ECDHE_ECDSA_NULL_SHA",
    0xC010: "ECDHE_RSA_NULL_SHA", 0x0003: "RSA_EXPORT_RC4_40_MD5", 0x0008: "RSA_EXPORT_DES40_SHA",
    0x0014: "DHE_RSA_EXPORT_DES40_SHA", 0x0004: "RSA_RC4_128_MD5", 0x0005: "RSA_RC4_128_SHA",
    0xC007: "ECDHE_ECDSA_RC4_128_SHA", 0xC011: "ECDHE_RSA_RC4_128_SHA", 0x0009: "RSA_DES_CBC_SHA",
    0x000A: "RSA_3DES_EDE_CBC_SHA", 0x0016: "DHE_RSA_3DES_EDE_CBC_SHA", 0xC008: "ECDHE_ECDSA_3DES_EDE_CBC_SHA",
    0xC012: "ECDHE_RSA_3DES_EDE_CBC_SHA", 0x0018: "DH_anon_RC4_128_MD5", 0x001B: "DH_anon_3DES_EDE_CBC_SHA",
    0x0034: "DH_anon_AES_128_CBC_SHA", 0x003A: "DH_anon_AES_256_CBC_SHA", 0xC018: "ECDH_anon_AES_128_CBC_SHA",
    0xC019: "ECDH_anon_AES_256_CBC_SHA", 0x0007: "RSA_IDEA_CBC_SHA", 0x0096: "RSA_SEED_CBC_SHA",
    0x002F: "RSA_AES_128_CBC_SHA", 0x0035: "RSA_AES_256_CBC_SHA", 0x003C: "RSA_AES_128_CBC_SHA256",
    0x003D: "RSA_AES_256_CBC_SHA256", 0x009C: "RSA_AES_128_GCM_SHA256", 0x009D: "RSA_AES_256_GCM_SHA384",
}  # fmt: skip
"""Without encryption, of export strength, with broken ciphers, anonymous, or without forward secrecy (RSA_AES)."""

_USUAL = (
    0xC02B,
    0xC02C,
    0xC02F,
    0xC030,
    0xC009,
    0xC00A,
    0xC013,
    0xC014,
    0x0033,
    0x0039,
    0x002F,
    0x0035,
    0x000A,
    0x0005,
)
"""Suites that servers of every age know: whoever refuses all of them refuses the version."""

_SERVER_HELLO = 2


def accepts_version(place: tuple[str, int], host: str, version: int, *, timeout: float) -> bool:
    """Whether the server would speak this version."""
    answer = _offer(place, host, version, _USUAL, timeout=timeout)
    return answer is not None and answer[0] == version


def weak_suites(place: tuple[str, int], host: str, *, timeout: float) -> tuple[str, ...]:
    """The names of the weak suites the server would use in TLS 1.2, found one after the other."""
    left, found = list(WEAK_SUITES), list[str]()
    while left:
        answer = _offer(place, host, TLS12, left, timeout=timeout)
        if answer is None or answer[1] not in left:
            break
        left.remove(answer[1])
        found.append(WEAK_SUITES[answer[1]])
    return tuple(found)


def _offer(
    place: tuple[str, int], host: str, version: int, suites: Sequence[int], *, timeout: float
) -> tuple[int, int] | None:
    """(version, suite) that the server picks; None when it refuses all of it."""
    try:
        with socket.create_connection(place, timeout) as connection:
            connection.settimeout(timeout)
            connection.sendall(client_hello(host, version, suites))
            return read_server_hello(_record(connection))
    except OSError:  # it closed the connection: a refusal as well
        return None


def client_hello(host: str, version: int, suites: Sequence[int]) -> bytes:
    """A ClientHello record of RFC 5246, with the names and groups that a server needs to choose."""
    listed = b"".join(struct.pack(">H", suite) for suite in suites)
    body = struct.pack(">H", version) + os.urandom(32) + b"\0" + _sized(listed, 2) + b"\x01\0"
    if version > SSL3:
        body += _sized(_extensions(host, version), 2)
    handshake = b"\x01" + _sized(body, 3)
    return b"\x16" + struct.pack(">H", min(version, TLS10) if version > SSL3 else SSL3) + _sized(handshake, 2)


def read_server_hello(record: bytes) -> tuple[int, int] | None:
    """(version, suite) of a ServerHello; None for an alert or anything else."""
    if len(record) < 44 or record[0] != 0x16 or record[5] != _SERVER_HELLO:
        return None
    version = struct.unpack(">H", record[9:11])[0]
    after = 44 + record[43]
    if len(record) < after + 2:
        return None
    return version, struct.unpack(">H", record[after : after + 2])[0]


def _extensions(host: str, version: int) -> bytes:
    name = _sized(b"\0" + _sized(host.encode("idna") if not host.isascii() else host.encode(), 2), 2)
    groups = _sized(struct.pack(">5H", 0x001D, 0x0017, 0x0018, 0x0019, 0x0100), 2)
    found = _extension(0, name) + _extension(10, groups) + _extension(11, b"\x01\0")
    if version == TLS12:
        algorithms = (0x0403, 0x0503, 0x0603, 0x0401, 0x0501, 0x0601, 0x0804, 0x0805, 0x0806, 0x0203, 0x0201, 0x0202)
        found += _extension(13, _sized(struct.pack(f">{len(algorithms)}H", *algorithms), 2))
    return found


def _extension(number: int, content: bytes) -> bytes:
    return struct.pack(">H", number) + _sized(content, 2)


def _sized(content: bytes, width: int) -> bytes:
    return len(content).to_bytes(width, "big") + content


def _record(connection: socket.socket) -> bytes:
    """The first record of the answer."""
    head = _exactly(connection, 5)
    return head + _exactly(connection, struct.unpack(">H", head[3:5])[0]) if len(head) == 5 else head


def _exactly(connection: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size and (more := connection.recv(size - len(found))):
        found += more
    return found

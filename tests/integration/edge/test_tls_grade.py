"""What the TLS of a server accepts, found by real handshakes with OpenSSL's own server, good and bad."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from havre.workflows.demo import free_port
from havre.workflows.live.tls import Place, shake_hands

HOST = "shop.example.org"


@contextmanager
def openssl(directory: Path, *options: str, key: str = "rsa:2048", sign: str = "-sha256") -> Iterator[Place]:
    """`openssl s_server` with a certificate of its own."""
    pem, port = directory / "server.pem", free_port(29100)
    make: list[str | Path] = ["openssl", "req", "-x509", "-newkey", key, "-nodes", sign, "-days", "30"]
    make += ["-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"]
    make += ["-keyout", pem, "-out", directory / "cert.pem"]
    subprocess.run(make, check=True, capture_output=True)
    pem.write_text(pem.read_text() + (directory / "cert.pem").read_text())
    serve = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", str(pem), "-www", "-quiet", *options]
    server = subprocess.Popen(serve, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _await(port)
        yield Place("127.0.0.1", port)
    finally:
        server.kill()
        server.wait()


def _await(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("openssl s_server does not listen")


def test_a_modern_server_shows_nothing_old(tmp_path: Path) -> None:
    with openssl(tmp_path, "-min_protocol", "TLSv1.2", "-cipher", "ECDHE+AESGCM:ECDHE+CHACHA20") as place:
        found = shake_hands(HOST, place)
    assert found.error == ""
    assert found.versions == ("TLS 1.2", "TLS 1.3")
    assert found.weak == ()
    assert (found.key, found.signature, found.names) == ("RSA 2048", "sha256", (HOST,))
    assert 29 <= found.days_left <= 30
    assert not found.trusted
    assert "self-signed" in found.distrust


def test_old_versions_that_are_accepted_are_named(tmp_path: Path) -> None:
    with openssl(tmp_path, "-min_protocol", "TLSv1", "-cipher", "ALL:@SECLEVEL=0") as place:
        found = shake_hands(HOST, place)
    assert found.versions == ("TLS 1.0", "TLS 1.1", "TLS 1.2", "TLS 1.3")


def test_weak_suites_that_are_accepted_are_named(tmp_path: Path) -> None:
    with openssl(tmp_path, "-tls1_2", "-cipher", "NULL-SHA256:AES128-SHA:ADH-AES128-SHA:@SECLEVEL=0") as place:
        found = shake_hands(HOST, place)
    assert {"RSA_NULL_SHA256", "RSA_AES_128_CBC_SHA"} <= set(found.weak)
    assert found.versions == ("TLS 1.2",)


@pytest.mark.parametrize(("key", "sign", "shown"), [("rsa:1024", "-sha1", ("RSA 1024", "sha1"))])
def test_short_keys_and_old_signatures_are_named(tmp_path: Path, key: str, sign: str, shown: tuple[str, str]) -> None:
    with openssl(tmp_path, "-cipher", "ALL:@SECLEVEL=0", key=key, sign=sign) as place:
        found = shake_hands(HOST, place)
    assert (found.key, found.signature) == shown


def test_a_certificate_of_an_authority_this_system_knows_is_trusted_for_its_name_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with openssl(tmp_path) as place:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        assert shake_hands(HOST, place).trusted
        other = shake_hands("other.example.org", place)
    assert not other.trusted
    assert "mismatch" in other.distrust.lower()


def test_what_speaks_no_tls_says_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]
    assert "no TLS" in shake_hands(HOST, Place("127.0.0.1", port)).error

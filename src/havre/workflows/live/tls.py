"""Real handshakes: what a visitor's browser is offered, whether it would trust it, and what should be refused."""

from __future__ import annotations

import hashlib
import socket
import ssl
from dataclasses import dataclass

from havre.edge import x509
from havre.host import clock
from havre.model.launch import Handshake
from havre.workflows.live.hello import OLD_VERSIONS, accepts_version, weak_suites

PATIENCE = 5.0
_NEW = {ssl.TLSVersion.TLSv1_2: "TLS 1.2", ssl.TLSVersion.TLSv1_3: "TLS 1.3"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where the TLS of a host ends: the edge of this machine, or the proxy that DNS leads to."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


def shake_hands(host: str, place: Place) -> Handshake:
    """Everything about the TLS of one host; an error where nothing answers."""
    try:
        certificate = _certificate(host, place)
    except OSError as error:
        return Handshake(host=host, place=str(place), error=f"no TLS: {error.strerror or error}")
    contents = x509.read(ssl.DER_cert_to_PEM_cert(certificate).encode())
    key, signature = x509.strength(ssl.DER_cert_to_PEM_cert(certificate).encode())
    distrust = _distrust(host, place)
    old = [name for number, name in OLD_VERSIONS.items() if _speaks(host, place, number)]
    return Handshake(
        host=host,
        place=str(place),
        names=contents.names,
        issuer=contents.issuer,
        days_left=contents.days_left(clock.now()),
        trusted=not distrust,
        distrust=distrust,
        key=key,
        signature=signature,
        versions=(*old, *(name for version, name in _NEW.items() if _negotiates(host, place, version))),
        weak=weak_suites((place.address, place.port), host, timeout=PATIENCE),
        fingerprint=hashlib.sha256(certificate).hexdigest(),
    )


def fingerprint(host: str, place: Place) -> str:
    """Which certificate is shown for a host there; empty when nothing answers with TLS."""
    try:
        return hashlib.sha256(_certificate(host, place)).hexdigest()
    except OSError:
        return ""


def _speaks(host: str, place: Place, version: int) -> bool:
    return accepts_version((place.address, place.port), host, version, timeout=PATIENCE)


def _certificate(host: str, place: Place) -> bytes:
    with _connect(host, place, _unjudging()) as connection:
        return connection.getpeercert(binary_form=True) or b""


def _distrust(host: str, place: Place) -> str:
    """Why this system's trust store, or the name, refuses the certificate; empty when neither does."""
    try:
        with _connect(host, place, ssl.create_default_context()):
            return ""
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except OSError as error:
        return str(error)


def _negotiates(host: str, place: Place, version: ssl.TLSVersion) -> bool:
    context = _unjudging()
    context.minimum_version = context.maximum_version = version
    try:
        with _connect(host, place, context):
            return True
    except OSError:
        return False


def _unjudging() -> ssl.SSLContext:
    """Takes whatever the server offers, as long as it shows a certificate: it is to be judged, not to be refused."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("ALL:eNULL:!aNULL:@SECLEVEL=0")
    return context


def _connect(host: str, place: Place, context: ssl.SSLContext) -> ssl.SSLSocket:
    plain = socket.create_connection((place.address, place.port), PATIENCE)
    try:
        return context.wrap_socket(plain, server_hostname=host)
    except BaseException:
        plain.close()
        raise

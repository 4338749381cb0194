"""Read, check and make certificates: what is in a PEM, whether a key belongs to it, and self-signed ones.

`cryptography` is loaded only when something here is called, so that commands without TLS start fast.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from havre.errors import Problem
from havre.host import clock

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

DAY = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a certificate says: for which names, from when until when (seconds since the epoch), by whom."""

    names: tuple[str, ...]
    not_before: float
    not_after: float
    issuer: str
    serial: int

    @property
    def lifetime(self) -> float:
        """For how many seconds it was made."""
        return self.not_after - self.not_before

    def days_left(self, now: float) -> float:
        """Days until it expires; negative afterwards."""
        return (self.not_after - now) / DAY


def covers(names: Sequence[str], host: str) -> bool:
    """True when a certificate for `names` is good for `host` (a wildcard covers one label)."""
    wildcard = "*." + host.split(".", 1)[1] if "." in host else ""
    return host.lower() in names or (not host.startswith("*.") and wildcard.lower() in names)


def read(pem: bytes) -> Contents:
    """What the first certificate in `pem` says; raises ValueError when there is none."""
    from cryptography import x509

    certificate = x509.load_pem_x509_certificate(pem)
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = tuple(name.lower() for name in alternative.get_values_for_type(x509.DNSName))
    except x509.ExtensionNotFound:
        names = ()
    return Contents(
        names=names,
        not_before=certificate.not_valid_before_utc.timestamp(),
        not_after=certificate.not_valid_after_utc.timestamp(),
        issuer=certificate.issuer.rfc4514_string(),
        serial=certificate.serial_number,
    )


def strength(pem: bytes) -> tuple[str, str]:
    """(kind and bits of the key, hash of the signature) of the first certificate in `pem`: `EC 256`, `sha256`."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    certificate = x509.load_pem_x509_certificate(pem)
    key, algorithm = certificate.public_key(), certificate.signature_hash_algorithm
    kinds = ((EllipticCurvePublicKey, "EC"), (RSAPublicKey, "RSA"))
    kind = next((name for type_, name in kinds if isinstance(key, type_)), type(key).__name__.strip("_"))
    return f"{kind} {getattr(key, 'key_size', '')}".strip(), algorithm.name if algorithm else "built in"


def problems(certificate: bytes, key: bytes, hosts: Sequence[str], *, subject: str) -> Iterator[Problem]:
    """Why HAProxy or a browser would not take this certificate and key for these hosts."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    try:
        contents, leaf = read(certificate), x509.load_pem_x509_certificate(certificate)
    except ValueError:
        yield _bad(subject, "the certificate is not PEM", "give the file with the full chain, leaf first")
        return
    try:
        private = load_pem_private_key(key, password=None)
    except (ValueError, TypeError):
        yield _bad(subject, "the key is not an unencrypted PEM key", "export it without a passphrase")
        return
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if private.public_key().public_bytes(*form) != leaf.public_key().public_bytes(*form):
        yield _bad(subject, "the key does not belong to the certificate", "give the key the certificate was made for")
    if contents.not_after <= clock.now():
        yield _bad(subject, "the certificate has expired", "install a current one")
    yield from _chain_problems(certificate, subject)
    missing = [host for host in hosts if not covers(contents.names, host)]
    if missing:
        names = ", ".join(contents.names) or "no name"
        yield _bad(subject, f"the certificate is not for {', '.join(missing)}", f"it is for {names}")


def _chain_problems(certificate: bytes, subject: str) -> Iterator[Problem]:
    """Visitors follow the chain from the leaf: each certificate must be signed by the one below it in the file."""
    from cryptography import exceptions, x509

    chain = x509.load_pem_x509_certificates(certificate)
    for number, (signed, signer) in enumerate(pairwise(chain), 1):
        try:
            signed.verify_directly_issued_by(signer)
        except (ValueError, TypeError, exceptions.InvalidSignature):
            summary = f"certificate {number + 1} in the file is not the one that signed certificate {number}"
            yield _bad(subject, summary, "put the leaf first, then each issuer of the one before (`fullchain.pem`)")


def self_signed(names: Sequence[str], *, days: int = 825) -> bytes:
    """A certificate and key (one PEM) that browsers ask about once: for local names."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import NameOID

    key = _new_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    begin = _utc(clock.now() - 3600)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return built.public_bytes(Encoding.PEM) + key_pem(key)


def new_key_pem() -> bytes:
    """A fresh private key for a certificate."""
    return key_pem(_new_key())


def key_pem(key: EllipticCurvePrivateKey) -> bytes:
    """A private key as PEM."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def joined(certificate: bytes, key: bytes) -> bytes:
    """Chain and key as the one PEM that HAProxy takes, without blank lines (they would end a command's payload)."""
    lines = [line for line in (certificate + b"\n" + key).splitlines() if line.strip()]
    return b"\n".join(lines) + b"\n"


def _new_key() -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _utc(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _bad(subject: str, summary: str, hint: str) -> Problem:
    return Problem(
        summary=summary, hint=hint, subject=subject, effect="the one in use stays in use", code="edge-certificate"
    )

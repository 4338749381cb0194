"""Passwords are stored as scrypt hashes, and sessions are tokens signed with JWT_SECRET (RFC 7519, HS256)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from typing import Any

COST = {"n": 2**14, "r": 8, "p": 1}
SESSION_SECONDS = 24 * 3600
HEADER = {"alg": "HS256", "typ": "JWT"}


def hash_password(password: str) -> str:
    """A salted hash; the salt and the method stand in front of it."""
    salt = secrets.token_bytes(16)
    return f"scrypt${salt.hex()}${hashlib.scrypt(password.encode(), salt=salt, **COST).hex()}"


def is_password(password: str, stored: str) -> bool:
    """Whether this password gave this hash."""
    _, salt, expected = stored.split("$")
    found = hashlib.scrypt(password.encode(), salt=bytes.fromhex(salt), **COST).hex()
    return hmac.compare_digest(found, expected)


def issue_token(email: str, secret: str) -> str:
    """A token that names its bearer for a day."""
    body = {"sub": email, "exp": int(time.time()) + SESSION_SECONDS}
    signed = f"{_encode(HEADER)}.{_encode(body)}"
    return f"{signed}.{_signature(signed, secret)}"


def bearer(token: str, secret: str) -> str | None:
    """Whom the token names; None when it was not signed by us, or has run out."""
    signed, _, signature = token.rpartition(".")
    if not hmac.compare_digest(_signature(signed, secret).encode(), signature.encode()):
        return None
    body = json.loads(base64.urlsafe_b64decode(signed.partition(".")[2] + "=="))
    return str(body["sub"]) if body["exp"] > time.time() else None


def _encode(value: dict[str, Any]) -> str:
    return _unpadded(json.dumps(value, separators=(",", ":")).encode())


def _signature(signed: str, secret: str) -> str:
    return _unpadded(hmac.digest(secret.encode(), signed.encode(), "sha256"))


def _unpadded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

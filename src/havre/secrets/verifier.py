"""A PostgreSQL password as its verifier (SCRAM-SHA-256), so that the password itself is in no statement and no log."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

ITERATIONS = 4096


def postgres_verifier(password: str, salt: bytes | None = None) -> str:
    """What `ALTER ROLE … PASSWORD` takes in the password's place (RFC 5803); ASCII only, which SASLprep leaves alone.

    Raises ValueError for other characters.
    """
    if not password.isascii():
        raise ValueError("a password with other than ASCII characters")
    salt = salt or secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    return f"SCRAM-SHA-256${ITERATIONS}:{_base64(salt)}${_base64(stored_key)}:{_base64(server_key)}"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()

"""A visitor who looks at the certificate that a name is shown."""

from __future__ import annotations

import socket
import ssl

from havre.edge import x509


def shown(port: int, name: str) -> x509.Contents:
    """The certificate that a visitor of `name` is shown."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=name) as secure,
    ):
        der = secure.getpeercert(binary_form=True)
        assert der is not None
        return x509.read(ssl.DER_cert_to_PEM_cert(der).encode())

"""Where DNS leads visitors: to this machine, to something that shows this machine's certificate, or elsewhere."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from havre.checks.launch.web import is_local
from havre.model.launch import NameAnswer
from havre.workflows.live.tls import Place, fingerprint

HTTPS = 443


def look_up(hosts: Sequence[str], ours: Sequence[str], edge: Place | None) -> tuple[NameAnswer, ...]:
    """Ask for each host that means something outside; wildcards have no address of their own."""
    return tuple(_look_up(host, ours, edge) for host in hosts if not is_local(host) and not host.startswith("*."))


def addresses_of(host: str) -> tuple[str, ...]:
    """The addresses that a visitor's machine would be told; raises OSError when there are none."""
    found = socket.getaddrinfo(host, HTTPS, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


def _look_up(host: str, ours: Sequence[str], edge: Place | None) -> NameAnswer:
    try:
        addresses = addresses_of(host)
    except OSError as error:
        return NameAnswer(host=host, error=f"{error.strerror or error}")
    strange = [address for address in addresses if address not in ours]
    return NameAnswer(host=host, addresses=addresses, reaches_us=not strange or _all_show_ours(host, strange, edge))


def _all_show_ours(host: str, addresses: Sequence[str], edge: Place | None) -> bool:
    """Behind NAT the address is another one, and the certificate is still the one of our edge."""
    own = fingerprint(host, edge) if edge else ""
    return bool(own) and all(fingerprint(host, Place(address, HTTPS)) == own for address in addresses)

"""Whether an address in DNS that is not one of ours leads here all the same: behind NAT it shows our certificate."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence

from havre.model.diagnosis import Names
from havre.workflows.live.tls import Place, fingerprint

HTTPS = 443


def addresses_of(host: str) -> tuple[str, ...]:
    """The addresses that this machine is told; raises OSError when there are none."""
    found = socket.getaddrinfo(host, HTTPS, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


def reached_all_the_same(found: Names, edge: Place | None) -> Iterator[str]:
    """The hosts that lead elsewhere by their addresses, and to the edge by the certificate that is shown there."""
    for answer in found.answers:
        strange = [address for address in answer.addresses if address not in found.own]
        if strange and edge is not None and _all_show_ours(answer.host, strange, edge):
            yield answer.host


def _all_show_ours(host: str, addresses: Sequence[str], edge: Place) -> bool:
    own = fingerprint(host, edge)
    return bool(own) and all(fingerprint(host, Place(address, HTTPS)) == own for address in addresses)

"""What DNS says of a host name, and what this machine's own hosts file says beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from havre.model.diagnosis import NameAnswer

if TYPE_CHECKING:
    from dns.resolver import Resolver

PATIENCE = 2.0
"""Seconds in which the resolvers must have answered."""

HOSTS = Path("/etc/hosts")


def look_up(host: str, resolvers: Sequence[str] = (), *, hosts: Path = HOSTS) -> NameAnswer:
    """The addresses of `host` in DNS, asked at `resolvers` (`ADDRESS` or `ADDRESS:PORT`), else at the system's own.

    What the hosts file says is told beside it: it holds for this machine alone, not for visitors.
    """
    import dns.exception
    import dns.resolver

    here = tuple(_in_hosts_file(host, hosts))
    try:
        resolver = _resolver(resolvers)
        found = (*_ask(resolver, host, "A"), *_ask(resolver, host, "AAAA"))
    except dns.resolver.NXDOMAIN:
        return NameAnswer(host=host, here=here, problem="no-record", detail="there is no such name")
    except dns.exception.DNSException as error:
        return NameAnswer(host=host, here=here, problem="resolver", detail=_words(resolver, error))
    if not found:
        return NameAnswer(
            host=host, here=here, problem="no-record", detail="the name has neither an A nor an AAAA record"
        )
    return NameAnswer(host=host, here=here, addresses=tuple(dict.fromkeys(found)))


def _resolver(resolvers: Sequence[str]) -> Resolver:
    import dns.nameserver
    import dns.resolver

    made = dns.resolver.Resolver(configure=not resolvers)
    made.lifetime = PATIENCE
    made.timeout = PATIENCE / 2
    if resolvers:
        pairs = [one.rpartition(":") if one.count(":") == 1 else (one, "", "53") for one in resolvers]
        made.nameservers = [dns.nameserver.Do53Nameserver(address, int(port)) for address, _, port in pairs]
    return made


def _ask(resolver: Resolver, host: str, kind: str) -> Iterator[str]:
    import dns.resolver

    try:
        yield from (record.to_text() for record in resolver.resolve(f"{host}.", kind, search=False))
    except dns.resolver.NoAnswer:
        return


def _words(resolver: Resolver, error: Exception) -> str:
    """Who was asked and what came of it, in one line."""
    import dns.exception

    asked = ", ".join(str(getattr(server, "address", server)) for server in resolver.nameservers)
    if isinstance(error, dns.exception.Timeout):
        return f"{asked}: no answer within {PATIENCE:g} s"
    return f"{asked}: {type(error).__name__}"


def _in_hosts_file(host: str, hosts: Path) -> Iterator[str]:
    for line in _read(hosts).splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        if host in names:
            yield address


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""

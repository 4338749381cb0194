"""What holds for this server as a whole: `server.yaml` in the state directory, all of it optional."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import ip_address, ip_network
from pathlib import Path

import msgspec

from havre.errors import InputError, Location, Problem
from havre.model.route import EdgeSettings

LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
STAGING = "https://acme-staging-v02.api.letsencrypt.org/directory"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """The keys of `server.yaml`.

    `http_port` and `https_port` are where the edge listens (0 for `https_port`: another proxy ends TLS);
    `trusted_proxies` are networks whose forwarded headers are believed; `reserve` is the memory in bytes kept
    free of apps, for the system; `addresses` are the public ones that lead here where the server itself does not have
    them (behind NAT, a load balancer, a CDN), `resolvers` the DNS servers to ask instead of the system's own.
    `acme_directory` is an address, or `staging` for Let's Encrypt's own tests.
    """

    http_port: int | None = None
    https_port: int | None = None
    bind: tuple[str, ...] = ("0.0.0.0",)  # noqa: S104 - an edge serves the outside
    trusted_proxies: tuple[str, ...] = ()
    metrics: str | None = None
    acme_email: str | None = None
    acme_directory: str = LETS_ENCRYPT
    acme_ca_file: str | None = None
    reserve: int | None = None
    backup_to: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    resolvers: tuple[str, ...] = ()

    def edge(self, *, is_root: bool) -> EdgeSettings:
        """The edge's part: ports 80 and 443 for root, 8080 and 8443 otherwise, unless told."""
        https = self.https_port if self.https_port is not None else (443 if is_root else 8443)
        return EdgeSettings(
            addresses=self.bind,
            http_port=self.http_port or (80 if is_root else 8080),
            https_port=https or None,
            trusted_proxies=self.trusted_proxies,
            metrics=self.metrics,
            nonlocal_bind=is_root,
            acme_email=self.acme_email,
            acme_directory=STAGING if self.acme_directory == "staging" else self.acme_directory,
            acme_ca_file=self.acme_ca_file,
        )


def read_settings(directory: Path) -> ServerSettings:
    """`server.yaml`, or the defaults without it; raises InputError with the place of what is wrong."""
    path = directory / "server.yaml"
    if not path.is_file():
        return ServerSettings()
    import yaml

    try:
        content = yaml.safe_load(path.read_text()) or {}
        known = set(ServerSettings.__dataclass_fields__)
        if isinstance(content, dict) and (unknown := [key for key in content if key not in known]):
            raise InputError([_unknown_key(path, str(key), known) for key in unknown])
        settings = msgspec.convert(content, ServerSettings)
    except (yaml.YAMLError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise InputError(_invalid(path, str(error))) from error
    if found := [_bad_value(path, name, value, wanted) for name, value, wanted in _bad_values(settings)]:
        raise InputError(found)
    return settings


def _bad_values(settings: ServerSettings) -> Iterator[tuple[str, object, str]]:
    """(key, value, what it should be): one wrong word here would keep the edge of all apps from starting."""
    ports = {"http_port": settings.http_port, "https_port": settings.https_port or None}
    for name, port in ports.items():
        if port is not None and not 0 < port < 65536:
            yield name, port, "a port from 1 to 65535"
    if settings.http_port and settings.http_port == settings.https_port:
        yield "https_port", settings.https_port, "another port than `http_port`"
    for value in settings.trusted_proxies:
        if not _is(ip_network, value):
            yield "trusted_proxies", value, "an address or network such as `10.0.0.0/8`"
    for name, values in (("bind", settings.bind), ("addresses", settings.addresses)):
        for value in values:
            if not _is(ip_address, value):
                yield name, value, "an address such as `203.0.113.7`"
    host, _, number = (settings.metrics or "127.0.0.1:1").rpartition(":")
    if not _is(ip_address, host.strip("[]")) or not number.isdigit():
        yield "metrics", settings.metrics, "an address and port such as `127.0.0.1:9101`"
    if settings.acme_directory != "staging" and not settings.acme_directory.startswith("https://"):
        yield "acme_directory", settings.acme_directory, "`staging` or an https address"


def _is(kind: Callable[..., object], text: str) -> bool:
    try:
        kind(text, strict=False) if kind is ip_network else kind(text)
    except ValueError:
        return False
    return True


def _bad_value(path: Path, name: str, value: object, wanted: str) -> Problem:
    return Problem(
        summary=f"`{name}`: `{value}` does not fit",
        at=Location(str(path)),
        effect="nothing was changed: the edge of all apps is made with this file",
        hint=f"write {wanted}",
        code="server-bad-value",
    )


def _unknown_key(path: Path, key: str, known: set[str]) -> Problem:
    close = get_close_matches(key, known, n=1)
    return Problem(
        summary=f"unknown key `{key}`",
        at=Location(str(path)),
        hint=f"did you mean `{close[0]}`?" if close else f"known keys: {', '.join(sorted(known))}",
        code="server-unknown-key",
    )


def _invalid(path: Path, error: str) -> Problem:
    return Problem(
        summary="the server's settings cannot be read",
        at=Location(str(path)),
        evidence=tuple(error.splitlines()),
        hint=f"correct that file; its keys are {', '.join(sorted(ServerSettings.__dataclass_fields__))}",
        code="server-settings",
    )

"""What holds for this server as a whole: `server.yaml` in the state directory, all of it optional."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
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
        return msgspec.convert(content, ServerSettings)
    except (yaml.YAMLError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise InputError(_invalid(path, str(error))) from error


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

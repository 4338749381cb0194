"""What holds for this server as a whole: `server.yaml` in the state directory, all of it optional."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from havre.compose.findings import Findings, fail
from havre.compose.tree import Map, Sources, spot_at, spot_base, spot_of
from havre.compose.yamltext import parse_documents
from havre.errors import InputError, Location
from havre.manifest.shapes import NETWORK, SIZE, TEXT, Items, Key, Record, Scalar, whole
from havre.manifest.validate import Reading
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
    """`server.yaml`, or the defaults without it; raises InputError with the place of everything that is wrong."""
    path = directory / "server.yaml"
    if not path.is_file():
        return ServerSettings()
    findings = Findings(Sources())
    try:
        values = _values(path, findings)
        findings.stop_on_errors()
    except InputError as error:
        raise InputError([replace(problem, effect=_EFFECT) for problem in error.problems]) from error
    return ServerSettings(**values)


def _values(path: Path, findings: Findings) -> Mapping[str, Any]:
    """What is written there, as the settings want it."""
    documents = parse_documents(path.read_bytes(), str(path), findings.sources, findings)
    if not documents:
        return {}
    root = documents[0].root
    if len(documents) > 1 or not isinstance(root, Map):
        hint = f"write `key: value` lines; its keys are {', '.join(SETTINGS.keys)}"
        raise fail(
            "must be one mapping of keys to values", hint=hint, at=Location(str(path), 1, 1), code="server-settings"
        )
    values: Mapping[str, Any] = Reading(findings).value(SETTINGS, root, (), spot_at(spot_base(1), 0, 0))
    _one_port_each(values, root, findings)
    return values


def _one_port_each(values: Mapping[str, Any], root: Map, findings: Findings) -> None:
    port = values.get("http_port")
    if port is not None and port == values.get("https_port"):
        summary, hint = f"`{port}` is the port of `http_port` already", "give one of them another port"
        spot = spot_of(root, "https_port")
        findings.error(summary, hint=hint, spot=spot, path=("https_port",), code="manifest-rule")


def _read_address(value: Any) -> str:
    try:
        ip_address(str(value))
    except ValueError:
        raise ValueError(f"`{value}` is not an address") from None
    return str(value)


def _read_network(value: Any) -> str:
    NETWORK.read(value)
    return str(value)


def _read_listener(value: Any) -> str:
    host, _, number = str(value).rpartition(":")
    try:
        ip_address(host.strip("[]"))
        _PORT.read(int(number))
    except ValueError:
        raise ValueError(f"`{value}` is not an address and a port") from None
    return str(value)


def _read_authority(value: Any) -> str:
    if isinstance(value, str) and (value == "staging" or value.startswith("https://")):
        return value
    raise ValueError(f"`{value}` is neither `staging` nor an https address")


def _read_reserve(value: Any) -> int:
    return 0 if str(value) == "0" else int(SIZE.read(value))


_EFFECT = "nothing was changed: the edge of all apps is made with this file"
_TEXT = {"type": "string"}
_PORT = replace(whole(1, 65535), example="`8080`")
_TLS_PORT = replace(whole(0, 65535), example="`443`, or `0` where another proxy ends TLS")
_NETWORK = replace(NETWORK, read=_read_network)
_ADDRESS = Scalar(name="address", read=_read_address, schema=_TEXT, example="`203.0.113.7`")
_LISTENER = Scalar(name="address and port", read=_read_listener, schema=_TEXT, example="`127.0.0.1:9101`")
_AUTHORITY = Scalar(
    name="authority", read=_read_authority, schema=_TEXT, example="`staging` or `https://ca.example.org/directory`"
)
_RESERVE = Scalar(name="size", read=_read_reserve, schema=SIZE.schema, example="`1GB`")
SETTINGS = Record(
    title="server",
    keys={
        "http_port": Key(_PORT, "Where the edge listens for HTTP."),
        "https_port": Key(_TLS_PORT, "Where it listens for TLS; 0: another proxy ends TLS."),
        "bind": Key(Items(_ADDRESS, one_ok=True), "The addresses it listens on."),
        "trusted_proxies": Key(Items(_NETWORK, one_ok=True), "Whose `X-Forwarded-*` headers are believed."),
        "metrics": Key(_LISTENER, "Where Prometheus reads."),
        "acme_email": Key(TEXT, "Whom the certificate authority writes to."),
        "acme_directory": Key(_AUTHORITY, "Another certificate authority."),
        "acme_ca_file": Key(TEXT, "Trust this authority for the ACME directory itself."),
        "reserve": Key(_RESERVE, "Memory kept free of apps."),
        "backup_to": Key(Items(TEXT, one_ok=True), "Where backups of all apps go."),
        "addresses": Key(Items(_ADDRESS, one_ok=True), "Public addresses that lead here from elsewhere."),
        "resolvers": Key(Items(TEXT, one_ok=True), "DNS servers to ask for the hosts of routes."),
    },
)
"""What may stand in `server.yaml`."""

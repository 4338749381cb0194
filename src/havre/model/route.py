"""What the edge must serve: routes, published ports, inside listeners and the replicas behind them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

Endpoint: TypeAlias = tuple[str, int]
"""A service and the port it listens on inside its replicas."""

SECURITY_HEADERS: tuple[tuple[str, str], ...] = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "strict-origin-when-cross-origin"),
)
"""Added to every answer that does not carry them already; a route's `headers` adjust them."""

STRICT_TRANSPORT = ("Strict-Transport-Security", "max-age=31536000")
"""Added only to answers that travel over TLS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """At most `count` requests in any `period` seconds, per client address."""

    count: int
    period: int = 60

    def __str__(self) -> str:
        named = {1: "second", 60: "minute", 3600: "hour", 86400: "day"}
        return f"{self.count}/{named.get(self.period, f'{self.period}s')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A host and a path prefix, and where requests for them go.

    `path` matches whole segments (`/api` matches `/api` and `/api/x`, never `/apix`); the longest wins.
    Either `service` and `port` say who answers, or `redirect_to` is an absolute address whose path is
    followed by the request's own. Times are in seconds, sizes in bytes; None means no limit of the route's own.
    """

    host: str
    path: str = "/"
    service: str = ""
    port: int = 0
    redirect_to: str | None = None
    strip_prefix: bool = False
    timeout: float | None = None
    """How long the service may take to begin its answer, and be silent within it (default 60)."""
    tunnel_timeout: float | None = None
    """How long a websocket may be silent (default 3600)."""
    balance: Literal["leastconn", "roundrobin"] = "leastconn"
    sticky: bool = False
    """Keep a browser on the replica that answered it first, by a cookie."""
    rate_limit: RateLimit | None = None
    max_body: int | None = None
    basic_auth: tuple[tuple[str, str], ...] = ()
    """(user, crypt hash such as `$6$…`); never a password in the clear."""
    allow: tuple[str, ...] = ()
    """Addresses and networks that may use the route; empty means everybody."""
    headers: tuple[tuple[str, str | None], ...] = ()
    """Answer headers to set; None removes one that would be there by default."""
    cache_ttl: int | None = None
    compress: bool = False
    maintenance: bool = False
    https_redirect: bool = True

    @property
    def endpoint(self) -> Endpoint:
        """Who answers."""
        return (self.service, self.port)

    def __str__(self) -> str:
        target = self.redirect_to or f"{self.service}:{self.port}"
        return f"{self.host}{self.path} to {target}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpPort:
    """A port that the Compose file publishes, served by the edge in TCP mode (D7)."""

    address: str
    port: int
    service: str
    target: int

    @property
    def endpoint(self) -> Endpoint:
        """Who answers."""
        return (self.service, self.target)

    def __str__(self) -> str:
        return f"{self.address}:{self.port} to {self.service}:{self.target}"


@dataclass(frozen=True, slots=True, kw_only=True)
class InsideListener:
    """Where the app's own services reach a service that rolls (D8): on the app network's gateway, or on loopback.

    `http` moves single requests at a release; `tcp` (other protocols) moves whole connections.
    """

    address: str
    port: int
    service: str
    target: int
    protocol: Literal["http", "tcp"] = "http"

    @property
    def endpoint(self) -> Endpoint:
        """Who answers."""
        return (self.service, self.target)

    def __str__(self) -> str:
        return f"{self.address}:{self.port} to {self.service}:{self.target} ({self.protocol}, inside)"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Upstream:
    """A replica as the edge reaches it; `name` is unique within its service (`web.2`)."""

    name: str
    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.name} at {self.address}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How an app's hosts get their certificates; `off` means another proxy ends TLS.

    `certificate` and `key` are paths of PEM files (mode `own`); `dns_hook` is a command for DNS-01.
    """

    mode: Literal["acme", "own", "self-signed", "off"] = "off"
    certificate: str | None = None
    key: str | None = None
    dns_hook: str | None = None
    is_in_front: bool = False
    """Another proxy ends TLS for the whole server: who came without, by its word, is sent to https all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppEdge:
    """Everything the edge must do for one instance."""

    instance: str
    routes: tuple[Route, ...] = ()
    tcp_ports: tuple[TcpPort, ...] = ()
    inside: tuple[InsideListener, ...] = ()
    upstreams: tuple[tuple[Endpoint, tuple[Upstream, ...]], ...] = ()
    tls: Tls = Tls()
    hold_limit: float = 15.0
    """How long a request waits for a stop-first service before it fails, in seconds."""

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Every (service, port) that something leads to, or that has replicas, in order."""
        led = [route.endpoint for route in self.routes if route.redirect_to is None]
        led += [port.endpoint for port in self.tcp_ports]
        led += [listener.endpoint for listener in self.inside]
        return tuple(sorted({*led, *(endpoint for endpoint, _ in self.upstreams)}))

    @property
    def hosts(self) -> tuple[str, ...]:
        """The host names it answers for, in order."""
        return tuple(sorted({route.host for route in self.routes}))

    def replicas(self, endpoint: Endpoint) -> tuple[Upstream, ...]:
        """The replicas that answer for `endpoint`."""
        return next((replicas for key, replicas in self.upstreams if key == endpoint), ())


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeSettings:
    """What holds for the whole edge of a server."""

    addresses: tuple[str, ...] = ("0.0.0.0",)  # noqa: S104 - an edge serves the outside
    http_port: int = 80
    https_port: int | None = 443
    """None: the edge does not end TLS (another proxy does)."""
    trusted_proxies: tuple[str, ...] = ()
    """Networks whose forwarded headers are believed: the front proxy, the CDN's ranges."""
    metrics: str | None = None
    """`address:port` for Prometheus, or None."""
    max_connections: int = 4000
    threads: int | None = None
    spare_backends: int = 16
    nonlocal_bind: bool = False
    """Listen on addresses that do not exist yet (needs root): networks may come up after the edge."""
    acme_email: str | None = None
    acme_directory: str = "https://acme-v02.api.letsencrypt.org/directory"
    acme_ca_file: str | None = None
    """Trust this authority for the ACME directory itself (private authorities, tests)."""


def route_for(host: str, path: str, routes: Iterable[Route]) -> Route | None:
    """The route that the edge finds for a request: of the exact host, else of its wildcard, the longest path.

    A query may follow `path`.
    """
    listed = [route for route in routes if _is_below(path.partition("?")[0], route.path)]
    for name in (host.lower(), f"*.{host.lower().partition('.')[2]}"):
        if found := [route for route in listed if route.host.lower() == name]:
            return max(found, key=lambda route: len(route.path))
    return None


def _is_below(path: str, prefix: str) -> bool:
    return f"{path.rstrip('/')}/".startswith(f"{prefix.rstrip('/')}/")

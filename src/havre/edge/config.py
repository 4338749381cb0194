"""The part of HAProxy's configuration that all apps share: how requests come in, find their route and are logged.

Everything that is particular to a route and changes often (where it leads, limits, redirects, maintenance) is
looked up in a map, so that it can change without a reload; see `maps` for the map's fields.
"""

from __future__ import annotations

from havre.edge.fields import (
    BACKEND,
    BODY,
    BOUNDED,
    HAS_HEADERS,
    IS_FOR_HTTPS,
    KEY,
    LIMIT,
    LOG,
    MAINTENANCE,
    PERIOD,
    REDIRECT,
    SECURE,
)
from havre.edge.holding import HOLD_LIMIT, gates, retries, variables
from havre.edge.layout import Layout
from havre.edge.names import HTTP, NO_REPEAT, TCP
from havre.edge.state import Pool
from havre.edge.text import lines, literal
from havre.model.route import SECURITY_HEADERS, STRICT_TRANSPORT, EdgeSettings

_WEB = "web"
_BODY_WITHOUT_LENGTH = "!{ method GET HEAD OPTIONS } !{ req.hdr(content-length) -m found }"
_READ_FIRST = "  http-request wait-for-body time 60s if { fc_http_major 2 } { req.hdr_val(content-length) 1:15000 }"
"""HAProxy 2.6 resets an HTTP/2 stream that it answers before the body has come: clients drop that answer (0012)."""
_BY_THE_EDGE = "  http-request unset-var(txn.adjusted)"
"""In backends that answer instead of the route's own, which would have set its headers."""
_ACCESS_LOG = (
    '{"ts":"%[date(0,ms)]","id":"%[var(txn.id)]","ip":"IP","method":"%HM",'
    '"host":"%[var(txn.host),json(utf8s)]","path":"%[capture.req.uri,json(utf8s)]","proto":"%HV","status":%ST,'
    '"bytes":%B,"scheme":"%[var(txn.proto)]","app":"%[var(txn.route),field(LOG,|)]",'
    '"server":"%s","tw":%Tw,"tc":%Tc,"tr":%Tr,"ta":%Ta,"state":"%tsc","retries":"%rc"}'
)


def base(settings: EdgeSettings, layout: Layout, pool: Pool) -> str:
    """The base file: `global`, defaults, rate-limit tables, the cache and the public frontend."""
    return "\n".join(
        [
            _global(settings, layout, pool),
            _defaults(),
            _shared(layout, pool),
            _answering_backends(settings, layout),
            _frontend(settings, layout, pool),
            _counting_frontend(layout),
            gates(settings, layout, pool),
            *([_metrics(settings.metrics)] if settings.metrics else []),
        ]
    )


def binds(settings: EdgeSettings, port: int) -> list[str]:
    """The addresses of a public port."""
    shown = [f"[{address}]" if ":" in address else address for address in settings.addresses]
    return [f"{address}:{port}" + (" v6only" if ":" in address else "") for address in shown]


def rate_table(period: int) -> str:
    """The name of the table that counts over `period` seconds."""
    return f"rate_{period}"


def _global(settings: EdgeSettings, layout: Layout, pool: Pool) -> str:
    return lines(
        "global",
        f"  description generation-{pool.generation}",
        "  localpeer local",
        "  log stdout len 8192 format raw local0",
        f"  stats socket {layout.admin_socket} mode 600 level admin expose-fd listeners",
        "  stats timeout 60s",
        "  stats maxconn 20",
        "  hard-stop-after 15m",
        f"  maxconn {settings.max_connections}",
        "  no strict-limits",
        [f"  nbthread {settings.threads}"] if settings.threads else [],
        "  ssl-default-bind-options ssl-min-ver TLSv1.2",
        "  tune.ssl.default-dh-param 2048",
        "  tune.pattern.cache-size 0",
        f"  lua-load-per-thread {layout.body_limit}",
        f"  lua-load-per-thread {layout.hold}",
        variables(settings, layout, pool),
    )


def _defaults() -> str:
    shared = [
        "  timeout connect 250ms",
        "  timeout queue 10s",
        f"  retries {retries(HOLD_LIMIT)}",
        "  option redispatch 1",
        "  default-server check inter 2s fall 2 rise 1 init-addr none",
    ]
    return lines(
        f"defaults {HTTP}",
        "  mode http",
        shared,
        "  timeout client 60s",
        "  timeout server 60s",
        "  timeout http-request 10s",
        "  timeout http-keep-alive 15s",
        "  timeout tunnel 1h",
        "  retry-on conn-failure empty-response",
        "  http-reuse safe",
        "  option idle-close-on-response",
        "  option dontlognull",
        "",
        f"defaults {TCP}",
        "  mode tcp",
        shared,
        "  timeout client 24h",
        "  timeout server 24h",
        "  option clitcpka",
        "  option srvtcpka",
    )


def _shared(layout: Layout, pool: Pool) -> str:
    return lines(
        "peers havre",
        f"  bind unix@{layout.peers_socket}",
        "  server local",
        "",
        [line for period in pool.periods for line in _rate_table(period)],
        "cache havre",
        "  total-max-size 64",
        "  max-object-size 1000000",
        "  max-age 86400",
        "  process-vary on",
    )


def _rate_table(period: int) -> list[str]:
    return [
        f"backend {rate_table(period)} from {HTTP}",
        (
            f"  stick-table type string len 160 size 100k expire {2 * period}s peers havre"
            f" store gpc0,gpc0_rate({period}s)"
        ),
        "",
    ]


def _frontend(settings: EdgeSettings, layout: Layout, pool: Pool) -> str:
    return lines(
        f"frontend {_WEB} from {HTTP}",
        [f"  bind {bind}" for bind in binds(settings, settings.http_port)],
        _tls_binds(settings, layout),
        f"  log-format {literal(_access_log(settings))}",
        "  unique-id-format %b",
        "  log global",
        _READ_FIRST,
        _who_asks(settings),
        _challenge(pool),
        _find_route(layout),
        _limits(settings, pool),
        _forward(settings),
        _answer_headers(),
        _to_tls(settings),
        f"  use_backend {BOUNDED} if {{ req.hdr(transfer-encoding) -m found }} {{ var(txn.most) -m found }}",
        f"  use_backend {BOUNDED} if {{ fc_http_major 2 }} {{ var(txn.most) -m found }} {_BODY_WITHOUT_LENGTH}",
        f"  use_backend %[var(txn.route),field({BACKEND},|)]",
        "  default_backend havre.nothing",
    )


def _tls_binds(settings: EdgeSettings, layout: Layout) -> list[str]:
    if settings.https_port is None:
        return []
    tail = f"ssl crt-list {layout.certificate_list} alpn h2,http/1.1"
    return [f"  bind {bind} {tail}" for bind in binds(settings, settings.https_port)]


def _who_asks(settings: EdgeSettings) -> list[str]:
    """The client's address, scheme and request id; forwarded headers count only from trusted proxies.

    Each hop is believed only when the one nearer to us is trusted, so a visitor cannot invent an address.
    """
    plain = ["  http-request set-var(txn.proto) ssl_fc,iif(https,http)", "  http-request set-var(txn.id) uuid"]
    if not settings.trusted_proxies:
        return [*_as_text("tcp-request session", "sess"), *plain]
    trusted = " ".join(settings.trusted_proxies)
    forwarded = "req.hdr(x-forwarded-"
    hops = ["  http-request set-var(txn.hop1) req.hdr_ip(x-forwarded-for,-1) if from_proxy"]
    for depth in (2, 3, 4):
        condition = f"{{ var(txn.hop{depth - 1}) -m ip {trusted} }}"
        hops.append(f"  http-request set-var(txn.hop{depth}) req.hdr_ip(x-forwarded-for,-{depth}) if {condition}")
    return [
        f"  acl from_proxy src {trusted}",
        *plain,
        "  http-request set-var(txn.outer) req.hdr(host)",
        (
            "  http-request set-var(txn.id) req.hdr(x-request-id) if from_proxy"
            " { req.hdr(x-request-id) -m reg ^[A-Za-z0-9._-]{8,64}$ }"
        ),
        (
            f"  http-request set-var(txn.said) {forwarded}proto),lower if from_proxy"
            f" {{ {forwarded}proto),lower -m str http https }}"
        ),
        "  http-request set-var(txn.proto) var(txn.said) if { var(txn.said) -m found }",
        f"  http-request set-var(txn.outer) {forwarded}host) if from_proxy {{ {forwarded}host) -m found }}",
        *hops,
        *[
            f"  http-request set-src var(txn.hop{depth}) if {{ var(txn.hop{depth}) -m found }}"
            for depth in (1, 2, 3, 4)
        ],
        *_as_text("http-request", "txn"),
    ]


def _as_text(when: str, scope: str) -> list[str]:
    """Keep the client's address, and its network, as text: HAProxy would write it anew wherever it is wanted.

    Who has an IPv6 address has a whole /64 of them, so that network counts as one client.
    """
    return [
        f"  {when} set-var({scope}.ip) src,lower",
        f"  {when} set-var({scope}.net) src,ipmask(32,64),lower",
    ]


def _scope(settings: EdgeSettings) -> str:
    """How long a client's address is known: behind other proxies, each request may come from another."""
    return "txn" if settings.trusted_proxies else "sess"


def _access_log(settings: EdgeSettings) -> str:
    """A request that is refused before our rules has only what its connection has."""
    address = "%ci" if settings.trusted_proxies else "%[var(sess.ip)]"
    return _ACCESS_LOG.replace("LOG", str(LOG)).replace("IP", address)


def _challenge(pool: Pool) -> list[str]:
    if pool.thumbprint is None:
        return []
    answer = literal(f"%[path,field(4,/)].{pool.thumbprint}")
    return [
        (
            f"  http-request return status 200 content-type text/plain lf-string {answer}"
            r" if { path_beg /.well-known/acme-challenge/ }"
            r" { path -m reg ^/\.well-known/acme-challenge/[A-Za-z0-9_-]+$ }"
        )
    ]


def _find_route(layout: Layout) -> list[str]:
    """Exact host, else its wildcard; the longest path prefix by whole segments wins.

    The path is looked up as the service will understand it (decoded, slashes joined), and one with dot segments is
    refused: otherwise `//admin` or `/%61dmin` would slip past the limits and logins of `/admin`.
    """
    lookup = f"concat(,txn.path,/),map_beg({layout.routes})"
    return [
        "  http-request set-var(txn.host) req.hdr(host),field(1,:),lower",
        "  http-request set-var(txn.path) path",
        "  http-request set-var(txn.odd) path if { path -m sub % // /. }",
        "  http-request set-var(txn.path) var(txn.odd),url_dec,'regsub(//+,/,g)' if { var(txn.odd) -m found }",
        "  http-request deny deny_status 400 if { var(txn.odd) -m found } { var(txn.path) -m reg /[.][.]?(/|$) }",
        f"  http-request set-var(txn.route) var(txn.host),{lookup}",
        (
            f"  http-request set-var(txn.route) var(txn.host),'regsub(^[^.]+,*)',{lookup}"
            " if !{ var(txn.route) -m found }"
        ),
    ]


def _to_tls(settings: EdgeSettings) -> list[str]:
    """Send visitors without TLS to https.

    Where another proxy ends TLS, only its own word counts: without it we would send visitors who are on https
    already round in circles.
    """
    if settings.https_port is None and not settings.trusted_proxies:
        return []
    word = "txn.proto" if settings.https_port else "txn.said"
    return [f"  use_backend {SECURE} if {IS_FOR_HTTPS} {{ var({word}) -m str http }}"]


def _answering_backends(settings: EdgeSettings, layout: Layout) -> str:
    """Backends without servers: they answer by themselves."""
    port = "" if settings.https_port in {None, 443} else f":{settings.https_port}"
    secure = f"location 'https://%[var(txn.host)]{port}%[capture.req.uri]'"
    target = "prefix " + literal(f"%[{KEY},map_str({layout.redirects})]")
    page = f"content-type 'text/html; charset=utf-8' file {layout.maintenance_page}"
    return lines(
        f"backend {SECURE} from {HTTP}",
        _BY_THE_EDGE,
        f"  http-request redirect {secure} code 308 if !{{ method GET HEAD }}",
        f"  http-request redirect {secure} code 301",
        "",
        f"backend {REDIRECT} from {HTTP}",
        _BY_THE_EDGE,
        f"  http-request redirect {target} code 308 if !{{ method GET HEAD }}",
        f"  http-request redirect {target} code 301",
        "",
        f"backend {MAINTENANCE} from {HTTP}",
        _BY_THE_EDGE,
        f"  http-request return status 503 {page} hdr Retry-After 120 hdr Cache-Control no-store",
        "",
        f"backend {BOUNDED} from {HTTP}",
        f"  errorfile 502 {layout.too_large}",
        f"  server again unix@{layout.bounded_socket}",
        "",
        f"backend havre.nothing from {HTTP}",
        '  http-request return status 404 content-type text/plain string "nothing is served under this name\\n"',
    )


def _limits(settings: EdgeSettings, pool: Pool) -> list[str]:
    """Refused requests are not counted, so a client that keeps asking still gets its share.

    A comparison with a limit that the route does not have is false.
    """
    network = f"{_scope(settings)}.net"
    limited = "{ var(txn.limit) -m found }"
    rules = [
        f"  http-request set-var(txn.limit) var(txn.route),field({LIMIT},|),add(0)",
        f"  http-request set-var(txn.key) {literal(KEY)} if {limited}",
    ]
    for period in pool.periods:
        table = rate_table(period)
        only = "" if len(pool.periods) == 1 else f" {{ var(txn.route),field({PERIOD},|) -m str {period} }}"
        rules += [
            f"  http-request track-sc0 var({network}),concat(|,txn.key) table {table} if {limited}{only}",
            (
                f"  http-request deny deny_status 429 hdr Retry-After {period} if"
                f"{only} {{ sc0_gpc0_rate({table}),sub(txn.limit) ge 0 }}"
            ),
        ]
    return [
        *rules,
        "  http-request sc-inc-gpc0(0)",
        f"  http-request set-var(txn.most) var(txn.route),field({BODY},|),add(0)",
        "  http-request deny deny_status 413 if { req.body_size,sub(txn.most) gt 0 }",
    ]


def _counting_frontend(layout: Layout) -> str:
    """Where bodies of unknown length (chunked, HTTP/2) are counted as they pass, by a Lua filter.

    The filter doubles the cost of a request, so only those that need it come here, through a socket of ours. What
    the service answers passes as it is; an end without an answer can only be the filter's, hence the 413 for it.
    """
    return lines(
        f"frontend bounded from {HTTP}",
        f"  bind unix@{layout.bounded_socket} mode 600",
        "  no log",
        "  filter lua.bodylimit",
        "  unique-id-format %b",
        "  http-request set-src req.hdr(x-real-ip)",
        "  http-request set-var(txn.proto) req.hdr(x-forwarded-proto)",
        _find_route(layout),
        f"  http-request set-var(txn.stream) var(txn.route),field({BODY},|),add(0)",
        NO_REPEAT,
        f"  use_backend %[var(txn.route),field({BACKEND},|)]",
        "  default_backend havre.nothing",
    )


def _forward(settings: EdgeSettings) -> list[str]:
    """What the service learns about the visitor; whatever a stranger claimed about himself is gone."""
    outer = "var(txn.outer)" if settings.trusted_proxies else "req.hdr(host)"
    address = f"{_scope(settings)}.ip"
    return [
        NO_REPEAT,
        "  http-request del-header x-forwarded- -m beg",
        "  http-request del-header forwarded",
        "  http-request set-header x-request-id %[var(txn.id)]",
        f"  http-request set-header x-real-ip %[var({address})]",
        f"  http-request add-header x-forwarded-for %[var({address})]",
        "  http-request add-header x-forwarded-proto %[var(txn.proto)]",
        f"  http-request add-header x-forwarded-host %[{outer}]",
        f"  http-request set-var(txn.adjusted) bool(true) if {HAS_HEADERS}",
    ]


def _answer_headers() -> list[str]:
    """The default ones, unless the route's own backend has set those of the route."""

    def added(name: str, value: str, condition: str = "") -> str:
        when = f"!{{ var(txn.adjusted) -m found }}{condition} !{{ res.hdr({name}) -m found }}"
        return f"  http-after-response add-header {name} {literal(value)} if {when}"

    return [
        "  http-after-response set-header X-Request-Id %[var(txn.id)]",
        *[added(name, value) for name, value in SECURITY_HEADERS],
        added(*STRICT_TRANSPORT, " { var(txn.proto) -m str https }"),
    ]


def _metrics(address: str) -> str:
    return lines(
        f"frontend metrics from {HTTP}",
        f"  bind {address}",
        "  no log",
        "  http-request use-service prometheus-exporter if { path /metrics }",
        "  http-request return status 404",
    )

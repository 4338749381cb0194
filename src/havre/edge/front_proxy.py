"""Vhosts for a Caddy or nginx that already owns ports 80 and 443 of a server and passes visitors on to the edge.

The front proxy ends TLS and forwards; limits, caching and releases stay with the edge. It must be listed in the
edge's `trusted_proxies`, or its forwarded headers are not believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from havre.model.route import AppEdge


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """Where the front proxy reaches the edge, and (nginx) where it finds each host's certificate.

    `certificate` and `key` may contain `{host}`. `proxies` are networks of proxies before it (a CDN), whose word about
    the visitor it is to pass on; the edge believes only those that it trusts itself.
    """

    edge: str = "127.0.0.1:8080"
    certificate: str = "/etc/letsencrypt/live/{host}/fullchain.pem"
    key: str = "/etc/letsencrypt/live/{host}/privkey.pem"
    proxies: tuple[str, ...] = ()


def caddyfile(app: AppEdge, front: Front) -> str:
    """A Caddyfile fragment: Caddy gets the certificates itself and passes everything on."""
    blocks = [_caddy_host(app.hosts, front)] if app.hosts else []
    return f"# {app.instance}: made by `havre export caddy`\n" + "\n".join(blocks)


def nginx_conf(app: AppEdge, front: Front) -> str:
    """Server blocks for the `http` context of nginx, with the redirect from plain HTTP."""
    head = (
        f"# {app.instance}: made by `havre export nginx`\n"
        f"map $http_upgrade ${_variable(app)} {{\n    default upgrade;\n    ''      '';\n}}\n"
    )
    return "\n".join([head, *[_nginx_host(app, host, front) for host in app.hosts]])


def _caddy_host(hosts: Sequence[str], front: Front) -> str:
    """`flush_interval -1` lets server-sent events through at once."""
    believed = f"\t\ttrusted_proxies {' '.join(front.proxies)}\n" if front.proxies else ""
    return (
        f"{', '.join(hosts)} {{\n"
        f"\treverse_proxy {front.edge} {{\n"
        f"{believed}"
        "\t\theader_up X-Real-IP {remote_host}\n"
        "\t\tflush_interval -1\n"
        "\t}\n"
        "}\n"
    )


def _nginx_host(app: AppEdge, host: str, front: Front) -> str:
    largest = _largest_body(app, host)
    return f"""\
server {{
    listen 80;
    listen [::]:80;
    server_name {host};
    return 301 https://$host$request_uri;
}}

server {{
    listen 443 ssl http2;
    listen [::]:443 ssl http2;
    server_name {host};
    ssl_certificate     {front.certificate.format(host=_file_name(host))};
    ssl_certificate_key {front.key.format(host=_file_name(host))};
    client_max_body_size {largest};

    location / {{
        proxy_pass http://{front.edge};
        proxy_http_version 1.1;
        proxy_set_header Host $host;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Forwarded-Host $host;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection ${_variable(app)};
        proxy_buffering off;
        proxy_request_buffering off;
        proxy_read_timeout 1h;
    }}
}}
"""


def _largest_body(app: AppEdge, host: str) -> str:
    """The edge decides; nginx (1 MB by default) must only not refuse first. 0 means no limit."""
    limits = [route.max_body for route in app.routes if route.host == host]
    known = [limit for limit in limits if limit is not None]
    return str(max(known)) if known and len(known) == len(limits) else "0"


def _variable(app: AppEdge) -> str:
    return "havre_" + "".join(letter if letter.isalnum() else "_" for letter in app.instance)


def _file_name(host: str) -> str:
    return host.removeprefix("*.")

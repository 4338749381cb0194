"""Behind Caddy or nginx: the exported vhosts are accepted by the real binaries, and lead visitors to the edge."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from havre.edge import x509
from havre.edge.front_proxy import Front, caddyfile, nginx_conf
from havre.host.commands import find_program, run
from havre.model.app import App, TlsPolicy
from havre.model.project import Project
from havre.model.route import AppEdge, Route, Tls
from havre.workflows.routing import Inside, app_edge

pytestmark = pytest.mark.process
WEB = ("web", 3000)


def shop(*hosts: str, max_body: int | None = None) -> AppEdge:
    routes = tuple(Route(host=host, service="web", port=3000, max_body=max_body) for host in hosts)
    return AppEdge(instance="shop-staging", routes=routes, tls=Tls(mode="off"))


def nginx_files(directory: Path, app: AppEdge, edge: str) -> tuple[Path, str]:
    """A whole nginx.conf around the exported vhost, and the vhost."""
    pem = directory / "shop.pem"
    pem.write_bytes(x509.self_signed(app.hosts))
    vhost = nginx_conf(app, Front(edge=edge, certificate=str(pem), key=str(pem)))
    path = directory / "nginx.conf"
    logs = f"error_log {directory}/error.log; pid {directory}/nginx.pid;"
    temporary = "".join(
        f"{kind}_temp_path {directory}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    path.write_text(f"{logs} events {{}}\nhttp {{ access_log off; {temporary}\n{vhost}}}\n")
    return path, vhost


@pytest.mark.skipif(find_program("nginx") is None, reason="needs nginx (apt-get install nginx-light)")
def test_nginx_accepts_the_exported_vhost(tmp_path: Path) -> None:
    path, _ = nginx_files(tmp_path, shop("shop.example", "*.eu.example", max_body=20_000_000), "127.0.0.1:8080")
    done = run(["nginx", "-t", "-c", str(path)], check=False)
    assert (done.exit_code, "test is successful" in done.stderr) == (0, True), done.stderr


@pytest.mark.skipif(find_program("caddy") is None, reason="needs caddy (apt-get install caddy)")
def test_caddy_accepts_the_exported_vhost(tmp_path: Path) -> None:
    path = tmp_path / "Caddyfile"
    path.write_text(caddyfile(shop("shop.example", "www.shop.example"), Front()))
    done = run(["caddy", "validate", "--adapter", "caddyfile", "--config", str(path)], check=False)
    assert "Valid configuration" in done.stdout + done.stderr, done.stderr


@pytest.mark.skipif(find_program("nginx") is None, reason="needs nginx (apt-get install nginx-light)")
def test_visitors_behind_nginx_reach_the_service_as_themselves(
    make_world: Any, tmp_path: Path, unused_port: Callable[[], int]
) -> None:
    world = make_world(trusted_proxies=("127.0.0.1/32",))
    app = shop("shop.example")
    replica = world.replica("web.1")
    world.edge.apply(AppEdge(instance="shop", routes=app.routes, upstreams=((WEB, (replica.upstream,)),)))
    path, vhost = nginx_files(tmp_path, app, f"127.0.0.1:{world.port}")
    plain, secure = unused_port(), unused_port()
    here = vhost.replace("listen 80;", f"listen 127.0.0.1:{plain};").replace("listen [::]:80;", "")
    here = here.replace("listen 443 ssl", f"listen 127.0.0.1:{secure} ssl").replace("listen [::]:443 ssl http2;", "")
    path.write_text(path.read_text().replace(vhost, here))
    server = subprocess.Popen([shutil.which("nginx") or "/usr/sbin/nginx", "-c", str(path), "-g", "daemon off;"])
    try:
        time.sleep(0.5)
        resolve = ["--resolve", f"shop.example:{secure}:127.0.0.1"]
        answer = run(["curl", "-sk", *resolve, "--interface", "127.0.0.1", f"https://shop.example:{secure}/a?b"])
        assert '"x-forwarded-proto": "https"' in answer.stdout
        assert '"x-forwarded-for": "127.0.0.1"' in answer.stdout
        assert '"host": "shop.example"' in answer.stdout
        forged = ["--interface", "127.0.0.8", "-H", "X-Forwarded-For: 203.0.113.7"]
        answer = run(["curl", "-sk", *resolve, *forged, f"https://shop.example:{secure}/"])
        assert '"x-forwarded-for": "127.0.0.8"' in answer.stdout, "what a visitor says about himself is not believed"
        told = ["-o", "/dev/null", "-w", "%{http_code} %{redirect_url}", "-H", "Host: shop.example"]
        redirected = run(["curl", "-s", *told, f"http://127.0.0.1:{plain}/a"])
        assert redirected.stdout == "301 https://shop.example/a"
    finally:
        server.terminate()
        server.wait(5)


@pytest.mark.skipif(find_program("caddy") is None, reason="needs caddy (apt-get install caddy)")
@pytest.mark.parametrize(
    ("proxies", "client"),
    [(("127.0.0.1/32",), "127.0.0.9"), (("127.0.0.1/32", "127.0.0.9/32"), "203.0.113.7")],
    ids=["visitor", "cdn"],
)
def test_visitors_behind_caddy_and_a_cdn_reach_the_service_as_themselves(
    make_world: Any, home: Path, unused_port: Callable[[], int], proxies: tuple[str, ...], client: str
) -> None:
    """127.0.0.9 is a visitor who forges his address, or a CDN that tells it: only a trusted one is believed."""
    world = make_world(trusted_proxies=proxies)
    app = shop("shop.localhost")
    replica = world.replica("web.1")
    world.edge.apply(AppEdge(instance="shop", routes=app.routes, upstreams=((WEB, (replica.upstream,)),)))
    plain, secure = unused_port(), unused_port()
    ports = f"{{\n\tadmin off\n\tskip_install_trust\n\thttp_port {plain}\n\thttps_port {secure}\n}}\n"
    (home / "Caddyfile").write_text(ports + caddyfile(app, Front(edge=f"127.0.0.1:{world.port}", proxies=proxies)))
    argv = [find_program("caddy") or "caddy", "run", "--adapter", "caddyfile", "--config", str(home / "Caddyfile")]
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin"}
    with (home / "caddy.log").open("wb") as log:
        server = subprocess.Popen(argv, env=environment, stdout=log, stderr=log)
    try:
        resolve = ["--resolve", f"shop.localhost:{secure}:127.0.0.1", "--interface", "127.0.0.9", "--retry", "20"]
        said = ["--retry-connrefused", "--retry-delay", "1", "-H", "X-Forwarded-For: 203.0.113.7"]
        answer = run(["curl", "-skL", *resolve, *said, f"https://shop.localhost:{secure}/a?b"])
        assert f'"x-forwarded-for": "{client}"' in answer.stdout, (home / "caddy.log").read_text()[-2000:]
        assert '"x-forwarded-proto": "https"' in answer.stdout
    finally:
        server.terminate()
        server.wait(10)


def test_behind_a_proxy_only_its_word_redirects(make_world: Any) -> None:
    world = make_world(trusted_proxies=("127.0.0.1/32",))
    replica = world.replica("web.1")
    routes = (Route(host="shop.example", service="web", port=3000),)
    app = AppEdge(instance="shop", routes=routes, upstreams=((WEB, (replica.upstream,)),))
    world.edge.apply(replace(app, tls=behind_a_proxy(TlsPolicy(mode="off"))))
    assert world.ask(headers={"X-Forwarded-Proto": "http"}).status == 200, "an app that is to be had without TLS"
    world.edge.apply(replace(app, tls=behind_a_proxy(TlsPolicy())))
    assert world.ask(headers={"X-Forwarded-Proto": "https"}).status == 200
    assert world.ask(headers={"X-Forwarded-Proto": "http"}).status == 301
    assert world.ask().status == 200, "without a word there is no redirect, hence no loop"


def behind_a_proxy(policy: TlsPolicy) -> Tls:
    """What the edge is told of an app's TLS on a server where another proxy ends it."""
    return app_edge(App(name="shop", tls=policy), Project(name="shop"), Inside(), {}, ends_tls=False).tls

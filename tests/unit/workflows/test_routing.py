"""What the edge must serve follows from the Compose file and the manifest alone."""

from __future__ import annotations

from dataclasses import replace

from havre.model.app import App, TlsPolicy
from havre.model.health import HealthCheck
from havre.model.project import Attachment, Dependency, Mount, MountKind, Port, Project, Service
from havre.model.route import InsideListener, Route, TcpPort, Upstream
from havre.workflows.routing import Inside, app_edge, inside_ports, plan_inside, published

NET = (Attachment(network="default"),)
DATA = Mount(kind=MountKind.VOLUME, source="data", target="/data")
FRONT = Service(
    name="frontend", image="f", networks=NET, environment=(("BACKEND_URL", "http://backend:8000"),), expose=("3000",)
)
BACK = Service(
    name="backend",
    image="b",
    networks=NET,
    health=HealthCheck(test=("curl", "-f", "http://localhost:8000/health")),
    ports=(Port(target=9100, published="19100", host_ip="127.0.0.1"),),
)
DB = Service(name="db", image="postgres", networks=NET, mounts=(DATA,), ports=(Port(target=5432, published="5434"),))
SHOP = Project(name="shop", services=(FRONT, BACK, DB))
APP = App(name="shop", routes=(Route(host="shop.example.org", service="frontend", port=3000),))


def gateway(service: Service, caller: Service) -> str | None:
    return "172.20.0.1"


def test_ports_of_a_rolling_service_come_from_all_that_names_them() -> None:
    assert inside_ports(SHOP, APP, {"frontend": [3001]}) == {"frontend": (3000, 3001), "backend": (8000, 9100)}


def test_a_service_that_keeps_data_is_reached_directly() -> None:
    assert "db" not in inside_ports(SHOP, APP, {"db": [5432]})


def test_callers_meet_a_rolling_service_at_the_gateway() -> None:
    inside = plan_inside(SHOP, APP, {"backend": (8000, 9100)}, gateway)
    assert inside.listeners == (
        InsideListener(address="172.20.0.1", port=8000, service="backend", target=8000, protocol="http"),
        InsideListener(address="172.20.0.1", port=9100, service="backend", target=9100, protocol="tcp"),
    )
    assert inside.names_for("frontend") == (("backend", "172.20.0.1"),)
    assert inside.names_for("db") == (("backend", "172.20.0.1"),)
    assert inside.names_for("backend") == ()


def test_two_services_on_one_port_share_no_address_and_the_note_says_so() -> None:
    inside = plan_inside(SHOP, APP, {"frontend": (3000, 9100), "backend": (9100,)}, gateway)
    assert {listener.service for listener in inside.listeners} == {"frontend"}
    assert inside.crowded_out == {"backend"}
    service, note = inside.notes[0]
    assert service == "backend"
    assert "port 9100 is also frontend's" in note


def test_a_worker_of_the_same_image_takes_no_address_from_the_service_that_is_called() -> None:
    worker = Service(name="worker", image="b", networks=NET)
    shop = replace(SHOP, services=(worker, *SHOP.services))
    inside = plan_inside(shop, APP, {"worker": (8000,), "backend": (8000, 9100)}, gateway)
    assert {listener.service for listener in inside.listeners} == {"backend"}
    assert inside.crowded_out == {"worker"}
    assert inside.notes == ()  # nobody calls it


def test_of_two_with_an_exposed_port_alone_the_one_that_is_depended_on_is_met() -> None:
    worker, web = Service(name="worker", image="b", networks=NET), Service(name="web", image="b", networks=NET)
    front = Service(name="front", image="nginx", networks=NET, needs=(Dependency(service="web"),))
    shop = Project(name="shop", services=(worker, web, front))
    inside = plan_inside(shop, APP, {"worker": (8000,), "web": (8000,)}, gateway)
    assert {listener.service for listener in inside.listeners} == {"web"}


def test_whose_callers_have_the_address_keeps_it_when_the_file_is_put_in_another_order() -> None:
    one, two = replace(BACK, name="one"), replace(BACK, name="two")
    ports = {"one": (8000,), "two": (8000,)}
    shop = Project(name="shop", services=(two, one, FRONT))
    inside = plan_inside(shop, APP, ports, gateway, met={"one"})
    assert {listener.service for listener in inside.listeners} == {"one"}


def test_a_service_that_ceases_to_roll_is_still_met_by_the_callers_that_run() -> None:
    back = replace(BACK, mounts=(DATA,))
    shop = replace(SHOP, services=(FRONT, back, DB))
    assert "backend" not in inside_ports(shop, APP, {})
    assert inside_ports(shop, APP, {}, met={"backend"})["backend"] == (8000, 9100)


def test_published_ports_belong_to_the_edge() -> None:
    assert published(SHOP) == (
        TcpPort(address="127.0.0.1", port=19100, service="backend", target=9100),
        TcpPort(address="0.0.0.0", port=5434, service="db", target=5432),
    )


def test_the_edge_knows_the_replicas_behind_every_endpoint() -> None:
    replicas = (Upstream(name="frontend.1", address="172.20.0.5", port=3000),)
    edge = app_edge(APP, SHOP, Inside(), {("frontend", 3000): replicas}, ends_tls=True)
    assert edge.endpoints == (("backend", 9100), ("db", 5432), ("frontend", 3000))
    assert edge.replicas(("frontend", 3000)) == replicas
    assert edge.tls.mode == "acme"
    local = replace(APP, routes=(replace(APP.routes[0], host="shop.home.arpa"),))
    assert app_edge(local, SHOP, Inside(), {}, ends_tls=True).tls.mode == "self-signed", (
        "no authority would vouch for it"
    )


def test_files_of_a_certificate_are_meant_from_the_manifest_wherever_a_timer_runs() -> None:
    def tls(**said: str) -> tuple[str | None, ...]:
        app = replace(APP, directory="/srv/my shop", tls=TlsPolicy(mode="own", **said))
        made = app_edge(app, SHOP, Inside(), {}, ends_tls=True).tls
        return made.certificate, made.key, made.dns_hook

    own = tls(certificate="tls/shop.pem", key="/etc/ssl/shop.key")
    assert own == ("/srv/my shop/tls/shop.pem", "/etc/ssl/shop.key", None)
    assert tls(dns_hook="./dns set")[2] == "'/srv/my shop'/./dns set"
    assert tls(dns_hook="/opt/dns set")[2] == "/opt/dns set"
    assert tls(dns_hook="dns-record --zone a/b")[2] == "dns-record --zone a/b"

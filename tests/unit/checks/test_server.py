"""Conflicts on a shared server: ports, hosts, subnets, names, memory and disk, each with a proposal that works."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.checks.case import Case
from havre.checks.claims import (
    addresses_overlap,
    claims_of,
    free_port,
    free_subnet,
    is_held,
    memory_of,
    port_claim,
    read_port,
    surplus_of,
    taken_ports,
)
from havre.checks.memory import memory_table, reserve_for
from havre.checks.registry import ALL
from havre.checks.report import run_checks
from havre.errors import Severity
from havre.model.app import App
from havre.model.observed import Observed, ObservedNetwork, ObservedVolume
from havre.model.project import Mount, MountKind, Port, Project, Resources, Service
from havre.model.server import Claim, Disk, DiskNeed, Listener, ServerFacts
from havre.model.units import GIB, MIB

NGINX = """\
services:
  nginx:
    image: nginx:1
    ports: ["8080:80"]
"""
CADDY = Listener(port=8080, address="0.0.0.0", pid=812, program="caddy", user="www")


def server(**facts: Any) -> ServerFacts:
    return ServerFacts(**facts)


def test_who_listens_on_every_address_is_in_the_way_of_replicas_with_addresses_of_their_own(judge: Any) -> None:
    compose = "services: {db: {image: 'postgres:16'}, web: {build: ., expose: ['8000']}}"
    everywhere = Listener(port=5432, address="0.0.0.0", pid=812, program="postgres", user="postgres")
    on_one = Listener(port=8000, address="127.0.0.1", pid=813, program="x")
    own = Listener(port=8000, address="::", pid=814, program="python", ours=True)
    facts = {"server": server(listeners=(everywhere, on_one, own))}
    assert judge.lines("port-everywhere", compose, **facts) == []
    (problem,) = judge.problems("port-everywhere", compose, **facts, own_addresses=True)
    assert problem.summary == "port 5432/tcp, which shop/db needs, is held by pid 812 (postgres), user postgres"
    assert "`listen_addresses` of PostgreSQL" in problem.hint
    also = {"server": server(listeners=(Listener(port=8000, address="::", pid=9, program="node"),))}
    assert len(judge.problems("port-everywhere", compose, **also, own_addresses=True)) == 1


def test_a_port_held_by_a_program_names_it_and_proposes_a_free_one(judge: Any) -> None:
    also = Listener(port=8081, address="127.0.0.1", pid=5, program="x")
    (problem,) = judge.problems("port-taken", NGINX, server=server(listeners=(CADDY, also)))
    assert str(problem) == (
        "compose.yaml:4:13: nginx: port 8080/tcp wanted by shop/nginx is held by pid 812 (caddy), user www\n"
        "    it listens on 0.0.0.0:8080\n"
        "  effect: nothing could be published there; nothing was changed\n"
        '  hint: stop that program, or publish a free port: `"8082:80"`'
    )


@pytest.mark.parametrize(
    "listener",
    [
        Listener(port=8081, address="0.0.0.0", pid=1, program="x"),
        Listener(port=8080, address="0.0.0.0", pid=1, program="x", protocol="udp"),
        Listener(port=8080, address="0.0.0.0", pid=1, program="haproxy", ours=True),
    ],
)
def test_other_ports_protocols_and_our_own_edge_are_no_conflict(judge: Any, listener: Listener) -> None:
    assert judge.lines("port-taken", NGINX, server=server(listeners=(listener,))) == []


def test_a_listener_we_may_not_see_is_ours_when_the_port_is(judge: Any) -> None:
    unknown = Listener(port=8080, address="0.0.0.0")
    proxy = Listener(port=8080, address="0.0.0.0", pid=9, program="docker-proxy", detail="for the container at 1:80")
    mine = Claim(instance="shop", kind="port", value="0.0.0.0:8080/tcp")
    for listener in (unknown, proxy):
        assert judge.lines("port-taken", NGINX, server=server(listeners=(listener,), claims=(mine,))) == []
    assert "a process this user may not see" in judge.lines("port-taken", NGINX, server=server(listeners=(unknown,)))[0]
    assert "for the container at 1:80" in judge.lines("port-taken", NGINX, server=server(listeners=(proxy,)))[0]


def test_a_port_of_another_app_names_that_app_and_its_line(judge: Any) -> None:
    claim = Claim(instance="blog", kind="port", value="0.0.0.0:8080/tcp", detail="web, /srv/blog/compose.yaml:7:9")
    found = judge.problems("port-claimed", NGINX, server=server(listeners=(CADDY,), claims=(claim,)))
    assert [one.summary for one in found] == ["port 8080/tcp wanted by shop/nginx belongs to blog"]
    assert found[0].evidence == ("blog publishes 0.0.0.0:8080/tcp: web, /srv/blog/compose.yaml:7:9",)
    assert judge.lines("port-taken", NGINX, server=server(listeners=(CADDY,), claims=(claim,))) == []


def test_proposals_for_several_ports_never_meet(judge: Any) -> None:
    text = "services: {a: {image: 'x:1', ports: ['8080:80', '8081:81', '8082:82/udp', '127.0.0.1:8083:83']}}"
    claims = tuple(Claim(instance="blog", kind="port", value=f"0.0.0.0:{p}/tcp") for p in (8080, 8081, 8083))
    claims += (Claim(instance="blog", kind="port", value="0.0.0.0:8082/udp"),)
    hints = [one.hint.split(": ", 1)[1] for one in judge.problems("port-claimed", text, server=server(claims=claims))]
    assert hints == ['`"8084:80"`', '`"8085:81"`', '`"8086:82/udp"`', '`"127.0.0.1:8087:83"`']


def test_two_services_that_publish_one_port_are_told_together() -> None:
    """Loading a Compose file refuses this already; a project that was scaled or recorded is checked here."""
    web = Service(name="web", image="x", ports=(Port(target=80, published="8080"),))
    cadvisor = Service(name="cadvisor", image="x", ports=(Port(target=8080, published="8080", host_ip="127.0.0.1"),))
    dns = Service(name="dns", image="x", ports=(Port(target=80, published="8080", protocol="udp"), Port(target=9)))
    case = Case.of(App(name="shop"), Project(name="shop", services=(web, cadvisor, dns)), None)
    (problem,) = [one for one in run_checks(case, ALL, today="2026-11-20").problems if one.code == "port-twice"]
    assert str(problem) == (
        "cadvisor: port 8080/tcp is published by web and by cadvisor\n"
        "    web publishes it\n"
        "  effect: only one of them could have it\n"
        '  hint: publish another port for cadvisor: `"127.0.0.1:8081:8080"`'
    )


def test_where_no_port_is_left_none_is_proposed(judge: Any) -> None:
    everywhere = tuple(Listener(port=port, address="0.0.0.0", pid=1, program="x") for port in range(1, 65536))
    (problem,) = judge.problems("port-taken", NGINX, server=server(listeners=everywhere))
    assert problem.hint == "stop that program, or publish a free port"


def test_a_database_for_everybody_is_warned_about(judge: Any) -> None:
    text = """\
services:
  db: {image: 'postgres:16', ports: ['5432:5432'], environment: {POSTGRES_PASSWORD: x9}}
  kv: {image: 'redis:7', ports: ['127.0.0.1:6379:6379']}
  web: {image: 'nginx:1', ports: ['80:80']}
"""
    (problem,) = judge.problems("port-public", text)
    assert (problem.subject, problem.severity) == ("db", Severity.WARNING)
    assert '"127.0.0.1:5432:5432"' in problem.hint


def test_a_taken_port_of_the_edge_matters_only_with_routes(judge: Any) -> None:
    holder = Listener(port=80, address="0.0.0.0", pid=7, program="nginx")
    routed = "app: shop\nroutes: [{host: a.org, to: 'nginx:80'}]"
    facts = {"server": server(listeners=(holder,)), "edge_ports": (80, 443)}
    assert judge.lines("port-edge", NGINX, **facts) == []
    assert judge.lines("port-edge", NGINX, routed, **facts, edge_address="127.0.0.1") != []
    elsewhere = server(listeners=(Listener(port=80, address="127.9.9.9", pid=7, program="nginx"),))
    assert judge.lines("port-edge", NGINX, routed, server=elsewhere, edge_ports=(80,), edge_address="127.0.0.1") == []
    assert judge.lines("port-edge", NGINX, routed, **facts) == [
        "80/tcp: port 80/tcp, where the edge serves a.org, is held by pid 7 (nginx)"
    ]


def test_a_host_of_another_app_is_refused(judge: Any) -> None:
    manifest = "app: shop\nroutes: [{host: a.org, to: 'nginx:80'}, {host: a.org, path: /b, to: 'nginx:80'}]"
    claim = Claim(instance="blog", kind="host", value="a.org/b", detail="/srv/blog/havre.yaml:3:5")
    (problem,) = judge.problems("host-claimed", NGINX, manifest, server=server(claims=(claim,)))
    assert problem.summary == "a.org/b belongs to blog"
    assert problem.evidence == ("blog has that route (/srv/blog/havre.yaml:3:5)",)


NETS = """\
services: {web: {image: 'x:1', networks: [a, b]}}
networks:
  a: {ipam: {config: [{subnet: 172.21.0.0/24}]}}
  b: {ipam: {config: [{subnet: 172.21.0.128/25}]}}
  c: {external: true, name: shared}
"""


def test_overlapping_subnets_name_the_owner_and_the_next_free_one(judge: Any) -> None:
    network = ObservedNetwork(name="todo_net", id="x", instance="todo", subnets=(("172.21.0.0/24", None),))
    own = ObservedNetwork(name="shop_a", id="y", instance="shop", subnets=(("172.21.0.0/24", None),))
    shared = ObservedNetwork(name="shared", id="z")
    claims = (Claim(instance="blog", kind="subnet", value="172.21.1.0/24", detail="blog_net"),)
    facts = server(claims=claims, subnets=(("172.21.2.0/23", "eth0"),))
    observed = Observed(instance="shop", networks=(network, own, shared))
    found = judge.problems("subnet-overlap", NETS, observed=observed, server=facts)
    assert [one.summary for one in found] == [
        "subnet 172.21.0.0/24 of network a overlaps network todo_net of todo, 172.21.0.0/24",
        "subnet 172.21.0.128/25 of network b overlaps network todo_net of todo, 172.21.0.0/24",
    ]
    assert [one.hint for one in found] == [
        "use 172.21.4.0/24, which is free here",
        "use 172.21.5.0/25, which is free here",
    ]


def test_two_networks_of_one_file_must_not_overlap_either(judge: Any) -> None:
    observed = Observed(instance="shop", networks=(ObservedNetwork(name="shared", id="z"),))
    lines = judge.lines("subnet-overlap", NETS, observed=observed)
    assert [line.replace("compose.yaml:3:24", "x") for line in lines] == [
        "compose.yaml:4:24: b: subnet 172.21.0.128/25 of network b overlaps network a, 172.21.0.0/24 at x"
    ]


def test_the_servers_own_network_is_not_taken(judge: Any) -> None:
    text = "services: {a: {image: 'x:1'}}\nnetworks: {n: {ipam: {config: [{subnet: 192.0.2.0/28}]}}}"
    text = text.replace("{image: 'x:1'}", "{image: 'x:1', networks: [n]}")
    (problem,) = judge.problems("subnet-overlap", text, server=server(subnets=(("192.0.2.0/24", "eth0"),)))
    assert problem.summary.endswith("overlaps the server's own network 192.0.2.0/24 on eth0")
    assert problem.hint == "choose a subnet that nothing here uses, or let Havre choose"


EXTERNAL = """\
services:
  web: {image: 'x:1', networks: [shared], volumes: ['data:/data']}
networks: {shared: {external: true, name: backbone}}
volumes: {data: {external: true}}
"""


def test_what_is_external_must_be_there(judge: Any) -> None:
    claims = (Claim(instance="blog", kind="network", value="backbone"),)
    observed = Observed(instance="shop")
    found = judge.problems("external-missing", EXTERNAL, observed=observed, server=server(claims=claims))
    assert [(one.summary, one.evidence) for one in found] == [
        ("the external network backbone does not exist", ("used by web",)),
        ("the external volume data does not exist", ("used by web",)),
    ]
    assert found[0].hint.startswith("blog makes it: deploy that app first")
    assert found[1].hint.startswith("`docker volume create data` makes it")


def test_what_is_external_and_there_is_fine(judge: Any) -> None:
    network = ObservedNetwork(name="backbone", id="x")
    observed = Observed(instance="shop", networks=(network,), volumes=(ObservedVolume(name="data"),))
    assert judge.lines("external-missing", EXTERNAL, observed=observed) == []
    assert judge.lines("external-missing", EXTERNAL) == []


def test_fixed_names_belong_to_one_app(judge: Any) -> None:
    text = """\
services:
  web: {image: 'x:1', container_name: web, networks: [n], volumes: ['v:/v']}
networks: {n: {name: net}}
volumes: {v: {name: vol}}
"""
    claims = tuple(
        Claim(instance="blog", kind=kind, value=name, detail=detail)
        for kind, name, detail in (("container", "web", "there"), ("network", "net", ""), ("volume", "vol", ""))
    )
    found = judge.problems("name-claimed", text, server=server(claims=claims))
    assert [one.summary for one in found] == [
        "the container name web belongs to blog",
        "the network name net belongs to blog",
        "the volume name vol belongs to blog",
    ]
    assert found[0].evidence == ("there: there",)
    assert judge.lines("name-claimed", text) == []


def service(name: str, memory: int | None, **rest: Any) -> Service:
    return Service(name=name, image="x", resources=Resources(memory=memory), **rest)


LEXIKON = Project(
    name="lexikon",
    services=(
        service("backend", 384 * MIB),
        service("frontend", 256 * MIB),
        service("db", 200 * MIB, mounts=(Mount(kind=MountKind.VOLUME, source="data", target="/data"),)),
    ),
)


def test_the_memory_table_of_the_guide_adds_up() -> None:
    claims = (
        Claim(instance="app2", kind="memory", value=str(2 * GIB), detail="without a limit: x"),
        Claim(instance="lexikon", kind="memory", value="1"),
        Claim(instance="app2", kind="surplus", value="999"),
    )
    table = memory_table(total=8 * GIB, project=LEXIKON, instance="lexikon", claims=claims)
    assert table.fits
    assert (
        str(table)
        == """\
system              2 GiB  kept free
app2                2 GiB  without a limit: x
lexikon/backend   384 MiB  limit
lexikon/frontend  256 MiB  limit
lexikon/db        200 MiB  limit
this release      640 MiB  new replicas beside the old ones
asked             5.4 GiB
server              8 GiB
left              2.6 GiB"""
    )


def test_only_the_services_a_release_replaces_count_twice() -> None:
    assert surplus_of(LEXIKON, frozenset({"frontend", "db"})) == 256 * MIB
    assert surplus_of(LEXIKON, frozenset()) == 0
    table = memory_table(total=GIB, project=LEXIKON, instance="lexikon", changed=frozenset(), reserve=0)
    assert table.asked == 840 * MIB


def test_services_without_a_limit_count_by_what_they_were_seen_to_use() -> None:
    project = Project(
        name="x", services=(service("a", None, replicas=3), service("b", None), service("c", MIB, replicas=2))
    )
    table = memory_table(total=GIB, project=project, instance="x", peaks=(("a", 100 * MIB),), changed=(), reserve=0)
    assert [(line.size // MIB, line.note) for line in table.lines] == [
        (0, "kept free"),
        (300, "3 x no limit; observed peak"),
        (128, "no limit; assumed"),
        (2, "2 x 1 MiB limit"),
    ]
    assert memory_of(service("z", None, replicas=0)) == 0


def test_a_service_switched_off_has_no_line() -> None:
    project = Project(name="x", services=(service("a", MIB, replicas=0),))
    assert memory_table(total=GIB, project=project, instance="x", reserve=0).asked == 0


@pytest.mark.parametrize(
    ("total", "reserve"), [(GIB, 384 * MIB), (4 * GIB, GIB), (8 * GIB, 2 * GIB), (64 * GIB, 2 * GIB)]
)
def test_the_system_keeps_a_reserve(total: int, reserve: int) -> None:
    assert reserve_for(total) == reserve


def test_more_memory_than_the_server_has_is_refused_with_the_table(judge: Any) -> None:
    text = "services: {web: {image: 'x:1', mem_limit: 3g}}"
    (problem,) = judge.problems("memory-admission", text, server=server(memory_total=4 * GIB))
    assert problem.summary == "this server lacks 3 GiB of memory for all that its apps may use"
    assert problem.evidence[-1] == "missing       3 GiB"
    assert judge.lines("memory-admission", text, server=server(memory_total=8 * GIB)) == []
    assert judge.lines("memory-admission", text, server=server()) == []
    assert judge.lines("memory-admission", text, server=server(memory_total=8 * GIB), reserve=6 * GIB) != []


def test_a_missing_limit_is_warned_about_with_a_proposal(judge: Any) -> None:
    text = "services: {web: {image: 'x:1'}, ok: {image: 'x:1', mem_limit: 1g}}"
    (problem,) = judge.problems("memory-limit", text, peaks=(("web", 300 * MIB),))
    assert problem.evidence == ("used 300 MiB at most; try `mem_limit: 512m`",)
    assert "`mem_limit: 256m`" in judge.problems("memory-limit", text)[0].evidence[0]


def test_a_full_disk_refuses_and_a_filling_one_warns(judge: Any) -> None:
    disks = (
        Disk(purpose="images", path="/var", total=100 * GIB, free=530 * MIB),
        Disk(purpose="state", path="/", total=100 * GIB, free=GIB),
        Disk(purpose="backups", path="/b", total=10 * GIB, free=9 * GIB, files=100_000, files_free=12),
    )
    logging = "logging: {driver: json-file, options: {max-size: 10m, max-file: '3'}}"
    text = f"services: {{web: {{image: 'x:1', {logging}}}, b: {{image: 'x:1', logging: {{driver: none}}}}}}"
    found = judge.problems("disk-space", text, server=server(disks=disks))
    assert [(one.summary, one.severity) for one in found] == [
        ("the disk of /b can hold only 12 more files, however much room it has", Severity.ERROR),
        ("the disk of /var lacks 12 MiB for this release", Severity.ERROR),
        ("the disk of / fills up: 1 GiB of 100 GiB are free", Severity.WARNING),
    ]
    assert found[1].evidence == (
        "kept free  512 MiB  a full disk stops databases",
        "shop/web    30 MiB  logs, by their limits",
        "asked      542 MiB",
        "free       530 MiB",
        "missing     12 MiB",
    )


def test_images_builds_and_backups_count_on_the_disk_that_they_go_to(judge: Any) -> None:
    disks = (
        Disk(purpose="images", path="/var", total=100 * GIB, free=20 * GIB, also=("state",)),
        Disk(purpose="backups", path="/b", total=100 * GIB, free=20 * GIB),
        Disk(purpose="/mnt/usb", path="/mnt/usb", total=100 * GIB, free=20 * GIB),
    )
    needs = (
        DiskNeed(purpose="images", name="grafana/grafana:11", size=19 * GIB, note="to pull; assumed"),
        DiskNeed(purpose="images", name="shop/web", size=GIB, note="to build; its context"),
        DiskNeed(purpose="backups", name="shop/db", size=19 * GIB, note="its next backup, by the last one"),
        DiskNeed(purpose="/mnt/usb", name="shop/files", size=20 * GIB, note="its next backup, by the last one"),
    )
    found = judge.problems("disk-space", "services: {w: {image: x}}", server=server(disks=disks), disk_needs=needs)
    assert [one.summary for one in found] == [
        "the disk of /mnt/usb lacks 512 MiB for this release",
        "the disk of /var lacks 512 MiB for this release",
    ]
    assert "grafana/grafana:11    19 GiB  to pull; assumed" in found[1].evidence


def test_the_last_subnets_of_the_engine_are_counted(judge: Any) -> None:
    text = "services: {w: {image: 'x:1', networks: [a, b]}}\nnetworks: {a: {}, b: {}}"
    there = Observed(instance="shop", networks=(ObservedNetwork(name="x", id="1", subnets=(("172.17.0.0/16", None),)),))
    pools = (("172.17.0.0/16", 16), ("192.168.0.0/22", 24))
    assert judge.lines("subnet-pool", text, observed=there, pools=pools) == []
    (full,) = judge.problems("subnet-pool", text, observed=there, pools=(*pools[:1], ("192.168.0.0/24", 24)))
    assert full.summary == "1 of the engine's subnets are left, and 2 are needed"
    assert "such as 10.0.1.0/24" in full.hint
    own = text.replace("a: {}", "a: {ipam: {config: [{subnet: 10.9.0.0/24}]}}")
    assert judge.lines("subnet-pool", own, observed=there, pools=(("192.168.0.0/24", 24),)) == []


@pytest.mark.parametrize(
    ("size", "needed"), [("512k", "512.5 MiB"), ("1g", "1.5 GiB"), ("100", "512 MiB"), ("x", "512 MiB")]
)
def test_log_sizes_are_read_as_docker_reads_them(judge: Any, size: str, needed: str) -> None:
    text = f"services: {{w: {{image: 'x:1', logging: {{driver: json-file, options: {{max-size: {size}}}}}}}}}"
    disks = (Disk(purpose="images", path="/", total=GIB, free=0),)
    (full,) = judge.problems("disk-space", text, server=server(disks=disks))
    assert full.summary == f"the disk of / lacks {needed} for this release"


def test_everything_a_project_claims_is_written_down_with_its_line(judge: Any) -> None:
    text = """\
services:
  web: {image: 'x:1', container_name: web, ports: ['53:53', '[::1]:8080-8081:80-81', '9'], mem_limit: 64m}
  db: {image: 'x:1', volumes: ['data:/v']}
networks:
  default: {ipam: {config: [{subnet: 172.20.0.0/24}]}}
  out: {external: true}
volumes: {data: , e: {external: true}}
"""
    manifest = "app: shop\nroutes: [{host: a.org, path: /x, to: 'web:80'}]"
    case = judge.case(text, manifest, peaks=(("db", 10 * MIB),))
    shown = [f"{one.kind} {one.value} | {one.detail}" for one in claims_of(case)]
    assert shown == [
        "container web | /srv/shop/compose.yaml:2:23",
        "host a.org/x | /srv/shop/havre.yaml:2:10",
        f"memory {74 * MIB} | without a limit: db",
        "network shop_default | /srv/shop/compose.yaml:5:3",
        "port 0.0.0.0:53/tcp | web, /srv/shop/compose.yaml:2:52",
        "port [::1]:8080/tcp | web, /srv/shop/compose.yaml:2:61",
        "port [::1]:8081/tcp | web, /srv/shop/compose.yaml:2:61",
        "subnet 172.20.0.0/24 | shop_default",
        f"surplus {64 * MIB} | ",
        "volume shop_data | /srv/shop/compose.yaml:7:11",
    ]
    assert {one.instance for one in claims_of(case)} == {"shop"}


def test_addresses_meet_when_one_of_them_is_any() -> None:
    assert addresses_overlap("0.0.0.0", "127.0.0.1")
    assert addresses_overlap("::1", "::")
    assert not addresses_overlap("0.0.0.0", "::"), "both can be published"
    assert is_held("127.0.0.1", "::"), "a program that listens there takes IPv4 in"
    assert addresses_overlap("::1", "0:0:0:0:0:0:0:1")
    assert not addresses_overlap("127.0.0.1", "127.0.0.2")
    assert not addresses_overlap("0.0.0.0", "::1"), "who listens for IPv4 leaves IPv6 alone"


@given(st.sampled_from(["0.0.0.0", "127.0.0.1", "::", "::1"]), st.integers(1, 65535), st.sampled_from(["tcp", "udp"]))
def test_a_port_claim_reads_back(address: str, port: int, protocol: str) -> None:
    assert read_port(port_claim(address, port, protocol)) == (address, port, protocol)


@given(st.integers(1, 65535), st.sets(st.integers(8000, 8100)))
def test_a_proposed_port_is_free(wanted: int, taken: set[int]) -> None:
    found = free_port(wanted, taken)
    assert found is not None
    assert found not in taken | {wanted}


def test_when_no_port_is_free_none_is_proposed() -> None:
    assert free_port(1, range(1, 65536)) is None


def test_ports_are_taken_by_listeners_and_claims_of_the_protocol() -> None:
    claims = (
        Claim(instance="a", kind="port", value="0.0.0.0:1/tcp"),
        Claim(instance="a", kind="port", value="::1:2/udp"),
    )
    listeners = (Listener(port=3, address="::"), Listener(port=4, address="::", protocol="udp"))
    assert taken_ports(listeners, claims) == {1, 3}


@given(st.integers(0, 255), st.sets(st.integers(0, 255), max_size=40))
def test_a_proposed_subnet_overlaps_nothing(wanted: int, taken: set[int]) -> None:
    found = free_subnet(f"172.20.{wanted}.0/24", [f"172.20.{one}.0/24" for one in taken | {wanted}])
    assert found is not None
    assert found not in {f"172.20.{one}.0/24" for one in taken | {wanted}}


@pytest.mark.parametrize(
    ("wanted", "taken", "found"),
    [
        ("172.31.255.0/24", ["172.31.255.0/24"], "172.16.0.0/24"),
        ("10.0.0.0/8", [], None),
        ("8.8.8.0/24", [], None),
        ("fd00::/64", [], None),
        ("10.0.0.0/24", ["fd00::/64", "10.0.1.0/24"], "10.0.2.0/24"),
        ("192.168.0.0/17", ["192.168.0.0/16"], None),
    ],
)
def test_subnets_are_proposed_within_their_private_range(wanted: str, taken: list[str], found: str | None) -> None:
    assert free_subnet(wanted, taken) == found

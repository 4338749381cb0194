"""Services as the Docker Engine API wants them, held as the JSON that is sent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from havre.engines.base import Context
from havre.engines.docker.translate import (
    Placement,
    container_body,
    endpoints,
    network_body,
    services_joined,
    task_digest,
    volume_body,
)
from havre.model.health import HealthCheck
from havre.model.project import (
    Attachment,
    FileSource,
    Grant,
    Logging,
    Mount,
    MountKind,
    Network,
    Port,
    Project,
    Resources,
    Restart,
    Service,
    Ulimit,
    Volume,
)

DEFAULT = Network(key="default", name="shop_default")
BACK = Network(key="back", name="shop_back")
PROJECT = Project(
    name="shop",
    networks=(DEFAULT, BACK),
    volumes=(Volume(key="data", name="shop_data"),),
    secrets=(FileSource(key="key", file="/srv/key.pem"), FileSource(key="token", content="x")),
)
CONTEXT = Context(instance="shop", release=7, project=PROJECT)
WEB = Service(name="web", image="shop/web:1", networks=(Attachment(network="default"),))
SLOT = Placement(slot=2, fingerprint="v1 image=abc")


def body(service: Service = WEB, placement: Placement = SLOT, context: Context = CONTEXT) -> dict[str, Any]:
    return container_body(service, context, placement)


def host(service: Service, placement: Placement = SLOT, context: Context = CONTEXT) -> Any:
    return container_body(service, context, placement)["HostConfig"]


def test_the_smallest_service() -> None:
    assert body() == {
        "Image": "shop/web:1",
        "Labels": {
            "havre.instance": "shop",
            "havre.service": "web",
            "havre.slot": "2",
            "havre.release": "7",
            "havre.fingerprint": "v1 image=abc",
            "havre.role": "replica",
        },
        "Env": [],
        "ExposedPorts": {},
        "Tty": False,
        "OpenStdin": False,
        "StopTimeout": 10,
        "HostConfig": {
            "NetworkMode": "shop_default",
            "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
            "PortBindings": {},
            "ExtraHosts": [],
        },
        "NetworkingConfig": {"EndpointsConfig": {"shop_default": {"Aliases": ["web"]}}},
    }


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"command": ("a", "b c")}, {"Cmd": ["a", "b c"]}),
        ({"entrypoint": ()}, {"Entrypoint": []}),
        ({"environment": (("A", "1=2"), ("B", None), ("C", ""))}, {"Env": ["A=1=2", "B", "C="]}),
        ({"user": "1:2", "working_dir": "/a"}, {"User": "1:2", "WorkingDir": "/a"}),
        ({"hostname": "h", "domainname": "d"}, {"Hostname": "h", "Domainname": "d"}),
        ({"tty": True, "stdin_open": True}, {"Tty": True, "OpenStdin": True}),
        ({"stop_grace": 1.2, "stop_signal": "SIGINT"}, {"StopTimeout": 2, "StopSignal": "SIGINT"}),
        (
            {"expose": ("80", "90-91", "53/udp")},
            {"ExposedPorts": {"80/tcp": {}, "90/tcp": {}, "91/tcp": {}, "53/udp": {}}},
        ),
        ({"health_disabled": True}, {"Healthcheck": {"Test": ["NONE"]}}),
        ({"options": (("mac_address", '"02:42:ac:11:00:02"'),)}, {"MacAddress": "02:42:ac:11:00:02"}),
    ],
)
def test_settings_of_the_container(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    made = body(replace(WEB, **changes))

    assert {name: made[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"restart": Restart(policy="on-failure", attempts=3)},
            {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}},
        ),
        (
            {"restart": Restart(policy="always", attempts=3)},
            {"RestartPolicy": {"Name": "always", "MaximumRetryCount": 0}},
        ),
        (
            {"logging": Logging(driver="json-file", options=(("max-size", "10m"),))},
            {"LogConfig": {"Type": "json-file", "Config": {"max-size": "10m"}}},
        ),
        (
            {"resources": Resources(memory=1, memory_reservation=2, memory_swap=3, cpus=0.25, pids=4)},
            {"Memory": 1, "MemoryReservation": 2, "MemorySwap": 3, "NanoCpus": 250_000_000, "PidsLimit": 4},
        ),
        ({"shm_size": 5}, {"ShmSize": 5}),
        (
            {"ulimits": (Ulimit(name="nofile", soft=1, hard=2),)},
            {"Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}]},
        ),
        ({"cap_add": ("A",), "cap_drop": ("ALL",)}, {"CapAdd": ["A"], "CapDrop": ["ALL"]}),
        (
            {"privileged": True, "read_only": True, "init": True},
            {"Privileged": True, "ReadonlyRootfs": True, "Init": True},
        ),
        ({"security_opt": ("no-new-privileges:true",)}, {"SecurityOpt": ["no-new-privileges:true"]}),
        ({"security_opt": ("systempaths=unconfined",)}, {"MaskedPaths": [], "ReadonlyPaths": []}),
        ({"security_opt": ("seccomp:/srv/profile.json",)}, {"SecurityOpt": ["seccomp={}"]}),
        ({"sysctls": (("a.b", "1"),)}, {"Sysctls": {"a.b": "1"}}),
        (
            {"dns": ("1.1.1.1",), "dns_search": ("a",), "dns_opt": ("b",)},
            {"Dns": ["1.1.1.1"], "DnsSearch": ["a"], "DnsOptions": ["b"]},
        ),
        (
            {"extra_hosts": ("a:1.2.3.4", "b:host-gateway", "six:::1")},
            {"ExtraHosts": ["a:1.2.3.4", "b:host-gateway", "six:::1"]},
        ),
        ({"tmpfs": ("/run", "/tmp:size=1m,mode=1777")}, {"Tmpfs": {"/run": "", "/tmp": "size=1m,mode=1777"}}),
        ({"networks": (), "network_mode": "host"}, {"NetworkMode": "host"}),
        ({"networks": (), "network_mode": "service:db"}, {"NetworkMode": "container:db-id"}),
        ({"networks": ()}, {"NetworkMode": "none"}),
    ],
)
def test_settings_of_the_host(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    placement = replace(SLOT, peers={"db": "db-id"}, seccomp={"/srv/profile.json": "{}"})
    made = host(replace(WEB, **changes), placement)

    assert {name: made[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("mount", "expected"),
    [
        (
            Mount(kind=MountKind.VOLUME, source="data", target="/d"),
            {"Mounts": [{"Type": "volume", "Target": "/d", "Source": "shop_data"}]},
        ),
        (
            Mount(kind=MountKind.VOLUME, source="data", target="/d", nocopy=True, subpath="x", labels=(("a", "b"),)),
            {
                "Mounts": [
                    {
                        "Type": "volume",
                        "Target": "/d",
                        "Source": "shop_data",
                        "VolumeOptions": {"NoCopy": True, "Labels": {"a": "b"}, "Subpath": "x"},
                    }
                ]
            },
        ),
        (Mount(kind=MountKind.VOLUME, target="/d"), {"Mounts": [{"Type": "volume", "Target": "/d"}]}),
        (Mount(kind=MountKind.BIND, source="/a", target="/b"), {"Binds": ["/a:/b"]}),
        (
            Mount(kind=MountKind.BIND, source="/a", target="/b", read_only=True, selinux="z", propagation="rslave"),
            {"Binds": ["/a:/b:ro,z,rslave"]},
        ),
        (
            Mount(kind=MountKind.BIND, source="/a", target="/b", create_host_path=False, read_only=True),
            {"Mounts": [{"Type": "bind", "Target": "/b", "Source": "/a", "ReadOnly": True}]},
        ),
        (
            Mount(kind=MountKind.BIND, source="/a:x", target="/b"),
            {"Mounts": [{"Type": "bind", "Target": "/b", "Source": "/a:x"}]},
        ),
        (
            Mount(kind=MountKind.TMPFS, target="/t", size=9, mode=0o700),
            {"Mounts": [{"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 9, "Mode": 0o700}}]},
        ),
    ],
)
def test_mounts(mount: Mount, expected: dict[str, Any]) -> None:
    made = host(replace(WEB, mounts=(mount,)))

    assert {name: made.get(name) for name in ("Binds", "Mounts") if name in made} == expected


def test_a_file_secret_is_a_read_only_bind_and_inline_content_is_not_in_the_request() -> None:
    grants = (Grant(source="key", target="/run/secrets/key"), Grant(source="token", target="/run/secrets/token"))

    made = host(replace(WEB, secrets=grants))

    assert made["Mounts"] == [
        {"Type": "bind", "Source": "/srv/key.pem", "Target": "/run/secrets/key", "ReadOnly": True}
    ]


def test_inline_content_in_a_read_only_container_gets_a_volume_to_be_written_to() -> None:
    made = host(replace(WEB, read_only=True, secrets=(Grant(source="token", target="/run/secrets/token"),)))

    assert made["Mounts"] == [{"Type": "volume", "Target": "/run/secrets"}]


def test_tcp_ports_are_exposed_only_and_udp_ports_are_bound() -> None:
    ports = (
        Port(target=80, published="8080"),
        Port(target=53, published="5353", protocol="udp", host_ip="127.0.0.1"),
        Port(target=54, protocol="udp"),
    )

    made = body(replace(WEB, ports=ports))

    assert made["ExposedPorts"] == {"80/tcp": {}, "53/udp": {}, "54/udp": {}}
    assert made["HostConfig"]["PortBindings"] == {
        "53/udp": [{"HostIp": "127.0.0.1", "HostPort": "5353"}],
        "54/udp": [{"HostIp": "0.0.0.0", "HostPort": ""}],
    }


def test_a_health_check_is_sent_in_nanoseconds_and_by_version() -> None:
    check = HealthCheck(
        test=("curl -f x",), shell=True, interval=1.5, timeout=2, start_period=3, start_interval=4, retries=5
    )
    old, new = (body(replace(WEB, health=check), replace(SLOT, api=api))["Healthcheck"] for api in ((1, 41), (1, 44)))

    assert old == {
        "Test": ["CMD-SHELL", "curl -f x"],
        "Interval": 1_500_000_000,
        "Timeout": 2_000_000_000,
        "StartPeriod": 3_000_000_000,
        "Retries": 5,
    }
    assert new == old | {"StartInterval": 4_000_000_000}


def test_networks_are_joined_by_priority_with_their_settings() -> None:
    service = replace(
        WEB,
        container_name="my-web",
        networks=(
            Attachment(network="default", aliases=("www", "web")),
            Attachment(
                network="back", priority=5, ipv4_address="10.0.0.9", mac_address="02:00", driver_opts=(("a", "b"),)
            ),
        ),
    )

    assert endpoints(service, CONTEXT, SLOT) == (
        (
            "shop_back",
            {
                "Aliases": ["web", "my-web"],
                "IPAMConfig": {"IPv4Address": "10.0.0.9"},
                "MacAddress": "02:00",
                "DriverOpts": {"a": "b"},
            },
        ),
        ("shop_default", {"Aliases": ["web", "my-web", "www"]}),
    )
    assert list(body(service)["NetworkingConfig"]["EndpointsConfig"]) == ["shop_back"]


def test_names_that_lead_through_the_edge_are_host_entries_and_no_aliases() -> None:
    context = replace(CONTEXT, names=(("web", "172.20.0.1"), ("api", "172.20.0.1")))
    service = replace(WEB, extra_hosts=("api:9.9.9.9",))

    made = container_body(service, context, SLOT)

    assert made["HostConfig"]["ExtraHosts"] == ["web:172.20.0.1", "api:172.20.0.1", "api:9.9.9.9"]
    assert made["NetworkingConfig"]["EndpointsConfig"]["shop_default"]["Aliases"] == []


def test_a_one_off_is_found_by_nobody_and_never_restarts() -> None:
    service = replace(
        WEB,
        restart=Restart(policy="always"),
        ports=(Port(target=53, published="53", protocol="udp"),),
        health=HealthCheck(test=("true",)),
        networks=(Attachment(network="default", ipv4_address="10.0.0.9"),),
    )

    made = body(service, replace(SLOT, slot=9001, role="task", command=("alembic", "upgrade", "head")))

    assert made["Cmd"] == ["alembic", "upgrade", "head"]
    assert made["Healthcheck"] == {"Test": ["NONE"]}
    assert made["HostConfig"]["RestartPolicy"] == {"Name": "no"}
    assert made["HostConfig"]["PortBindings"] == {}
    assert made["NetworkingConfig"]["EndpointsConfig"]["shop_default"] == {"Aliases": []}
    assert made["Labels"]["havre.role"] == "task"


def test_labels_of_ours_cannot_be_overruled() -> None:
    made = body(replace(WEB, labels=(("havre.instance", "other"), ("team", "blue"))))

    assert (made["Labels"]["havre.instance"], made["Labels"]["team"]) == ("shop", "blue")


def test_a_replica_carries_its_own_stop_hooks() -> None:
    hooks = '[{"command":["sync"]}]'
    service = replace(WEB, options=(("pre_stop", hooks),))

    assert body(service)["Labels"]["havre.pre-stop"] == hooks
    assert "havre.pre-stop" not in body(service, replace(SLOT, role="task"))["Labels"]


def test_services_joined_are_all_that_must_run_first() -> None:
    service = replace(
        WEB,
        network_mode="service:vpn",
        options=(
            ("ipc", '"service:a"'),
            ("pid", '"host"'),
            ("volumes_from", '["b:ro","container:c"]'),
            ("links", '["d:x"]'),
        ),
    )

    assert services_joined(service) == ("a", "b", "d", "vpn")


def test_a_network_with_everything() -> None:
    network = Network(
        key="n",
        name="shop_n",
        driver="macvlan",
        driver_opts=(("parent", "eth0"),),
        internal=True,
        attachable=True,
        enable_ipv6=True,
        subnets=(("10.1.0.0/24", "10.1.0.1"), ("fd00::/64", None)),
        ip_range="10.1.0.128/25",
        ipam_driver="default",
        labels=(("a", "b"),),
        options=(("aux_addresses", '{"router":"10.1.0.5"}'), ("ipam_options", '{"x":"y"}'), ("enable_ipv4", "true")),
    )

    assert network_body(network, "shop") == {
        "Name": "shop_n",
        "CheckDuplicate": True,
        "Driver": "macvlan",
        "Internal": True,
        "Attachable": True,
        "EnableIPv6": True,
        "EnableIPv4": True,
        "Options": {"parent": "eth0"},
        "Labels": {"a": "b", "havre.instance": "shop"},
        "IPAM": {
            "Driver": "default",
            "Options": {"x": "y"},
            "Config": [
                {
                    "Subnet": "10.1.0.0/24",
                    "Gateway": "10.1.0.1",
                    "IPRange": "10.1.0.128/25",
                    "AuxiliaryAddresses": {"router": "10.1.0.5"},
                },
                {"Subnet": "fd00::/64"},
            ],
        },
    }


def test_a_volume() -> None:
    volume = Volume(key="v", name="shop_v", driver="nfs", driver_opts=(("o", "addr=1"),), labels=(("a", "b"),))

    assert volume_body(volume, "shop") == {
        "Name": "shop_v",
        "Driver": "nfs",
        "DriverOpts": {"o": "addr=1"},
        "Labels": {"a": "b", "havre.instance": "shop"},
    }


def test_one_offs_are_told_apart_by_what_they_do() -> None:
    digests = {
        task_digest(WEB, None, "run"),
        task_digest(WEB, ("a", "b"), "run"),
        task_digest(WEB, ("a b",), "run"),
        task_digest(WEB, ("a", "b"), "migrate"),
        task_digest(replace(WEB, image="shop/web:2"), ("a", "b"), "run"),
    }

    assert len(digests) == 5

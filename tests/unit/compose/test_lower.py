"""A loaded project becomes a typed Project that means the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from havre.compose import LoadRequest, load_project
from havre.compose.lower import lower
from havre.errors import InputError
from havre.model.health import HealthCheck
from havre.model.project import (
    Attachment,
    Condition,
    Dependency,
    FileSource,
    Grant,
    Logging,
    MountKind,
    Order,
    Port,
    Project,
    Resources,
    Restart,
    Service,
    Ulimit,
    UpdatePolicy,
    Volume,
)


def lowered(directory: Path, text: str, **environment: str) -> Project:
    (directory / "compose.yaml").write_text(text)
    request = LoadRequest(working_dir=str(directory), environment=environment, project_name="shop")
    return lower(load_project(request), instance="shop-staging")


def web(directory: Path, keys: str, rest: str = "") -> Service:
    """The service `web` with these lines below it."""
    body = "\n".join(f"    {line}" for line in keys.splitlines())
    return lowered(directory, f"services:\n  web:\n    image: app\n{body}\n{rest}").service("web")


def refusal(directory: Path, keys: str, rest: str = "") -> str:
    """Everything a service with these keys is refused for, as the user reads it."""
    with pytest.raises(InputError) as caught:
        web(directory, keys, rest)
    return str(caught.value)


class TestNames:
    def test_resources_are_named_after_the_instance_unless_they_have_a_name(self, tmp_path: Path) -> None:
        project = lowered(
            tmp_path,
            """
services:
  web: {image: app, networks: [back, old], volumes: ["data:/data", "kept:/kept"]}
networks: {back: {}, old: {external: true}}
volumes: {data: {}, kept: {name: kept-since-2019}}
""",
        )
        assert [network.name for network in project.networks] == ["shop-staging_back", "old"]
        assert [volume.name for volume in project.volumes] == ["shop-staging_data", "kept-since-2019"]
        assert project.name == "shop-staging"

    def test_every_service_is_on_the_default_network(self, tmp_path: Path) -> None:
        project = lowered(tmp_path, "services: {web: {image: app}}")
        assert project.services[0].networks == (Attachment(network="default"),)
        assert [network.name for network in project.networks] == ["shop-staging_default"]

    def test_a_built_service_without_image_gets_one_a_registry_accepts(self, tmp_path: Path) -> None:
        project = lowered(tmp_path, "services: {Web._.Api: {build: .}, _: {build: .}}")
        assert [service.image for service in project.services] == ["shop-staging/web.api", "shop-staging/service"]

    def test_services_keep_the_order_of_the_file(self, tmp_path: Path) -> None:
        project = lowered(tmp_path, "services: {web: {image: a}, db: {image: b}, cache: {image: c}}")
        assert project.service_names == ("web", "db", "cache")

    def test_a_container_name_becomes_an_alias_on_every_network(self, tmp_path: Path) -> None:
        service = web(
            tmp_path, "container_name: shop-web\nnetworks: {a: {aliases: [www]}, b: }", "networks: {a: , b: }"
        )
        assert service.networks == (
            Attachment(network="a", aliases=("www", "shop-web")),
            Attachment(network="b", aliases=("shop-web",)),
        )
        assert service.container_name == "shop-web"


class TestHealth:
    @pytest.mark.parametrize(
        ("test", "expected"),
        [
            ('["CMD", "curl", "-f", "localhost"]', HealthCheck(test=("curl", "-f", "localhost"))),
            ('["CMD-SHELL", "curl localhost || exit 1"]', HealthCheck(test=("curl localhost || exit 1",), shell=True)),
            ("curl localhost", HealthCheck(test=("curl localhost",), shell=True)),
        ],
    )
    def test_every_form_of_test(self, tmp_path: Path, test: str, expected: HealthCheck) -> None:
        assert web(tmp_path, f"healthcheck:\n  test: {test}").health == expected

    def test_times_are_seconds_and_absent_ones_keep_dockers_defaults(self, tmp_path: Path) -> None:
        check = "healthcheck: {test: x, interval: 1m30s, timeout: 500ms, start_period: 1h, retries: 7}"
        assert web(tmp_path, check).health == HealthCheck(
            test=("x",), shell=True, interval=90.0, timeout=0.5, start_period=3600.0, retries=7
        )

    @pytest.mark.parametrize("check", ["{disable: true}", '{test: ["NONE"]}', "{test: x, disable: true}"])
    def test_a_check_can_be_switched_off(self, tmp_path: Path, check: str) -> None:
        service = web(tmp_path, f"healthcheck: {check}")
        assert service.health is None
        assert service.health_disabled

    @pytest.mark.parametrize("keys", ["", "healthcheck: {interval: 5s}", "healthcheck: {x-note: mine}"])
    def test_without_a_test_the_images_own_check_stays(self, tmp_path: Path, keys: str) -> None:
        service = web(tmp_path, keys)
        assert service.health is None
        assert not service.health_disabled


class TestResources:
    def test_limits_of_the_service_itself(self, tmp_path: Path) -> None:
        keys = "mem_limit: 512m\nmem_reservation: 128m\nmemswap_limit: -1\ncpus: 1.5\npids_limit: 100"
        assert web(tmp_path, keys).resources == Resources(
            memory=512 << 20, memory_reservation=128 << 20, memory_swap=-1, cpus=1.5, pids=100
        )

    def test_limits_of_deploy_count_more(self, tmp_path: Path) -> None:
        keys = "deploy: {resources: {limits: {cpus: '0.5', memory: 1g, pids: 5}, reservations: {memory: 64m}}}"
        assert web(tmp_path, keys).resources == Resources(memory=1 << 30, memory_reservation=64 << 20, cpus=0.5, pids=5)

    def test_gpus_are_device_requests_with_the_gpu_capability(self, tmp_path: Path) -> None:
        keys = (
            "gpus: [{driver: nvidia, count: 2}]\n"
            "deploy: {resources: {reservations: {devices: [{capabilities: [tpu], driver: acme, count: 1}]}}}"
        )
        assert web(tmp_path, keys).resources.devices == (
            '{"capabilities":["tpu"],"count":1,"driver":"acme"}',
            '{"capabilities":["gpu"],"count":2,"driver":"nvidia"}',
        )

    def test_ulimits_as_a_number_and_as_two(self, tmp_path: Path) -> None:
        service = web(tmp_path, "ulimits: {nproc: 65535, nofile: {soft: 20, hard: 40}}")
        assert service.ulimits == (
            Ulimit(name="nproc", soft=65535, hard=65535),
            Ulimit(name="nofile", soft=20, hard=40),
        )


class TestRestart:
    @pytest.mark.parametrize(
        ("keys", "expected"),
        [
            ("", Restart(policy="no")),
            ("restart: 'no'", Restart(policy="no")),
            ("restart: unless-stopped", Restart(policy="unless-stopped")),
            ("restart: on-failure:5", Restart(policy="on-failure", attempts=5)),
            ("deploy: {restart_policy: {condition: any}}", Restart(policy="always")),
            ("deploy: {restart_policy: {max_attempts: 3}}", Restart(policy="always")),
            ("restart: always\ndeploy: {restart_policy: {condition: none}}", Restart(policy="no")),
            (
                "restart: always\ndeploy: {restart_policy: {condition: on-failure, max_attempts: 2}}",
                Restart(policy="on-failure", attempts=2),
            ),
            ("restart: on-failure:9\ndeploy: {restart_policy: {delay: 5s}}", Restart(policy="on-failure")),
        ],
    )
    def test_deploy_counts_more_than_restart(self, tmp_path: Path, keys: str, expected: Restart) -> None:
        assert web(tmp_path, keys).restart == expected

    @pytest.mark.parametrize(
        ("keys", "message"),
        [
            ("restart: sometimes", "compose.yaml:4:5: services.web.restart: `sometimes` is not a restart policy"),
            ("restart: on-failure:often", "`on-failure:often` is not a restart policy"),
            ("deploy: {restart_policy: {condition: sometimes}}", "`sometimes` is not a restart condition"),
        ],
    )
    def test_an_unknown_policy_is_refused_before_an_engine_sees_it(
        self, tmp_path: Path, keys: str, message: str
    ) -> None:
        assert message in refusal(tmp_path, keys)


class TestReplicasAndUpdates:
    @pytest.mark.parametrize(
        ("keys", "replicas"),
        [("", 1), ("scale: 2", 2), ("deploy: {replicas: 3}", 3), ("deploy: {replicas: 0}", 0), ("scale: 0", 0)],
    )
    def test_replicas(self, tmp_path: Path, keys: str, replicas: int) -> None:
        assert web(tmp_path, keys).replicas == replicas

    def test_an_update_policy(self, tmp_path: Path) -> None:
        update = "{order: stop-first, parallelism: 0, delay: 10s, monitor: 1m, failure_action: pause}"
        assert web(tmp_path, f"deploy: {{update_config: {update}}}").update == UpdatePolicy(
            order=Order.STOP_FIRST, parallelism=0, delay=10.0, monitor=60.0, failure_action="pause"
        )

    @pytest.mark.parametrize(
        ("keys", "order"),
        [
            ("", Order.START_FIRST),
            ("volumes: [/anonymous, './conf:/conf:ro']\ntmpfs: /tmp\nports: ['80:80']", Order.START_FIRST),
            ("volumes: ['./data:/data']", Order.STOP_FIRST),
            ("volumes: ['./data:/data']\ndeploy: {update_config: {order: start-first}}", Order.START_FIRST),
            ("ports: ['53:53/udp']", Order.STOP_FIRST),
            ("network_mode: host", Order.STOP_FIRST),
            ("network_mode: none", Order.START_FIRST),
            ("networks: {default: {ipv4_address: 10.1.0.9}}", Order.STOP_FIRST),
        ],
    )
    def test_what_only_one_can_hold_is_replaced_stop_first(self, tmp_path: Path, keys: str, order: Order) -> None:
        assert web(tmp_path, keys).order is order

    @pytest.mark.parametrize(
        ("keys", "held"),
        [
            ("scale: 2\nports: ['53:53/udp']", "port 53/udp"),
            ("scale: 2\nnetworks: {default: {ipv4_address: 10.1.0.9}}", "the address 10.1.0.9"),
            ("deploy: {replicas: 2}\nnetwork_mode: host", "the host's network"),
            ("scale: 2\nnetwork_mode: container:old", "the network of old"),
        ],
    )
    def test_replicas_that_cannot_exist_together_are_refused(self, tmp_path: Path, keys: str, held: str) -> None:
        message = refusal(tmp_path, keys)
        assert "compose.yaml:4:" in message
        assert f"services.web: 2 replicas cannot share {held}" in message

    def test_replicas_may_share_a_tcp_port(self, tmp_path: Path) -> None:
        service = web(tmp_path, "scale: 3\nports: ['8080:80']")
        assert service.replicas == 3


class TestPorts:
    def test_long_and_short_forms(self, tmp_path: Path) -> None:
        service = web(tmp_path, "ports: ['80', '8080:80', '127.0.0.1:5432:5432', '53:53/UDP', '9000-9001:9000']")
        assert service.ports == (
            Port(target=80),
            Port(target=80, published="8080"),
            Port(target=5432, published="5432", host_ip="127.0.0.1"),
            Port(target=53, published="53", protocol="udp"),
            Port(target=9000, published="9000-9001"),
        )

    def test_on_the_hosts_network_ports_mean_nothing(self, tmp_path: Path) -> None:
        assert web(tmp_path, "network_mode: host\nports: ['8080:80']").ports == ()

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ("8080:80", "8080:8080"),
            ("127.0.0.1:8080:80", "8080:80"),
            ("'[::1]:8080:80'", "'[::]:8080:80'"),
            ("127.0.0.1:8080:80", "127.0.0.1:8080:81"),
        ],
    )
    def test_two_services_cannot_publish_one_port(self, tmp_path: Path, first: str, second: str) -> None:
        message = refusal(tmp_path, f"ports: [{first!s}]", f"  admin:\n    image: app\n    ports: [{second!s}]")
        assert "port 8080/tcp is already published by `web`" in message
        assert "compose.yaml:7:" in message
        assert "web publishes it at compose.yaml:4:" in message

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ("127.0.0.1:8080:80", "127.0.0.2:8080:80"),
            ("8080:80/tcp", "8080:80/udp"),
            ("80", "80"),
            ("'[::1]:8080:80'", "127.0.0.1:8080:80"),
            ("'[::]:8080:80'", "0.0.0.0:8080:80"),
        ],
    )
    def test_ports_that_do_not_meet_are_fine(self, tmp_path: Path, first: str, second: str) -> None:
        service = web(tmp_path, f"ports: [{first!s}]", f"  admin:\n    image: app\n    ports: [{second!s}]")
        assert len(service.ports) == 1


class TestMounts:
    def test_each_kind(self, tmp_path: Path) -> None:
        keys = """\
volumes:
  - data:/data
  - ./conf:/conf:ro,z
  - /anonymous
  - {type: tmpfs, target: /run, tmpfs: {size: 64m, mode: 0o1777}}
  - {type: volume, source: data, target: /sub, volume: {nocopy: true, subpath: a/b}}
  - {type: bind, source: ./must, target: /must, bind: {create_host_path: false, propagation: rslave}}"""
        mounts = web(tmp_path, keys, "volumes: {data: }").mounts
        assert [(mount.kind, mount.source, mount.target) for mount in mounts] == [
            (MountKind.VOLUME, "data", "/data"),
            (MountKind.BIND, str(tmp_path / "conf"), "/conf"),
            (MountKind.VOLUME, None, "/anonymous"),
            (MountKind.TMPFS, None, "/run"),
            (MountKind.VOLUME, "data", "/sub"),
            (MountKind.BIND, str(tmp_path / "must"), "/must"),
        ]
        assert (mounts[1].read_only, mounts[1].selinux, mounts[1].create_host_path) == (True, "z", True)
        assert (mounts[3].size, mounts[3].mode) == (64 << 20, 0o1777)
        assert (mounts[4].nocopy, mounts[4].subpath) == (True, "a/b")
        assert (mounts[5].create_host_path, mounts[5].propagation) == (False, "rslave")

    def test_volumes_from_lends_named_volumes_and_binds_also_from_afar(self, tmp_path: Path) -> None:
        rest = """\
  sidecar: {image: app, volumes_from: ["web:ro"], volumes: ["own:/own"]}
  third: {image: app, volumes_from: [sidecar]}
volumes: {data: , own: , other: }"""
        project = lowered(
            tmp_path,
            f"services:\n  web: {{image: app, volumes: [data:/data, other:/own, /anonymous]}}\n{rest}",
        )
        assert [(m.source, m.target, m.read_only) for m in project.service("sidecar").mounts] == [
            ("own", "/own", False),
            ("data", "/data", True),
        ]
        assert [(m.source, m.target, m.read_only) for m in project.service("third").mounts] == [
            ("own", "/own", False),
            ("data", "/data", True),
        ]

    @pytest.mark.parametrize(
        ("volume", "why"),
        [
            (
                "{type: npipe, source: '\\\\.\\pipe\\docker', target: '\\\\.\\pipe\\docker'}",
                "named pipes exist on Windows",
            ),
            ("{type: image, source: app, target: /app}", "COPY --from"),
            ("{type: cluster, source: disk, target: /disk}", "need Swarm"),
        ],
    )
    def test_mounts_that_cannot_be_made_are_refused(self, tmp_path: Path, volume: str, why: str) -> None:
        message = refusal(tmp_path, f"volumes:\n  - {volume}", "volumes: {disk: }")
        assert "compose.yaml:5:" in message
        assert why in message

    def test_volumes_of_a_foreign_container_are_refused(self, tmp_path: Path) -> None:
        message = refusal(tmp_path, "volumes_from: ['container:old']")
        assert "`container:old` names a container outside this project" in message


class TestFiles:
    def test_secrets_and_configs_with_their_targets(self, tmp_path: Path) -> None:
        project = lowered(
            tmp_path,
            """
services:
  web:
    image: app
    secrets: [token, {source: token, target: api, mode: 0440, uid: "103"}, {source: token, target: /etc/token}]
    configs: [motd, {source: motd, target: /etc/motd}]
secrets: {token: {environment: TOKEN}, key: {file: ./key.pem}}
configs: {motd: {content: "hello ${WHO}"}, other: {environment: WHO}}
""",
            TOKEN="hunter2",
            WHO="you",
        )
        assert project.service("web").secrets == (
            Grant(source="token", target="/run/secrets/token"),
            Grant(source="token", target="/run/secrets/api", uid="103", mode=0o440),
            Grant(source="token", target="/etc/token"),
        )
        assert [grant.target for grant in project.service("web").configs] == ["/motd", "/etc/motd"]
        assert project.secrets == (
            FileSource(key="token", content="hunter2"),
            FileSource(key="key", file=str(tmp_path / "key.pem")),
        )
        assert project.configs == (
            FileSource(key="motd", content="hello you"),
            FileSource(key="other", content="you"),
        )


class TestDependencies:
    def test_all_conditions(self, tmp_path: Path) -> None:
        rest = "  db: {image: b}\n  migrate: {image: c}"
        keys = """\
depends_on:
  db: {condition: service_healthy, restart: true}
  migrate: {condition: service_completed_successfully, required: false}"""
        assert web(tmp_path, keys, rest).needs == (
            Dependency(service="db", condition=Condition.HEALTHY, restart=True),
            Dependency(service="migrate", condition=Condition.COMPLETED, required=False),
        )

    def test_links_become_names_of_the_linked_service_where_both_are(self, tmp_path: Path) -> None:
        project = lowered(
            tmp_path,
            """
services:
  web: {image: app, links: ["db:database", cache], networks: [a]}
  db: {image: app, networks: [a, b]}
  cache: {image: app, networks: [a]}
networks: {a: , b: }
""",
        )
        assert project.service("db").networks == (
            Attachment(network="a", aliases=("database",)),
            Attachment(network="b"),
        )
        assert project.service("cache").networks == (Attachment(network="a"),)
        assert [need.service for need in project.service("web").needs] == ["db", "cache"]


class TestOtherKeys:
    def test_plain_keys(self, tmp_path: Path) -> None:
        service = web(
            tmp_path,
            """\
command: run --all "two words"
entrypoint: ["/entry"]
environment: {A: "1", B: , C: true}
labels: {team: shop}
user: "1000"
working_dir: /srv
hostname: box
init: true
tty: true
read_only: true
privileged: true
tmpfs: /tmp
cap_add: [NET_ADMIN]
cap_drop: [ALL]
security_opt: ["no-new-privileges:true"]
sysctls: {net.core.somaxconn: 1024}
extra_hosts: ["api:10.0.0.1", "six=::1"]
dns: 9.9.9.9
shm_size: 64m
stop_grace_period: 1m30s
stop_signal: SIGINT
pull_policy: if_not_present
platform: linux/arm64
expose: ["3000"]
logging: {driver: json-file, options: {max-size: 10m}}""",
        )
        assert service.command == ("run", "--all", "two words")
        assert service.entrypoint == ("/entry",)
        assert service.environment == (("A", "1"), ("B", None), ("C", "true"))
        assert service.labels == (("team", "shop"),)
        assert (service.user, service.working_dir, service.hostname) == ("1000", "/srv", "box")
        assert (service.init, service.tty, service.read_only, service.privileged) == (True, True, True, True)
        assert (service.tmpfs, service.cap_add, service.cap_drop) == (("/tmp",), ("NET_ADMIN",), ("ALL",))
        assert service.security_opt == ("no-new-privileges:true",)
        assert service.sysctls == (("net.core.somaxconn", "1024"),)
        assert service.extra_hosts == ("api:10.0.0.1", "six:::1")
        assert (service.dns, service.shm_size) == (("9.9.9.9",), 64 << 20)
        assert (service.stop_grace, service.stop_grace_given, service.stop_signal) == (90.0, True, "SIGINT")
        assert (service.pull_policy, service.platform, service.expose) == ("missing", "linux/arm64", ("3000",))
        assert service.logging == Logging(driver="json-file", options=(("max-size", "10m"),))

    def test_log_options_without_a_driver_are_for_the_engines_own(self, tmp_path: Path) -> None:
        service = web(tmp_path, "logging: {options: {max-size: 10m}}")
        assert service.logging == Logging(driver="", options=(("max-size", "10m"),))

    def test_every_other_key_is_kept_as_canonical_json(self, tmp_path: Path) -> None:
        keys = """\
cgroup_parent: team
oom_score_adj: 500
blkio_config: {weight: 300}
post_start: [{command: echo hi, user: root}]
x-mine: 1
attach: false
deploy: {placement: {constraints: [node=one]}, mode: global}"""
        assert web(tmp_path, keys).options == (
            ("blkio_config", '{"weight":300}'),
            ("cgroup_parent", '"team"'),
            ("deploy.mode", '"global"'),
            ("deploy.placement", '{"constraints":["node=one"]}'),
            ("oom_score_adj", "500"),
            ("post_start", '[{"command":["echo","hi"],"user":"root"}]'),
        )

    def test_a_build(self, tmp_path: Path) -> None:
        keys = """\
build:
  context: ./app
  dockerfile: prod.Dockerfile
  args: {A: "1", HOME: }
  target: run
  shm_size: 1g
  no_cache: true
  platforms: [linux/amd64]
  extra_hosts: ["api=10.0.0.1"]
  ssh: [default]
  cache_to: [type=inline]"""
        build = web(tmp_path, keys).build
        assert build is not None
        assert (build.context, build.dockerfile, build.target) == (str(tmp_path / "app"), "prod.Dockerfile", "run")
        assert build.args == (("A", "1"),)
        assert (build.shm_size, build.no_cache, build.platforms) == (1 << 30, True, ("linux/amd64",))
        assert build.extra_hosts == ("api:10.0.0.1",)
        assert build.options == (("cache_to", '["type=inline"]'), ("ssh", '["default"]'))

    def test_a_provider_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="made by an external program"):
            lowered(tmp_path, "services: {db: {provider: {type: awesomecloud}}}")


class TestNetworksAndVolumes:
    def test_a_network_with_everything(self, tmp_path: Path) -> None:
        project = lowered(
            tmp_path,
            """
services: {web: {image: app, networks: {n: {priority: 5, mac_address: 02:42:ac:11:65:43, interface_name: eth9}}}}
networks:
  n:
    driver: bridge
    driver_opts: {mtu: 1400}
    internal: true
    attachable: true
    enable_ipv6: true
    enable_ipv4: false
    labels: {a: b}
    ipam:
      driver: default
      options: {x: y}
      config:
        - {subnet: 172.21.0.0/24, gateway: 172.21.0.1, ip_range: 172.21.0.128/25, aux_addresses: {host1: 172.21.0.5}}
        - {subnet: "2001:db8::/64"}
""",
        )
        (network,) = project.networks
        assert network.subnets == (("172.21.0.0/24", "172.21.0.1"), ("2001:db8::/64", None))
        assert (network.ip_range, network.ipam_driver, network.driver) == ("172.21.0.128/25", "default", "bridge")
        assert (network.internal, network.attachable, network.enable_ipv6) == (True, True, True)
        assert (network.driver_opts, network.labels) == ((("mtu", "1400"),), (("a", "b"),))
        assert network.options == (
            ("enable_ipv4", "false"),
            ("ipam_options", '{"x":"y"}'),
            ("aux_addresses", '{"host1":"172.21.0.5"}'),
        )
        (place,) = project.service("web").networks
        assert (place.priority, place.mac_address) == (5, "02:42:ac:11:65:43")
        assert place.driver_opts == (("com.docker.network.endpoint.ifname", "eth9"),)

    def test_only_the_first_pool_may_reserve_addresses(self, tmp_path: Path) -> None:
        rest = """\
networks:
  default:
    ipam:
      config:
        - {subnet: 172.21.0.0/24}
        - {subnet: 172.22.0.0/24, ip_range: 172.22.0.0/25}"""
        message = refusal(tmp_path, "", rest)
        assert "only a network's first address pool can have `ip_range`" in message
        assert "compose.yaml:10:" in message

    def test_a_volume_with_everything(self, tmp_path: Path) -> None:
        project = lowered(
            tmp_path,
            """
services: {web: {image: app, volumes: ["v:/v", "old:/old"]}}
volumes:
  v: {driver: local, driver_opts: {type: nfs}, labels: {a: b}}
  old: {external: true, name: from-before}
""",
        )
        assert project.volumes == (
            Volume(
                key="v", name="shop-staging_v", driver="local", driver_opts=(("type", "nfs"),), labels=(("a", "b"),)
            ),
            Volume(key="old", name="from-before", external=True),
        )


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    message = refusal(
        tmp_path,
        'volumes: [{type: npipe, source: a, target: b}]\nvolumes_from: ["container:x"]\nports: ["80:80", "80:81"]',
    )
    assert "a mount of type `npipe` cannot be made" in message
    assert "outside this project" in message
    assert "already published by `web`" in message

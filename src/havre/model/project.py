"""A Compose project, fully resolved: nothing left to default, look up or interpolate."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from havre.model.health import HealthCheck


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """How an image is made; `context` is an absolute path or a URL."""

    context: str
    dockerfile: str = "Dockerfile"
    dockerfile_inline: str | None = None
    args: tuple[tuple[str, str | None], ...] = ()
    target: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    network: str | None = None
    tags: tuple[str, ...] = ()
    cache_from: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    shm_size: int | None = None
    no_cache: bool = False
    pull: bool = False
    platforms: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    """BuildKit-only keys (secrets, ssh, additional_contexts, …), each as canonical JSON."""


class MountKind(enum.Enum):
    """Where a mount's content comes from."""

    VOLUME = "volume"
    BIND = "bind"
    TMPFS = "tmpfs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """Something mounted at `target`; `source` is a volume key, an absolute path, or None when anonymous."""

    kind: MountKind
    target: str
    source: str | None = None
    read_only: bool = False
    create_host_path: bool = True
    propagation: str | None = None
    selinux: str | None = None
    nocopy: bool = False
    subpath: str | None = None
    size: int | None = None
    mode: int | None = None
    labels: tuple[tuple[str, str], ...] = ()

    @property
    def keeps_data(self) -> bool:
        """True when what the service writes there outlives the replica (rule D11: such a service is stop-first)."""
        return not self.read_only and self.kind is not MountKind.TMPFS


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A published port: the edge listens on `host_ip:published` and leads to `target`."""

    target: int
    published: str | None = None
    host_ip: str = "0.0.0.0"  # noqa: S104 - Compose's own default, shown to the user by a check
    protocol: str = "tcp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A service's place on one network; `network` is the project's key for it."""

    network: str
    aliases: tuple[str, ...] = ()
    ipv4_address: str | None = None
    ipv6_address: str | None = None
    mac_address: str | None = None
    priority: int = 0
    link_local_ips: tuple[str, ...] = ()
    driver_opts: tuple[tuple[str, str], ...] = ()


class Condition(enum.Enum):
    """When a dependency counts as met."""

    STARTED = "service_started"
    HEALTHY = "service_healthy"
    COMPLETED = "service_completed_successfully"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """`depends_on`: this service waits for `service` to meet `condition`."""

    service: str
    condition: Condition = Condition.STARTED
    required: bool = True
    restart: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Limits and reservations; memory in bytes, cpus in cores."""

    memory: int | None = None
    memory_reservation: int | None = None
    memory_swap: int | None = None
    cpus: float | None = None
    pids: int | None = None
    devices: tuple[str, ...] = ()
    """Device requests (GPUs), each as canonical JSON of the Compose form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """`no`, `always`, `on-failure` (with a limit when `attempts` is not 0) or `unless-stopped`."""

    policy: str = "no"
    attempts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Logging:
    """The log driver and its options; an empty `driver` is the engine's own default."""

    driver: str
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A secret or config given to a service as a file at `target`."""

    source: str
    target: str
    uid: str | None = None
    gid: str | None = None
    mode: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ulimit:
    """One resource limit of the process."""

    name: str
    soft: int
    hard: int


_JOINING = ("service:", "container:")
"""Network modes that put a replica into another container's network, where ports may be taken already."""


class Order(enum.Enum):
    """Whether new replicas start beside the old ones or after they have stopped."""

    START_FIRST = "start-first"
    STOP_FIRST = "stop-first"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatePolicy:
    """`deploy.update_config`; times in seconds; `order` None means: decide by rule D11."""

    order: Order | None = None
    parallelism: int = 1
    delay: float = 0.0
    monitor: float = 0.0
    failure_action: str = "rollback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service of a project, fully resolved."""

    name: str
    image: str
    """The image reference to run; for a service with `build` the name its build is tagged with."""
    build: Build | None = None
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    environment: tuple[tuple[str, str | None], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    mounts: tuple[Mount, ...] = ()
    networks: tuple[Attachment, ...] = ()
    network_mode: str | None = None
    ports: tuple[Port, ...] = ()
    expose: tuple[str, ...] = ()
    needs: tuple[Dependency, ...] = ()
    health: HealthCheck | None = None
    health_disabled: bool = False
    """`healthcheck: {disable: true}`: the image's own check is switched off."""
    restart: Restart = Restart()
    resources: Resources = Resources()
    logging: Logging | None = None
    secrets: tuple[Grant, ...] = ()
    configs: tuple[Grant, ...] = ()
    replicas: int = 1
    update: UpdatePolicy = UpdatePolicy()
    stop_grace: float = 10.0
    stop_grace_given: bool = False
    """Somebody said how long; else it is the default, which says nothing of this service."""
    stop_signal: str | None = None
    user: str | None = None
    working_dir: str | None = None
    hostname: str | None = None
    domainname: str | None = None
    container_name: str | None = None
    init: bool | None = None
    tty: bool = False
    stdin_open: bool = False
    read_only: bool = False
    privileged: bool = False
    tmpfs: tuple[str, ...] = ()
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()
    ulimits: tuple[Ulimit, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    """Each as `name:address`."""
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_opt: tuple[str, ...] = ()
    shm_size: int | None = None
    pull_policy: str = "missing"
    platform: str | None = None
    options: tuple[tuple[str, str], ...] = ()
    """Every other honoured Compose key (`blkio_config`, `cgroup_parent`, `post_start`, …) as canonical JSON."""

    @property
    def stateful_mounts(self) -> tuple[Mount, ...]:
        """Mounts that hold data of their own: two versions must not write them at once (D11)."""
        return tuple(mount for mount in self.mounts if mount.keeps_data and mount.source is not None)

    @property
    def held_alone(self) -> tuple[str, ...]:
        """What only one replica can hold at a time, in words: a joined network, addresses, ports no edge carries."""
        joined = self.network_mode or ""
        fixed = [(place.ipv4_address, place.ipv6_address, place.mac_address) for place in self.networks]
        ports = [port for port in self.ports if port.published and port.protocol != "tcp"]
        return (
            *(["the host's network"] if joined == "host" else []),
            *([f"the network of {joined.partition(':')[2]}"] if joined.startswith(_JOINING) else []),
            *(f"the address {address}" for addresses in fixed for address in addresses if address),
            *(f"port {port.published}/{port.protocol}" for port in ports),
        )

    @property
    def may_end(self) -> bool:
        """True for a service that may do its work and end with code 0: nothing asks or restarts it then."""
        asked = self.ports or self.expose or self.health is not None
        return self.restart.policy in ("no", "on-failure") and not asked

    @property
    def order(self) -> Order:
        """D11: what `update_config.order` says, else stop-first when it writes a volume or is `held_alone`."""
        if self.update.order is not None:
            return self.update.order
        return Order.STOP_FIRST if self.stateful_mounts or self.held_alone else Order.START_FIRST


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network; `name` is the engine's name. `subnet` and `gateway` may be given or chosen by the ledger."""

    key: str
    name: str
    external: bool = False
    driver: str | None = None
    driver_opts: tuple[tuple[str, str], ...] = ()
    internal: bool = False
    attachable: bool = False
    enable_ipv6: bool = False
    subnets: tuple[tuple[str, str | None], ...] = ()
    """(subnet, gateway or None) in the order given."""
    ip_range: str | None = None
    ipam_driver: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A named volume; `name` is the engine's name."""

    key: str
    name: str
    external: bool = False
    driver: str | None = None
    driver_opts: tuple[tuple[str, str], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSource:
    """A top-level secret or config: from a file on the server, or inline `content` (already resolved)."""

    key: str
    file: str | None = None
    content: str | None = None
    external: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A Compose project: services in file order and the resources that they use."""

    name: str
    services: tuple[Service, ...] = ()
    networks: tuple[Network, ...] = ()
    volumes: tuple[Volume, ...] = ()
    secrets: tuple[FileSource, ...] = ()
    configs: tuple[FileSource, ...] = ()

    @property
    def called(self) -> Mapping[str, Service]:
        """Every name by which services of the project are called inside it."""
        found: dict[str, Service] = {}
        for service in self.services:
            aliases = [alias for attachment in service.networks for alias in attachment.aliases]
            for name in (service.name, service.container_name, service.hostname, *aliases):
                if name:
                    found.setdefault(name, service)
        return found

    def service(self, name: str) -> Service:
        """The service called `name`; KeyError when there is none."""
        for service in self.services:
            if service.name == name:
                return service
        raise KeyError(name)

    @property
    def service_names(self) -> tuple[str, ...]:
        """The names of all services, in file order."""
        return tuple(service.name for service in self.services)

    @property
    def jobs(self) -> frozenset[str]:
        """Services that some other service waits to see completed: they run once per release."""
        return frozenset(
            need.service for service in self.services for need in service.needs if need.condition is Condition.COMPLETED
        )

    def in_start_order(self) -> Iterator[Service]:
        """Services with every dependency before its dependents; file order where there is a choice.

        Cycles cannot occur here: loading refuses them.
        """
        seen: set[str] = set()
        by_name = {service.name: service for service in self.services}

        def visit(service: Service) -> Iterator[Service]:
            if service.name in seen:
                return
            seen.add(service.name)
            for need in service.needs:
                if need.service in by_name:
                    yield from visit(by_name[need.service])
            yield service

        for service in self.services:
            yield from visit(service)

    def with_service(self, service: Service) -> Project:
        """A copy in which `service` takes the place of the one with its name."""
        return replace(self, services=tuple(service if old.name == service.name else old for old in self.services))

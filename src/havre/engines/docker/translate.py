"""From the model to what the Docker Engine API wants to hear; pure, so that golden tests can hold it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from havre.engines.base import Context
from havre.engines.docker import labels
from havre.engines.docker.mounts import host_mounts
from havre.engines.docker.options import apply_options, device_requests, in_namespace_of, peer_services
from havre.engines.hooks import PRE_STOP, hooks_text
from havre.model.health import HealthCheck
from havre.model.project import Attachment, Network, Service, Volume

Body = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Which container of a service this is, and what the engine it goes to can do.

    `command` replaces the service's own in a one-off. `peers` are the containers of other services that this one
    joins (`network_mode: service:db`), by service name. `seccomp` are the contents of seccomp profiles by file.
    `addresses` are those it is to keep, by network, where the Compose file says none.
    """

    slot: int
    role: str = "replica"
    fingerprint: str = ""
    command: tuple[str, ...] | None = None
    api: tuple[int, int] = (1, 41)
    peers: Mapping[str, str] = field(default_factory=dict)
    seccomp: Mapping[str, str] = field(default_factory=dict)
    addresses: Mapping[str, str] = field(default_factory=dict)


def container_body(service: Service, context: Context, placement: Placement) -> Body:
    """The request that creates one container; its first network is in it, the others are joined after."""
    body: Body = {
        "Image": service.image,
        "Labels": dict(service.labels) | _own_labels(service, context, placement),
        "Env": [name if value is None else f"{name}={value}" for name, value in service.environment],
        "ExposedPorts": _exposed(service),
        "HostConfig": _host_config(service, context, placement),
        "NetworkingConfig": {"EndpointsConfig": _first_endpoint(service, context, placement)},
    }
    body |= _command(service, placement) | _identity(service) | _stopping(service)
    if placement.role == "replica":
        body |= _health(service, placement.api)
    else:
        body["Healthcheck"] = {"Test": ["NONE"]}
    apply_options(body, service.options, placement.peers)
    return body


def endpoints(service: Service, context: Context, placement: Placement) -> tuple[tuple[str, Body], ...]:
    """(network name, endpoint settings) of every network to join; by priority, then as written."""
    if service.network_mode is not None:
        return ()
    ordered = sorted(service.networks, key=lambda attachment: -attachment.priority)
    return tuple(
        (context.network(attachment.network).name, _endpoint(service, attachment, context, placement))
        for attachment in ordered
    )


def services_joined(service: Service) -> tuple[str, ...]:
    """Other services whose containers this one refers to; they must run first."""
    found = list(peer_services(service.options))
    if service.network_mode is not None and service.network_mode.startswith("service:"):
        found.append(service.network_mode.removeprefix("service:"))
    return tuple(dict.fromkeys(found))


def network_body(network: Network, instance: str) -> Body:
    """The request that creates a network."""
    ranges = [
        {name: value for name, value in (("Subnet", subnet), ("Gateway", gateway)) if value}
        for subnet, gateway in network.subnets
    ]
    if ranges and network.ip_range:
        ranges[0]["IPRange"] = network.ip_range
    body: Body = {
        "Name": network.name,
        "CheckDuplicate": True,
        "Driver": network.driver or "bridge",
        "Internal": network.internal,
        "Attachable": network.attachable,
        "EnableIPv6": network.enable_ipv6,
        "Options": dict(network.driver_opts),
        "Labels": dict(network.labels) | {labels.INSTANCE: instance},
    }
    if ranges or network.ipam_driver:
        body["IPAM"] = {"Driver": network.ipam_driver or "default", "Config": ranges}
    if ranges and body["Driver"] == "bridge" and network.ipam_driver in {None, "default"}:
        body["Labels"][labels.ADDRESSES] = "fixed"
    for name, value in network.options:
        _network_option(body, name, msgspec.json.decode(value))
    return body


def volume_body(volume: Volume, instance: str) -> Body:
    """The request that creates a volume."""
    return {
        "Name": volume.name,
        "Driver": volume.driver or "local",
        "DriverOpts": dict(volume.driver_opts),
        "Labels": dict(volume.labels) | {labels.INSTANCE: instance},
    }


def task_digest(service: Service, command: tuple[str, ...] | None, title: str) -> str:
    """What tells one one-off of a release from another."""
    text = "\0".join([title, service.image, *(command or ("",))])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _own_labels(service: Service, context: Context, placement: Placement) -> dict[str, str]:
    found = {
        labels.INSTANCE: context.instance,
        labels.SERVICE: service.name,
        labels.SLOT: str(placement.slot),
        labels.RELEASE: str(context.release),
        labels.FINGERPRINT: placement.fingerprint,
        labels.ROLE: placement.role,
    }
    hooks = hooks_text(service, PRE_STOP)
    return found | {labels.PRE_STOP: hooks} if hooks and placement.role == "replica" else found


def _command(service: Service, placement: Placement) -> Body:
    command = service.command if placement.command is None else placement.command
    found: Body = {"Tty": service.tty, "OpenStdin": service.stdin_open}
    if command is not None:
        found["Cmd"] = list(command)
    if service.entrypoint is not None:
        found["Entrypoint"] = list(service.entrypoint)
    return found


def _identity(service: Service) -> Body:
    wanted = {
        "User": service.user,
        "WorkingDir": service.working_dir,
        "Hostname": service.hostname,
        "Domainname": service.domainname,
    }
    return {name: value for name, value in wanted.items() if value is not None}


def _stopping(service: Service) -> Body:
    found: Body = {"StopTimeout": math.ceil(service.stop_grace)}
    return found | {"StopSignal": service.stop_signal} if service.stop_signal else found


def _exposed(service: Service) -> Body:
    published = [f"{port.target}/{port.protocol}" for port in service.ports]
    exposed = [entry if "/" in entry else f"{entry}/tcp" for entry in service.expose]
    return {entry: {} for entry in [*published, *(single for entry in exposed for single in _each_port(entry))]}


def _each_port(entry: str) -> list[str]:
    ports, _, protocol = entry.partition("/")
    first, _, last = ports.partition("-")
    return [f"{port}/{protocol}" for port in range(int(first), int(last or first) + 1)]


def _health(service: Service, api: tuple[int, int]) -> Body:
    if service.health_disabled:
        return {"Healthcheck": {"Test": ["NONE"]}}
    return {"Healthcheck": _healthcheck(service.health, api)} if service.health is not None else {}


def _healthcheck(health: HealthCheck, api: tuple[int, int]) -> Body:
    found: Body = {
        "Test": ["CMD-SHELL" if health.shell else "CMD", *health.test],
        "Interval": _nanoseconds(health.interval),
        "Timeout": _nanoseconds(health.timeout),
        "StartPeriod": _nanoseconds(health.start_period),
        "Retries": health.retries,
    }
    if health.start_interval is not None and api >= (1, 44):
        found["StartInterval"] = _nanoseconds(health.start_interval)
    return found


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1_000_000_000)


def _host_config(service: Service, context: Context, placement: Placement) -> Body:
    found: Body = {
        "NetworkMode": _network_mode(service, context, placement),
        "RestartPolicy": _restart(service, placement),
        "PortBindings": _bindings(service) if placement.role == "replica" else {},
        "ExtraHosts": _extra_hosts(service, context),
    }
    found |= host_mounts(service, context) | _resources(service) | _security(service, placement)
    if service.logging is not None:
        found["LogConfig"] = {"Type": service.logging.driver, "Config": dict(service.logging.options)}
    lists = {"Dns": service.dns, "DnsSearch": service.dns_search, "DnsOptions": service.dns_opt}
    found |= {name: list(values) for name, values in lists.items() if values}
    if service.init is not None:
        found["Init"] = service.init
    return found


def _network_mode(service: Service, context: Context, placement: Placement) -> str:
    if service.network_mode is not None:
        return in_namespace_of(service.network_mode, placement.peers)
    joined = endpoints(service, context, placement)
    return joined[0][0] if joined else "none"


def _restart(service: Service, placement: Placement) -> Body:
    if placement.role != "replica":
        return {"Name": "no"}
    attempts = service.restart.attempts if service.restart.policy == "on-failure" else 0
    return {"Name": service.restart.policy, "MaximumRetryCount": attempts}


def _bindings(service: Service) -> Body:
    """Only what the edge cannot carry: TCP ports belong to it, so that two releases never fight over one (D7)."""
    found: dict[str, list[dict[str, str]]] = {}
    for port in service.ports:
        if port.protocol != "tcp":
            binding = {"HostIp": port.host_ip, "HostPort": port.published or ""}
            found.setdefault(f"{port.target}/{port.protocol}", []).append(binding)
    return found


def _extra_hosts(service: Service, context: Context) -> list[str]:
    """The names the edge answers for come first: the first line of /etc/hosts that has a name wins."""
    own = [entry if ":" in entry.partition("=")[0] else entry.replace("=", ":", 1) for entry in service.extra_hosts]
    if service.network_mode is not None:
        return own
    return [*(f"{name}:{address}" for name, address in context.names), *own]


def _resources(service: Service) -> Body:
    limits = service.resources
    wanted = {
        "Memory": limits.memory,
        "MemoryReservation": limits.memory_reservation,
        "MemorySwap": limits.memory_swap,
        "NanoCpus": None if limits.cpus is None else _nanoseconds(limits.cpus),
        "PidsLimit": limits.pids,
        "ShmSize": service.shm_size,
    }
    found: Body = {name: value for name, value in wanted.items() if value is not None}
    if service.ulimits:
        found["Ulimits"] = [{"Name": u.name, "Soft": u.soft, "Hard": u.hard} for u in service.ulimits]
    if limits.devices:
        found["DeviceRequests"] = [
            request for entry in limits.devices for request in device_requests(msgspec.json.decode(entry))
        ]
    return found


def _security(service: Service, placement: Placement) -> Body:
    found: Body = {}
    if service.privileged:
        found["Privileged"] = True
    if service.read_only:
        found["ReadonlyRootfs"] = True
    if "systempaths=unconfined" in service.security_opt or "systempaths:unconfined" in service.security_opt:
        found |= {"MaskedPaths": [], "ReadonlyPaths": []}
    options = [_security_option(entry, placement) for entry in service.security_opt if "systempaths" not in entry]
    lists = {"CapAdd": list(service.cap_add), "CapDrop": list(service.cap_drop), "SecurityOpt": options}
    found |= {name: values for name, values in lists.items() if values}
    return found | {"Sysctls": dict(service.sysctls)} if service.sysctls else found


def _security_option(entry: str, placement: Placement) -> str:
    name, _, value = entry.replace(":", "=", 1).partition("=")
    if name == "seccomp" and value in placement.seccomp:
        return f"seccomp={placement.seccomp[value]}"
    return entry


def _first_endpoint(service: Service, context: Context, placement: Placement) -> dict[str, Body]:
    return dict(endpoints(service, context, placement)[:1])


def _endpoint(service: Service, attachment: Attachment, context: Context, placement: Placement) -> Body:
    found: Body = {"Aliases": _aliases(service, attachment, context, placement)}
    chosen = placement.addresses.get(context.network(attachment.network).name)
    fixed = {
        "IPv4Address": attachment.ipv4_address or chosen,
        "IPv6Address": attachment.ipv6_address,
        "LinkLocalIPs": list(attachment.link_local_ips) or None,
    }
    given = {name: value for name, value in fixed.items() if value}
    if given and placement.role == "replica":
        found["IPAMConfig"] = given
    if attachment.mac_address:
        found["MacAddress"] = attachment.mac_address
    if attachment.driver_opts:
        found["DriverOpts"] = dict(attachment.driver_opts)
    return found


def _aliases(service: Service, attachment: Attachment, context: Context, placement: Placement) -> list[str]:
    """Names by which others reach it directly; none for one-offs, nor names that lead through the edge (D8)."""
    if placement.role != "replica":
        return []
    routed = {name for name, _ in context.names}
    names = [service.name, service.container_name, *attachment.aliases]
    return list(dict.fromkeys(name for name in names if name and name not in routed))


def _network_option(body: Body, name: str, value: Any) -> None:
    match name:
        case "enable_ipv4":
            body["EnableIPv4"] = bool(value)
        case "ipam_options":
            body.setdefault("IPAM", {"Driver": "default", "Config": []})["Options"] = dict(value)
        case "aux_addresses":
            config = body.setdefault("IPAM", {"Driver": "default", "Config": []})["Config"]
            if config:
                config[0]["AuxiliaryAddresses"] = dict(value)
        case _:
            pass

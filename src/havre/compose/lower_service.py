"""Lowers one service: a table for what maps one to one, a small function for each thing that does not."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from havre.compose.lower_mounts import borrow_mounts, lower_mounts
from havre.compose.lower_runtime import (
    lower_health,
    lower_logging,
    lower_replicas,
    lower_resources,
    lower_restart,
    lower_ulimits,
    lower_update,
)
from havre.compose.lower_values import canonical, host_entries, mode, open_pairs, pairs, seconds, text, texts
from havre.compose.units import parse_size
from havre.model.project import Attachment, Build, Condition, Dependency, Grant, Mount, Port, Service

Convert = Callable[[Any], Any]

_FIELDS: tuple[tuple[str, Convert], ...] = (
    ("command", texts),
    ("entrypoint", texts),
    ("environment", open_pairs),
    ("labels", pairs),
    ("network_mode", text),
    ("expose", texts),
    ("stop_signal", text),
    ("user", text),
    ("working_dir", text),
    ("hostname", text),
    ("domainname", text),
    ("container_name", text),
    ("init", bool),
    ("tty", bool),
    ("stdin_open", bool),
    ("read_only", bool),
    ("privileged", bool),
    ("tmpfs", texts),
    ("cap_add", texts),
    ("cap_drop", texts),
    ("security_opt", texts),
    ("sysctls", pairs),
    ("ulimits", lower_ulimits),
    ("extra_hosts", host_entries),
    ("dns", texts),
    ("dns_search", texts),
    ("dns_opt", texts),
    ("shm_size", parse_size),
    ("platform", text),
)
"""Keys that a Service has under the same name, each with the reader of its value."""

_ELSEWHERE = frozenset(
    {
        "image", "build", "volumes", "networks", "ports", "depends_on", "healthcheck", "restart", "logging", "secrets",
        "configs", "scale", "deploy", "stop_grace_period", "pull_policy", "mem_limit", "mem_reservation",
        "memswap_limit", "cpus", "pids_limit", "gpus", "links", "volumes_from",
    }
)  # fmt: skip
"""Keys that a function below reads."""

_LOADING_ONLY = frozenset({"name", "profiles", "env_file", "label_file", "extends", "attach", "develop"})
"""Keys that have done their work when the file is loaded, or that a deployment has no use for (see keys.py)."""

READ = frozenset(name for name, _ in _FIELDS) | _ELSEWHERE | _LOADING_ONLY
"""Keys of a service that lowering itself deals with; all others become options for the engine."""

_DEPLOY_READ = frozenset({"replicas", "restart_policy", "resources", "update_config"})

_BUILD_READ = frozenset(
    {
        "context", "dockerfile", "dockerfile_inline", "args", "target", "labels", "network", "tags", "cache_from",
        "extra_hosts", "shm_size", "no_cache", "pull", "platforms",
    }
)  # fmt: skip


def lower_service(name: str, spec: Mapping[str, Any], instance: str) -> Service:
    """One service of the normal form as a Service of `instance`."""
    plain = {key: convert(spec[key]) for key, convert in _FIELDS if spec.get(key) is not None}
    health, health_disabled = lower_health(spec.get("healthcheck"))
    return Service(
        name=name,
        image=spec.get("image") or built_image(instance, name),
        build=_build(spec["build"]) if spec.get("build") else None,
        mounts=lower_mounts(spec.get("volumes") or ()),
        networks=_attachments(spec),
        ports=() if text(spec.get("network_mode")) == "host" else tuple(map(_port, spec.get("ports") or ())),
        needs=tuple(_dependency(*item) for item in (spec.get("depends_on") or {}).items()),
        health=health,
        health_disabled=health_disabled,
        restart=lower_restart(spec),
        resources=lower_resources(spec),
        logging=lower_logging(spec.get("logging")),
        secrets=tuple(_grant(grant, "/run/secrets/") for grant in spec.get("secrets") or ()),
        configs=tuple(_grant(grant, "/") for grant in spec.get("configs") or ()),
        replicas=lower_replicas(spec),
        update=lower_update((spec.get("deploy") or {}).get("update_config") or {}),
        stop_grace=seconds(spec.get("stop_grace_period") or "10s"),
        stop_grace_given=bool(spec.get("stop_grace_period")),
        pull_policy=_pull_policy(text(spec.get("pull_policy"))),
        options=_options(spec),
        **plain,
    )


def built_image(instance: str, service: str) -> str:
    """`<instance>/<service>` as a registry accepts it: lower case, single separators."""
    repository = re.sub(r"[^a-z0-9]*([._-])[^a-z0-9]*", r"\1", service.lower()).strip("._-")
    return f"{instance}/{repository or 'service'}"


def with_shared_mounts(services: Sequence[Service], shared: Mapping[str, Sequence[str]]) -> tuple[Service, ...]:
    """`volumes_from`: each service also gets the named volumes and binds of the services it lists, and of theirs."""
    mounts = {service.name: service.mounts for service in services}

    def gathered(name: str) -> tuple[Mount, ...]:
        entries = [entry.partition(":") for entry in shared.get(name, ())]
        return borrow_mounts(mounts[name], [(gathered(owner), access == "ro") for owner, _, access in entries])

    return tuple(replace(service, mounts=gathered(service.name)) for service in services)


def with_linked_aliases(services: Sequence[Service], links: Mapping[str, Sequence[str]]) -> tuple[Service, ...]:
    """`links: [db:database]`: the linked service answers to that alias on the networks both are on."""
    wanted: dict[str, list[tuple[str, frozenset[str]]]] = {}
    networks = {service.name: frozenset(place.network for place in service.networks) for service in services}
    for name, entries in links.items():
        for entry in entries:
            target, _, alias = entry.partition(":")
            if alias and alias != target:
                wanted.setdefault(target, []).append((alias, networks[name]))
    return tuple(replace(service, networks=_aliased(service, wanted.get(service.name, ()))) for service in services)


def _aliased(service: Service, wanted: Sequence[tuple[str, frozenset[str]]]) -> tuple[Attachment, ...]:
    return tuple(
        replace(place, aliases=_unique([*place.aliases, *(alias for alias, where in wanted if place.network in where)]))
        for place in service.networks
    )


def _attachments(spec: Mapping[str, Any]) -> tuple[Attachment, ...]:
    """The service's networks; its `container_name` is an alias on each, because replicas cannot share a name."""
    alias = spec.get("container_name")
    return tuple(
        Attachment(
            network=network,
            aliases=_unique([*(place.get("aliases") or ()), *([alias] if alias else [])]),
            ipv4_address=place.get("ipv4_address"),
            ipv6_address=place.get("ipv6_address"),
            mac_address=place.get("mac_address"),
            priority=int(place.get("priority") or 0),
            link_local_ips=texts(place.get("link_local_ips") or ()),
            driver_opts=pairs((place.get("driver_opts") or {}) | _interface_name(place)),
        )
        for network, place in ((key, value or {}) for key, value in (spec.get("networks") or {}).items())
    )


def _interface_name(place: Mapping[str, Any]) -> dict[str, str]:
    """Docker takes the interface's name as an option of the endpoint, not as a field."""
    name = place.get("interface_name")
    return {"com.docker.network.endpoint.ifname": name} if name else {}


def _unique(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))


def _port(port: Mapping[str, Any]) -> Port:
    published = text(port.get("published"))
    host_ip = {"host_ip": port["host_ip"]} if port.get("host_ip") else {}
    return Port(
        target=int(port["target"]),
        published=None if published in ("", "0") else published,
        protocol=text(port.get("protocol") or "tcp").lower(),
        **host_ip,
    )


def _dependency(name: str, spec: Mapping[str, Any]) -> Dependency:
    return Dependency(
        service=name,
        condition=Condition(spec.get("condition") or "service_started"),
        required=spec.get("required") is not False,
        restart=bool(spec.get("restart")),
    )


def _grant(grant: Mapping[str, Any], directory: str) -> Grant:
    target = grant.get("target") or grant["source"]
    return Grant(
        source=grant["source"],
        target=target if target.startswith("/") else directory + target,
        uid=grant.get("uid"),
        gid=grant.get("gid"),
        mode=None if grant.get("mode") is None else mode(grant["mode"]),
    )


def _pull_policy(policy: str) -> str:
    return "missing" if policy in ("", "if_not_present") else policy


def _build(build: Mapping[str, Any]) -> Build:
    rest = {key: value for key, value in build.items() if key not in _BUILD_READ and not key.startswith("x-")}
    return Build(
        context=build.get("context") or ".",
        dockerfile=build.get("dockerfile") or "Dockerfile",
        dockerfile_inline=build.get("dockerfile_inline"),
        args=open_pairs(build.get("args") or {}),
        target=build.get("target"),
        labels=pairs(build.get("labels") or {}),
        network=build.get("network"),
        tags=texts(build.get("tags") or ()),
        cache_from=texts(build.get("cache_from") or ()),
        extra_hosts=host_entries(build.get("extra_hosts") or ()),
        shm_size=parse_size(build["shm_size"]) if build.get("shm_size") else None,
        no_cache=bool(build.get("no_cache")),
        pull=bool(build.get("pull")),
        platforms=texts(build.get("platforms") or ()),
        options=_as_options(rest),
    )


def _options(spec: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Every other key, so that an engine can honour it without the model knowing it."""
    rest = {key: value for key, value in spec.items() if key not in READ and not key.startswith("x-")}
    for key, value in (spec.get("deploy") or {}).items():
        if key not in _DEPLOY_READ and not key.startswith("x-"):
            rest[f"deploy.{key}"] = value
    return _as_options(rest)


def _as_options(values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((key, canonical(value)) for key, value in sorted(values.items()) if value not in (None, [], {}, ""))

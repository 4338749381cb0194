"""Turns a loaded Compose project (its normal form) into the typed Project that planning and engines speak."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from havre.compose.lower_problems import problems_of_lowering
from havre.compose.lower_service import lower_service, with_linked_aliases, with_shared_mounts
from havre.compose.lower_values import canonical, pairs, text
from havre.compose.normal_form import NormalForm, section
from havre.errors import InputError, Problem
from havre.model.project import FileSource, Network, Project, Service, Volume


def lower(loaded: NormalForm, *, instance: str) -> Project:
    """The Project of `loaded` for one instance; raises InputError with every problem at once.

    Names the user did not choose are `<instance>_<key>`, as Compose does with the project's name.
    """
    if problems := problems_of_lowering(loaded):
        raise InputError(problems)
    services = tuple(lower_service(name, spec, instance) for name, spec in section(loaded, "services").items())
    if problems := tuple(_crowded(loaded, service) for service in services if _is_crowded(service)):
        raise InputError(problems)
    links = {name: spec.get("links") or () for name, spec in section(loaded, "services").items()}
    shared = {name: spec.get("volumes_from") or () for name, spec in section(loaded, "services").items()}
    return Project(
        name=instance,
        services=with_linked_aliases(with_shared_mounts(services, shared), links),
        networks=tuple(
            _network(key, spec, _name(loaded, instance, key, spec)) for key, spec in section(loaded, "networks").items()
        ),
        volumes=tuple(
            _volume(key, spec, _name(loaded, instance, key, spec)) for key, spec in section(loaded, "volumes").items()
        ),
        secrets=tuple(_file_source(key, spec) for key, spec in section(loaded, "secrets").items()),
        configs=tuple(
            _file_source(key, {**_given(loaded, key), **spec}) for key, spec in section(loaded, "configs").items()
        ),
    )


def _is_crowded(service: Service) -> bool:
    return service.replicas > 1 and bool(service.held_alone)


def _crowded(loaded: NormalForm, service: Service) -> Problem:
    """Several replicas of what only one can be; TCP ports and container names are no obstacle (F37)."""
    path = f"services.{service.name}"
    key = "scale" if section(loaded, "services")[service.name].get("scale") is not None else "deploy.replicas"
    return Problem(
        summary=f"{service.replicas} replicas cannot share {', '.join(service.held_alone)}",
        subject=path,
        at=loaded.origin(f"{path}.{key}").location,
        effect="the second replica could not start",
        hint="ask for one replica, or drop what only one can hold (TCP ports are no obstacle: the edge opens them)",
        code="compose.crowded",
    )


def _name(loaded: NormalForm, instance: str, key: str, spec: Mapping[str, Any]) -> str:
    """The name the user chose, else `<instance>_<key>` (the normal form has the project's name filled in)."""
    name = text(spec.get("name"))
    if spec.get("external"):
        return name or key
    return f"{instance}_{key}" if name in ("", f"{loaded.name}_{key}") else name


def _network(key: str, spec: Mapping[str, Any], name: str) -> Network:
    ipam = spec.get("ipam") or {}
    pools = ipam.get("config") or []
    ranges = [pool["ip_range"] for pool in pools if pool.get("ip_range")]
    return Network(
        key=key,
        name=name,
        external=bool(spec.get("external")),
        driver=spec.get("driver"),
        driver_opts=pairs(spec.get("driver_opts") or {}),
        internal=bool(spec.get("internal")),
        attachable=bool(spec.get("attachable")),
        enable_ipv6=bool(spec.get("enable_ipv6")),
        subnets=tuple((pool["subnet"], pool.get("gateway")) for pool in pools if pool.get("subnet")),
        ip_range=ranges[0] if ranges else None,
        ipam_driver=ipam.get("driver"),
        labels=pairs(spec.get("labels") or {}),
        options=_network_options(spec, ipam),
    )


def _network_options(spec: Mapping[str, Any], ipam: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What a Network has no field for, under the names engines know."""
    options: dict[str, Any] = {}
    if spec.get("enable_ipv4") is not None:
        options["enable_ipv4"] = spec["enable_ipv4"]
    if ipam.get("options"):
        options["ipam_options"] = ipam["options"]
    if reserved := next(
        (pool["aux_addresses"] for pool in ipam.get("config") or () if pool.get("aux_addresses")), None
    ):
        options["aux_addresses"] = reserved
    return tuple((key, canonical(value)) for key, value in options.items())


def _volume(key: str, spec: Mapping[str, Any], name: str) -> Volume:
    return Volume(
        key=key,
        name=name,
        external=bool(spec.get("external")),
        driver=spec.get("driver"),
        driver_opts=pairs(spec.get("driver_opts") or {}),
        labels=pairs(spec.get("labels") or {}),
    )


def _given(loaded: NormalForm, config: str) -> dict[str, str]:
    """The content that a config takes from a variable."""
    return {"content": loaded.config_contents[config]} if config in loaded.config_contents else {}


def _file_source(key: str, spec: Mapping[str, Any]) -> FileSource:
    content = spec.get("content")
    return FileSource(
        key=key,
        file=spec.get("file"),
        content=None if content is None else text(content),
        external=bool(spec.get("external")),
    )

"""What a project means without saying it: names, the default network, build defaults, implied dependencies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from havre.compose.environment import Environment
from havre.compose.rules import compile_rules, matches
from havre.compose.shortforms import clean_path
from havre.compose.tree import Map, Seq, put, spot_of

_NAMESPACES = ("network_mode", "ipc", "pid", "uts", "cgroup")
_RESOURCES = ("networks", "volumes", "configs", "secrets")


def set_defaults(root: Map) -> None:
    """The defaults of the specification that do not depend on other services."""
    for container, key, _, defaults in matches(root, _DEFAULTS):
        if isinstance(container[key], Map):
            defaults(container[key])


def normalise(root: Map, project_name: str, environment: Environment) -> None:
    """Make everything implied explicit, in place."""
    root["name"] = project_name
    services = root.get("services")
    services = services if isinstance(services, Map) else Map()
    services.update({name: Map() for name, service in services.items() if service is None})
    _attach_default_network(root, services)
    for service in _mappings(services):
        _normalise_service(service, environment)
    for kind in _RESOURCES:
        _name_resources(root.get(kind), project_name)


def resolve_environment(root: Map, environment: Environment) -> None:
    """Give bare names in `environment` lists the value they have here."""
    for section in ("services", "secrets", "configs"):
        for item in _mappings(root.get(section)):
            if isinstance(item.get("environment"), Seq):
                item["environment"] = _with_values(item["environment"], environment)


def resolve_contents(root: Map, environment: Environment) -> None:
    """Secrets declared with `environment: NAME` get their content from that variable."""
    for name, value in contents(root, "secrets", environment):
        secret = root["secrets"][name]
        put(secret, "content", value, spot_of(secret, "environment"))


def contents(root: Map, section: str, environment: Environment) -> Iterator[tuple[str, str]]:
    """The content of every secret or config that takes it from a variable."""
    resources = root.get(section)
    for name, resource in resources.items() if isinstance(resources, Map) else ():
        variable = resource.get("environment") if isinstance(resource, Map) else None
        value = environment.get(variable) if isinstance(variable, str) else None
        if value is not None:
            yield name, value


def _attach_default_network(root: Map, services: Map) -> None:
    is_used = False
    for service in _mappings(services):
        if "provider" in service or service.get("network_mode") is not None:
            continue
        if not service.get("networks"):
            service["networks"] = Map({"default": None})
        is_used = is_used or "default" in service["networks"]
    if is_used:
        networks = root.setdefault("networks", Map())
        networks = networks if isinstance(networks, Map) else Map()
        root["networks"] = networks
        networks.setdefault("default", Map())


def _normalise_service(service: Map, environment: Environment) -> None:
    if service.get("pull_policy") == "if_not_present":
        service["pull_policy"] = "missing"
    if isinstance(service.get("build"), Map):
        _normalise_build(service["build"], environment)
    if "environment" in service:
        service["environment"] = _with_values(service["environment"], environment)
    for volume in service.get("volumes") or ():
        if isinstance(volume, Map) and isinstance(volume.get("target"), str):
            volume["target"] = clean_path(volume["target"])
    _add_dependencies(service)
    for hook in service.get("pre_start") or ():
        if isinstance(hook, Map) and service.get("image") and not hook.get("image"):
            put(hook, "image", service["image"], spot_of(service, "image"))


def _normalise_build(build: Map, environment: Environment) -> None:
    if build.get("context") is None:
        build["context"] = "."
    if build.get("dockerfile") is None and build.get("dockerfile_inline") is None:
        build["dockerfile"] = "Dockerfile"
    if build.get("args") is not None:
        build["args"] = _known(_with_values(build["args"], environment))


def _add_dependencies(service: Map) -> None:
    wanted = list(_implied(service))
    if not wanted:
        return
    known = service.get("depends_on")
    known = known if isinstance(known, Map) else Map()
    for name, restart, spot in wanted:
        if name not in known:
            put(known, name, Map({"condition": "service_started", "restart": restart, "required": True}), spot)
    service["depends_on"] = known


def _implied(service: Map) -> Iterator[tuple[str, bool, int]]:
    """Name, whether a restart follows, and the place that implies it."""
    links = service.get("links")
    for index, link in enumerate(links or ()):
        yield str(link).partition(":")[0], True, spot_of(links, index)
    for key in _NAMESPACES:
        namespace = service.get(key)
        if isinstance(namespace, str) and namespace.startswith("service:"):
            yield namespace.removeprefix("service:"), True, spot_of(service, key)
    volumes = service.get("volumes_from")
    for index, volume in enumerate(volumes or ()):
        if not str(volume).startswith("container:"):
            yield str(volume).partition(":")[0], False, spot_of(volumes, index)


def _with_values(value: Any, environment: Environment) -> Any:
    """Names without a value get the one of the environment; they stay bare when it has none."""
    if isinstance(value, Map):
        for name, item in value.items():
            if item is None:
                value[name] = environment.get(name)
        return value
    if isinstance(value, Seq):
        return Seq([_pair(item, environment) for item in value], value.at)
    return value


def _known(value: Any) -> Any:
    """Build arguments nobody gave a value to are left out."""
    if isinstance(value, Map):
        return Map({name: item for name, item in value.items() if item is not None}, value.at)
    if isinstance(value, Seq):
        kept = [(item, spot) for item, spot in zip(value, value.spots(), strict=True) if "=" in str(item)]
        return Seq([item for item, _ in kept], [spot for _, spot in kept])
    return value


def _pair(item: Any, environment: Environment) -> Any:
    if not isinstance(item, str) or "=" in item:
        return item
    value = environment.get(item)
    return item if value is None else f"{item}={value}"


def _name_resources(resources: Any, project_name: str) -> None:
    if not isinstance(resources, Map):
        return
    for key, resource in resources.items():
        if resource is None:
            resources[key] = resource = Map()
        if isinstance(resource, Map) and resource.get("name") is None:
            is_external = resource.get("external") not in (None, False)
            resource["name"] = key if is_external else f"{project_name}_{key}"


def _mappings(value: Any) -> Iterator[Map]:
    for item in value.values() if isinstance(value, Mapping) else ():
        if isinstance(item, Map):
            yield item


def _default_build(build: Map) -> None:
    if build.get("context") is None:
        build["context"] = "."


def _default_port(port: Map) -> None:
    if not port.get("protocol"):
        port["protocol"] = "tcp"
    if not port.get("mode"):
        port["mode"] = "ingress"


def _default_secret(mount: Map) -> None:
    if not mount.get("target") and mount.get("source"):
        put(mount, "target", f"/run/secrets/{mount['source']}", spot_of(mount, "source"))


def _default_mount(volume: Map) -> None:
    if volume.get("type") == "bind":
        bind = volume.get("bind")
        if bind is None:
            bind = volume["bind"] = Map()
        if isinstance(bind, Map):
            bind.setdefault("create_host_path", True)


def _default_devices(devices: Map) -> None:
    if devices.get("count") is None and not devices.get("device_ids"):
        devices["count"] = "all"


_DEFAULTS = compile_rules(
    {
        "services.*.build": _default_build,
        "services.*.build.secrets.*": _default_secret,
        "services.*.deploy.resources.reservations.devices.*": _default_devices,
        "services.*.gpus.*": _default_devices,
        "services.*.ports.*": _default_port,
        "services.*.secrets.*": _default_secret,
        "services.*.volumes.*": _default_mount,
    }
)

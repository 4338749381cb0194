"""Whether the parts of a project fit together: references, exclusive keys, cycles.

Checks are generators, so every problem of a project is told at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any

from havre.compose.findings import Findings, closest
from havre.compose.rules import Rule, compile_rules, matches
from havre.compose.shortforms import is_address
from havre.compose.tree import Map, Path, spot_along

Found = tuple[Path, str, str]
Check = Callable[[Any], str]

_SHOWN = 12
_HEALTH_KINDS = ("CMD", "CMD-SHELL", "NONE")
_REFERENCES = (("configs", "config"), ("secrets", "secret"))
_SAME = (
    ("cpus", "limits", "cpus"),
    ("mem_limit", "limits", "memory"),
    ("mem_reservation", "reservations", "memory"),
    ("pids_limit", "limits", "pids"),
)


def check_values(root: Map, findings: Findings) -> None:
    """Rules about one value at a time, which hold before anything is normalised."""
    for container, key, path, check in matches(root, _RULES):
        problem = check(container[key])
        if problem:
            _add(root, (path, problem, _FIXES.get(check, "correct it")), findings)


def check_project(root: Map, disabled: Collection[str], findings: Findings) -> None:
    """Rules about the project as a whole, of the services that are enabled."""
    services = _section(root, "services")
    for name, service in services.items():
        for path, summary, hint in _service_problems(root, name, service, disabled):
            _add(root, (("services", name, *path), summary, hint), findings)
    for problem in (*_secret_problems(root), *_cycles(services)):
        _add(root, problem, findings)


def check_references(root: Map, declared: Map, findings: Findings) -> None:
    """Of a document in which something else is wrong: the names its services use must be in `declared`."""
    for name, service in _section(root, "services").items():
        for check in (_network_problems, _volume_problems, _mount_references):
            for path, summary, hint in check(declared, name, service):
                _add(root, (("services", name, *path), summary, hint), findings)
        for path, summary, hint in _dependency_problems(declared, name, service, ()):
            _add(root, (("services", name, *path), summary, hint), findings)


def _add(root: Map, found: Found, findings: Findings) -> None:
    path, summary, hint = found
    findings.error(summary, hint=hint, spot=spot_along(root, path), path=path, code="consistency")


def _section(root: Map, name: str) -> Map:
    section = root.get(name)
    return section if isinstance(section, Map) else Map()


def _service_problems(root: Map, name: str, service: Map, disabled: Collection[str]) -> Iterator[Found]:
    yield from _source_problems(name, service)
    yield from _build_problems(root, name, service)
    yield from _network_problems(root, name, service)
    yield from _dependency_problems(root, name, service, disabled)
    yield from _volume_problems(root, name, service)
    yield from _mount_references(root, name, service)
    yield from _health_problems(service)
    yield from _scale_problems(name, service)
    yield from _resource_problems(service)
    yield from _watch_problems(name, service)
    yield from _target_conflicts(name, service)


def _source_problems(name: str, service: Map) -> Iterator[Found]:
    if not service.get("build") and not service.get("image") and "provider" not in service:
        summary = f'service "{name}" has neither an image nor a build context specified'
        yield (), summary, "add `image:` or `build:`"


def _build_problems(root: Map, name: str, service: Map) -> Iterator[Found]:
    build = service.get("build")
    if not isinstance(build, Map):
        return
    if build.get("dockerfile") and build.get("dockerfile_inline"):
        summary = f'service "{name}" declares mutualy exclusive dockerfile and dockerfile_inline'
        yield ("build", "dockerfile_inline"), summary, "keep one of the two"
    platforms = build.get("platforms") or ()
    if platforms and service.get("platform") and service["platform"] not in platforms:
        summary = f'service.build.platforms MUST include service.platform "{service["platform"]}"'
        yield ("build", "platforms"), summary, "add it to the list"
    for index, mount in enumerate(build.get("secrets") or ()):
        if mount.get("source") not in _section(root, "secrets"):
            summary = f'service "{name}" refers to undefined build secret {mount.get("source")}'
            yield ("build", "secrets", index), summary, _declare(mount.get("source"), "secrets", root)
    yield from _context_problems(root, name, build)


def _context_problems(root: Map, name: str, build: Map) -> Iterator[Found]:
    services = _section(root, "services")
    for key, context in (build.get("additional_contexts") or {}).items():
        kind, _, other = str(context).partition(":")
        if kind != "service":
            continue
        path = ("build", "additional_contexts", key)
        if other not in services:
            summary = f'service "{name}" declares unknown service "{other}" as additional context {key}'
            yield path, summary, _declare(other, "services", root)
        elif not services[other].get("build"):
            summary = f'service "{name}" declares non-buildable service "{other}" as additional context {key}'
            yield path, summary, f"add `build:` to {other}, or name its image: `docker-image://...`"


def _network_problems(root: Map, name: str, service: Map) -> Iterator[Found]:
    networks = service.get("networks") or {}
    if networks and service.get("network_mode"):
        summary = f"service {name} declares mutually exclusive `network_mode` and `networks`"
        yield ("network_mode",), summary, "keep one of the two"
    for network in networks:
        if network.startswith("x-"):
            summary = f'service "{name}" refers to undefined network {network}: Compose reads it as an extension'
            yield ("networks", network), summary, "give the network a name that does not begin with `x-`"
        elif network not in _section(root, "networks"):
            summary = f'service "{name}" refers to undefined network {network}'
            yield ("networks", network), summary, _declare(network, "networks", root)
    for model in service.get("models") or {}:
        if model not in _section(root, "models"):
            summary = f'service "{name}" refers to undefined model {model}'
            yield ("models", model), summary, _declare(model, "models", root)


def _dependency_problems(root: Map, name: str, service: Map, disabled: Collection[str]) -> Iterator[Found]:
    services = _section(root, "services")
    for other, dependency in (service.get("depends_on") or {}).items():
        if other in services or (other in disabled and dependency.get("required") is False):
            continue
        summary = f'service "{name}" depends on undefined service "{other}"'
        hint = _declare(other, "services", root)
        if other in disabled:
            hint = "it belongs to a profile that is not active: activate it, or write `required: false`"
        yield ("depends_on", other), summary, hint


def _volume_problems(root: Map, name: str, service: Map) -> Iterator[Found]:
    for index, volume in _mounts(service, "volumes"):
        source = volume.get("source")
        if volume.get("type") == "volume" and source and source not in _section(root, "volumes"):
            summary = f'service "{name}" refers to undefined volume {source}'
            yield ("volumes", index), summary, _declare(source, "volumes", root)


def _mount_references(root: Map, name: str, service: Map) -> Iterator[Found]:
    for section, kind in _REFERENCES:
        for index, mount in _mounts(service, section):
            if mount.get("source") not in _section(root, section):
                summary = f'service "{name}" refers to undefined {kind} {mount.get("source")}'
                yield (section, index), summary, _declare(mount.get("source"), section, root)


def _health_problems(service: Map) -> Iterator[Found]:
    health = service.get("healthcheck")
    test = health.get("test") if isinstance(health, Map) else None
    if test and test[0] not in _HEALTH_KINDS:
        summary = 'healthcheck.test must start either by "CMD", "CMD-SHELL" or "NONE"'
        yield ("healthcheck", "test"), summary, 'write ["CMD", ...], or one string for the shell'


def _scale_problems(name: str, service: Map) -> Iterator[Found]:
    deploy = service.get("deploy")
    replicas = deploy.get("replicas") if isinstance(deploy, Map) else None
    scale = service.get("scale")
    if scale is not None and replicas is not None and scale != replicas:
        summary = "can't set distinct values on 'scale' and 'deploy.replicas'"
        yield ("scale",), summary, "keep `deploy.replicas`"
    for path, count in ((("scale",), scale), (("deploy", "replicas"), replicas)):
        if isinstance(count, int) and count < 0:
            yield path, "must be greater than or equal to 0", "use 0 or more"
        elif isinstance(count, int) and count > 1 and service.get("container_name"):
            summary = f"services.{name}: can't set container_name and scale as container name must be unique"
            yield ("container_name",), summary, "remove `container_name`"


def _resource_problems(service: Map) -> Iterator[Found]:
    deploy = service.get("deploy")
    resources = deploy.get("resources") if isinstance(deploy, Map) else None
    if not isinstance(resources, Map):
        return
    for key, group, name in _SAME:
        limits = resources.get(group)
        theirs = limits.get(name) if isinstance(limits, Map) else None
        if service.get(key) and theirs and service[key] != theirs:
            summary = f"can't set distinct values on '{key}' and 'deploy.resources.{group}.{name}'"
            yield (key,), summary, "keep one of the two"


def _watch_problems(name: str, service: Map) -> Iterator[Found]:
    develop = service.get("develop")
    for index, watch in enumerate((develop.get("watch") or ()) if isinstance(develop, Map) else ()):
        if watch.get("action") not in ("rebuild", "restart") and not watch.get("target"):
            summary = f"services.{name}.develop.watch: target is required for non-rebuild actions"
            yield ("develop", "watch", index), summary, "add `target:`"


def _target_conflicts(name: str, service: Map) -> Iterator[Found]:
    """Two things mounted at the same place of a container."""
    seen: dict[str, str] = {}
    for path, target in _targets(service):
        shown = f"services.{name}.{path[0]}[{path[1]}]"
        if target in seen:
            summary = f"target {target} already mounted as {seen[target]}"
            yield path, summary, "mount one of the two elsewhere"
        seen.setdefault(target, shown)


def _targets(service: Map) -> Iterator[tuple[Path, str]]:
    for index, item in enumerate(service.get("tmpfs") or ()):
        yield ("tmpfs", index), str(item).partition(":")[0]
    for section, folder in (("volumes", ""), ("secrets", "/run/secrets/"), ("configs", "/")):
        for index, mount in _mounts(service, section):
            target = mount.get("target") or f"{folder}{mount.get('source')}"
            yield (section, index), target if target.startswith("/") else f"{folder}{target}"


def _mounts(service: Map, section: str) -> Iterator[tuple[int, Map]]:
    """The entries of a list in long form; a short form whose variables are left unresolved is not one yet."""
    return ((index, mount) for index, mount in enumerate(service.get(section) or ()) if isinstance(mount, Map))


def _secret_problems(root: Map) -> Iterator[Found]:
    for name, secret in _section(root, "secrets").items():
        if not isinstance(secret, Map) or secret.get("external") or secret.get("file") or secret.get("environment"):
            continue
        summary = f'secret "{name}" must declare either `file` or `environment`'
        yield ("secrets", name), summary, "add one of them, or `external: true`"


def _cycles(services: Map) -> Iterator[Found]:
    """The first dependency cycle, told as a path; without recursion, in linear time."""
    state: dict[str, int] = {}
    for start in services:
        trail: list[tuple[str, Iterator[str]]] = [(start, _needs(services, start))] if start not in state else []
        while trail:
            name, left = trail[-1]
            state[name] = 1
            other = next(left, None)
            if other is None:
                state[name] = 2
                trail.pop()
            elif state.get(other) == 1:
                names = [step for step, _ in trail]
                ring = " -> ".join(_shortened([*names[names.index(other) :], other]))
                summary = f"dependency cycle detected: {ring}"
                yield ("services", name, "depends_on", other), summary, "remove one of these dependencies"
                return
            elif other not in state:
                trail.append((other, _needs(services, other)))


def _shortened(names: list[str]) -> list[str]:
    return names if len(names) <= _SHOWN else [*names[: _SHOWN - 2], "…", names[-1]]


def _needs(services: Map, name: str) -> Iterator[str]:
    needed = services[name].get("depends_on") or {}
    return iter([other for other in needed if other in services])


def _declare(name: Any, section: str, root: Map) -> str:
    known = [key for key in _section(root, section) if key != name]
    return closest(str(name), known) or f"declare it under top-level `{section}:`"


def _exclusive(*keys: str) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, Map):
            return ""
        given = [key for key in keys if key in value]
        if len(given) > 1:
            return f"{'|'.join(keys)} attributes are mutually exclusive"
        if given or "driver" in value or "external" in value:
            return ""
        return f"one of {'|'.join(keys)} must be set"

    return check


def _external_volume(value: Any) -> str:
    if not isinstance(value, Map) or value.get("external") in (None, False):
        return ""
    extra = [key for key in value if key not in ("name", "external") and not key.startswith("x-")]
    return f'conflicting parameters "external" and "{extra[0]}" specified' if extra else ""


def _host_ip(value: Any) -> str:
    address = value.get("host_ip") if isinstance(value, Map) else None
    if not isinstance(address, str) or not address or is_address(address):
        return ""
    return f"invalid ip address: {address}"


def _not_blank(value: Any) -> str:
    return "" if value else "value can't be blank"


def _device_request(value: Any) -> str:
    if isinstance(value, Map) and "count" in value and "device_ids" in value:
        return '"count" and "device_ids" attributes are exclusive'
    return ""


_FIXES: dict[Check, str] = {
    _external_volume: "an external volume exists already: describe it where it is created",
    _host_ip: "write an IPv4 or IPv6 address",
    _not_blank: "write a path",
    _device_request: "keep one of the two",
}

_RULES: Rule[Check] = compile_rules(
    {
        "configs.*": _exclusive("file", "environment", "content"),
        "secrets.*": _exclusive("file", "environment"),
        "services.*.deploy.resources.reservations.devices.*": _device_request,
        "services.*.develop.watch.*.path": _not_blank,
        "services.*.gpus.*": _device_request,
        "services.*.ports.*": _host_ip,
        "volumes.*": _external_volume,
    }
)

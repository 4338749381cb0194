"""What differs between two configurations of an app: services, routes, limits, everything; secrets by name alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Any

from havre.model.app import App
from havre.model.images import image_tag
from havre.model.project import Project
from havre.model.route import Route
from havre.model.secrets_mask import is_secret_name, mask_setting
from havre.model.units import show_bytes

Facts = dict[tuple[str, str], str]
"""(whose, what) -> the value as text."""

MANIFEST = "havre.yaml"
_BY_NAME = frozenset({"environment", "labels", "sysctls", "options", "driver_opts"})
"""Fields that hold (name, value) pairs: each is compared for itself."""

_BYTES = frozenset({"memory", "memory_reservation", "memory_swap", "shm_size", "max_body"})
_MANIFEST_KEYS = {
    "compose": "compose", "env_files": "env_file", "profiles": "profiles", "routes": "routes",
    "migration": "release.migrate", "verifications": "release.verify", "backups": "backups", "waivers": "waivers",
    "processes": "processes", "tls": "tls", "keep_releases": "keep_releases",
    "hold_limit": "hold", "secrets": "secrets", "notify": "notify",
}  # fmt: skip
"""App's fields by the keys people write; what names the environment or its engine is no difference."""

_NOT_COMPARED = frozenset({"name", "build"})
"""A build is compared by the image it gives, which is named by its content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two: the manifest and project, and the digests of mounted configuration files."""

    label: str
    app: App
    project: Project
    files: Mapping[str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not the same; None where a side lacks it. Secret values are never in it."""

    subject: str
    """A service, `havre.yaml`, or a network or volume."""
    what: str
    one: str | None
    other: str | None


def differences(one: Side, other: Side) -> tuple[Difference, ...]:
    """Everything in which the two differ, the manifest first, then services in the order of the files."""
    left, right = _facts(one), _facts(other)
    services = dict.fromkeys([*one.project.service_names, *other.project.service_names])
    rank = {name: number for number, name in enumerate([MANIFEST, *services])}
    keys = sorted(left.keys() | right.keys(), key=lambda key: (rank.get(key[0], len(rank)), key))
    on_one_side = set(one.project.service_names) ^ set(other.project.service_names)
    return tuple(
        Difference(subject=subject, what=what, one=_shown(what, left.get(key)), other=_shown(what, right.get(key)))
        for key in keys
        for subject, what in (key,)
        # Of a service that only one side has, its image says enough.
        if left.get(key) != right.get(key) and (subject not in on_one_side or what == "image")
    )


def shared_secrets(one: Side, other: Side) -> tuple[str, ...]:
    """The names of secrets that have the same value on both sides: whoever has one side's has the other's."""
    theirs = set(_secrets(other))
    return tuple(sorted({name for name, value in _secrets(one) if (name, value) in theirs}))


def _secrets(side: Side) -> Iterator[tuple[str, str]]:
    for service in side.project.services:
        for name, value in service.environment:
            if value and is_secret_name(name):
                yield name, value


def _facts(side: Side) -> Facts:
    facts: Facts = {}
    for name, key in _MANIFEST_KEYS.items():
        facts |= {(MANIFEST, path): text for path, text in _flat(key, getattr(side.app, name))}
    for service in side.project.services:
        for item in fields(service):
            if item.name not in _NOT_COMPARED:
                value = getattr(service, item.name)
                facts |= {(service.name, path): text for path, text in _flat(item.name, value)}
        facts[service.name, "image"] = _image(service.image, side)
        for target, digest in side.files.get(service.name, ()):
            facts[service.name, f"content of {target}"] = f"sha256 {digest[:12]}"
    for kind, resources in (("network", side.project.networks), ("volume", side.project.volumes)):
        for resource in resources:
            subject = f"{kind} {resource.key}"
            facts[subject, "name"] = _own(resource.name, side)
            for item in fields(resource):
                if item.name not in ("key", "name"):
                    value = getattr(resource, item.name)
                    facts |= {(subject, path): text for path, text in _flat(item.name, value)}
    return facts


def _image(reference: str, side: Side) -> str:
    if reference.startswith(f"{side.project.name}/"):
        return f"built from content {image_tag(reference)[1] or 'unknown'}"
    return reference


def _own(name: str, side: Side) -> str:
    """`shop-staging_data` as `APP_data`: every environment has names of its own."""
    rest = name.removeprefix(side.project.name)
    return f"APP{rest}" if rest != name and rest[:1] in ("_", "-") else name


def _flat(path: str, value: Any) -> Iterator[tuple[str, str]]:
    """(dotted path, text) of a value; nothing where it is absent."""
    if value is None or value == ():
        return
    if is_dataclass(value):
        for item in fields(value):
            if getattr(value, item.name) != item.default or item.default is MISSING:
                yield from _flat(f"{path}.{item.name}", getattr(value, item.name))
    elif isinstance(value, tuple) and path in _BY_NAME:
        yield from ((f"{path}.{name}", "" if text is None else str(text)) for name, text in value)
    elif isinstance(value, tuple) and any(is_dataclass(item) for item in value):
        yield from _items(path, value)
    else:
        yield path, _text(path, value)


def _items(path: str, values: tuple[Any, ...]) -> Iterator[tuple[str, str]]:
    """Each item under its own name, so that one route more is one difference and not all of them."""
    found: dict[str, list[str]] = {}
    for value in values:
        found.setdefault(_name(value), []).append(", ".join(_parts(value)))
    for name, texts in found.items():
        yield f"{path} {name}", "; ".join(texts)


def _name(value: Any) -> str:
    """What people call an item: a route by host and path, a mount by its target, a backup by its service."""
    if isinstance(value, Route):
        return f"{value.host}{value.path}"
    named = (getattr(value, name, None) for name in ("target", "network", "service", "name", "path", "check"))
    return next((str(name) for name in named if name), str(value))


def _parts(value: Any) -> list[str]:
    """The fields of an item that say something."""
    found = ((item.name, getattr(value, item.name), item.default) for item in fields(value))
    return [f"{name} {_text(name, there)}" for name, there, default in found if there != default and there is not None]


def _text(path: str, value: Any) -> str:
    name = path.rpartition(".")[2]
    if isinstance(value, tuple):
        return " ".join(_text(path, item) for item in value)
    if is_dataclass(value):
        return ", ".join(_parts(value))
    if name in _BYTES and isinstance(value, int):
        return show_bytes(value)
    if isinstance(value, float):
        return f"{value:g}"
    return getattr(value, "value", None) or str(value)


def _shown(what: str, text: str | None) -> str | None:
    """A value as it may be shown; only that a secret differs is said."""
    if text is None or what == "image" or what.startswith("content of "):
        return text
    return mask_setting(what.rpartition(".")[2], text) if text else "(empty)"

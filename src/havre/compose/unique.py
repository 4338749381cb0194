"""Lists that name a thing only once: a later entry for the same thing takes the place of the earlier one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from havre.compose.findings import Findings
from havre.compose.rules import Rule, compile_rules, matches
from havre.compose.shortforms import parse_volume
from havre.compose.tree import Map, Path, Seq, spot_of

Identify = Callable[[Any], str]


def enforce_unique(root: Any, findings: Findings) -> None:
    """Reduce every list of the table, in place."""
    for container, key, path, identify in matches(root, RULES):
        if isinstance(container[key], Seq):
            container[key] = _reduce(container[key], identify, path, findings)


def _reduce(items: Seq, identify: Identify, path: Path, findings: Findings) -> Seq:
    places: dict[str, int] = {}
    kept = Seq()
    for index, (item, spot) in enumerate(zip(items, items.spots(), strict=True)):
        try:
            name = identify(item)
        except _NamelessError as error:
            findings.error(str(error), hint="add it", spot=spot_of(items, index), path=(*path, index), code="required")
            continue
        if name in places:
            kept[places[name]], kept.at[places[name]] = item, spot
            continue
        places[name] = len(kept)
        kept.append(item)
        kept.at.append(spot)
    return kept


class _NamelessError(Exception):
    """An entry lacks the key that says what it is about."""


def _key_of(item: Any) -> str:
    return item.partition("=")[0] if isinstance(item, str) else repr(item)


def _volume(item: Any) -> str:
    if isinstance(item, Map):
        target = item.get("target")
        if not isinstance(target, str):
            raise _NamelessError("service volume is missing a mount target")
        return target
    try:
        return str(parse_volume(str(item))["target"])
    except ValueError:  # told, with its place, when the short form is expanded
        return repr(item)


def _device(item: Any) -> str:
    if isinstance(item, Map):
        if not isinstance(item.get("target"), str):
            raise _NamelessError("service device is missing a mount target")
        return str(item["target"])
    parts = str(item).split(":")
    return parts[0] if len(parts) == 1 else parts[1]


def _port(item: Any) -> str:
    if not isinstance(item, Map):
        return str(item)
    if not item.get("target"):
        raise _NamelessError("service port is missing a target port")
    address, protocol = item.get("host_ip") or "0.0.0.0", item.get("protocol") or "tcp"  # noqa: S104 - a comparison key
    return f"{address}:{item.get('published', '')}:{item['target']}/{protocol}"


def _env_file(item: Any) -> str:
    return str(item.get("path")) if isinstance(item, Map) else str(item)


def _mounted(folder: str) -> Identify:
    def identify(item: Any) -> str:
        if isinstance(item, Map):
            return str(item.get("target") or f"{folder}/{item.get('source')}")
        return f"{folder}/{item}"

    return identify


_BY_KEY = (
    "networks.*.ipam.options",
    "networks.*.labels",
    "services.*.annotations",
    "services.*.build.additional_contexts",
    "services.*.build.args",
    "services.*.build.labels",
    "services.*.build.platform",
    "services.*.build.tags",
    "services.*.cap_add",
    "services.*.cap_drop",
    "services.*.deploy.labels",
    "services.*.dns",
    "services.*.dns_opt",
    "services.*.dns_search",
    "services.*.environment",
    "services.*.labels",
    "services.*.links",
    "services.*.networks.*.aliases",
    "services.*.networks.*.link_local_ips",
    "services.*.profiles",
    "services.*.sysctls",
    "services.*.tmpfs",
)

RULES: Rule[Identify] = compile_rules(
    {
        **dict.fromkeys(_BY_KEY, _key_of),
        "services.*.configs": _mounted(""),
        "services.*.devices": _device,
        "services.*.env_file": _env_file,
        "services.*.expose": str,
        "services.*.ports": _port,
        "services.*.secrets": _mounted("/run/secrets"),
        "services.*.volumes": _volume,
    }
)

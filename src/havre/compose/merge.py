"""Merging Compose documents: mappings merge, sequences append, scalars are replaced, with exceptions as data.

The exceptions are one table from path pattern to merge function. `ports`, `volumes` and other lists that must
not repeat themselves are reduced afterwards, see `unique.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from havre.compose.findings import Findings
from havre.compose.rules import Rule, compile_rules
from havre.compose.tree import Map, Path, Seq, dotted, put, spot_of

Merge = Callable[["Merger", Any, Any, Path], Any]


class Merger:
    """Merges documents; what cannot be merged is recorded, and the base kept."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings

    def documents(self, base: Map, override: Map) -> Map:
        """`override` merged over `base`, which is changed."""
        return self.mappings(base, override, (), RULES)

    def service(self, base: Map, override: Map, name: str) -> Map:
        """One service merged over the one it extends."""
        rule = RULES.named["services"].every
        return self.mappings(base, override, ("services", name), rule)

    def values(self, base: Any, override: Any, path: Path, rule: Rule[Merge] | None, spot: int = 0) -> Any:
        """Any two values."""
        if rule is not None and rule.action is not None:
            return rule.action(self, base, override, path)
        if base is None or override is None:
            return base if override is None else override
        if isinstance(base, Map) and isinstance(override, Map):
            return self.mappings(base, override, path, rule)
        if isinstance(base, Seq) and isinstance(override, Seq):
            return Seq([*base, *override], [*base.spots(), *override.spots()])
        if isinstance(base, Map | Seq):
            self._conflict(path, spot)
        return override

    def mappings(self, base: Map, override: Map, path: Path, rule: Rule[Merge] | None) -> Map:
        """Key by key; keys only one side has are taken as they are."""
        for key, value in override.items():
            spot = override.at.get(key, 0)
            if key not in base:
                put(base, key, value, spot)
                continue
            below = rule.below(key) if rule is not None else None
            merged = self.values(base[key], value, (*path, key), below, spot)
            if value is not None or merged is not base[key]:
                put(base, key, merged, spot)
        return base

    def _conflict(self, path: Path, spot: int) -> None:
        self._findings.error(
            f"cannot override {dotted(path)}",
            hint="the two files use different kinds of value here: use the same kind, or `!override`",
            spot=spot,
            path=path,
            code="merge-kind",
        )


def as_pairs(value: Any) -> Seq:
    """A mapping as sorted `KEY=value` items, a single value as a list of one."""
    if isinstance(value, Seq):
        return value
    if not isinstance(value, Map):
        return Seq() if value is None else Seq([value])
    items: list[tuple[str, int]] = []
    for key, item in value.items():
        spot = spot_of(value, key)
        if item is None:
            items.append((key, spot))
        elif isinstance(item, Seq):
            items.extend((f"{key}={one}", spot) for one in item)
        else:
            items.append((f"{key}={go_text(item)}", spot))
    items.sort(key=lambda item: item[0])
    return Seq([item for item, _ in items], [spot for _, spot in items])


def go_text(value: Any) -> str:
    """A scalar as text, in the notation Compose uses: `true`, `1e+06`, `3`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float_text(value)
    return str(value)


def _float_text(value: float) -> str:
    if not math.isfinite(value):
        return {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}[str(value)]
    mantissa, _, exponent = repr(value).partition("e")
    if exponent:
        sign = exponent[0] if exponent[0] in "+-" else "+"
        power = int(exponent.lstrip("+-"))
        if sign == "+" and power < 21:
            return format(value, ".0f")
        return f"{mantissa.removesuffix('.0')}e{sign}{power:02d}"
    return mantissa.removesuffix(".0")


def as_mapping(value: Any, default: Callable[[], Any]) -> Map:
    """A list of names as a mapping to defaults."""
    if isinstance(value, Map):
        return value
    found = Map()
    if isinstance(value, Seq):
        for name, spot in zip(value, value.spots(), strict=True):
            put(found, str(name), default(), spot)
    return found


def default_dependency() -> Map:
    """What a bare name in `depends_on` means."""
    return Map({"condition": "service_started", "required": True})


def _replace(_merger: Merger, _base: Any, override: Any, _path: Path) -> Any:
    return override


def _append_pairs(_merger: Merger, base: Any, override: Any, _path: Path) -> Any:
    right, left = as_pairs(base), as_pairs(override)
    return Seq([*right, *left], [*right.spots(), *left.spots()])


def _append_hosts(_merger: Merger, base: Any, override: Any, _path: Path) -> Any:
    right, left = as_pairs(base), as_pairs(override)
    new = [(item, spot) for item, spot in zip(left, left.spots(), strict=True) if item not in right]
    return Seq([*right, *(item for item, _ in new)], [*right.spots(), *(spot for _, spot in new)])


def _logging(merger: Merger, base: Any, override: Any, path: Path) -> Any:
    """Options of two different drivers have nothing to do with each other."""
    if not isinstance(base, Map) or not isinstance(override, Map):
        return override if override is not None else base
    ours, theirs = base.get("driver"), override.get("driver")
    if ours is None or theirs is None or ours == theirs:
        return merger.mappings(base, override, path, None)
    return override


def _build(merger: Merger, base: Any, override: Any, path: Path) -> Any:
    rule = RULES.named["services"].every
    below = rule.below("build") if rule else None
    return merger.mappings(_build_mapping(base), _build_mapping(override), path, below)


def _build_mapping(value: Any) -> Map:
    if isinstance(value, Map):
        return value
    return Map() if value is None else Map({"context": value})


def _depends_on(merger: Merger, base: Any, override: Any, path: Path) -> Any:
    right, left = as_mapping(base, default_dependency), as_mapping(override, default_dependency)
    return merger.mappings(right, left, path, None)


def _named(merger: Merger, base: Any, override: Any, path: Path) -> Any:
    right, left = as_mapping(base, _nothing), as_mapping(override, _nothing)
    return merger.mappings(right, left, path, None)


def _nothing() -> None:
    return None


def _ipam(merger: Merger, base: Any, override: Any, path: Path) -> Any:
    """Address pools are the same when their subnet is."""
    if not isinstance(base, Seq) or not isinstance(override, Seq) or not base or not override:
        return override or base
    found: list[Any] = []
    for ours in base:
        for theirs in override:
            ours_map, theirs_map = as_mapping(ours, _nothing), as_mapping(theirs, _nothing)
            if ours_map.get("subnet") == theirs_map.get("subnet"):
                _keep_pool(found, merger.mappings(ours_map, theirs_map, path, None), is_newer=True)
            else:
                _keep_pool(found, theirs_map, is_newer=False)
    return Seq(found)


def _keep_pool(found: list[Any], pool: Map, *, is_newer: bool) -> None:
    for index, other in enumerate(found):
        if other.get("subnet") == pool.get("subnet"):
            if is_newer:
                found[index] = pool
            return
    found.append(pool)


RULES: Rule[Merge] = compile_rules(
    {
        "networks.*.ipam.config": _ipam,
        **dict.fromkeys(("networks.*.labels", "volumes.*.labels"), _append_pairs),
        "services.*.build": _build,
        **{
            f"services.*.{key}": _append_pairs
            for key in (
                "annotations",
                "build.additional_contexts",
                "build.args",
                "build.labels",
                "deploy.labels",
                "dns",
                "dns_opt",
                "dns_search",
                "env_file",
                "environment",
                "label_file",
                "labels",
                "sysctls",
                "tmpfs",
                "volumes.*.volume.labels",
            )
        },
        **dict.fromkeys(("services.*.extra_hosts", "services.*.build.extra_hosts"), _append_hosts),
        **{f"services.*.{key}": _replace for key in ("command", "entrypoint", "healthcheck.test", "ulimits.*")},
        "services.*.depends_on": _depends_on,
        "services.*.logging": _logging,
        **dict.fromkeys(("services.*.models", "services.*.networks"), _named),
    }
)

"""Short forms to long forms, so that later phases meet one shape only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from havre.compose.findings import Findings
from havre.compose.merge import as_mapping, default_dependency, go_text
from havre.compose.rules import Rule, compile_rules, matches
from havre.compose.shortforms import clean_path, parse_context, parse_device, parse_key, parse_ports, parse_volume
from havre.compose.tree import Map, Path, Seq, located, put, spot_of

MOST_PORTS = 131_072

Expand = Callable[["Expander", Any, Path, int], Any]


class Expander:
    """Expands one document; with `keeps_unreadable` values that hold unresolved variables stay as they are."""

    def __init__(self, findings: Findings, *, keeps_unreadable: bool = False) -> None:
        self.findings = findings
        self.keeps_unreadable = keeps_unreadable

    def expand(self, root: Any) -> None:
        """Rewrite every short form of the table, in place."""
        for container, key, path, action in matches(root, RULES):
            value = container[key]
            long = action(self, value, path, spot_of(container, key))
            if long is not value:
                container[key] = long

    def parsed(self, parse: Callable[[str], Any], text: str, path: Path, spot: int) -> Any:
        """What `parse` makes of a short form; the text itself, and a finding, when it is wrong."""
        try:
            return located(parse(text))
        except ValueError as error:
            if not self.keeps_unreadable:
                self.findings.error(
                    f"{error}", hint="see the short syntax of this key", spot=spot, path=path, code="short-form"
                )
            return text


def _ports(expander: Expander, value: Any, path: Path, _spot: int) -> Any:
    """One entry may stand for several ports, so the list is rewritten as a whole."""
    if not isinstance(value, Seq):
        return value
    found = Seq()
    for index, (item, spot) in enumerate(zip(value, value.spots(), strict=True)):
        if isinstance(item, Map):
            parsed: Any = [item]
        else:
            parsed = expander.parsed(parse_ports, str(item), (*path, index), spot)
        each = parsed if isinstance(parsed, list) else [parsed]
        if len(found) + len(each) > MOST_PORTS:
            summary = f"more than {MOST_PORTS:,} ports"
            expander.findings.error(summary, hint="use smaller ranges", spot=spot, path=path, code="ports")
            return Seq()
        found.extend(each)
        found.at.extend([spot] * len(each))
    return found


def _volume(expander: Expander, value: Any, path: Path, spot: int) -> Any:
    if not isinstance(value, str):
        return value
    volume = expander.parsed(parse_volume, value, path, spot)
    if isinstance(volume, Map):
        volume["target"] = clean_path(volume["target"])
    return volume


def _device(expander: Expander, value: Any, path: Path, spot: int) -> Any:
    return expander.parsed(parse_device, value, path, spot) if isinstance(value, str) else value


def _build(_expander: Expander, value: Any, _path: Path, spot: int) -> Any:
    return Map({"context": value}, {"context": spot}) if isinstance(value, str) else value


def _file_mount(_expander: Expander, value: Any, _path: Path, spot: int) -> Any:
    return Map({"source": value}, {"source": spot}) if isinstance(value, str) else value


def _extends(_expander: Expander, value: Any, _path: Path, spot: int) -> Any:
    return Map({"service": value}, {"service": spot}) if isinstance(value, str) else value


def _depends_on(_expander: Expander, value: Any, _path: Path, _spot: int) -> Any:
    found = as_mapping(value, default_dependency) if isinstance(value, Map | Seq) else value
    for dependency in found.values() if isinstance(found, Map) else ():
        if isinstance(dependency, Map):
            dependency.setdefault("required", True)
    return found


def _networks(_expander: Expander, value: Any, _path: Path, _spot: int) -> Any:
    return as_mapping(value, lambda: None) if isinstance(value, Seq) else value


def _env_file(_expander: Expander, value: Any, _path: Path, spot: int) -> Any:
    if isinstance(value, str):
        return Seq([_one_env_file(value, spot)], [spot])
    if isinstance(value, Seq):
        return Seq(list(map(_one_env_file, value, value.spots())), value.spots())
    return value


def _one_env_file(value: Any, spot: int) -> Any:
    if isinstance(value, str):
        return Map({"path": value, "required": True}, {"path": spot})
    if isinstance(value, Map):
        value.setdefault("required", True)
    return value


def _strings(_expander: Expander, value: Any, _path: Path, spot: int) -> Any:
    return Seq([value], [spot]) if isinstance(value, str) else value


def _text(_expander: Expander, value: Any, _path: Path, _spot: int) -> Any:
    return go_text(value) if isinstance(value, bool) else value


def _keys(expander: Expander, value: Any, path: Path, _spot: int) -> Any:
    return _parsed_pairs(expander, parse_key, value, path)


def _contexts(expander: Expander, value: Any, path: Path, _spot: int) -> Any:
    return _parsed_pairs(expander, parse_context, value, path)


def _parsed_pairs(expander: Expander, parse: Callable[[str], Any], value: Any, path: Path) -> Any:
    """A list of `NAME=value` items as a mapping, each item checked by `parse`."""
    if not isinstance(value, Seq):
        return value
    for index, (item, spot) in enumerate(zip(value, value.spots(), strict=True)):
        expander.parsed(parse, str(item), (*path, index), spot)
    return pairs_as_mapping(value)


def _gpus(_expander: Expander, value: Any, _path: Path, spot: int) -> Any:
    return Seq([Map({"count": value}, {"count": spot})], [spot]) if isinstance(value, str) else value


def _resource(expander: Expander, value: Any, path: Path, spot: int) -> Any:
    """`external: {name: x}` is the old way to write `name: x` and `external: true`."""
    if value is None:
        return Map()
    external = value.get("external") if isinstance(value, Map) else None
    if not isinstance(external, Map):
        return value
    name = external.get("name")
    if name is not None and value.get("name") not in (None, name):
        expander.findings.error(
            "name and external.name conflict; only use name",
            hint="write `external: true` and `name:`",
            spot=spot_of(value, "external") or spot,
            path=path,
            code="external",
        )
    if name is not None:
        put(value, "name", name, spot_of(external, "name"))
    value["external"] = True
    return value


def pairs_as_mapping(value: Seq) -> Map:
    """A list of `KEY=value` items as a mapping; a bare `KEY` has no value."""
    found = Map()
    for item, spot in zip(value, value.spots(), strict=True):
        key, equals, text = str(item).partition("=")
        put(found, key, text if equals else None, spot)
    return found


RULES: Rule[Expand] = compile_rules(
    {
        **dict.fromkeys(("volumes.*", "networks.*", "secrets.*", "configs.*"), _resource),
        "services.*.build": _build,
        "services.*.build.additional_contexts": _contexts,
        "services.*.build.provenance": _text,
        "services.*.build.sbom": _text,
        "services.*.build.secrets.*": _file_mount,
        "services.*.build.ssh": _keys,
        "services.*.configs.*": _file_mount,
        "services.*.depends_on": _depends_on,
        "services.*.devices.*": _device,
        "services.*.dns": _strings,
        "services.*.env_file": _env_file,
        "services.*.extends": _extends,
        "services.*.gpus": _gpus,
        "services.*.label_file": _strings,
        "services.*.models": _networks,
        "services.*.networks": _networks,
        "services.*.ports": _ports,
        "services.*.secrets.*": _file_mount,
        "services.*.volumes.*": _volume,
    }
)

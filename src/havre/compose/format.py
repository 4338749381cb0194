"""Prints a normal form as YAML or JSON that `docker compose` reads back as the same project."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from havre.compose.scalars import resolve

_ODD_BREAKS = re.compile("[\r\x85\u2028\u2029\ufeff]")
"""Characters that some YAML versions take for the end of a line."""

_TOP = ("name", "services", "networks", "volumes", "secrets", "configs", "models")


def to_yaml(model: Mapping[str, Any], *, interpolated: bool = True) -> str:
    """Keys sorted below the top level; `$` is doubled so that reading it again does not interpolate.

    `interpolated=False` is for a model whose variables were left alone: its `$` are meant as they stand.
    """
    return yaml.dump(
        _ordered(model, interpolated), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=float("inf")
    )


def to_json(model: Mapping[str, Any], *, interpolated: bool = True) -> str:
    """The same as indented JSON."""
    return json.dumps(_ordered(model, interpolated), indent=2, ensure_ascii=False) + "\n"


def _ordered(model: Mapping[str, Any], interpolated: bool) -> dict[str, Any]:
    escape: Callable[[str], str] = (lambda text: text.replace("$", "$$")) if interpolated else str
    keys = [*(key for key in _TOP if key in model), *sorted(key for key in model if key not in _TOP)]
    shown = {key: _sorted(model[key], escape) for key in keys}
    if shown.get("secrets"):
        shown["secrets"] = {key: _without_content(spec) for key, spec in shown["secrets"].items()}
    return shown


def _without_content(secret: Any) -> Any:
    """A secret from the environment without its value: Compose takes no `content` there, and it is a secret."""
    if not isinstance(secret, dict):
        return secret
    return {key: value for key, value in secret.items() if key != "content"}


def _sorted(value: Any, escape: Callable[[str], str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _sorted(value[key], escape) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [_sorted(item, escape) for item in value]
    return escape(value) if isinstance(value, str) else value


class _Dumper(yaml.SafeDumper):
    """Quotes what any YAML version would read as something else than text; never writes anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the signature is PyYAML's
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - same
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=_style(value))


def _style(value: str) -> str | None:
    if _ODD_BREAKS.search(value) or not value or type(resolve(value)) is not str:
        return '"'
    return "|" if "\n" in value else None


_Dumper.add_representer(str, _text)

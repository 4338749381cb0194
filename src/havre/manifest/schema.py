"""The manifest's table of keys as JSON Schema, for editors and for `havre schema`."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any

import msgspec

from havre.manifest.keys import ENVIRONMENT, MANIFEST
from havre.manifest.shapes import Items, Key, Named, Record, Scalar, Shape


def manifest_schema() -> Mapping[str, Any]:
    """The whole schema."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "havre.yaml",
        **_schema(MANIFEST),
    }


def schema_text() -> str:
    """The schema as it is published: indented, ending in a line break."""
    return msgspec.json.format(msgspec.json.encode(manifest_schema()), indent=2).decode() + "\n"


def _schema(shape: Shape, *, partial: bool = False) -> dict[str, Any]:
    """One shape; where `partial`, mappings may lack required keys, because they are laid over others."""
    match shape:
        case Scalar():
            return dict(shape.schema)
        case Items():
            least = {"minItems": 1} if shape.when_empty else {}
            items = {"type": "array", "items": _schema(shape.of), **least}
            return {"anyOf": [items, _schema(shape.of)]} if shape.one_ok else items
        case Named():
            value = _schema(shape.of, partial=partial or shape.of is ENVIRONMENT)
            if shape.empty_ok:
                value = {"anyOf": [value, {"type": "null"}]}
            least = {"minProperties": 1} if shape.when_empty else {}
            return {"type": "object", "additionalProperties": value, **least}
        case Record():
            return _record(shape, partial=partial)


def _record(shape: Record, *, partial: bool) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {name: _key(key, partial=partial) for name, key in shape.keys.items()},
        "patternProperties": {"^x-": {}},
        "additionalProperties": False,
    }
    required = [name for name, key in shape.keys.items() if key.required]
    if required and not partial:
        schema["required"] = required
    if shape.one_of and not partial:
        schema["oneOf"] = [{"required": [name]} for name in shape.one_of]
    if shape.short:
        return {"anyOf": [schema, _schema(shape.keys[shape.short].shape)]}
    return schema


def _key(key: Key, *, partial: bool) -> dict[str, Any]:
    text = re.sub(r"`", "", key.doc) + (f" Default: {key.default}." if key.default else "")
    shown = _schema(key.shape, partial=partial)
    if not partial:
        return {"description": text, **shown}
    return {"description": text, "anyOf": [shown, {"type": "null"}]}


if __name__ == "__main__":
    sys.stdout.write(schema_text())

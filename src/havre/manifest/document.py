"""The reference page of the manifest, written from its table of keys: `python -m havre.manifest.document`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from havre.manifest.keys import ENVIRONMENT, MANIFEST
from havre.manifest.shapes import Items, Key, Named, Record, Shape

HEAD = """\
# havre.yaml

<!-- Generated from src/havre/manifest/keys.py by `python -m havre.manifest.document`; a test holds both together. -->

What Compose cannot say about an app. Only `app` is required; `havre init` writes a first file from the Compose files,
`havre schema` prints the JSON Schema for editors. Every problem in the file is reported at once, with its line.

Keys that begin with `x-` are yours. Where a mapping is expected and a *short form* is named, its value alone will do.
A duration has its unit, as in Compose files (`90s`, `5m`, `24h`, `7d`); a number alone is refused, but for `0`.
"""


def manifest_page() -> str:
    """The whole page, as Markdown."""
    return "\n".join([HEAD, *_sections(MANIFEST, "", 2)])


def _sections(record: Record, path: str, depth: int) -> Iterator[str]:
    yield from _table(record)
    for name, key in record.keys.items():
        inner = _record_of(key.shape)
        if inner is None or inner is ENVIRONMENT:
            continue
        here = f"{path}.{name}" if path else name
        yield f"{'#' * depth} `{here}{_suffix(key.shape)}`\n"
        yield f"{key.doc}\n"
        yield from _notes(inner)
        yield from _sections(inner, here, min(depth + 1, 4))


def _table(record: Record) -> Iterator[str]:
    yield "| Key | Value | Default | Meaning |"
    yield "|---|---|---|---|"
    for name, key in record.keys.items():
        default = "**required**" if key.required else key.default
        example = f" Example: `{key.example}`" if key.example else ""
        yield f"| `{name}` | {_kind(key)} | {default} | {_escaped(key.doc + example)} |"
    yield ""


def _notes(record: Record) -> Iterator[str]:
    if record.one_of:
        yield f"Exactly one of {', '.join(f'`{name}`' for name in record.one_of)} must be there.\n"
    if record.short:
        yield f"Short form: the value of `{record.short}` alone.\n"


def _kind(key: Key) -> str:
    shape = key.shape
    match shape:
        case Items():
            return f"list of {_name(shape.of)}" + (", or one" if shape.one_ok else "")
        case Named():
            return f"{shape.names}: {_name(shape.of)}"
        case _:
            return _escaped(_name(shape))


def _name(shape: Shape) -> str:
    return shape.title if isinstance(shape, Record) else shape.name if not isinstance(shape, Items | Named) else "list"


def _record_of(shape: Shape) -> Record | None:
    inner = shape.of if isinstance(shape, Items | Named) else shape
    return inner if isinstance(inner, Record) else None


def _suffix(shape: Shape) -> str:
    return "[]" if isinstance(shape, Items) else ".NAME" if isinstance(shape, Named) else ""


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(manifest_page())

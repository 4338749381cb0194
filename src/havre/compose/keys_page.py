"""Writes docs/reference/compose-support.md from the key tables: `python -m havre.compose.keys_page > FILE`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import groupby

from havre.compose.key_rows import Row
from havre.compose.keys import KEYS, Kind, Treatment

_INTRODUCTION = """\
# What Havre does with each Compose key

Havre reads your Compose files as they are. No key is silently ignored: each is **honoured** (it means what
Compose says), **changed** (it has another effect, or none, and the table says which), or **refused** (the
release stops before anything is touched, with a way out). `havre check` prints the same for the keys your
files use, with their lines.

The docker column is for the Docker Engine API 1.41 (Docker 20.10) and later; where a key needs a newer one,
the version is given together with what happens before it. The process column is for the engine that runs
services as plain processes. Keys that begin with `x-` are yours and are not looked at.

This page is made from the tables in `src/havre/compose/keys_*.py` by `python -m havre.compose.keys_page`.
"""


def support_page() -> str:
    """The whole page."""
    sections = [_INTRODUCTION, _summary()]
    for title, keys in groupby(sorted(KEYS, key=lambda key: (_section(key), key)), key=_section):
        sections.append("\n".join([f"## {title}\n", *_table(list(keys))]) + "\n")
    return "\n".join(sections)


def _summary() -> str:
    lines = ["| engine | honoured | changed | refused |", "| --- | ---: | ---: | ---: |"]
    for engine in ("docker", "process"):
        kinds = [getattr(row, engine).kind for row in KEYS.values()]
        lines.append(f"| {engine} | " + " | ".join(str(kinds.count(kind)) for kind in Kind) + " |")
    return "\n".join(lines) + "\n"


def _section(key: str) -> str:
    """`document`, `networks`, `services`, …; the big parts of a service have tables of their own."""
    parts = key.split(".")
    if parts[0] in {"networks", "volumes", "secrets", "configs"}:
        return parts[0]
    if parts[0] != "services":
        return "document"
    return f"services: {parts[2]}" if len(parts) > 2 and parts[2] in {"build", "deploy"} else "services"


def _table(keys: list[str]) -> Iterator[str]:
    yield "| key | docker | process |"
    yield "| --- | --- | --- |"
    for key in keys:
        row = KEYS[key]
        yield f"| `{key}` | {_docker(row)} | {_cell(row.process)} |"


def _docker(row: Row) -> str:
    if row.since is None or row.before is None:
        return _cell(row.docker)
    return f"{_cell(row.docker)} from API {row.since[0]}.{row.since[1]}; before: {_cell(row.before)}"


def _cell(treatment: Treatment) -> str:
    kind = treatment.kind.value if treatment.kind is Kind.HONOURED else f"**{treatment.kind.value}**"
    detail = "; instead: ".join(part for part in (treatment.why, treatment.instead) if part)
    return f"{kind}: {detail}" if detail else kind


if __name__ == "__main__":
    sys.stdout.write(support_page())

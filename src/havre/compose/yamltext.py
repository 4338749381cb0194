"""YAML text to located trees, with the limits that keep hostile files cheap.

Reads the parser's events one by one (never its recursive composer), so depth, node count and alias expansion
are checked before anything is built. `!reset` and `!override` are noted as paths and leave no mark in the tree.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from havre.compose.findings import Findings, fail
from havre.compose.libyaml import Parser, errors, events
from havre.compose.merge import go_text
from havre.compose.scalars import Date, resolve
from havre.compose.tree import Map, Path, Seq, Sources, clone, dotted, spot_at, spot_base
from havre.errors import HavreError, Location
from havre.model.secrets_mask import is_secret_name

DEEPEST = 100
MOST_NODES = 1_000_000
_TOO_CLEVER = "write the file more simply: no Compose project needs this"
_FREE_NODES = 1_000
_FREE_ALIASED = 100
_LARGEST_ALIASED_SHARE = 0.99
_MERGE = "<<"
_MERGE_TAG = "tag:yaml.org,2002:merge"
_NO_KEY = object()
_DROPPED = object()


class Document(NamedTuple):
    """One YAML document: its tree, and the paths it resets or replaces in what it overrides."""

    root: Any
    resets: tuple[Path, ...] = ()


class _Frame:
    """A container under construction and the place it will take in its parent.

    `nodes_before` and `resets_before` are what was counted when it began.
    """

    __slots__ = ("anchor", "key", "key_spot", "merges", "nodes_before", "resets_before", "spot", "tag", "value")

    def __init__(self, event: Any, spot: int, nodes_before: int, resets_before: int) -> None:
        self.value: Map | Seq = Map() if type(event) is events.MappingStartEvent else Seq()
        self.anchor: str | None = event.anchor
        self.tag: str | None = event.tag
        self.spot = spot
        self.nodes_before = nodes_before
        self.resets_before = resets_before
        self.key: Any = _NO_KEY
        self.key_spot = 0
        self.merges: list[Map] = []


class _Anchor(NamedTuple):
    value: Any
    nodes: int
    resets: tuple[Path, ...]


def parse_documents(data: bytes | str, name: str, sources: Sources, findings: Findings) -> list[Document]:
    """All non-empty documents of a file; problems with keys are recorded, syntax errors raised."""
    source = sources.add(name)
    builder = _Builder(source, sources, findings)
    try:
        for event in _events(data):
            builder.take(event)
    except errors.YAMLError as error:
        raise _syntax_error(error, name, data) from error
    return builder.documents


def _events(data: bytes | str) -> Iterator[Any]:
    loader: Any = Parser(data)
    try:
        while (event := loader.get_event()) is not None:
            yield event
    finally:
        loader.dispose()


def _syntax_error(error: Any, name: str, data: bytes | str) -> HavreError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    at = Location(name, mark.line + 1, mark.column + 1) if mark else _place(name, data, getattr(error, "position", 0))
    begin = getattr(error, "context_mark", None)
    start = f"(from line {begin.line + 1})" if begin and mark and begin.line != mark.line else ""
    context = f"{getattr(error, 'context', None) or ''} {start}".strip()
    said = [context, getattr(error, "problem", None) or getattr(error, "reason", None)]
    summary = ": ".join(str(part) for part in said if part) or "this is not YAML"
    return fail(
        f"failed to parse YAML: {summary}",
        hint="check indentation (spaces, never tabs), quotes and that the file is UTF-8 text",
        at=at,
        code="yaml-syntax",
    )


def _place(name: str, data: bytes | str, position: int | None) -> Location:
    """The line of a byte the reader refused."""
    before = data[: position or 0]
    lines = before.count(b"\n") if isinstance(before, bytes) else before.count("\n")
    return Location(name, lines + 1)


class _Builder:
    """Turns events into documents."""

    def __init__(self, source: int, sources: Sources, findings: Findings) -> None:
        self.documents: list[Document] = []
        self._base = spot_base(source)
        self._sources = sources
        self._findings = findings
        self._steps = {
            events.ScalarEvent: self._scalar,
            events.MappingStartEvent: self._open,
            events.SequenceStartEvent: self._open,
            events.MappingEndEvent: self._close,
            events.SequenceEndEvent: self._close,
            events.AliasEvent: self._alias,
            events.DocumentStartEvent: self._start,
            events.DocumentEndEvent: self._end,
        }
        self._reset()

    def take(self, event: Any) -> None:
        """Process one event."""
        step = self._steps.get(type(event))
        if step is not None:
            step(event)

    def _reset(self) -> None:
        self._stack: list[_Frame] = []
        self._anchors: dict[str, _Anchor | None] = {}
        self._resets: list[Path] = []
        self._nodes = 0
        self._aliased = 0
        self._root: Any = None

    def _start(self, _event: Any) -> None:
        self._reset()

    def _end(self, _event: Any) -> None:
        if self._root is not None and self._root is not _DROPPED:
            self.documents.append(Document(self._root, tuple(self._resets)))

    def _scalar(self, event: Any) -> None:
        mark = event.start_mark
        spot = spot_at(self._base, mark.line, mark.column)
        tag = event.tag
        text = event.value
        if self._stack and self._stack[-1].key is _NO_KEY and type(self._stack[-1].value) is Map:
            self._key(event, spot)
            return
        value = resolve(text) if event.implicit[0] else text
        if isinstance(value, int | float):
            self._note_rewritten(text, value, spot)
        if tag is not None and tag != "!":
            value = self._tagged(tag, text, spot)
        self._count(1, spot)
        if event.anchor:
            self._anchors[event.anchor] = _Anchor(value, 1, ((),) if tag in ("!reset", "!override") else ())
        self._place(value, spot)

    def _note_rewritten(self, text: str, value: float, spot: int) -> None:
        """A variable is text: what YAML reads as a number or a truth value may be written otherwise then."""
        given = go_text(value)
        path = self._path() if given != text else ()
        if len(path) < 2 or path[-2] not in ("environment", "args") or path[:-2] == ("services",):
            return
        name, whose = str(path[-1]), "container" if path[-2] == "environment" else "build"
        kind = "a truth value" if isinstance(value, bool) else "a number"
        is_shown = not is_secret_name(name)
        self._findings.warn(
            f"YAML reads {name} as {kind}, and the {whose} gets {f'`{given}`' if is_shown else 'another text'}",
            hint=f'write it in quotes: `{name}: "{text}"`' if is_shown else "write it in quotes",
            at=self._sources.location(spot),
            code="value-rewritten",
            subject=dotted(path),
        )

    def _tagged(self, tag: str, text: str, spot: int) -> Any:
        kind = tag.removeprefix("tag:yaml.org,2002:")
        if kind == "!reset":
            self._note_reset()
            return _DROPPED
        if kind == "!override":
            self._note_reset()
            return resolve(text)
        if kind == "binary":
            return self._binary(text, spot)
        wanted = {"int": int, "float": (int, float), "bool": bool, "null": type(None)}.get(kind)
        if wanted is None:
            return text
        value = resolve(text)
        if not isinstance(value, wanted):  # type: ignore[arg-type]
            hint = f"remove the !!{kind} tag"
            self._findings.error(f"`{text}` cannot be read as {kind}", hint=hint, spot=spot, code="yaml-tag")
        return float(value) if kind == "float" and isinstance(value, int) else value

    def _binary(self, text: str, spot: int) -> str:
        """Base64 of a text, as `!!binary` writes it."""
        from base64 import b64decode  # nearly no project needs it

        try:
            return b64decode("".join(text.split()), validate=True).decode()
        except ValueError:
            hint = "write the text itself"
            self._findings.error("!!binary is not the base64 of a text", hint=hint, spot=spot, code="yaml-tag")
            return text

    def _key(self, event: Any, spot: int) -> None:
        frame = self._stack[-1]
        text = event.value
        is_plain = event.implicit[0]
        is_merge = text == _MERGE and (is_plain or event.tag == _MERGE_TAG)
        key = resolve(text) if is_plain else text
        if event.anchor:
            self._anchors[event.anchor] = _Anchor(key, 1, ())
        if not isinstance(key, str) or isinstance(key, Date):
            self._bad_key(text, spot)
        if text in frame.value or (is_merge and frame.merges):
            first = self._sources.location(frame.value.at.get(text, 0) if isinstance(frame.value, Map) else 0)
            self._findings.error(
                f'mapping key "{text}" already defined at line {first.line if first else "?"}',
                hint="keep one of the two: Compose does not merge them",
                spot=spot,
                path=self._path(),
                code="yaml-duplicate-key",
            )
        frame.key = _MERGE_KEY if is_merge else text
        frame.key_spot = spot

    def _bad_key(self, text: str, spot: int) -> None:
        path = self._path()
        where = f"in {dotted(path)}" if path else "at top level"
        self._findings.error(
            f"non-string key {where}: {text}",
            hint=f'quote it: "{text}"',
            spot=spot,
            code="yaml-key",
        )

    def _open(self, event: Any) -> None:
        mark = event.start_mark
        spot = spot_at(self._base, mark.line, mark.column)
        if len(self._stack) >= DEEPEST:
            raise self._refuse(f"nested more than {DEEPEST} levels deep", spot, "yaml-depth")
        if self._stack and self._stack[-1].key is _NO_KEY and type(self._stack[-1].value) is Map:
            raise self._refuse("a mapping key must be plain text", spot, "yaml-key")
        self._count(1, spot)
        if event.anchor:
            self._anchors[event.anchor] = None
        self._stack.append(_Frame(event, spot, self._nodes - 1, len(self._resets)))

    def _close(self, _event: Any) -> None:
        frame = self._stack.pop()
        value: Any = frame.value
        for merged in frame.merges:
            _fill(frame.value, merged)
        if frame.tag in ("!reset", "!override"):
            del self._resets[frame.resets_before :]
            self._note_reset()
            value = _DROPPED if frame.tag == "!reset" else value
        if frame.anchor:
            prefix = len(self._path())
            below = tuple(path[prefix:] for path in self._resets[frame.resets_before :])
            self._anchors[frame.anchor] = _Anchor(value, self._nodes - frame.nodes_before, below)
        self._place(value, frame.spot)

    def _alias(self, event: Any) -> None:
        mark = event.start_mark
        spot = spot_at(self._base, mark.line, mark.column)
        if event.anchor not in self._anchors:
            hint = f"write `&{event.anchor}` at the value it stands for, above this line, or correct the name"
            raise self._refuse(f"unknown anchor `{event.anchor}`", spot, "yaml-alias", hint)
        anchor = self._anchors[event.anchor]
        if anchor is None:
            raise self._refuse(f"cycle detected: anchor `{event.anchor}` contains itself", spot, "yaml-alias-cycle")
        if self._stack and self._stack[-1].key is _NO_KEY and type(self._stack[-1].value) is Map:
            raise self._refuse("a mapping key must be plain text, not an alias", spot, "yaml-key")
        self._aliased += anchor.nodes
        self._count(anchor.nodes, spot)
        if self._aliased > _FREE_ALIASED and self._nodes > _FREE_NODES:
            self._check_share(spot)
        path = self._path()
        self._resets.extend((*path, *below) for below in anchor.resets)
        self._place(clone(anchor.value), spot)

    def _check_share(self, spot: int) -> None:
        if self._aliased / self._nodes > _LARGEST_ALIASED_SHARE:
            raise self._refuse("document contains excessive aliasing", spot, "yaml-aliases")

    def _count(self, nodes: int, spot: int) -> None:
        self._nodes += nodes
        if self._nodes > MOST_NODES:
            summary = f"document contains excessive aliasing or more than {MOST_NODES:,} values"
            raise self._refuse(summary, spot, "yaml-size")

    def _place(self, value: Any, spot: int) -> None:
        """Put a finished value where it belongs."""
        if not self._stack:
            self._root = value
            return
        frame = self._stack[-1]
        container = frame.value
        if type(container) is Map:
            if frame.key is _MERGE_KEY:
                self._merge(frame, value, spot)
            elif value is not _DROPPED:
                container[frame.key] = value
                container.at[frame.key] = frame.key_spot
            frame.key = _NO_KEY
        elif value is not _DROPPED:
            container.append(value)  # type: ignore[union-attr]
            container.at.append(spot)  # type: ignore[union-attr]

    def _merge(self, frame: _Frame, value: Any, spot: int) -> None:
        parts = value if isinstance(value, Seq) else [value]
        if value is _DROPPED:
            return
        if not all(isinstance(part, Map) for part in parts):
            self._findings.error(
                "map merge requires map or sequence of maps as the value",
                hint="`<<` takes an alias of a mapping, or a list of them",
                spot=spot,
                path=self._path(),
                code="yaml-merge",
            )
            return
        frame.merges.extend(parts)

    def _note_reset(self) -> None:
        path = self._path()
        if path and not any(isinstance(key, int) for key in path):
            self._resets.append(path)

    def _path(self) -> Path:
        keys: list[str | int] = []
        for frame in self._stack:
            if isinstance(frame.value, Seq):
                keys.append(len(frame.value))
            elif isinstance(frame.key, str):
                keys.append(frame.key)
        return tuple(keys)

    def _refuse(self, summary: str, spot: int, code: str, hint: str = _TOO_CLEVER) -> HavreError:
        return fail(f"failed to parse YAML: {summary}", hint=hint, at=self._sources.location(spot), code=code)


_MERGE_KEY = object()


def _fill(target: Any, merged: Map) -> None:
    """Add what a `<<` brings in: the keys written out, and earlier merges, win."""
    for key, value in merged.items():
        if key not in target:
            target[key] = clone(value)
            target.at[key] = merged.at.get(key, 0)

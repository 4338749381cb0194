"""The located tree: plain values in containers that remember where each of them was written.

A `Map` is a dict and a `Seq` is a list, so every phase treats them as such; beside the values they keep a
*spot* for each entry (one integer: file, line and column). What a phase builds itself has no spot and is
reported at its nearest ancestor that has one. Variables used in a value are recorded per spot too, so an
error or `config --explain` can say where the final value came from.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from havre.errors import Location

Path = tuple[str | int, ...]

_COLUMN_BITS = 16
_LINE_BITS = 24
_COLUMN_MAX = (1 << _COLUMN_BITS) - 1
_LINE_MAX = (1 << _LINE_BITS) - 1


class Map(dict[str, Any]):
    """A mapping that knows where each key was written."""

    __slots__ = ("at",)

    def __init__(self, values: Mapping[str, Any] | None = None, at: dict[str, int] | None = None) -> None:
        super().__init__(values or {})
        self.at: dict[str, int] = {} if at is None else at


class Seq(list[Any]):
    """A sequence that knows where each item was written; `at` is empty for lists a phase has built."""

    __slots__ = ("at",)

    def __init__(self, values: Any = (), at: list[int] | None = None) -> None:
        super().__init__(values)
        self.at: list[int] = [] if at is None else at

    def spots(self) -> list[int]:
        """One spot per item (0 where none is known)."""
        return self.at if len(self.at) == len(self) else [0] * len(self)


class VariableUse(NamedTuple):
    """A variable some value was computed from, and where the variable got its own value.

    `source` is "environment", "env file", "default" or "unset"; `at` is the line of the env file or of the
    default; `places` are the spots in Compose files that used it (filled in for the project as a whole).
    """

    name: str
    source: str
    at: Location | None = None
    places: tuple[Location, ...] = ()

    def __str__(self) -> str:
        origin = f"{self.source} {self.at}" if self.at else self.source
        return f"{self.name} ({origin})"


class Origin(NamedTuple):
    """Where a final value came from."""

    location: Location
    variables: tuple[VariableUse, ...] = ()


class Sources:
    """The files read so far: turns spots into locations and remembers which variables fed which spot."""

    def __init__(self) -> None:
        self.names: list[str] = [""]
        self.uses: dict[int, tuple[VariableUse, ...]] = {}

    def add(self, name: str) -> int:
        """Register a file and return the number its spots carry."""
        self.names.append(name)
        return len(self.names) - 1

    def location(self, spot: int) -> Location | None:
        """The place of a spot; None when it is 0."""
        if not spot:
            return None
        column = spot & _COLUMN_MAX
        line = (spot >> _COLUMN_BITS) & _LINE_MAX
        return Location(self.names[spot >> (_COLUMN_BITS + _LINE_BITS)], line, column)


def spot_base(source: int) -> int:
    """The part of every spot of a file that says which file it is."""
    return source << (_COLUMN_BITS + _LINE_BITS)


def spot_at(base: int, line: int, column: int) -> int:
    """The spot of a line and column, both counted from 0 as the parser does."""
    return base | (min(line + 1, _LINE_MAX) << _COLUMN_BITS) | min(column + 1, _COLUMN_MAX)


def spot_of(container: Any, key: str | int) -> int:
    """The spot of one entry; 0 when its container does not know."""
    if isinstance(container, Map):
        return container.at.get(str(key), 0)
    if isinstance(container, Seq) and isinstance(key, int) and key < len(container.at):
        return container.at[key]
    return 0


def spot_along(root: Any, path: Path) -> int:
    """The spot of the entry at `path`, or of its nearest ancestor that has one."""
    spot, here = 0, root
    for key in path:
        spot = spot_of(here, key) or spot
        try:
            here = here[key]
        except (KeyError, IndexError, TypeError):
            break
    return spot


def put(target: Map, key: str, value: Any, spot: int) -> None:
    """Set a key together with its place."""
    target[key] = value
    if spot:
        target.at[key] = spot


def drop(root: Any, path: Path) -> None:
    """Remove the entry at `path`, when there is one."""
    for key in path[:-1]:
        root = root.get(str(key)) if isinstance(root, Map) else None
    if isinstance(root, Map) and path:
        root.pop(str(path[-1]), None)


def clone(value: Any) -> Any:
    """A deep copy that keeps the spots."""
    if isinstance(value, Map):
        return Map({key: clone(item) for key, item in value.items()}, dict(value.at))
    if isinstance(value, Seq):
        return Seq([clone(item) for item in value], list(value.at))
    return value


def size(value: Any) -> int:
    """How many values a tree consists of."""
    if isinstance(value, dict):
        return 1 + sum(map(size, value.values()))
    return 1 + sum(map(size, value)) if isinstance(value, list) else 1


def located(value: Any) -> Any:
    """The same tree made of `Map` and `Seq`, for documents that did not come from a file."""
    if isinstance(value, dict):
        return Map({str(key): located(item) for key, item in value.items()})
    if isinstance(value, list):
        return Seq([located(item) for item in value])
    return value


def plain(value: Any) -> Any:
    """The same tree made of ordinary dicts and lists."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def dotted(path: Path) -> str:
    """`services.web.ports[0]`: how a path is shown."""
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
    return text


class Origins(Mapping[str, Origin]):
    """The origin of every value of the model, looked up by its dotted path when asked."""

    def __init__(self, model: Any, sources: Sources, fallback: Location) -> None:
        self._model = model
        self._sources = sources
        self._fallback = fallback

    def __getitem__(self, path: str) -> Origin:
        steps = self._steps(path)
        if steps is None:
            raise KeyError(path)
        return self._origin(steps)

    def __iter__(self) -> Iterator[str]:
        return (dotted(path) for path in _paths(self._model, ()))

    def __len__(self) -> int:
        return sum(1 for _ in _paths(self._model, ()))

    def origin(self, path: str) -> Origin:
        """The origin of `path`, or of its nearest ancestor the model has."""
        while path:
            steps = self._steps(path)
            if steps is not None:
                return self._origin(steps)
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return Origin(location=self._fallback)

    def _origin(self, steps: Path) -> Origin:
        spot = spot_along(self._model, steps)
        location = self._sources.location(spot) or self._fallback
        return Origin(location=location, variables=self._sources.uses.get(spot, ()))

    def _steps(self, path: str) -> Path | None:
        return _match(self._model, path)


def _match(value: Any, path: str) -> Path | None:
    """Read `path` against the tree itself, because keys may contain dots."""
    if not path:
        return ()
    if isinstance(value, list):
        return _match_item(value, path)
    if not isinstance(value, dict):
        return None
    path = path.removeprefix(".")
    for end in range(len(path), -1, -1):
        if (end == len(path) or path[end] in ".[") and path[:end] in value:
            rest = _match(value[path[:end]], path[end:])
            if rest is not None:
                return (path[:end], *rest)
    return None


def _match_item(value: list[Any], path: str) -> Path | None:
    index, bracket, rest = path[1:].partition("]")
    if path[0] != "[" or not bracket or not index.isdigit() or int(index) >= len(value):
        return None
    steps = _match(value[int(index)], rest)
    return None if steps is None else (int(index), *steps)


def _paths(value: Any, path: Path) -> Iterator[Path]:
    if path:
        yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _paths(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _paths(item, (*path, index))

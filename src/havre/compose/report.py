"""The Compose report: every key a project uses, where, and whether Havre honours, changes or refuses it (I7)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from havre.compose.key_paths import KeyWalk, Used
from havre.compose.keys import OLDEST_API, ApiVersion, Kind, Treatment, treatment
from havre.compose.normal_form import NormalForm
from havre.compose.report_values import notes_on, treatment_of_value
from havre.errors import Location, Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One key as this project uses it: all places that are treated alike; `paths` are beside `places`."""

    key: str
    treatment: Treatment
    paths: tuple[str, ...]
    places: tuple[Location, ...]

    def __str__(self) -> str:
        lines = [f"  {self.key}  {show_places(self.places)}"]
        if self.treatment.why:
            lines.append(f"      {self.treatment.why}")
        if self.treatment.instead:
            lines.append(f"      instead: {self.treatment.instead}")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What becomes of a project's keys on one engine; `notes` are about several keys together."""

    engine: str
    api_version: ApiVersion
    uses: tuple[Use, ...]
    notes: tuple[Problem, ...] = ()

    def of(self, kind: Kind) -> tuple[Use, ...]:
        """The uses of one kind, sorted by key."""
        return tuple(use for use in self.uses if use.treatment.kind is kind)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """One problem per place of a refused key, by place; none for keys inside one that is refused already."""
        refused = [
            (place, path, use)
            for use in self.of(Kind.REFUSED)
            for path, place in zip(use.paths, use.places, strict=True)
        ]
        outermost = {path for _, path, _ in refused}
        return tuple(
            _problem(use, path, place)
            for place, path, use in sorted(refused, key=lambda item: item[:2])
            if not any(_is_inside(path, other) for other in outermost)
        )

    def __str__(self) -> str:
        counts = ", ".join(f"{len(self.of(kind))} {kind.value}" for kind in Kind)
        major, minor = self.api_version
        engine = f"{self.engine}, Engine API {major}.{minor}" if self.engine == "docker" else self.engine
        blocks = [f"Compose keys on {engine}: {counts}"]
        for kind in reversed(Kind):
            if self.of(kind):
                blocks.append("\n".join([kind.value, *map(str, self.of(kind))]))
        blocks += [str(note) for note in self.notes]
        return "\n\n".join(blocks) + "\n"


def compose_report(loaded: NormalForm, engine: str, api_version: ApiVersion = OLDEST_API) -> Report:
    """How `engine` treats each key that the user wrote.

    Keys that loading filled in (a default network, the long form of a port) are not listed, unless their
    value is refused.
    """
    found = sorted(_treated(loaded, engine, api_version), key=lambda item: (item[0].key, str(item[1]), item[0].place))
    uses = [
        Use(
            key=key,
            treatment=items[0][1],
            paths=tuple(used.path for used, _ in items),
            places=tuple(used.place for used, _ in items),
        )
        for (key, _), items in ((group, list(grouped)) for group, grouped in groupby(found, key=_same_row))
    ]
    return Report(engine=engine, api_version=api_version, uses=tuple(uses), notes=notes_on(loaded, engine))


def show_places(places: tuple[Location, ...]) -> str:
    """`compose.yml:3, 9, override.yml:4`: each file named once."""
    lines = sorted({(place.file, place.line) for place in places})
    return ", ".join(
        f"{file}:{', '.join(str(line) for _, line in group if line)}".rstrip(":")
        for file, group in groupby(lines, key=lambda line: line[0])
    )


def _same_row(item: tuple[Used, Treatment]) -> tuple[str, str]:
    used, treated = item
    return used.key, str(treated)


def _treated(loaded: NormalForm, engine: str, api_version: ApiVersion) -> Iterator[tuple[Used, Treatment]]:
    for used, value in KeyWalk(loaded):
        treated = treatment_of_value(used.key, value, engine) or treatment(used.key, engine, api_version)
        if used.is_written or treated.kind is Kind.REFUSED:
            yield used, treated


def _is_inside(path: str, other: str) -> bool:
    return path.startswith((f"{other}.", f"{other}["))


def _problem(use: Use, path: str, place: Location) -> Problem:
    key: Any = use.key.rpartition(".")[2]
    return Problem(
        summary=f"`{key}` is refused: {use.treatment.why}",
        hint=use.treatment.instead,
        at=place,
        subject=path,
        code="compose.refused-key",
    )

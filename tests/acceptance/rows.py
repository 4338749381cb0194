"""The row book: count what is proven of the guides' promises, and fail when a claim names no real test."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

ROOT = Path(__file__).resolve().parents[2]
BOOK = Path(__file__).with_name("rows.toml")
GUIDES = {"L": "Lexikon", "S": "supplier analytics", "M": "MecaPy", "C": "maicivy", "T": "TodoApp Generator"}
SIZES = {"L": 60, "S": 53, "M": 60, "C": 90, "T": 54}
STATES = ("proven", "planned", "outside")


class Row(TypedDict, total=False):
    """One promise of a guide."""

    kind: str
    promise: str
    state: str
    tests: list[str]
    why: str


def read_book() -> dict[str, Row]:
    """All rows by id."""
    return tomllib.loads(BOOK.read_text())


def defects(rows: dict[str, Row]) -> Iterator[str]:
    """Everything wrong with the book, one line each."""
    for letter, size in SIZES.items():
        have = {row for row in rows if row[0] == letter}
        yield from (f"{letter}{n}: missing" for n in range(1, size + 1) if f"{letter}{n}" not in have)
        yield from (f"{row}: no such row" for row in sorted(have) if int(row[1:]) > size)
    for name, row in rows.items():
        if row.get("state") not in STATES:
            yield f"{name}: state must be one of {', '.join(STATES)}"
        if row.get("state") == "proven" and not row.get("tests"):
            yield f"{name}: proven by no test"
        if row.get("state") == "outside" and not row.get("why"):
            yield f"{name}: outside without a reason"
        for test in row.get("tests", []):
            if not exists(test):
                yield f"{name}: no such test: {test}"


def unproven(rows: dict[str, Row], record: Path) -> Iterator[str]:
    """Rows whose tests did not all run and pass, by the record of what passed (parameters are not looked at)."""
    passed = {line.split("[")[0] for line in record.read_text().splitlines()}
    for name, row in rows.items():
        for test in row.get("tests", []):
            if test.split("[")[0] not in passed:
                yield f"{name}: did not run and pass: {test}"


def exists(test: str) -> bool:
    """True when `tests/path.py::test_name` is defined (parameters in brackets are not looked at)."""
    file, _, name = test.partition("::")
    path = ROOT / file
    if not path.is_file():
        return False
    tree = ast.parse(path.read_text())
    wanted = name.split("[")[0].split("::")[-1]
    return any(isinstance(node, ast.FunctionDef) and node.name == wanted for node in ast.walk(tree))


def count(rows: dict[str, Row]) -> str:
    """A small table: guide by state."""
    lines = [f"{'guide':<20}{'rows':>6}" + "".join(f"{state:>10}" for state in STATES)]
    total: Counter[str] = Counter()
    for letter, guide in GUIDES.items():
        states = Counter(row["state"] for name, row in rows.items() if name[0] == letter)
        total.update(states)
        lines.append(f"{guide:<20}{SIZES[letter]:>6}" + "".join(f"{states[state]:>10}" for state in STATES))
    lines.append(f"{'all':<20}{sum(SIZES.values()):>6}" + "".join(f"{total[state]:>10}" for state in STATES))
    return "\n".join(lines)


def main() -> int:
    """Print the count; with `--check` also every defect, with `--passed FILE` every claim that no test backs."""
    rows = read_book()
    print(count(rows))
    found = list(defects(rows)) if "--check" in sys.argv else []
    if "--passed" in sys.argv:
        found += unproven(rows, Path(sys.argv[sys.argv.index("--passed") + 1]))
    for line in found:
        print(f"rows.toml: {line}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

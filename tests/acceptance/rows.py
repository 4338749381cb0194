"""The row book and the book of faults: count what is proven, and fail when a claim names no real test."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypedDict

ROOT = Path(__file__).resolve().parents[2]
BOOK = Path(__file__).with_name("rows.toml")
FAULTS = ROOT / "tests/faults/faults.toml"
FAULTS_PAGE = ROOT / "docs/reference/faults.md"
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


class Fault(TypedDict, total=False):
    """One fault: what Havre says of it, and the tests that inject it for real."""

    fault: str
    says: str
    tests: list[str]


def read_faults() -> dict[str, Fault]:
    """All faults by id."""
    return tomllib.loads(FAULTS.read_text())


def fault_defects(faults: dict[str, Fault]) -> Iterator[str]:
    """A fault that nobody injects, a test that is not there, a page that says something else."""
    for name, fault in faults.items():
        if not fault.get("tests"):
            yield f"{name}: no test injects it"
        for test in fault.get("tests", []):
            case = test.partition("[")[2].removesuffix("]")
            if not exists(test) or case not in (ROOT / test.partition("::")[0]).read_text():
                yield f"{name}: no such test: {test}"
    if not FAULTS_PAGE.is_file() or FAULTS_PAGE.read_text() != faults_page(faults):
        yield f"{FAULTS_PAGE.name} is out of date: run `python tests/acceptance/rows.py --faults`"


def faults_page(faults: dict[str, Fault]) -> str:
    """The reference page: what goes wrong, and what is said of it."""
    rows = [f"| {one['fault'].replace('|', chr(92) + '|')} | {one['says']} |" for one in faults.values()]
    head = (
        "# Faults that Havre explains\n\nEach is injected for real by the tests that `tests/faults/faults.toml` names; "
        "related ones are explained by the same means.\n\n| Fault | What Havre says |\n|---|---|"
    )
    return "\n".join([head, *rows, ""])


def unproven(rows: Mapping[str, Row | Fault], record: Path) -> Iterator[str]:
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
    """Print the count; with `--check` also every defect, with `--passed FILE` every claim that no test backs; with
    `--faults` write the page of faults."""
    rows = read_book()
    print(count(rows))
    if "--faults" in sys.argv:
        FAULTS_PAGE.write_text(faults_page(read_faults()))
    found = [*defects(rows), *fault_defects(read_faults())] if "--check" in sys.argv else []
    if "--passed" in sys.argv:
        found += unproven({**rows, **read_faults()}, Path(sys.argv[sys.argv.index("--passed") + 1]))
    for line in found:
        print(f"rows.toml, faults.toml: {line}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

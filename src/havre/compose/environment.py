"""The variables a project may use, in layers, and where each of them came from.

Precedence is Compose's: what the process environment says wins over env files, later env files win over
earlier ones, and an included project sees its own env files below everything its parent already had.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Self

from havre.compose.dotenv import Assignment, EnvFileError, parse_env, parse_raw
from havre.compose.findings import Findings, fail
from havre.compose.template import Lookup
from havre.errors import Location

ENVIRONMENT = "environment"
ENV_FILE = "env file"


class Variable(NamedTuple):
    """The value of a variable and the place that set it."""

    value: str
    source: str = ENVIRONMENT
    at: Location | None = None


class Environment:
    """A read-only set of variables."""

    __slots__ = ("variables",)

    def __init__(self, variables: Mapping[str, Variable]) -> None:
        self.variables = variables

    @classmethod
    def of(cls, values: Mapping[str, str]) -> Self:
        """The process environment, or any mapping passed in its place."""
        return cls({name: Variable(value) for name, value in values.items()})

    def get(self, name: str) -> str | None:
        """The value, None when unset."""
        variable = self.variables.get(name)
        return None if variable is None else variable.value

    def below(self, added: Mapping[str, Variable]) -> Self:
        """With `added` for what is not set yet."""
        return type(self)({**added, **self.variables})

    def with_value(self, name: str, value: str) -> Self:
        """With one variable set, whatever it was."""
        return type(self)({**self.variables, name: Variable(value)})


def read_env_text(data: bytes, shown: str) -> str:
    """The text of an env file, which must be UTF-8 without NUL characters."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise fail(
            "this env file is not UTF-8 text", hint="save it as UTF-8", at=Location(shown, line), code="env-encoding"
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise fail(
            "this env file contains a NUL character",
            hint="is this the right file?",
            at=Location(shown, line),
            code="env-encoding",
        )
    return text


def assignments(
    data: bytes, shown: str, lookup: Lookup, findings: Findings, *, earlier: Lookup, file_format: str = ""
) -> Iterable[Assignment]:
    """The variables of one env file; suspicious `$(command)` values are recorded as warnings.

    In expansions `lookup` wins over the file itself, and the file over the `earlier` ones.
    """
    text = read_env_text(data, shown)
    try:
        found = parse_raw(text, lookup) if file_format == "raw" else parse_env(text, lookup, earlier)
    except EnvFileError as error:
        raise fail(
            f"failed to read {shown}: line {error.line}: {error}",
            hint="write KEY=value, one per line; quote values with spaces, `#` or `$`",
            at=Location(shown, error.line),
            code="env-syntax",
        ) from error
    for assignment in found:
        if assignment.runs_command:
            _warn_command(assignment, shown, findings)
    return found


def read_variables(
    files: Iterable[tuple[bytes, str]], environment: Environment, findings: Findings
) -> dict[str, Variable]:
    """The variables of several env files, later files winning, expanded against `environment`."""
    found: dict[str, Variable] = {}

    def earlier(name: str) -> str | None:
        return found[name].value if name in found else None

    for data, shown in files:
        for one in assignments(data, shown, environment.get, findings, earlier=earlier):
            found[one.name] = Variable(one.value, ENV_FILE, Location(shown, one.line))
    return found


def _warn_command(assignment: Assignment, shown: str, findings: Findings) -> None:
    findings.warn(
        f"the value of {assignment.name} contains a command substitution, which env files never run",
        hint="write the resulting value itself, or generate the file with a script before deploying",
        at=Location(shown, assignment.line),
        code="env-command-substitution",
        subject=assignment.name,
    )

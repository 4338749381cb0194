"""Replaces the variables in every value of a document, and turns text into the type its key wants.

Keys are never interpolated. Every problem is recorded with the place of the value and the walk goes on.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from havre.compose.environment import ENV_FILE, Environment
from havre.compose.findings import Findings, fail
from havre.compose.rules import Rule, compile_rules
from havre.compose.template import MissingVariableError, Reference, TemplateError, substitute
from havre.compose.tree import Path, VariableUse, dotted, spot_of

Cast = Callable[[str], Any]

MOST_EXPANDED = 64 * 1024 * 1024

_SHORTEN = "shorten the value or the variables in it"
_VARIABLE = r"\$\{[^:?+}-]{0,40}"
_TRUE = frozenset(("true", "y", "yes", "on"))
_FALSE = frozenset(("false", "n", "no", "off"))


class Interpolation:
    """One document's interpolation: the environment it sees and the record of what it used."""

    def __init__(self, environment: Environment, findings: Findings, *, is_strict: bool = False) -> None:
        self._environment = environment
        self._findings = findings
        self._is_strict = is_strict
        self._spot = 0
        self._path: Path = ()
        self._used: list[VariableUse] = []
        self._expanded = 0

    def apply(self, root: Any, path: Path = ()) -> None:
        """Interpolate a tree in place."""
        self._walk(root, CASTS if not path else None, path)

    def text(self, template: str, path: Path, spot: int) -> str:
        """Interpolate one value; the template itself when it is wrong."""
        self._spot, self._path, self._used = spot, path, []
        try:
            value = substitute(template, self._environment.get, self._note)
        except MissingVariableError as error:
            self._problem(
                str(error),
                "set the variable in the environment or in an env file; a secret: `havre secrets generate`",
                "variable-missing",
            )
            return template
        except TemplateError as error:
            if "Invalid template" not in str(error):
                self._problem(str(error), _SHORTEN, "template-size")
                return template
            summary = (
                f"invalid interpolation format, you may need to escape any $ with another $: {_beginning(template)}"
            )
            self._problem(summary, "write `$$` for a literal dollar sign, `${NAME}` for a variable", "template")
            return template
        self._expanded += len(value)
        if self._expanded > MOST_EXPANDED:
            at = self._findings.sources.location(spot)
            raise fail("the variables of this file expand to too much text", hint=_SHORTEN, at=at, code="template-size")
        if self._used:
            self._findings.sources.uses[spot] = tuple(dict.fromkeys(self._used))
        return value

    def _walk(self, value: Any, rule: Rule[Cast] | None, path: Path) -> None:
        entries = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in entries:
            below = rule.below(key) if rule is not None else None
            if isinstance(item, str):
                if "$" in item or (below is not None and below.action is not None):
                    value[key] = self._scalar(value, key, item, below, (*path, key))
            elif isinstance(item, dict | list):
                self._walk(item, below, (*path, key))

    def _scalar(self, container: Any, key: str | int, item: str, rule: Rule[Cast] | None, path: Path) -> Any:
        spot = spot_of(container, key)
        errors = len(self._findings.errors)
        text = self.text(item, path, spot) if "$" in item else item
        if rule is None or rule.action is None or len(self._findings.errors) > errors:
            return text
        try:
            return rule.action(text)
        except ValueError as error:
            self._spot, self._path = spot, path
            self._problem(str(error), _cast_hint(rule.action), "type")
            return text

    def _note(self, reference: Reference, falls_back: bool) -> None:
        variable = self._environment.variables.get(reference.name)
        here = self._findings.sources.location(self._spot)
        if variable is None or (falls_back and "-" in reference.operator):
            source, at = ("default", here) if reference.operator else ("unset", None)
        else:
            source, at = variable.source, variable.at if variable.source == ENV_FILE else None
            self._findings.values[reference.name] = variable.value
        self._used.append(VariableUse(name=reference.name, source=source, at=at))
        if source == "unset":
            self._unset(reference.name)

    def _unset(self, name: str) -> None:
        hint = f"set {name} in the environment or in an env file, or write ${{{name}:-default}}"
        if self._is_strict:
            self._problem(f'the "{name}" variable is not set', hint, "variable-unset")
            return
        self._findings.warn(
            f'the "{name}" variable is not set, defaulting to a blank string',
            hint=hint,
            at=self._findings.sources.location(self._spot),
            code="variable-unset",
            subject=dotted(self._path),
        )

    def _problem(self, summary: str, hint: str, code: str) -> None:
        self._findings.error(summary, hint=hint, spot=self._spot, path=self._path, code=code)


def to_boolean(text: str) -> bool:
    """The booleans Compose accepts where it wants one, those of YAML 1.1 included."""
    word = text.lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError(f"invalid boolean: {_shorten(text)}")


def to_integer(text: str) -> int:
    """A whole decimal number."""
    if len(text) > 20 or not text.removeprefix("-").removeprefix("+").isdecimal():
        raise ValueError(f'invalid integer: "{_shorten(text)}"')
    return int(text)


def to_number(text: str) -> float:
    """A decimal number."""
    try:
        return float(text[:400])
    except ValueError as error:
        raise ValueError(f'invalid number: "{_shorten(text)}"') from error


def _cast_hint(cast: Cast) -> str:
    kinds: dict[Cast, str] = {to_boolean: "true or false", to_integer: "a whole number", to_number: "a number"}
    return f"this key takes {kinds.get(cast, 'another value')}"


def _beginning(template: str) -> str:
    """The first variable of a template; what else is in it may be a secret."""
    match = re.search(_VARIABLE, template)
    return f"{match.group()}…" if match else "$"


def _shorten(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


_SERVICE_BOOLEANS = (
    "attach",
    "build.no_cache",
    "build.privileged",
    "build.pull",
    "depends_on.*.restart",
    "develop.watch.*.exec.privileged",
    "env_file.*.required",
    "healthcheck.disable",
    "init",
    "oom_kill_disable",
    "post_start.*.privileged",
    "pre_start.*.per_replica",
    "pre_start.*.privileged",
    "pre_stop.*.privileged",
    "privileged",
    "read_only",
    "stdin_open",
    "tty",
    "volumes.*.bind.create_host_path",
    "volumes.*.read_only",
    "volumes.*.volume.nocopy",
)
_SERVICE_INTEGERS = (
    "blkio_config.weight",
    "blkio_config.weight_device.*.weight",
    "build.ulimits.*",
    "build.ulimits.*.hard",
    "build.ulimits.*.soft",
    "cpu_count",
    "cpu_period",
    "cpu_quota",
    "cpu_rt_period",
    "cpu_rt_runtime",
    "cpu_shares",
    "deploy.placement.max_replicas_per_node",
    "deploy.replicas",
    "deploy.resources.limits.pids",
    "deploy.restart_policy.max_attempts",
    "deploy.rollback_config.parallelism",
    "deploy.update_config.parallelism",
    "healthcheck.retries",
    "networks.*.gw_priority",
    "networks.*.priority",
    "oom_score_adj",
    "pids_limit",
    "ports.*.target",
    "scale",
    "ulimits.*",
    "ulimits.*.hard",
    "ulimits.*.soft",
)
_SERVICE_NUMBERS = (
    "cpu_percent",
    "cpus",
    "deploy.resources.limits.cpus",
    "deploy.resources.reservations.cpus",
    "deploy.rollback_config.max_failure_ratio",
    "deploy.update_config.max_failure_ratio",
)
_OTHER_BOOLEANS = (
    "configs.*.external",
    "networks.*.attachable",
    "networks.*.enable_ipv4",
    "networks.*.enable_ipv6",
    "networks.*.external",
    "networks.*.internal",
    "secrets.*.external",
    "volumes.*.external",
)

CASTS: Rule[Cast] = compile_rules(
    {
        **{f"services.*.{key}": to_boolean for key in _SERVICE_BOOLEANS},
        **{f"services.*.{key}": to_integer for key in _SERVICE_INTEGERS},
        **{f"services.*.{key}": to_number for key in _SERVICE_NUMBERS},
        **dict.fromkeys(_OTHER_BOOLEANS, to_boolean),
    }
)

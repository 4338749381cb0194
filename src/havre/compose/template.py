"""The `${VARIABLE}` syntax of Compose: `$$`, `$NAME`, `${NAME}` and the operators `:-` `-` `:+` `+` `:?` `?`, nested.

Pure text: a lookup function says what a variable is, and a listener may be told what was looked up.
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

Lookup = Callable[[str], str | None]

_NAME = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")
_BRACED = re.compile(r"([_a-zA-Z][_a-zA-Z0-9]*)(?:(:?[-+?])(.*))?\Z")
_DEEPEST = 20
_LONGEST_MESSAGE = 1000
LONGEST_VALUE = 1024 * 1024


class TemplateError(Exception):
    """A template is malformed, or a required variable is missing."""


class MissingVariableError(TemplateError):
    """`${NAME:?message}` and NAME has no value."""


class Reference(NamedTuple):
    """One variable in a template: its operator ("" when it has none) and the operator's argument."""

    name: str
    operator: str = ""
    argument: str = ""


def substitute(template: str, lookup: Lookup, used: Callable[[Reference, bool], None] | None = None) -> str:
    """The template with its variables replaced; `used` hears each reference and whether it fell back."""
    parts: list[str] = []
    length = 0
    for part in _expand(template, lookup, used, 0):
        length += len(part)
        if length > LONGEST_VALUE:
            raise TemplateError(f"the value is longer than {LONGEST_VALUE // 1024} KiB once its variables are replaced")
        parts.append(part)
    return "".join(parts)


def references(template: str) -> Iterator[Reference]:
    """Every variable of a template, those inside defaults and messages included."""
    for part in _parts(template):
        if isinstance(part, Reference):
            if part.argument:
                yield from references(part.argument)
            yield part


def _expand(template: str, lookup: Lookup, used: Callable[[Reference, bool], None] | None, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        raise TemplateError(f"Invalid template: variables nested more than {_DEEPEST} deep")
    for part in _parts(template):
        if isinstance(part, str):
            yield part
            continue
        value = lookup(part.name)
        falls_back = _falls_back(part.operator, value)
        if used is not None:
            used(part, falls_back)
        argument = _expand(part.argument, lookup, used if falls_back else None, depth + 1)
        if not falls_back:
            _check(argument)
            yield "" if part.operator.endswith("+") else value or ""
        elif part.operator.endswith("?"):
            raise MissingVariableError(_missing(part.name, "".join(argument)[:_LONGEST_MESSAGE]))
        elif part.operator:
            yield from argument


def _check(argument: Iterator[str]) -> None:
    """Compose expands an argument before it knows whether it needs it: what is wrong there is always told."""
    for _ in argument:
        pass


def _falls_back(operator: str, value: str | None) -> bool:
    """Whether the argument of the operator is used instead of the value."""
    if not operator:
        return value is None
    lacks = not value if operator[0] == ":" else value is None
    return not lacks if operator[-1] == "+" else lacks


def _missing(name: str, message: str) -> str:
    return f"required variable {name} is missing a value" + (f": {message}" if message else "")


def _parts(template: str) -> Iterator[str | Reference]:
    position = 0
    while True:
        dollar = template.find("$", position)
        if dollar < 0 or dollar + 1 >= len(template):
            break
        if dollar > position:
            yield template[position:dollar]
        following = template[dollar + 1]
        if following == "$":
            yield "$"
            position = dollar + 2
        elif following == "{":
            position = _closing(template, dollar) + 1
            yield _braced(template, template[dollar + 2 : position - 1])
        elif name := _NAME.match(template, dollar + 1):
            yield Reference(name.group())
            position = name.end()
        else:
            yield "$"
            position = dollar + 1
    if position < len(template):
        yield template[position:]


def _closing(template: str, dollar: int) -> int:
    """The `}` that closes the `${` at `dollar`: braces inside are balanced, if they can be."""
    for opening in ("{", "${"):
        depth = 0
        for index in range(dollar, len(template)):
            if template[index] == "}":
                depth -= 1
                if depth == 0:
                    return index
            elif template.startswith(opening, index):
                depth += 1
    raise TemplateError(f'Invalid template: "{template}"')


def _braced(template: str, inside: str) -> Reference:
    match = _BRACED.match(inside)
    if not match:
        raise TemplateError(f'Invalid template: "{template}"')
    return Reference(match.group(1), match.group(2) or "", match.group(3) or "")

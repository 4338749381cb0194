"""Env files, by Compose's own rules of quoting, escaping, comments and expansion.

A statement is `KEY=value`, `KEY: value`, `export KEY=value` or a bare `KEY`, which takes its value from the
environment. Single quotes are literal; double quotes know escapes and variables and may span lines.
"""

import re
from typing import NamedTuple

from havre.compose.template import Lookup, TemplateError, substitute

_SPACE = " \t\v\f\r\x85\xa0"
_EXPORT = r"export[ \t\v\f\r]+"
_ESCAPE = r"(?s)\\(0[0-7]{0,3}|.)"
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"'}
_NAME_EXTRA = "_.-[]"
_COMMAND = r"\$\([^)]*\)|`[^`]+`"


MOST_EXPANDED = 16 * 1024 * 1024


class EnvFileError(Exception):
    """An env file is malformed at `line`."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


class Assignment(NamedTuple):
    """One variable of an env file; `runs_command` tells that it looks like a shell substitution."""

    name: str
    value: str
    line: int
    runs_command: bool = False


def parse_env(text: str, lookup: Lookup, earlier: Lookup) -> list[Assignment]:
    """The assignments of an env file, later ones last.

    In expansions `lookup`, the environment, wins over the file itself, and the file over `earlier` files.
    """
    return _Parser(text, lookup, earlier).parse()


def parse_raw(text: str, lookup: Lookup) -> list[Assignment]:
    """The `raw` format: everything after the first `=` is the value, as it is."""
    found: list[Assignment] = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        content = line.rstrip("\r").lstrip()
        if not content or content.startswith("#"):
            continue
        name, equals, value = content.partition("=")
        if not name or any(character.isspace() for character in name.rstrip() if equals) or name != name.strip():
            raise EnvFileError("the name of a variable contains whitespace", number)
        inherited = value if equals else lookup(name)
        if inherited is not None:
            found.append(Assignment(name, inherited, number))
    return found


class _Parser:
    def __init__(self, text: str, lookup: Lookup, earlier: Lookup) -> None:
        self._text = text.removeprefix("\ufeff").replace("\r\n", "\n")
        self._environment = lookup
        self._earlier = earlier
        self._position = 0
        self._counted = (0, 1)
        self._expanded = 0
        self._seen: dict[str, str] = {}
        self._found: list[Assignment] = []

    def parse(self) -> list[Assignment]:
        while self._skip_to_statement():
            line = self._line()
            name, is_inherited = self._name(line)
            if " " in name:
                raise EnvFileError("key cannot contain a space", line)
            if is_inherited:
                inherited = self._environment(name)
                if inherited is not None:
                    self._keep(Assignment(name, inherited, line))
                continue
            value, raw = self._value(line)
            self._keep(Assignment(name, value, line, runs_command=bool(re.search(_COMMAND, raw))))
        return self._found

    def _keep(self, assignment: Assignment) -> None:
        self._seen[assignment.name] = assignment.value
        self._found.append(assignment)

    def _lookup(self, name: str) -> str | None:
        value = self._environment(name)
        if value is None:
            value = self._seen.get(name)
        return self._earlier(name) if value is None else value

    def _line(self) -> int:
        position, line = self._counted
        line += self._text.count("\n", position, self._position)
        self._counted = (self._position, line)
        return line

    def _skip_to_statement(self) -> bool:
        text, position = self._text, self._position
        while position < len(text):
            if text[position].isspace():
                position += 1
            elif text[position] == "#":
                end = text.find("\n", position)
                position = len(text) if end < 0 else end
            else:
                break
        self._position = position
        return position < len(text)

    def _name(self, line: int) -> tuple[str, bool]:
        text = self._text
        export = text.startswith("export", self._position) and re.compile(_EXPORT).match(text, self._position)
        start = export.end() if export else self._position
        for index in range(start, len(text)):
            character = text[index]
            if character in "=:\n":
                self._position = index + 1
                self._skip_space()
                return text[start:index].rstrip(), character == "\n"
            if not (character.isalnum() or character in _NAME_EXTRA or character in _SPACE):
                raise EnvFileError(f'unexpected character "{character}" in variable name', line)
        self._position = len(text)
        return text[start:].rstrip(), True

    def _skip_space(self) -> None:
        while self._position < len(self._text) and self._text[self._position] in _SPACE:
            self._position += 1

    def _value(self, line: int) -> tuple[str, str]:
        """The value and the text it was written as."""
        quote = self._text[self._position : self._position + 1]
        if quote not in ("'", '"') or not quote:
            return self._unquoted(line)
        raw = self._quoted(quote, line)
        if quote == "'":
            return raw.replace("\\'", "'"), ""
        return self._expand(re.sub(_ESCAPE, _unescape, raw), line), raw

    def _unquoted(self, line: int) -> tuple[str, str]:
        end = self._text.find("\n", self._position)
        end = len(self._text) if end < 0 else end
        raw = self._text[self._position : end].partition(" #")[0].rstrip()
        self._position = end
        return self._expand(raw, line), raw

    def _quoted(self, quote: str, line: int) -> str:
        text, start = self._text, self._position + 1
        index = start
        while index < len(text):
            if text[index] == "\\" and index + 1 < len(text):
                index += 2
                continue
            if text[index] == quote:
                self._position = index + 1
                return text[start:index]
            index += 1
        raise EnvFileError(f"unterminated quoted value starting with {quote}", line)

    def _expand(self, text: str, line: int) -> str:
        if "$" not in text:
            return text
        try:
            value = substitute(text, self._lookup)
        except TemplateError as error:
            raise EnvFileError(str(error), line) from error
        self._expanded += len(value)
        if self._expanded > MOST_EXPANDED:
            raise EnvFileError("the variables of this file expand to too much text", line)
        return value


def _unescape(match: re.Match[str]) -> str:
    code = match.group(1)
    if code[0] == "0" and len(code) > 1:
        return chr(int(code, 8))
    if code == "$":
        return "$$"
    return _ESCAPES.get(code, match.group())

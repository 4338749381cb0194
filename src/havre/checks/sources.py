"""Reads source files for the names of environment variables: which are read, which are only mentioned; a heuristic.

Nothing is parsed. A name counts as mentioned wherever it stands, in any spelling (`DATABASE_URL`, `databaseUrl`,
`database.url`), so that settings classes, property files and comments all speak for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from havre.model.server import Mentions

SUFFIXES = frozenset(
    """
    .py .js .jsx .mjs .cjs .ts .tsx .mts .cts .vue .svelte .astro .go .rb .erb .rake .ru .php .java .kt .kts .scala
    .groovy .cs .fs .rs .ex .exs .eex .lua .pl .pm .dart .swift .c .cc .cpp .h .hpp .sh .bash .toml .ini .cfg .conf
    .properties .yaml .yml .json .prisma .tmpl .tpl .template .j2 .env .xml .gradle .txt .html .erl .clj .nim .zig
    """.split()  # noqa: SIM905 - a list of eighty would take a line each
)
"""What is looked into, beside files without a suffix (Dockerfile, Procfile, entrypoint)."""

_TOKEN = re.compile(r"[A-Za-z_][\w.-]*")
_READ = re.compile(
    r"""(?:environ(?:\.get|\.pop|\.setdefault)?|getenv|GetEnvironmentVariable|LookupEnv|Getenv|ENV(?:\.fetch|\.key\?)?|_ENV
        |_SERVER|env::var(?:_os)?|import\.meta\.env|process\.env|Deno\.env\.get|\benv|\bconfig|\bstr|\bint|\bbool)
        \s*[\[(]\s*["'`]([A-Z][A-Z0-9_]+)["'`]
      | (?:process\.env|import\.meta\.env)\??\.([A-Z][A-Z0-9_]+)
      | \benv:"([A-Z][A-Z0-9_]+)
      | \$\{?([A-Z][A-Z0-9_]{2,})\b""",
    re.VERBOSE,
)
"""How a variable is read by name in the usual languages, struct tags and shell scripts included."""

_FIELD = re.compile(r"^\s+([a-z][a-z0-9_]+)\s*:\s*[\w\[\]., |\"']+(?:=|$)", re.MULTILINE)
_SETTINGS = re.compile(r"\b(?:BaseSettings|pydantic_settings|environ\.Env|envclasses|environ\.config)\b")
_BY_ANY_NAME = re.compile(
    r"""environ\.(?:items|copy|keys)\b|dict\(os\.environ|\bin\s+os\.environ|\*\*os\.environ
      | (?:getenv|environ(?:\.get)?)\s*[\[(]\s*(?:[fF]["']|[a-z_]\w*\s*[\]),+])|(?:process|meta)\.env\[\s*[^"'\s]
      | Object\.(?:keys|entries|assign|fromEntries)\([^)]*(?:process|meta)\.env|\{\s*\.\.\.process\.env
      | parse\(process\.env|os\.Environ\(|Getenv\(\s*[a-z]|AutomaticEnv|SetEnvPrefix|BindEnv|envconfig\.|env_prefix
      | env_nested_delimiter|[Dd]ynaconf|ENV\.(?:each|to_h|select|slice)|ENV\[\s*["']?[^"'A-Z]|System\.getenv\(\s*[a-z)]
      | env::vars|getenv\(\s*\)|envsubst|EnvironmentVariablesSource|AddEnvironmentVariables""",
    re.VERBOSE,
)
"""Signs that variables are also read by names that are put together, or all at once."""


def mentions_in(texts: Iterable[str]) -> Mentions:
    """What these files mention."""
    words: set[str] = set()
    reads: set[str] = set()
    by_any_name = False
    for text in texts:
        for token in set(_TOKEN.findall(text)):
            parts = re.split(r"[.-]", token)
            words |= {spelled(token), *map(spelled, parts)}
            words |= {spelled("".join(parts[start:])) for start in range(1, len(parts) - 1)}
        reads |= {name for match in _READ.findall(text) for name in match if name}
        if _SETTINGS.search(text):
            reads |= {name.upper() for name in _FIELD.findall(text)}
        by_any_name = by_any_name or _BY_ANY_NAME.search(text) is not None
    return Mentions(words=frozenset(words), reads=frozenset(reads), by_any_name=by_any_name)


def spelled(name: str) -> str:
    """One spelling for all: `DATABASE_URL`, `databaseUrl` and `database-url` are the same name."""
    return re.sub(r"[^a-z0-9]", "", name.lower())

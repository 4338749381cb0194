"""Where secret values come from: the sealed store, a command such as `pass show …`, or an env file to import."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from havre.checks.placeholders import placeholder
from havre.compose.dotenv import EnvFileError, parse_env
from havre.errors import HavreError, InputError, Location, Problem
from havre.host.commands import run
from havre.model.app import App, SecretSource
from havre.model.secrets_mask import is_secret_name
from havre.secrets.vault import Vault

COMMAND_TIMEOUT = 30.0


def secret_values(app: App, vault: Vault) -> Mapping[str, str]:
    """The secrets of an app by name: what commands print wins over the sealed store.

    Raises InputError naming every command that gives no value. A listed secret that is in neither may still be in
    the environment or an env file; `missing_secrets` tells when it is nowhere.
    """
    printed, problems = _printed([source for source in app.secrets if source.command])
    if problems:
        raise InputError(problems)
    return {**vault.values(), **printed}


def missing_secrets(app: App, known: Collection[str]) -> tuple[Problem, ...]:
    """A problem for every secret the manifest lists that is not among the `known` names."""
    return tuple(
        _absent(source.name, app.place(f"secrets[{index}]"))
        for index, source in enumerate(app.secrets)
        if source.command is None and source.name not in known
    )


def import_env_file(vault: Vault, path: Path, *, every: bool = False) -> tuple[str, ...]:
    """Keep the secrets of an env file (with `every`, all its variables); the names whose value changed.

    Raises InputError listing every placeholder among them; then nothing is kept.
    """
    try:
        assignments = parse_env(path.read_text(), _unset, _unset)
    except OSError as error:
        raise InputError(_unreadable(path, error)) from error
    except EnvFileError as error:
        raise InputError(_malformed(path, error)) from error
    chosen = {one.name: one for one in assignments if one.value and (every or is_secret_name(one.name))}
    problems = [
        _placeholder(one.name, why, Location(str(path), one.line))
        for one in chosen.values()
        if (why := placeholder(one.value))
    ]
    if problems:
        raise InputError(problems)
    return vault.put({name: one.value for name, one in chosen.items()}, origin="imported")


def _printed(sources: list[SecretSource]) -> tuple[dict[str, str], list[Problem]]:
    found: dict[str, str] = {}
    problems: list[Problem] = []
    if not sources:
        return found, problems
    with ThreadPoolExecutor(max_workers=8) as pool:
        answers = list(pool.map(_ask, sources))
    for source, answer in zip(sources, answers, strict=True):
        if isinstance(answer, Problem):
            problems.append(answer)
        else:
            found[source.name] = answer
    return found, problems


def _ask(source: SecretSource) -> str | Problem:
    """What the command prints, without the last line break; its output never reaches a message."""
    program = (source.command or ("",))[0]
    try:
        done = run(source.command or (), timeout=COMMAND_TIMEOUT, check=False)
    except HavreError as error:
        return Problem(
            summary=f"{source.name}: {error.problems[0].summary}", hint=error.problems[0].hint, code="secret-command"
        )
    value = done.stdout.rstrip("\r\n")
    if done.exit_code == 0 and value:
        return value
    how = f"ended with code {done.exit_code}" if done.exit_code else "printed nothing"
    return Problem(
        summary=f"the command for {source.name} (`{program}`) {how}",
        hint="run it by hand as this user; its output is not shown here, because it may hold the secret",
        code="secret-command",
    )


def _absent(name: str, at: Location | None) -> Problem:
    return Problem(
        summary=f"the secret {name} has no value",
        at=at,
        subject=name,
        hint=f"`havre secrets generate {name}` makes one, `havre secrets set {name}` takes yours",
        code="secret-absent",
    )


def _placeholder(name: str, why: str, at: Location) -> Problem:
    return Problem(
        summary=f"the value of {name} is {why}",
        at=at,
        subject=name,
        hint=f"`havre secrets generate {name}` makes one; or write the real value, then import again",
        code="variable-placeholder",
    )


def _unreadable(path: Path, error: OSError) -> Problem:
    return Problem(
        summary=f"cannot read {path}: {error.strerror}",
        hint="check the path",
        at=Location(str(path)),
        code="env-absent",
    )


def _malformed(path: Path, error: EnvFileError) -> Problem:
    return Problem(
        summary=f"cannot read this env file: {error}",
        hint="write KEY=value, one per line",
        at=Location(str(path), error.line),
        code="env-syntax",
    )


def _unset(_name: str) -> None:
    """An env file that is imported stands for itself: nothing around it is looked up."""

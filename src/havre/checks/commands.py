"""Checks of what services are started with: shell words that no shell reads, and scripts that the kernel cannot run."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence

from havre.checks.case import Case, Check
from havre.checks.dockerfile import foundation, instructions
from havre.errors import Location, Problem, Severity
from havre.model.images import image_name
from havre.model.observed import ObservedImage
from havre.model.project import MountKind, Service
from havre.model.server import BuildFact, Script

_SHELLS = frozenset({"sh", "bash", "ash", "dash", "zsh", "busybox", "eval", "envsubst"})
_EFFECTS = {
    **dict.fromkeys(("&&", "||", "|"), "what stands behind it never runs"),
    **dict.fromkeys((">", ">>", "2>&1", "<"), "nothing is redirected"),
}
"""What follows of a word that only a shell acts on."""

_INTERPRETER = re.compile(r"(?:ba|z|fi)sh|python[\d.]*|node(?:js)?|np[mx]|yarn|pnpm|bun|deno|ruby|php|perl|java|uvx?")
_FAMILIES = {"python": ("python", "python3"), "node": ("node", "npm", "npx", "yarn")}
"""What the image of that name surely has."""

_VARIABLE = re.compile(r"(?:--?[\w.-]+=)?\$\{?([A-Za-z_]\w*)\}?")
_RUN_BY_IMAGE = ("/docker-entrypoint-initdb.d/", "/docker-entrypoint.d/")
_REPAIRED = re.compile(r"dos2unix|\\r")
_MADE_EXECUTABLE = re.compile(r"chmod|\binstall\s+-\w*m")
_BETWEEN_WORDS = re.compile(r"[\s\"'`;&|(){}<>,\[\]=]+")
_READER = re.compile(r"python[\d.]*|node(?:js)?|ruby|php|perl")


def _shell_words(case: Case) -> Iterator[Problem]:
    for service in case.project.services:
        for place, program, words in _started_with(service):
            found = _for_a_shell(words, service)
            if found and posixpath.basename(program) not in _SHELLS:
                yield _unread(case, service, place, program, found)


def _started_with(service: Service) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(Compose path, program, its arguments there) of what is run without a shell of its own."""
    entrypoint, command = service.entrypoint or (), service.command or ()
    if entrypoint:
        yield "entrypoint", entrypoint[0], entrypoint[1:]
        yield "command", entrypoint[0], command
    elif command:
        yield "command", command[0], command[1:]
    if service.health and service.health.test and not service.health.shell:
        yield "healthcheck.test", service.health.test[0], service.health.test[1:]


def _for_a_shell(words: Sequence[str], service: Service) -> str:
    """The first word that only a shell would act on; a variable only where the service has it."""
    given = {name for name, _ in service.environment}
    for word in words:
        variable = _VARIABLE.fullmatch(word)
        if word in _EFFECTS or (variable and variable[1] in given):
            return word
    return ""


def _unread(case: Case, service: Service, place: str, program: str, found: str) -> Problem:
    """The line itself is not repeated: it may hold passwords."""
    shell = '"CMD-SHELL"' if place == "healthcheck.test" else '"sh", "-c"'
    return Problem(
        summary=f"no shell reads its {place}: {program} gets `{found}` as it stands",
        subject=service.name,
        at=case.place(f"services.{service.name}.{place}"),
        evidence=("it runs without a shell: the first word is the program, the others are its arguments",),
        effect=_EFFECTS.get(found, "its value is never put in"),
        hint=f'put the whole line into a shell: `[{shell}, "…"]`',
        severity=Severity.ERROR if found in _EFFECTS else Severity.WARNING,
    )


def interpreter_of(service: Service, image: ObservedImage) -> str:
    """The shell or interpreter that a service's own words start with, where its image may well not have it; else empty.

    Where the image has a program of its own to start, the command is that one's business.
    """
    words = service.entrypoint or (service.command if image.has_entrypoint is False else None)
    if not words or "PATH" in dict(service.environment):
        return ""
    name = posixpath.basename(words[0])
    is_its_own = name in _FAMILIES.get(image_name(service.image), ())
    return words[0] if _INTERPRETER.fullmatch(name) and not is_its_own else ""


def _interpreters(case: Case) -> Iterator[Problem]:
    for service in case.project.services:
        image = case.observed.image(service.image) if case.observed else None
        program = interpreter_of(service, image) if image else ""
        if program and case.has_tool(service, program) is False and not _is_brought(program, service):
            place = "entrypoint" if service.entrypoint else "command"
            yield Problem(
                summary=f"it is started with `{program}`, which its image does not have",
                subject=service.name,
                at=case.place(f"services.{service.name}.{place}"),
                evidence=(f"image: {service.image}",),
                effect=f'it cannot start: `exec: "{program}": executable file not found`',
                hint=_instead(program, service, case),
            )


def _is_brought(program: str, service: Service) -> bool:
    """By a mount over the directory it lies in."""
    return any(program.startswith(mount.target.rstrip("/") + "/") for mount in service.mounts)


def _instead(program: str, service: Service, case: Case) -> str:
    kind = re.sub(r"[\d.]+$|js$", "", posixpath.basename(program))
    others = {"bash": ("sh",), "zsh": ("sh",), "python": ("python3", "python"), "node": ("node",)}.get(kind, ())
    there = next((other for other in others if case.has_tool(service, other)), None)
    return (
        f"the image has `{there}`: use that, or install `{program}`" if there else f"install `{program}` in the image"
    )


def _line_ends(case: Case) -> Iterator[Problem]:
    for fact, service in _builds(case):
        steps = [one.words for one in instructions(fact.text or "") if one.name == "RUN"]
        run = _run_in("\n".join((*steps, " ".join(_words(fact, service)))))
        for script in () if _REPAIRED.search(fact.text or "") else fact.scripts:
            if posixpath.basename(script.name) in run and all(one.is_windows for one in _of_that_name(fact, script)):
                yield _windows(service.name, posixpath.join(fact.context, script.name), script.name)
    for service, index, source, target in _mounted(case):
        fact_at = case.files.at(source)
        if fact_at and fact_at.script and fact_at.script.is_windows and _is_run(service, target):
            place = case.place(f"services.{service.name}.volumes[{index}]")
            yield _windows(service.name, fact_at.script.name, target, place)


def _run_in(text: str) -> frozenset[str]:
    """The names of files that lines of a shell run: `build` alone is a word of many commands, `./build` is a file.

    What Python and the like are given to read may end its lines as it wants.
    """
    words = [word for word in _BETWEEN_WORDS.split(text) if word]
    pairs = zip(["", *words], words, strict=False)
    named = (word for before, word in pairs if not _READER.fullmatch(posixpath.basename(before)))
    return frozenset(posixpath.basename(word) for word in named if "/" in word or "." in word)


def _of_that_name(fact: BuildFact, script: Script) -> Iterator[Script]:
    """Only the build knows which of them it is about."""
    name = posixpath.basename(script.name)
    return (one for one in fact.scripts if posixpath.basename(one.name) == name)


def _builds(case: Case) -> Iterator[tuple[BuildFact, Service]]:
    by_name = {service.name: service for service in case.project.services}
    for fact in case.files.builds:
        yield fact, by_name[fact.service]


def _mounted(case: Case) -> Iterator[tuple[Service, int, str, str]]:
    for service in case.project.services:
        for index, mount in enumerate(service.mounts):
            if mount.kind is MountKind.BIND and mount.source:
                yield service, index, mount.source, mount.target


def _is_run(service: Service, target: str) -> bool:
    test = service.health.test if service.health else ()
    words = " ".join((*(service.entrypoint or ()), *(service.command or ()), *test))
    return target in words or target.startswith(_RUN_BY_IMAGE)


def _words(fact: BuildFact, service: Service) -> tuple[str, ...]:
    """What a built service is started with, as far as its Dockerfile and the Compose file say."""
    if service.entrypoint is not None:
        return (*service.entrypoint, *(service.command or ()))
    target = service.build.target if service.build else None
    found = foundation(fact.text or "", target=target)
    if found and not service.command:
        return found.command
    return (*(found.entrypoint if found else ()), *(service.command or ()))


def _windows(service: str, shown: str, target: str, place: Location | None = None) -> Problem:
    return Problem(
        summary=f"{shown} has Windows line ends, and no system has the program that its first line names",
        subject=service,
        at=place or Location(shown, 1),
        evidence=("its first line ends with a carriage return",),
        effect=f"it cannot be run: `exec {target}: no such file or directory`, though the file is there",
        hint=f"`sed -i 's/\\r$//' {shown}`; `*.sh text eol=lf` in .gitattributes keeps it so",
    )


def _not_executable(case: Case) -> Iterator[Problem]:
    for fact, service in _builds(case):
        words = _words(fact, service)
        if not words or _MADE_EXECUTABLE.search(fact.text or ""):
            continue
        for script in fact.scripts:
            is_first = posixpath.basename(script.name) == posixpath.basename(words[0])
            may_not = is_first and not any(one.is_executable for one in _of_that_name(fact, script))
            if may_not and (_starts_first(fact, service) or _is_for_a_shell(script)):
                shown = posixpath.join(fact.context, script.name)
                yield _may_not_run(service.name, shown, words[0], Location(shown, 1))
    for service, index, source, target in _mounted(case):
        at = case.files.at(source)
        first = (*(service.entrypoint or ()), *(service.command or ()))[:1]
        if at is None or at.script is None or at.script.is_executable or first != (target,):
            continue
        image = case.observed.image(service.image) if case.observed else None
        surely = bool(service.entrypoint) or bool(image and image.has_entrypoint is False)
        if surely or _is_for_a_shell(at.script):
            place = case.place(f"services.{service.name}.volumes[{index}]")
            yield _may_not_run(service.name, at.script.name, target, place)


def _starts_first(fact: BuildFact, service: Service) -> bool:
    """False where a program of the base gets the words first: that of Node gives what may not be executed to `node`."""
    found = foundation(fact.text or "", target=service.build.target if service.build else None)
    return bool(service.entrypoint) or bool(found and (found.entrypoint or image_name(found.base) != "node"))


def _is_for_a_shell(script: Script) -> bool:
    """By its name: no image's own program has another use for it than to execute it."""
    return script.name.endswith((".sh", ".bash"))


def _may_not_run(service: str, shown: str, target: str, place: Location | None) -> Problem:
    return Problem(
        summary=f"{shown} is what it is started with, and nobody may execute it",
        subject=service,
        at=place,
        effect=f"the container exits at once: `exec {target}: permission denied`",
        hint=f"`chmod +x {shown}` (and `git update-index --chmod=+x` where git keeps it)",
    )


CHECKS = (
    Check(
        id="command-no-shell",
        severity=Severity.ERROR,
        title="what only a shell understands is read by one",
        doc=(
            "Compose runs `command`, `entrypoint` and a `CMD` health check without a shell: `&&`, `|` and `>` become "
            "arguments (an error), and `$$NAME` stays as it is (a warning, where the service has that variable)."
        ),
        find=_shell_words,
    ),
    Check(
        id="command-tool",
        severity=Severity.ERROR,
        title="the shell or interpreter that a service is started with is in its image",
        doc=(
            "`bash` is not in Alpine, `python3.12` not in an image of 3.11. Looked up in the image itself, once it is "
            "on this server; where the image starts a program of its own, the command is that one's business."
        ),
        find=_interpreters,
    ),
    Check(
        id="script-line-ends",
        severity=Severity.ERROR,
        title="scripts that are run have Unix line ends",
        doc=(
            'A script that was saved on Windows names the program `sh\\r`: it "does not exist". Looked for in what a '
            "Dockerfile or the Compose file runs, and in mounts that images run at their start."
        ),
        find=_line_ends,
    ),
    Check(
        id="script-not-executable",
        severity=Severity.ERROR,
        title="what a container is started with may be executed",
        doc="A script in a build context or a mount that is the first word of what runs, without an execute bit.",
        find=_not_executable,
    ),
)

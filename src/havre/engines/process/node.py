"""Prepare Node dependencies once per content: the package manager that wrote the lock file, and its `node_modules`."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from havre.engines.process.filling import fill
from havre.engines.process.installers import kept
from havre.engines.process.known import NODE
from havre.engines.process.prepare import INSTALL_TIME, Prepared, Tell, content_key, made_once, prefix_of
from havre.engines.process.servers import fetch
from havre.errors import InputError, Problem
from havre.host.commands import find_program, path_with, run

_SETTINGS = (".npmrc", ".pnpmfile.cjs", "pnpm-workspace.yaml", ".yarnrc", ".yarnrc.yml", "bunfig.toml")
_DIRECTORIES = ("patches", ".yarn/patches", ".yarn/plugins", ".yarn/releases", ".yarn/cache")
"""Files and directories of the tree that a package manager reads beside the manifests and the lock file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manager:
    """A package manager: the files it locks versions in, and how it installs exactly those."""

    name: str
    locks: tuple[str, ...]
    install: tuple[str, ...]
    package: str = ""
    """On npm, where it is not called like its program."""


NPM = Manager(name="npm", locks=("package-lock.json", "npm-shrinkwrap.json"), install=("ci", "--include=dev"))
YARN = Manager(name="yarn", locks=("yarn.lock",), install=("install", "--frozen-lockfile", "--production=false"))
BERRY = Manager(name="yarn", locks=("yarn.lock",), install=("install", "--immutable"), package="@yarnpkg/cli-dist")
PNPM = Manager(name="pnpm", locks=("pnpm-lock.yaml",), install=("install", "--frozen-lockfile", "--prod=false"))
BUN = Manager(name="bun", locks=("bun.lock", "bun.lockb"), install=("install", "--frozen-lockfile"))
MANAGERS = (PNPM, YARN, BUN, NPM)

_QUIET = ("--no-audit", "--no-fund", "--loglevel=error")

PNPM_OF_LOCK = {"5": "7", "6": "8", "9": "9"}
"""Which pnpm writes which version of the lock file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """`programs` are the directories to put on PATH, `home` what must be reachable for them to work."""

    programs: tuple[str, ...]
    home: str
    version: str


def prepare_node(app: Path, base: str, caches: Path, tell: Tell, *, linked: bool = True) -> Prepared | None:
    """`node_modules` in the tree, as its lock file says; None without a package.json.

    `base` is the image the Dockerfile builds on: another Node than it names stands in, and `tell` hears so. With
    `linked` every package is on the disk once; a tree that is still to be built gets copies of its own, since
    build commands change files in there (`prisma generate`).
    """
    if not (app / "package.json").exists():
        return None
    node = find_node(base, caches, tell)
    manager, version = manager_of(app)
    tools = _manager_programs(manager, version, node, caches, tell)
    programs = (*tools, *node.programs)
    # Whole: what lies in a `.bin` are links to the packages beside it.
    homes = tuple(str(Path(tool).parents[1]) for tool in tools)
    prepared = Prepared(programs=programs, reveal=(node.home, *homes), caches=())
    files = tuple(_read_by_managers(app))
    if not _asks_for_packages(app):
        return prepared
    key = content_key(manager.name, version, node.version, *(f"{file}\0{_text(app / file)}" for file in files))
    cache = caches / "node" / key
    with made_once(cache, tell, "Node packages") as missing:
        if missing:
            _install(app, files, cache, manager, programs, caches)
    _place(cache, app, linked=linked)
    return Prepared(programs=("node_modules/.bin", *programs), reveal=prepared.reveal, caches=(str(cache),))


def find_node(base: str, caches: Path, tell: Tell) -> Node:
    """The system's Node with npm, else the wheel's."""
    program = find_program("node")
    if program and find_program("npm"):
        folders = dict.fromkeys([str(Path(program).parent), str(Path(str(find_program("npm"))).parent)])
        node = Node(programs=tuple(folders), home=str(prefix_of(Path(program).resolve())), version=_version(program))
    else:
        home = fetch(NODE, caches, tell) / NODE.programs
        _link_npm(home)
        node = Node(programs=(f"{home}/bin",), home=str(home), version=_version(f"{home}/bin/node"))
    wanted = re.match(r"(?:.*/)?node:(\d+)", base)
    major = node.version.lstrip("v").partition(".")[0]
    if wanted and wanted[1] != major:
        tell(f"Node {major} stands in for {wanted[1]}")
    return node


def manager_of(app: Path) -> tuple[Manager, str]:
    """The package manager of a source tree and its version; an empty one is whatever is there.

    `packageManager` in package.json decides, else the lock file that is there.
    """
    said = str(_manifest(app / "package.json").get("packageManager") or "")
    name, _, version = said.partition("+")[0].partition("@")
    for manager in MANAGERS:
        if manager.name == name or (not name and any((app / lock).exists() for lock in manager.locks)):
            version = version or _version_of_lock(app, manager)
            return (BERRY if manager is YARN and not version.startswith("1") else manager), version
    return NPM, ""


def run_script(app: Path, script: str) -> str:
    """The shell line by which the tree's own package manager runs one of its scripts."""
    return f"{manager_of(app)[0].name} run {script}"


def scripts_of(app: Path) -> Mapping[str, object]:
    """The scripts of its package.json."""
    found = _manifest(app / "package.json").get("scripts") if (app / "package.json").exists() else None
    return found if isinstance(found, dict) else {}


def _version_of_lock(app: Path, manager: Manager) -> str:
    if manager is YARN:
        return "1" if "yarn lockfile v1" in _text(app / "yarn.lock") or not (app / "yarn.lock").exists() else "4"
    if manager is BUN:
        return "1"
    if manager is PNPM:
        found = re.search(r"^lockfileVersion: *'?(\d+)", _text(app / "pnpm-lock.yaml"), re.MULTILINE)
        return PNPM_OF_LOCK.get(found[1], "") if found else ""
    return ""


def _manager_programs(manager: Manager, version: str, node: Node, caches: Path, tell: Tell) -> tuple[str, ...]:
    """npm comes with Node; the others come from npm, in the version that the tree asks for."""
    if manager is NPM:
        return ()
    package = f"{manager.package or manager.name}@{version or 'latest'}"
    directory = caches / "tools" / package.replace("/", "-")
    with made_once(directory, tell, package) as missing:
        if missing:
            argv = ("npm", "install", *_QUIET, "--prefix", str(directory), package)
            _run_manager(argv, node.programs, caches, directory)
    return (f"{directory}/node_modules/.bin",)


def _install(
    app: Path, files: Sequence[str], cache: Path, manager: Manager, programs: Sequence[str], caches: Path
) -> None:
    for file in files:
        (cache / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(app / file, cache / file)
    argv = [manager.name, *manager.install]
    if manager is NPM:
        argv = ["npm", *_npm_install(cache), *_QUIET]
    _run_manager(argv, programs, caches, cache)
    (cache / "node_modules").mkdir(exist_ok=True)


def _npm_install(cache: Path) -> tuple[str, ...]:
    """Without a lock file there is nothing to install exactly."""
    return NPM.install if any((cache / lock).exists() for lock in NPM.locks) else ("install", "--include=dev")


def _run_manager(argv: Sequence[str], programs: Sequence[str], caches: Path, directory: Path) -> None:
    """It fills `directory`, with these programs first on PATH, and package caches where `kept` says."""
    settings = {
        "npm_config_cache": kept("npm", caches),
        "npm_config_store_dir": kept("pnpm", caches),
        "YARN_CACHE_FOLDER": kept("yarn", caches),
        "YARN_GLOBAL_FOLDER": kept("yarn", caches),
        "BUN_INSTALL_CACHE_DIR": kept("bun", caches),
    }
    words = {name: str(path) for name, path in settings.items()}
    fixed = {"YARN_NODE_LINKER": "node-modules", "CI": "true", "PATH": path_with(programs)}
    named = " ".join(argv[:2])
    fill(directory, argv, settings={**words, **fixed}, cwd=directory, timeout=INSTALL_TIME, named=named)


def _place(cache: Path, app: Path, *, linked: bool) -> None:
    how = ("-al",) if linked else ("-a", "--reflink=auto")
    for modules in _modules_below(cache):
        target = app / modules.relative_to(cache)
        target.parent.mkdir(parents=True, exist_ok=True)
        run(["cp", *how, str(modules), str(target)], timeout=INSTALL_TIME)


def _modules_below(directory: Path) -> Iterator[Path]:
    for entry in sorted(directory.iterdir()):
        if entry.name == "node_modules":
            yield entry
        elif entry.is_dir() and not entry.is_symlink():
            yield from _modules_below(entry)


def _read_by_managers(app: Path) -> Iterator[str]:
    """Manifests (those of workspaces too), lock files, settings, patches: what decides which packages there are."""
    locks = [lock for manager in MANAGERS for lock in manager.locks]
    yield from (name for name in (*locks, *_SETTINGS) if (app / name).is_file())
    yield from sorted(
        str(path.relative_to(app)) for path in app.rglob("package.json") if path.parent.name != "node_modules"
    )
    for name in _DIRECTORIES:
        if (app / name).is_dir():
            yield from sorted(str(path.relative_to(app)) for path in (app / name).rglob("*") if path.is_file())


def _asks_for_packages(app: Path) -> bool:
    """Whether there is anything to install: for the tree itself, or for the workspaces that it names."""
    content = _manifest(app / "package.json")
    asked = ("dependencies", "devDependencies", "optionalDependencies", "workspaces")
    return any(content.get(kind) for kind in asked) or (app / "pnpm-workspace.yaml").exists()


def _manifest(path: Path) -> dict[str, object]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, object])
    except msgspec.DecodeError as error:
        raise InputError(_bad_manifest(path, str(error))) from error


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def _version(program: str) -> str:
    return run([program, "--version"]).stdout.strip()


def _link_npm(home: Path) -> None:
    """A wheel keeps no links, and npm finds its own files beside where it really is."""
    for name in ("npm", "npx"):
        link, real = home / "bin" / name, Path(f"../lib/node_modules/npm/bin/{name}-cli.js")
        (home / "bin" / real).chmod(0o755)
        if not link.is_symlink():
            link.unlink(missing_ok=True)
            link.symlink_to(real)


def _bad_manifest(path: Path, reason: str) -> Problem:
    return Problem(
        summary=f"{path.name} cannot be read: {reason}",
        evidence=(str(path),),
        hint="correct that file, then deploy again",
        code="process-package-json",
    )

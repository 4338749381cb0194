"""BuildImage and PullImage: from a source tree or an image's name to something that replicas can run."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import msgspec

from havre.engines.process.dockerfile import Recipe, read_recipe
from havre.engines.process.filling import fill, filled
from havre.engines.process.images import Image, Images
from havre.engines.process.known import family_called, family_of, known_images
from havre.engines.process.listening import listen_at_own_address
from havre.engines.process.node import prepare_node, run_script, scripts_of
from havre.engines.process.prepare import Prepared, prepare_python
from havre.engines.process.servers import choose_server, everybodys_python, write_entry
from havre.engines.process.source import copy_files, digest_of, files_of
from havre.engines.procfile import read_procfile
from havre.errors import HavreError, InputError, Problem, RefusedError
from havre.host import clock
from havre.host.commands import path_with, run
from havre.host.locks import exclusive
from havre.model.app import ProcessSpec
from havre.model.project import Build, Service

FORMAT = "5"
"""Part of every source image's id: raised when the same source must be prepared anew."""

_BUILD_TIME = 1800.0
Tell = Callable[[str], None]


class Builder:
    """Fills `images`; dependencies are shared below `caches`. `processes` is the manifest's word on how to run."""

    def __init__(self, images: Images, caches: Path, processes: Sequence[ProcessSpec]) -> None:
        self._images = images
        self._caches = caches
        self._processes = {spec.service: spec for spec in processes}

    def build(self, service: str, reference: str, build: Build, owner: str, tell: Tell) -> Image:
        """The image of a service's source tree, prepared unless it is here already."""
        spec = self._processes.get(service) or ProcessSpec(service=service)
        context = Path(build.context)
        if not context.is_dir():
            raise InputError(_no_context(service, build.context))
        source = (context / spec.source) if spec.source else context
        arguments = {name: value for name, value in build.args if value is not None}
        with _told_of(service):
            return self._prepared(source, _recipe(context, build, arguments), spec, reference, owner, arguments, tell)

    def pull(self, reference: str, services: Sequence[Service], owner: str, tell: Tell) -> Image:
        """The image a reference names: a known server, or a service whose command the manifest gives."""
        spec = next((self._processes[one.name] for one in services if one.name in self._processes), None)
        if spec is not None and spec.command:
            source = Path(spec.source) if spec.source else None
            return self._prepared(source, Recipe(), spec, reference, owner, {}, tell)
        family = family_of(reference)
        if family is None:
            raise RefusedError(_unknown(reference, [service.name for service in services]))
        server = choose_server(family, reference, self._caches, tell)
        image_id = f"{family.name}-{server.major}-{hashlib.sha256(server.programs.encode()).hexdigest()[:8]}"
        entry = write_entry(self._images.directory(image_id) / "entry", server)
        is_postgres = family.name == "postgres"
        programs = server.programs if is_postgres else str(Path(server.programs).parent)
        image = Image(
            id=image_id, kind=family.name, version=server.major, ports=(family.port,), owner=owner,
            workdir="/" if is_postgres else family.volume, programs=(str(entry), programs),
            reveal=(str(entry), server.home or str(_whole(Path(programs))), *_prefix(everybodys_python())),
            environment=(("HAVRE_BIN" if is_postgres else "HAVRE_REDIS", server.programs),),
            entrypoint=("docker-entrypoint.sh",), command=("postgres" if is_postgres else "redis-server",),
            health=family_called(family.name).health or None, created=clock.now(),
        )  # fmt: skip
        self._images.keep(image, reference=reference)
        tell(f"{reference}: {family.title} {server.major} from {server.origin}")
        return image

    def _prepared(
        self, source: Path | None, recipe: Recipe, spec: ProcessSpec, reference: str, owner: str,
        arguments: dict[str, str], tell: Tell,
    ) -> Image:  # fmt: skip
        files = files_of(source) if source else ()
        image_id = _image_id(source, files, recipe, spec, arguments)
        with exclusive(self._images.directory(f"{image_id}.lock"), what=image_id, doing="prepare", wait=_BUILD_TIME):
            found = self._images.get(image_id)
            if found is None:
                with filled(self._images.directory(image_id)):
                    found = self._prepare(image_id, source, files, recipe, spec, owner, arguments, tell)
                    self._images.keep(found, reference=reference)
            else:
                tell(f"{reference}: unchanged ({image_id})")
                self._images.touch(found, clock.now())
                self._images.name(image_id, reference)
        return found

    def _prepare(
        self, image_id: str, source: Path | None, files: Sequence[str], recipe: Recipe, spec: ProcessSpec, owner: str,
        arguments: dict[str, str], tell: Tell,
    ) -> Image:  # fmt: skip
        directory = self._images.directory(image_id)
        app, entry = directory / "app", directory / "entry"
        app.mkdir()
        if source is not None:
            copy_files(source, files, app)
        commands = tuple(_build_commands(app, spec))
        python = prepare_python(app, recipe.base, self._caches, tell)
        node = prepare_node(app, recipe.base, self._caches, tell, linked=not commands)
        prepared = _joined([part for part in (python, node) if part])
        for command in commands:
            tell(f"building: {command}")
            _run_build(command, directory, prepared, arguments, spec, tell)
        if python:
            run([f"{python.programs[0]}/python", "-m", "compileall", "-q", str(app)], check=False, timeout=300.0)
        return Image(
            id=image_id, workdir=recipe.workdir, ports=recipe.ports, entrypoint=recipe.entrypoint,
            command=recipe.command or _conventional(app), commands=read_procfile(app), health=recipe.health,
            owner=owner, own=((spec.service, spec.command),) if spec.command else (), programs=prepared.programs,
            environment=(*recipe.environment, *prepared.environment, *spec.environment),
            ahead=listen_at_own_address(entry), reveal=(*prepared.reveal, str(entry)), caches=prepared.caches,
            created=clock.now(), size=_size(app),
        )  # fmt: skip


@contextmanager
def _told_of(service: str) -> Iterator[None]:
    """What goes wrong in there is told of this service."""
    try:
        yield
    except HavreError as error:
        problems = [replace(one, subject=one.subject or service) for one in error.problems]
        raise type(error)(problems) from error


def _recipe(context: Path, build: Build, arguments: dict[str, str]) -> Recipe:
    if build.dockerfile_inline is not None:
        return read_recipe(build.dockerfile_inline, arguments, build.target)
    path = context / build.dockerfile
    return read_recipe(path.read_text(), arguments, build.target) if path.is_file() else Recipe()


def _image_id(
    source: Path | None, files: Sequence[str], recipe: Recipe, spec: ProcessSpec, arguments: dict[str, str]
) -> str:
    """Processes of one tree share its image, unless the manifest gives one a command of its own."""
    content = digest_of(source, files) if source else ""
    wanted = spec if spec.command else replace(spec, service="")
    parts = (FORMAT, content, msgspec.to_builtins(recipe), msgspec.to_builtins(wanted), arguments, sys.version_info[:3])
    settled = msgspec.json.encode((*parts[:4], sorted(arguments.items()), parts[5]), order="sorted")
    return f"source-{hashlib.sha256(settled).hexdigest()[:16]}"


def _joined(parts: Sequence[Prepared]) -> Prepared:
    joined = Prepared()
    for part in parts:
        joined = replace(
            joined,
            programs=(*joined.programs, *part.programs),
            environment=(*joined.environment, *part.environment),
            reveal=(*joined.reveal, *part.reveal),
            caches=(*joined.caches, *part.caches),
        )
    return joined


def _build_commands(app: Path, spec: ProcessSpec) -> Iterator[str]:
    """What the manifest says; else a `build` script of package.json, as every Node host does."""
    if spec.build:
        yield from spec.build
    elif "build" in scripts_of(app):
        yield run_script(app, "build")


def _run_build(
    command: str, directory: Path, prepared: Prepared, arguments: dict[str, str], spec: ProcessSpec, tell: Tell
) -> None:
    app = directory / "app"
    folders = [folder if folder.startswith("/") else str(app / folder) for folder in prepared.programs]
    variables = {**arguments, **dict(prepared.environment), **dict(spec.environment), "PATH": path_with(folders)}
    argv = ["/bin/sh", "-ec", command]
    fill(directory, argv, settings=variables, cwd=app, timeout=_BUILD_TIME, named=command, tell=tell)


def _conventional(app: Path) -> tuple[str, ...]:
    """`npm start` where package.json has such a script."""
    start = scripts_of(app).get("start")
    return ("/bin/sh", "-c", start) if isinstance(start, str) else ()


def _whole(programs: Path) -> Path:
    """The installation that a directory of programs belongs to: they find their own files beside it."""
    return programs.parent if programs.name == "bin" else programs


def _prefix(python: Path) -> tuple[str, ...]:
    """What must be revealed of an interpreter that is not the system's own."""
    return () if str(python).startswith("/usr/bin/") else (str(python.parent.parent),)


def _size(directory: Path) -> int:
    return sum(path.lstat().st_size for path in directory.rglob("*") if path.is_file())


def _no_context(service: str, context: str) -> Problem:
    return Problem(
        summary=f"the build context {context} is not a directory on this server",
        subject=service,
        hint="the process engine builds from local source; check it out here, or use the Docker engine",
        code="process-context",
    )


def _unknown(reference: str, services: Sequence[str]) -> Problem:
    service = services[0] if services else "SERVICE"
    return Problem(
        summary=f"the process engine cannot run the image {reference}: it is not one that it knows",
        subject=", ".join(services),
        evidence=(f"it knows: {known_images()}",),
        hint=(
            f"say in havre.yaml how to run it (`processes: {{{service}: {{command: …, source: …}}}}`), "
            "give the service a `build:`, or use the Docker engine"
        ),
        code="process-image-unknown",
    )

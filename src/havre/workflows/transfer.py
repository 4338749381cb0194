"""Carry the images of a release from one server to another: as an archive, through a pipe, or by ssh."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from havre.engines.base import ImageTransfer, Source
from havre.errors import FailedError, HavreError, InputError, Problem, RefusedError, UnavailableError
from havre.host.piping import Running, running
from havre.model.release import Release
from havre.workflows.archive import read_record, write_record
from havre.workflows.server import Server

SSH = ("ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=15")
"""Nothing asks for a password in the middle of a stream: a key or an agent must open the door."""

STANDARD_INPUT = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a release comes from: `USER@HOST`, an archive's path, or `-`; `program` is `havre` on that host."""

    place: str
    standard_input: BinaryIO
    program: str = "havre"

    @property
    def is_host(self) -> bool:
        """Whether it is another server, and not a file that happens to be called so."""
        return "@" in self.place and not Path(self.place).exists()


def export_release(
    server: Server, release: Release, sink: BinaryIO, *, every: bool = False, skip: Collection[str] = ()
) -> tuple[str, ...]:
    """Write the archive of a release's images for another server; returns the references written.

    Images that a registry has are left out (they are fetched by their digest), unless `every` is set; so are those
    whose ids are in `skip`.
    """
    engine = _transfer(server)
    pins = [pin for pin in release.images if (every or not pin.digest) and pin.image_id not in skip]
    wanted = {*(pin.reference for pin in pins), *(pin.image_id for pin in pins)}
    observed = server.engine.observe(release.instance, references=sorted(wanted))
    ids = {image.reference: image.id for image in observed.images}
    gone = [pin for pin in pins if pin.image_id not in ids]
    if gone:
        raise RefusedError(_image_gone(release, pin.service) for pin in gone)
    write_record(release, sink)
    # A name that means another image by now must not carry that one along.
    names = sorted({pin.reference if ids.get(pin.reference) == pin.image_id else pin.image_id for pin in pins})
    if names:
        engine.save_images(names, sink)
    sink.flush()
    return tuple(names)


def fetch_release(server: Server, origin: Origin, *, source: str, target: str, number: int | None = None) -> Release:
    """Take the images of a release of `source`; nothing on this server runs differently for it.

    What releases of `target` ran before, and is still here, is not sent again. Raises InputError for an archive of
    something else, FailedError when the other server refuses, with its own words.
    """
    if origin.is_host:
        release = _by_ssh(server, origin, source, number, skip=_known_images(server, target))
    else:
        with _opened(origin) as stream:
            release = _import(server, stream)
    if release.instance != source or number not in (None, release.number):
        raise InputError(_another(origin, release, source))
    return release


def _by_ssh(server: Server, origin: Origin, source: str, number: int | None, *, skip: Collection[str]) -> Release:
    asked = [origin.program, "export", "release", "--instance", source]
    asked += ["--release", str(number)] if number is not None else []
    asked += [word for image in sorted(skip) for word in ("--skip", image)]
    with running([*SSH, origin.place, shlex.join(asked)], environment={}) as ssh:
        try:
            release = _import(server, ssh.stdout)
        except HavreError:
            if ssh.wait(5.0) != 0:
                raise FailedError(_refused_there(origin, ssh)) from None
            raise
        if ssh.wait(30.0) != 0:
            raise FailedError(_refused_there(origin, ssh))
    return release


def _import(server: Server, stream: Source) -> Release:
    engine = _transfer(server)
    release, images = read_record(stream)
    if images is not None:
        engine.load_images(images)
    return release


def _known_images(server: Server, instance: str) -> tuple[str, ...]:
    """The ids of images that earlier releases ran and that are still here."""
    ids = {pin.image_id for release in server.state.releases.list(instance) for pin in release.images}
    return tuple(image.id for image in server.engine.observe(instance, references=sorted(ids)).images)


@contextlib.contextmanager
def _opened(origin: Origin) -> Iterator[Source]:
    if origin.place == STANDARD_INPUT:
        yield origin.standard_input
        return
    try:
        file = Path(origin.place).open("rb")  # noqa: SIM115 - closed below; opening alone may fail
    except OSError as error:
        raise InputError(_unreadable(origin, error)) from error
    with file:
        yield file


def _transfer(server: Server) -> ImageTransfer:
    if not isinstance(server.engine, ImageTransfer):
        raise UnavailableError(_no_images(server.engine.name))
    return server.engine


def _image_gone(release: Release, service: str) -> Problem:
    return Problem(
        summary=f"the image that release {release.number} ran is no longer on this server",
        subject=service,
        hint="deploy that commit again, then promote the new release",
        code="image-gone",
    )


def _refused_there(origin: Origin, ssh: Running) -> Problem:
    return Problem(
        summary=f"{origin.place} did not hand over the release",
        evidence=tuple(ssh.complaints().splitlines()[-8:]),
        effect="nothing was changed here",
        hint=f"try `ssh {origin.place} {origin.program} --version`; --remote-havre says where the program is there",
        code="transfer-refused",
    )


def _another(origin: Origin, release: Release, source: str) -> Problem:
    return Problem(
        summary=f"{origin.place} holds release {release.number} of {release.instance}, which is not what was asked for",
        subject=source,
        hint=f"write the archive again there: `havre export release --instance {source} > FILE`",
        code="archive-of-another",
    )


def _unreadable(origin: Origin, error: OSError) -> Problem:
    return Problem(
        summary=f"the archive {origin.place} cannot be read: {error.strerror}",
        hint="check the path; another server is named as USER@HOST",
        code="archive-unreadable",
    )


def _no_images(engine: str) -> Problem:
    return Problem(
        summary=f"the {engine} engine prepares services from their sources and has no images to move",
        hint="deploy the same commit on the other server, or use `--engine docker` on both",
        code="no-image-transfer",
    )

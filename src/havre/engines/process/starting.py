"""Make a replica ready to start: its address, user, directory, volumes and names, written down as a launch."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from havre.engines.base import Context
from havre.engines.process.allocations import Allocations
from havre.engines.process.client import Client
from havre.engines.process.images import Image, Images
from havre.engines.process.names import addresses_by_name
from havre.engines.process.places import Ground, numeric_user
from havre.engines.process.probing import fetcher_of, health_check, plain_url, question_of
from havre.engines.process.records import Launch, Place, write_launch
from havre.engines.process.replicas import FIRST_TASK_SLOT, Replicas
from havre.engines.process.servers import everybodys_python
from havre.engines.process.translate import Given, launch_of
from havre.engines.process.volumes import Volumes
from havre.errors import FailedError, Problem
from havre.host import clock
from havre.model.project import Order, Service


class Starter:
    """Prepares launches for one engine."""

    def __init__(
        self, client: Client, allocations: Allocations, volumes: Volumes, images: Images, replicas: Replicas
    ) -> None:
        self._client = client
        self._allocations = allocations
        self._volumes = volumes
        self._images = images
        self._replicas = replicas

    def prepare(
        self, service: Service, slot: int, context: Context, *, fingerprint: str, role: str = "replica",
        command: Sequence[str] | None = None,
    ) -> Launch:  # fmt: skip
        """Everything a replica needs is in place when this returns, its launch record last."""
        image = self._images.find(service.image)
        if image is None:
            raise FailedError(_not_prepared(service))
        directory = self._replicas.directory(context.instance, service.name, slot)
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True, mode=0o700)
        uid, gid = self._user(service, image, context)
        if uid > 0 and not self._client.facts().isolated:
            self._open_way(directory)
        source = self._images.source(image.id)
        places = Ground(directory, source, self._volumes, uid, gid).prepare(service, image, context)
        address = self._allocations.address(context.instance, self._address_key(service, slot))
        networks = tuple(sorted(_networks(service, context)))
        given = Given(
            instance=context.instance, directory=str(directory), address=address,
            source=str(source) if image.is_source else "", uid=uid, gid=gid, role=role, release=context.release,
            fingerprint=fingerprint, isolated=self._client.facts().isolated, places=places, networks=networks,
            names=context.names, inside=tuple(_inside(service, image, address, places)), now=clock.now(),
            mark=f"{self._replicas.state_mark}:{context.instance}/{service.name}.{slot}",
            known=self._known(service, context, address, networks),
        )  # fmt: skip
        launch = _with_health(launch_of(service, slot, image, given, command), service, image)
        write_launch(str(directory), launch)
        return launch

    def _address_key(self, service: Service, slot: int) -> str:
        """Where addresses are put into the text of neighbours, a service that is never there twice keeps its own."""
        stays = service.order is Order.STOP_FIRST and not self._client.facts().isolated and slot < FIRST_TASK_SLOT
        return service.name if stays else f"{service.name}.{slot}"

    def _user(self, service: Service, image: Image, context: Context) -> tuple[int, int]:
        """As root: the user Compose names, if this machine knows it, else the instance's own; without root: oneself."""
        if os.geteuid() != 0:
            return -1, -1
        named = numeric_user(service.user) if service.user else None
        own = self._allocations.user(context.instance)
        if image.kind == "postgres" and not self._client.facts().isolated:
            # It refuses a user without a name, and here there is no file of users of its own to put one in.
            return numeric_user("postgres") or numeric_user("nobody") or (own, own)
        if named is None or (named[0] == 0 and not image.is_source):
            return own, own
        return named

    def _open_way(self, directory: Path) -> None:
        """Without a view of its own the replica's user walks through our directories; their files stay closed."""
        state = directory.parents[2]
        for path in (
            state,
            *(state / name for name in ("replicas", "images", "volumes", "cache")),
            *directory.parents[:1],
        ):
            if path.exists():
                path.chmod(0o711)
        directory.chmod(0o711)

    def _known(
        self, service: Service, context: Context, address: str, networks: tuple[str, ...]
    ) -> dict[str, str] | None:
        """Addresses by name, where they must be put into the text because no hosts file can be given."""
        if self._client.facts().isolated:
            return None
        asking = Launch(
            instance=context.instance, service=service.name, slot=0, argv=(), address=address, networks=networks,
            names=context.names,
        )  # fmt: skip
        others = [one.launch for one in self._replicas.listed(context.instance) if one.is_running]
        return addresses_by_name(asking, others)


def _with_health(launch: Launch, service: Service, image: Image) -> Launch:
    check = health_check(service, image)
    if check is None or launch.role != "replica":
        return launch
    question = question_of(check.test, shell=check.shell, address=launch.address)
    url = plain_url(question)
    program = url and fetcher_of(question)
    argv = question.argv
    if url and program and not shutil.which(program, path=dict(launch.environment)["PATH"]):
        fetch = f"import urllib.request as r; r.build_opener(r.ProxyHandler({{}})).open({url!r})"
        argv = (str(everybodys_python()), "-I", "-S", "-c", fetch)
    return replace(
        launch, health=argv, health_interval=check.interval or 30.0, health_timeout=check.timeout or 30.0,
        health_retries=check.retries, health_start=check.start_period,
    )  # fmt: skip


def _networks(service: Service, context: Context) -> Iterator[str]:
    for attachment in service.networks:
        yield context.network(attachment.network).name


def _inside(service: Service, image: Image, address: str, places: Sequence[Place]) -> Iterator[tuple[str, str]]:
    """For commands run beside a database: where it is, and its own user's password, as its image's socket would do."""
    if image.kind != "postgres":
        return
    settings = {name: value or "" for name, value in service.environment}
    yield "PGHOST", address
    yield "PGUSER", _setting(settings, "POSTGRES_USER", places) or "postgres"
    password = _setting(settings, "POSTGRES_PASSWORD", places)
    if password:
        yield "PGPASSWORD", password
    database = _setting(settings, "POSTGRES_DB", places)
    if database:
        yield "PGDATABASE", database


def _setting(settings: dict[str, str], name: str, places: Sequence[Place]) -> str:
    file = settings.get(f"{name}_FILE")
    if not file:
        return settings.get(name, "")
    source = next((place.source for place in places if place.target == file), None)
    if source is None:
        return ""
    return Path(source).read_text().rstrip("\n")


def _not_prepared(service: Service) -> Problem:
    return Problem(
        summary=f"{service.image} is not prepared on this server",
        subject=service.name,
        hint="deploy again: building and pulling come first",
        code="process-image-missing",
    )

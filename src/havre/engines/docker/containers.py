"""The life of one container: found by its labels, made, started, stopped and removed; each safe to do again."""

from __future__ import annotations

import io
import math
import tarfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from havre.engines.base import Context, Executed
from havre.engines.docker import addresses, labels
from havre.engines.docker.client import DockerClient
from havre.engines.docker.execution import run_in
from havre.engines.docker.mounts import PlacedFile, placed_files
from havre.engines.docker.snapshot import seconds
from havre.engines.docker.sources import refuse_missing_sources, seccomp_profiles
from havre.engines.docker.translate import Placement, container_body, endpoints, services_joined
from havre.engines.hooks import POST_START, Hook, hooks_text, run_hooks
from havre.errors import FailedError, Problem, RefusedError
from havre.host import clock
from havre.model.project import Service

Json = Mapping[str, Any]

_START_AGAIN_AFTER = (0.2, 1.0)
_REMOVAL_LIMIT = 30.0
"""Seconds that the engine may take to remove a container somebody else asked it to remove."""

_KILLED = 137
_JUST_NOW = 2.0
_REASON_LIMIT = 0.5
"""Seconds within which the engine learns why a process was killed; after that nobody will say."""


class Containers:
    """The containers of one engine, as far as Havre made them."""

    def __init__(self, client: DockerClient) -> None:
        self._client = client
        self._choosing = threading.Lock()
        """Held from the choice of an address until it is taken."""

    def listed(self, instance: str, service: str | None = None, slot: int | None = None) -> list[Json]:
        """Those of an instance, running or not, as the engine lists them."""
        query = {"all": True, "filters": labels.select(instance, service, slot)}
        found: list[Json] = self._client.get("/containers/json", query, doing=f"list the containers of {instance}")
        return found

    def find(self, instance: str, service: str, slot: int) -> Json | None:
        """The container in that slot, or None."""
        return next(iter(self.listed(instance, service, slot)), None)

    def inspect(self, container: str, *, doing: str) -> Json | None:
        """Everything about one container, or None when it is gone."""
        found: Json | None = self._client.find(f"/containers/{container}/json", doing=doing)
        return found

    def ended(self, container: str, *, doing: str) -> Json | None:
        """The same of one that may have ended just now: the engine hears of a kill for memory after the exit itself."""
        found, deadline = self.inspect(container, doing=doing), clock.elapsed() + _REASON_LIMIT
        while found is not None and _lacks_reason(found["State"]) and clock.elapsed() < deadline:
            clock.sleep(0.1)
            found = self.inspect(container, doing=doing)
        return found

    def running(self, instance: str, service: str, slot: int) -> Json:
        """The inspected container in that slot; an error a person can act on when it does not run."""
        listed = self.find(instance, service, slot)
        found = self.inspect(listed["Id"], doing=f"look at {service}.{slot}") if listed else None
        if found is None or not found["State"].get("Running"):
            raise FailedError(_not_running(instance, service, slot, found))
        return found

    def existing(self, instance: str, service: str, slot: int) -> Json:
        """The listed container in that slot, whatever its state; an error when there is none."""
        listed = self.find(instance, service, slot)
        if listed is None:
            raise FailedError(_gone(instance, service, slot))
        return listed

    def start_replica(self, service: Service, slot: int, fingerprint: str, context: Context) -> None:
        """Make and start the replica; one this release has already started stays as it is."""
        existing = self.find(context.instance, service.name, slot)
        if existing is not None:
            if _is_same(existing, context, fingerprint) and existing["State"] == "running":
                return
            self._make_room(existing, context, fingerprint)
        placement = self.placement(service, context, slot=slot, fingerprint=fingerprint)
        with self._choosing:
            kept = replace(placement, addresses=self._addresses(service, context))
            made = self.create(service, context, kept)
        self.start(made, doing=f"start {service.name}.{slot}")
        self._run_hooks(made, hooks_text(service, POST_START), doing=f"run post_start of {service.name}.{slot}")

    def placement(
        self, service: Service, context: Context, *, slot: int, role: str = "replica", fingerprint: str = "",
        command: tuple[str, ...] | None = None,
    ) -> Placement:  # fmt: skip
        """Where a container of the service goes, with everything that has to be looked up for it."""
        return Placement(
            slot=slot,
            role=role,
            fingerprint=fingerprint,
            command=command,
            api=self._client.version,
            peers={name: self._peer(context.instance, name) for name in services_joined(service)},
            seccomp=seccomp_profiles(service),
        )

    def create(self, service: Service, context: Context, placement: Placement, *, task: str = "") -> str:
        """Make the container, join its networks and place its files; its id."""
        name = labels.container_name(context.instance, service.name, placement.slot, placement.role)
        doing = f"create {name}"
        if self._client.is_local:
            refuse_missing_sources(service, context)
        body = container_body(service, context, placement)
        body["Labels"] |= {labels.TASK: task} if task else {}
        reply = self._client.post(
            "/containers/create", body, {"name": name, "platform": service.platform}, doing=doing, accept=(409,)
        )
        if reply.status == 409:
            raise FailedError(self._name_taken(name, context.instance))
        made: str = reply.json()["Id"]
        for network, endpoint in endpoints(service, context, placement)[1:]:
            joined = {"Container": made, "EndpointConfig": endpoint}
            self._client.post(f"/networks/{network}/connect", joined, doing=f"{doing} on {network}")
        self.place(made, service, context, doing=doing)
        return made

    def place(self, container: str, service: Service, context: Context, *, doing: str) -> None:
        """Copy in what the server keeps no plain file of: secrets and configs with inline content."""
        self._place(container, placed_files(service, context), read_only=service.read_only, doing=doing)

    def start(self, container: str, *, doing: str) -> None:
        """Start a container; one that runs already stays as it is.

        On a busy server the container runtime fails now and then for reasons of its own. What has not started can
        safely be started again.
        """
        for pause in (*_START_AGAIN_AFTER, None):
            try:
                self._client.post(f"/containers/{container}/start", doing=doing, accept=(304,))
                return
            except FailedError as error:
                if pause is None or error.problems[0].code != "runtime-failed":
                    raise
                clock.sleep(pause)

    def restart_replica(self, instance: str, service: str, slot: int) -> None:
        """Start a stopped replica again."""
        found = self.find(instance, service, slot)
        if found is None:
            raise FailedError(_gone(instance, service, slot))
        self.start(found["Id"], doing=f"start {service}.{slot} again")

    def stop_replica(self, instance: str, service: str, slot: int, grace: float) -> None:
        """Run its `pre_stop` hooks, ask it to stop and wait; a stopped or removed one is fine."""
        found = self.find(instance, service, slot)
        if found is None or found["State"] in {"exited", "created", "dead"}:
            return
        doing = f"stop {service}.{slot}"
        hooks = (found.get("Labels") or {}).get(labels.PRE_STOP, "")
        if hooks and found["State"] == "running":
            self._run_hooks(found["Id"], hooks, doing=f"run pre_stop of {service}.{slot}")
        self.stop(found["Id"], grace, doing=doing)

    def stop(self, container: str, grace: float, *, doing: str) -> None:
        """Signal, wait at most `grace` seconds, kill; returns when its process has ended."""
        wait = math.ceil(grace)
        self._client.post(
            f"/containers/{container}/stop", None, {"t": wait}, doing=doing, timeout=wait + 60.0, accept=(304, 404)
        )

    def remove_replica(self, instance: str, service: str, slot: int) -> None:
        """Remove a stopped replica with its anonymous volumes."""
        found = self.find(instance, service, slot)
        if found is not None:
            self.remove(found["Id"], doing=f"remove {service}.{slot}")

    def remove(self, container: str, *, doing: str, force: bool = False) -> None:
        """Remove a container; named volumes stay (I8). One that somebody else is removing is waited for."""
        query = {"v": True, "force": force}
        reply = self._client.delete(f"/containers/{container}", query, doing=doing, accept=(404, 409))
        deadline = clock.elapsed() + _REMOVAL_LIMIT
        while reply.status == 409 and (found := self.inspect(container, doing=doing)):
            if found["State"]["Status"] != "removing" or clock.elapsed() >= deadline:
                raise FailedError(_not_removed(doing, found))
            clock.sleep(0.05)

    def _addresses(self, service: Service, context: Context) -> dict[str, str]:
        """Addresses that a replica keeps whenever it is started again, by network, where they can be chosen."""
        found: dict[str, str] = {}
        reserved = {one.ipv4_address for other in context.project.services for one in other.networks}
        for attachment in service.networks if service.network_mode is None else ():
            name, doing = context.network(attachment.network).name, f"find an address for {service.name}"
            network = self._client.find(f"/networks/{name}", doing=doing)
            if attachment.ipv4_address or network is None or not addresses.is_fixed(network):
                continue
            query = {"all": True, "filters": {"network": [name]}}  # by id it would miss those that never ran
            there = self._client.get("/containers/json", query, doing=doing)
            taken = addresses.taken_addresses(name, there) | {one for one in reserved if one}
            if chosen := addresses.choose(network, taken, context.instance):
                found[name] = chosen
        return found

    def _make_room(self, existing: Json, context: Context, fingerprint: str) -> None:
        """A start that was cut short is begun anew; somebody else's replica in the slot is never touched."""
        own = existing["Labels"]
        if not _is_same(existing, context, fingerprint):
            raise RefusedError(_slot_taken(context.instance, own[labels.SERVICE], own[labels.SLOT], existing))
        self.remove(existing["Id"], doing=f"remove the unfinished {own[labels.SERVICE]}.{own[labels.SLOT]}", force=True)

    def _peer(self, instance: str, service: str) -> str:
        running = [entry for entry in self.listed(instance, service) if entry["State"] == "running"]
        newest = max(running, key=lambda entry: int(entry.get("Created") or 0), default=None)
        return newest["Id"] if newest else service

    def _place(self, container: str, files: Sequence[PlacedFile], *, read_only: bool, doing: str) -> None:
        if not files:
            return
        if not read_only:
            self._client.put(f"/containers/{container}/archive", _tar(files), {"path": "/"}, doing=doing)
            return
        for placed in files:
            directory, _, name = placed.path.rpartition("/")
            content = _tar([replace(placed, path=name)])
            self._client.put(f"/containers/{container}/archive", content, {"path": directory or "/"}, doing=doing)

    def _run_hooks(self, container: str, hooks: str, *, doing: str) -> None:
        run_hooks(hooks, partial(self._run_hook, container, doing), doing=doing)

    def _run_hook(self, container: str, doing: str, hook: Hook) -> Executed:
        extra = {"Privileged": hook.privileged, "WorkingDir": hook.working_dir}
        return run_in(
            self._client, container, hook.argv, doing=doing, user=hook.user, extra=extra, environment=hook.environment
        )

    def _name_taken(self, name: str, instance: str) -> Problem:
        found = self.inspect(name, doing=f"look who is called {name}") or {}
        own = (found.get("Config") or {}).get("Labels") or {}
        project = own.get("com.docker.compose.project")
        if project:
            where = own.get("com.docker.compose.project.working_dir", "its directory")
            hint = f"it belongs to the Compose project `{project}`: run `docker compose down` in {where} (data is kept)"
        else:
            hint = f"see what it is with `docker inspect {name}`, then `docker rename {name} {name}-old` or remove it"
        return Problem(
            summary=f"the name {name} is taken by a container that Havre did not start",
            subject=instance,
            evidence=(f"container {found.get('Id', '?')[:12]}, {(found.get('State') or {}).get('Status', 'unknown')}",),
            effect="nothing that serves was touched",
            hint=hint,
            code="name-taken",
        )


def _is_same(existing: Json, context: Context, fingerprint: str) -> bool:
    own: Mapping[str, str] = existing["Labels"]
    return own.get(labels.RELEASE) == str(context.release) and own.get(labels.FINGERPRINT) == fingerprint


def _tar(files: Sequence[PlacedFile]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for placed in files:
            content = placed.content.encode()
            entry = tarfile.TarInfo(placed.path.lstrip("/"))
            entry.size, entry.mode, entry.uid, entry.gid = len(content), placed.mode, placed.uid, placed.gid
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _lacks_reason(state: Json) -> bool:
    """Killed a moment ago, and nothing says yet by whom."""
    if state.get("Status") != "exited" or state.get("ExitCode") != _KILLED or state.get("OOMKilled"):
        return False
    return abs(clock.now() - seconds(state.get("FinishedAt", ""))) < _JUST_NOW


def _not_running(instance: str, service: str, slot: int, found: Json | None) -> Problem:
    state = found["State"] if found else None
    told = f"it is {state['Status']}, exit code {state.get('ExitCode')}" if state else "there is no such replica"
    return Problem(
        summary=f"{service}.{slot} does not run",
        subject=instance,
        evidence=(told,),
        hint=f"`havre logs {service}` shows its last words, `havre start {service}` starts it again"
        if state
        else "`havre deploy` makes what is missing; `havre ps` shows all replicas",
        code="not-running",
    )


def _gone(instance: str, service: str, slot: int) -> Problem:
    return Problem(
        summary=f"{service}.{slot} cannot be started again: it no longer exists",
        subject=instance,
        hint="deploy again: `havre deploy` starts what is missing",
        code="replica-gone",
    )


def _not_removed(doing: str, found: Json) -> Problem:
    return Problem(
        summary=f"could not {doing}: its container is {found['State']['Status']}",
        effect="it was left as it is",
        hint="stop it first (`havre stop`); `havre ps` shows its state",
        code="not-removed",
    )


def _slot_taken(instance: str, service: str, slot: str, existing: Json) -> Problem:
    release = existing["Labels"].get(labels.RELEASE)
    return Problem(
        summary=f"slot {slot} of {service} holds a replica of release {release} ({existing['State']})",
        subject=instance,
        effect="it was left as it is",
        hint="the server changed since the plan was made: plan again (`havre plan`)",
        code="slot-taken",
    )

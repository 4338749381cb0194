"""The edge as the rest of Havre sees it: apply an app's routes, move traffic in one step, hold, drain, forget.

Every change follows one order: note what was true, write the files, tell the running HAProxy, read back, strike
the note. A command killed in between is taken back by the next one, so disk and runtime always agree (I3).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from havre.edge import certificate_files, problems, rotation, servers, transition, validate
from havre.edge.app_config import structure
from havre.edge.disk import Disk, Unfinished
from havre.edge.layout import Layout
from havre.edge.listening import taken_addresses
from havre.edge.maps import all_maps, owner, read_map, route_key
from havre.edge.runner import EdgeRunner
from havre.edge.runtime import Runtime, Socket
from havre.edge.state import Applied, Backend, Pool, load_applied, load_pool, save_pool
from havre.errors import FailedError, HavreError, Problem, RefusedError, UnavailableError
from havre.host import clock, locks
from havre.host.files import write_atomic
from havre.model.route import AppEdge, EdgeSettings, Endpoint, Upstream

_START_LIMIT = 15.0
_GONE_LIMIT = 2.0
"""Within this time after a start or reload, HAProxy may not be there for an instant."""
_LOCK_WAIT = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyReport:
    """What applying did: after a reload, stop no replica before `await_old_workers` says so."""

    changed: bool
    reloaded: bool


class Edge:
    """One HAProxy for all apps of a server, kept in `home` and run by `runner`.

    Raises RefusedError when HAProxy cannot take the path of `home`.
    """

    def __init__(self, home: Path, runner: EdgeRunner, settings: EdgeSettings) -> None:
        unfit = problems.unfit(home)
        if unfit is not None:
            raise RefusedError(unfit)
        self.layout = Layout(home)
        self.settings = settings
        self.runtime = Runtime(Socket(self.layout.admin_socket), Socket(self.layout.master_socket, is_master=True))
        self._runner = runner
        self._disk = Disk(self.layout, settings)
        self._is_ours = False
        """Its files are known to be by these settings and this version of Havre."""

    def ensure_running(self) -> None:
        """Start or repair the edge: afterwards it runs, with exactly what is recorded."""
        with self._locked("start the edge"):
            self._ensure_running()
            for log in (self.layout.log, self.layout.messages):
                rotation.rotate(log)

    def restore(self) -> None:
        """Render every file again from the records, then start or repair (after a lost or damaged directory)."""
        with self._locked("restore the edge"):
            self._disk.prepare()
            self._disk.write_all()
            self._ensure_running()

    def stop(self) -> None:
        """End the edge; what is applied stays recorded."""
        with self._locked("stop the edge"):
            self._runner.stop(self.layout)

    def is_running(self) -> bool:
        """True when HAProxy answers."""
        return self._runner.is_running(self.layout) and self.runtime.admin.answers()

    def why_down(self) -> Problem | None:
        """Why it does not run, as far as its configuration and its last words tell; None when it runs or never did."""
        if self.is_running() or not self.layout.base.exists():
            return None
        return problems.down(self.layout, self._runner.validate(self.layout, (self.layout.configuration,)).complaints)

    def read(self, instance: str) -> AppEdge | None:
        """What is applied now for an instance; its upstreams are the replicas that take traffic."""
        applied = load_applied(self.layout, instance)
        return applied.app if applied else None

    def entrance(self) -> tuple[str, int, int | None]:
        """(address, HTTP port, HTTPS port or None) at which this machine itself reaches the edge."""
        first = self.settings.addresses[0]
        address = "127.0.0.1" if first == "0.0.0.0" else "::1" if first == "::" else first  # noqa: S104 - any address
        return address, self.settings.http_port, self.settings.https_port

    def apply(
        self, app: AppEdge, *, hold: Collection[Endpoint] = (), until: Mapping[Endpoint, float] | None = None
    ) -> ApplyReport:
        """Make the edge equal to `app` in one step; raises RefusedError, with nothing changed, when it is wrong.

        Requests for the endpoints in `hold` wait; for `until` see `hold`.
        """
        with self._locked(f"apply {app.instance}"):
            self._ensure_running()
            old = load_applied(self.layout, app.instance)
            self._refuse(old, app)
            served = old.app if old else None
            pem = certificate_files.local_pem(self.layout, app, served) if self.settings.https_port else None
            room = self._with_room(old, app)
            step = transition.to_app(room, app, load_pool(self.layout), self.settings, hold=hold, until=until)
            if old == step.applied and pem is None and not step.needs_reload:
                return ApplyReport(changed=False, reloaded=False)
            self._perform(old, step)
            self._certify(served, app, pem)
            return ApplyReport(changed=True, reloaded=step.needs_reload)

    def switch(self, instance: str, wanted: Mapping[Endpoint, Sequence[Upstream]]) -> None:
        """Lead all of `wanted` to these replicas in one step: first all new take traffic, then the others drain.

        Ends a hold on those endpoints. Returns when the running edge shows it.
        """
        with self._locked(f"switch {instance}"):
            self._change(instance, lambda backend: _led(backend, wanted))

    def hold(self, instance: str, service: str, port: int, *, until: float | None = None) -> None:
        """Let new requests for a service wait, at most the app's `hold_limit`; its replicas drain.

        With `until` what waits or comes at that moment is led to them all the same: they go on running.
        """
        with self._locked(f"hold {instance}"):
            self._change(
                instance,
                lambda backend: (
                    backend.leading_to((), held=True, until=until) if backend.endpoint == (service, port) else backend
                ),
            )

    def release(self, instance: str, service: str, port: int) -> None:
        """End a hold; requests that wait go to whichever replicas are ready."""
        with self._locked(f"release {instance}"):
            self._change(
                instance,
                lambda backend: (
                    replace(backend, held=False, until=None) if backend.endpoint == (service, port) else backend
                ),
            )

    def draining(self, instance: str) -> Mapping[str, int]:
        """Open sessions of each draining replica, by its name; those in workers from before a reload count too."""
        applied = load_applied(self.layout, instance)
        open_sessions: dict[str, int] = {}
        for backend in applied.backends if applied else ():
            for replica, sessions in self._draining(backend).items():
                open_sessions[replica] = open_sessions.get(replica, 0) + sessions
        return open_sessions

    def forget(self, instance: str, upstream: str) -> None:
        """Free the slots of a drained replica; it may be stopped."""
        with self._locked(f"forget {instance} {upstream}"):
            self._change(instance, lambda backend: backend.without(upstream))

    def remove(self, instance: str) -> None:
        """Take an app away: routes, listeners, slots and files."""
        with self._locked(f"remove {instance}"):
            old = load_applied(self.layout, instance)
            if old is None:
                return
            self._ensure_running()
            idle = replace(old, backends=tuple(replace(backend, slots=()) for backend in old.backends))
            nothing = AppEdge(instance=instance)
            self._perform(old, transition.to_app(idle, nothing, load_pool(self.layout), self.settings))
            self._certify(old.app, nothing, None)
            self._disk.remove_app(Applied(app=nothing))

    def await_old_workers(self, timeout: float) -> bool:
        """Wait until no worker from before a reload is left; False when some still is after `timeout` seconds.

        Such a worker cannot be told of new replicas, so the ones it knows must not be stopped before.
        """
        deadline = clock.elapsed() + timeout
        while self.runtime.old_workers():
            if clock.elapsed() >= deadline:
                return False
            clock.sleep(0.05)
        return True

    def set_thumbprint(self, thumbprint: str) -> None:
        """Answer ACME's HTTP-01 challenges for this account (one reload when it is new)."""
        with self._locked("set the ACME account"):
            self._ensure_running()
            pool = load_pool(self.layout)
            if pool.thumbprint != thumbprint:
                self._disk.write_pool(self._next(replace(pool, thumbprint=thumbprint)))
                self._reload(load_pool(self.layout).generation)

    def install_certificate(self, instance: str, hosts: Sequence[str], pem: bytes) -> None:
        """Show `pem` (chain and key) for these hosts of an app from now on; open connections are not touched."""
        with self._locked(f"install the certificate of {hosts[0]}"):
            self._ensure_running()
            applied = load_applied(self.layout, instance)
            files = certificate_files.wanted_files(self.layout, applied.app) if applied else ()
            for file in files:
                if file.hosts == tuple(hosts):
                    write_atomic(file.path, pem, mode=0o600)
                    certificate_files.change_list(self.layout, (), (file,))
                    certificate_files.load(self.runtime, self.layout, file)

    def refresh_certificate(self, instance: str) -> bool:
        """Read an app's own certificate again, or make a self-signed one anew when it is due; True when it changed."""
        with self._locked(f"refresh the certificate of {instance}"):
            self._ensure_running()
            applied = load_applied(self.layout, instance)
            pem = certificate_files.local_pem(self.layout, applied.app) if applied else None
            if applied is not None and pem is not None:
                self._certify(applied.app, applied.app, pem)
            return pem is not None

    # ---------------------------------------------------------------- how

    @contextmanager
    def _locked(self, doing: str) -> Iterator[None]:
        with locks.exclusive(self.layout.lock, what="the edge", doing=doing, wait=_LOCK_WAIT):
            yield

    def _certify(self, old: AppEdge | None, app: AppEdge, pem: bytes | None) -> None:
        if self.settings.https_port is not None:
            certificate_files.replace_files(self.runtime, self.layout, old, app, pem)

    def _with_room(self, old: Applied | None, app: AppEdge) -> Applied | None:
        """The app as it is, without idle draining replicas where their slots are needed."""

        def lead(backend: Backend) -> Backend:
            return backend.leading_to(app.replicas(backend.endpoint), held=backend.held)

        return replace(old, backends=tuple(self._roomy(backend, lead) for backend in old.backends)) if old else None

    def _ensure_running(self) -> None:
        self._disk.prepare()
        self._recover()
        pool = load_pool(self.layout)
        if self._disk.base_differs(pool):
            save_pool(self.layout, self._next(transition.replenished(pool, self.settings.spare_backends)))
            self._disk.write_all()
        self._is_ours = True
        generation = load_pool(self.layout).generation
        if not (self._runner.is_running(self.layout) and self.runtime.admin.answers()):
            self._runner.stop(self.layout)
            self._disk.write_all()
            self._runner.start(self.layout)
            self._await_start(generation)
        elif self.runtime.generation() != _named(generation):
            self._reload(generation)

    def _recover(self) -> None:
        """Take back what a killed command had begun."""
        unfinished = self._disk.unfinished()
        if unfinished is None:
            return
        apps = self._disk.take_back(unfinished)
        if self._runner.is_running(self.layout) and self.runtime.admin.answers() and not unfinished.is_structural:
            servers.repair(self.runtime, [backend for applied in apps for backend in applied.backends])
            self._repair_maps()
        self._disk.finish()

    def _repair_maps(self) -> None:
        for path, _ in all_maps(self.layout):
            self.runtime.change_map(path, self.runtime.map_entries(path), read_map(path.read_text()))

    def _refuse(self, old: Applied | None, app: AppEdge) -> None:
        lines = read_map(self.layout.routes.read_text())
        wanted = {route_key(route) for route in app.routes} & lines.keys()
        others = {key: owner(lines[key]) for key in wanted if owner(lines[key]) != app.instance}
        found = [
            *validate.problems(app, others),
            *taken_addresses(old, app, nonlocal_bind=self.settings.nonlocal_bind),
        ]
        if found:
            raise RefusedError(found)

    def _perform(self, old: Applied | None, step: transition.Transition) -> None:
        if step.needs_reload:
            self._restructure(old, step)
        else:
            self._adjust(old, step)

    def _restructure(self, old: Applied | None, step: transition.Transition) -> None:
        """A new structure: validated alone, then joined, then loaded by a new worker."""
        pool = self._next(transition.replenished(step.pool, self.settings.spare_backends))
        self._validate(step.applied, pool)
        with self._undone_on_failure(old, step.applied.app.instance, is_structural=True):
            self._disk.write_app(step.applied, old)
            self._disk.write_pool(pool)
            self._reload(pool.generation)

    def _adjust(self, old: Applied | None, step: transition.Transition) -> None:
        """The same structure: slots and maps change in the running worker, and on disk."""
        new = step.applied
        with self._undone_on_failure(old, new.app.instance, is_structural=False):
            if step.pool != load_pool(self.layout):
                self._disk.write_pool(step.pool)
            self._disk.write_app(new, old)
            changes = _changes(old, new)
            servers.open_new(self.runtime, changes)
            for path, render in all_maps(self.layout):
                self.runtime.change_map(path, render(old) if old else {}, render(new))
            servers.retire_old(self.runtime, [*changes, *_releases(old, new)])

    def _change(self, instance: str, how: Callable[[Backend], Backend]) -> None:
        """Change the backends of an app, and nothing else."""
        if not self._is_ours or self.layout.unfinished.exists() or not self.runtime.admin.path.exists():
            self._ensure_running()
        old = load_applied(self.layout, instance)
        if old is None:
            raise RefusedError(problems.unknown(instance))
        new = old.with_backends(tuple(transition.grown(how(self._roomy(backend, how))) for backend in old.backends))
        if new == old:
            return
        changed = set(structure(new, self.settings)) != set(structure(old, self.settings))
        self._perform(old, transition.Transition(applied=new, pool=load_pool(self.layout), needs_reload=changed))

    def _next(self, pool: Pool) -> Pool:
        """The pool of the next structure, whose worker takes over what waits now."""
        return replace(pool, generation=pool.generation + 1, takes_over=bool(self.layout.held.read_text()))

    def _roomy(self, backend: Backend, how: Callable[[Backend], Backend]) -> Backend:
        """The backend, without idle draining replicas when the change needs their slots."""
        if transition.highest_slot(how(backend)) <= backend.capacity:
            return backend
        idle = [name for name, sessions in self._draining(backend).items() if sessions == 0]
        return backend.without(*idle)

    def _draining(self, backend: Backend) -> Mapping[str, int]:
        open_sessions = {slot.upstream.name: 0 for slot in backend.draining}
        old_workers = self.runtime.old_workers() if backend.draining else ()
        for name in backend.names if backend.draining else ():
            sessions = self.runtime.sessions(name, old_workers)
            for slot in backend.draining:
                open_sessions[slot.upstream.name] += sessions.get(slot.server, 0)
        return open_sessions

    def _validate(self, applied: Applied, pool: Pool) -> None:
        shared, spares, own = self._disk.candidate(applied, pool)
        instance = applied.app.instance
        others = self._disk.other_files(instance)
        if others:
            alone = self._runner.validate(self.layout, (shared, own))
            if not alone.is_accepted:
                raise RefusedError(problems.rejected(instance, "", alone.complaints))
        together = self._runner.validate(self.layout, (shared, spares, *others, own))
        if not together.is_accepted:
            beside = " beside the other apps" if others else ""
            raise RefusedError(problems.rejected(instance, beside, together.complaints))

    @contextmanager
    def _undone_on_failure(self, old: Applied | None, instance: str, *, is_structural: bool) -> Iterator[None]:
        pool = load_pool(self.layout)
        self._disk.begin(Unfinished(instance=instance, before=old, pool=pool, is_structural=is_structural))
        try:
            yield
        except HavreError:
            self._recover()
            if is_structural and self._runner.is_running(self.layout):
                self._reload(load_pool(self.layout).generation)
            raise
        self._disk.finish()

    def _reload(self, generation: int) -> None:
        if not self.runtime.reload():
            raise FailedError(problems.not_started(self.layout, "the edge was taken back to what it ran before"))
        self._await_generation(generation)

    def _await_start(self, generation: int) -> None:
        try:
            self._await_generation(generation)
        except FailedError:
            self._runner.stop(self.layout)
            raise FailedError(problems.not_started(self.layout, "nothing is served until it starts")) from None

    def _await_generation(self, generation: int) -> None:
        deadline = clock.elapsed() + _START_LIMIT
        while clock.elapsed() < deadline:
            try:
                if self.runtime.generation() == _named(generation) and self.runtime.master.answers():
                    return
            except UnavailableError:
                if clock.elapsed() > deadline - _START_LIMIT + _GONE_LIMIT and not self._runner.is_running(self.layout):
                    break
            clock.sleep(0.01)
        raise FailedError(problems.not_started(self.layout, "the edge was taken back to what it ran before"))


def _led(backend: Backend, wanted: Mapping[Endpoint, Sequence[Upstream]]) -> Backend:
    if backend.endpoint not in wanted:
        return backend
    return backend.leading_to(tuple(wanted[backend.endpoint]), held=False)


def _changes(old: Applied | None, new: Applied) -> list[servers.Change]:
    pairs = [(old.backend(backend.endpoint) if old else None, backend) for backend in new.backends]
    return [servers.Change(before=before, after=after) for before, after in pairs if before != after]


def _releases(old: Applied | None, new: Applied) -> list[servers.Change]:
    """Backends that are given back: every slot to maintenance."""
    gone = [backend for backend in (old.backends if old else ()) if new.backend(backend.endpoint) is None]
    return [servers.Change(before=backend, after=replace(backend, slots=(), held=False)) for backend in gone]


def _named(generation: int) -> str:
    return f"generation-{generation}"

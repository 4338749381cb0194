"""Keep the files equal to what the edge should run, so that HAProxy comes back right by itself after a crash.

Only the records are forced to the disk. After a power cut HAProxy does not run, and starting it renders every other
file from them first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from havre.edge import certificate_files
from havre.edge.app_config import app_configuration, spare
from havre.edge.config import base
from havre.edge.layout import Layout
from havre.edge.maps import all_maps, read_map, write_map
from havre.edge.state import Applied, Pool, load_all, load_pool, save_applied, save_pool
from havre.edge.static import BODY_LIMIT, MAINTENANCE_PAGE, TOO_LARGE, hold
from havre.host.files import private_directory, write_derived
from havre.model.route import EdgeSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """What was true before a change that has begun: where a killed command is taken back to."""

    instance: str
    before: Applied | None
    pool: Pool
    is_structural: bool


@dataclass(frozen=True, slots=True)
class Disk:
    """The edge's files, written atomically and only when they differ."""

    layout: Layout
    settings: EdgeSettings

    def prepare(self) -> None:
        """Directories and the files that never change."""
        private_directory(self.layout.home)
        for directory in (self.layout.admin_socket.parent, self.layout.certificates, self.layout.states):
            private_directory(directory)
        for directory in (self.layout.configuration, self.layout.routes.parent, self.layout.log.parent):
            directory.mkdir(parents=True, exist_ok=True)
        _put(self.layout.body_limit, BODY_LIMIT)
        _put(self.layout.hold, hold(str(self.layout.held)))
        _put(self.layout.maintenance_page, MAINTENANCE_PAGE)
        _put(self.layout.too_large, TOO_LARGE)
        for path, _ in all_maps(self.layout):
            if not path.exists():
                write_derived(path, "")
        if self.settings.https_port is not None and not self.layout.certificate_list.exists():
            certificate_files.write_list(self.layout, [applied.app for applied in load_all(self.layout)])

    def base_differs(self, pool: Pool) -> bool:
        """True when the settings (or Havre itself) ask for another base than the one on disk."""
        return not self.layout.base.exists() or self.layout.base.read_text() != base(self.settings, self.layout, pool)

    def write_pool(self, pool: Pool) -> None:
        """The shared state, and the files that come from it alone."""
        save_pool(self.layout, pool)
        _put(self.layout.base, base(self.settings, self.layout, pool))
        _put(self.layout.spares, _spares(pool))

    def write_app(self, applied: Applied, before: Applied | None) -> None:
        """One app's state, its configuration and its lines of the maps."""
        save_applied(self.layout, applied)
        self.write_app_configuration(applied)
        self._write_maps(before, applied)

    def write_app_configuration(self, applied: Applied) -> None:
        """Only what HAProxy reads of an app at a start."""
        _put(self.layout.app_configuration(applied.app.instance), app_configuration(applied, self.settings))

    def remove_app(self, before: Applied) -> None:
        """Everything of one app."""
        self._write_maps(before, None)
        self.layout.app_configuration(before.app.instance).unlink(missing_ok=True)
        self.layout.app_state(before.app.instance).unlink(missing_ok=True)

    def write_all(self) -> tuple[Applied, ...]:
        """Render every file again from the recorded states; the apps.

        A power cut between two records may leave a backend in both: the app has it.
        """
        apps = tuple(load_all(self.layout))
        known = {self.layout.app_configuration(applied.app.instance) for applied in apps}
        for path in self.layout.configuration.glob("app-*.cfg"):
            if path not in known:
                path.unlink()
        for applied in apps:
            self.write_app_configuration(applied)
        for path, render in all_maps(self.layout):
            _put(path, write_map(joined(render(applied) for applied in apps)))
        if self.settings.https_port is not None:
            certificate_files.write_list(self.layout, [applied.app for applied in apps])
        pool = load_pool(self.layout)
        taken = {name for applied in apps for backend in applied.backends for name in backend.names}
        self.write_pool(replace(pool, free=tuple(name for name in pool.free if name not in taken)))
        return apps

    def candidate(self, applied: Applied, pool: Pool) -> tuple[Path, Path, Path]:
        """A base, the spare backends and an app file to be validated, beside the real ones."""
        directory = self.layout.home / "candidate"
        shared, spares, own = (directory / name for name in ("00-edge.cfg", "50-spares.cfg", "app.cfg"))
        write_derived(shared, base(self.settings, self.layout, pool))
        write_derived(spares, _spares(pool))
        write_derived(own, app_configuration(applied, self.settings))
        return shared, spares, own

    def other_files(self, instance: str) -> tuple[Path, ...]:
        """The configuration files of the other apps."""
        own = {self.layout.base, self.layout.spares, self.layout.app_configuration(instance)}
        return tuple(path for path in sorted(self.layout.configuration.glob("*.cfg")) if path not in own)

    def begin(self, unfinished: Unfinished) -> None:
        """Note what was true before a change; it guards against a killed command, so it need not outlive the power."""
        draft = self.layout.unfinished.with_suffix(".new")
        draft.write_bytes(msgspec.json.encode(unfinished))
        draft.replace(self.layout.unfinished)

    def finish(self) -> None:
        """The change is done, on disk and in the running edge."""
        self.layout.unfinished.unlink(missing_ok=True)

    def unfinished(self) -> Unfinished | None:
        """The change that a killed command left behind; a note that a power cut left empty tells of none."""
        if not self.layout.unfinished.exists():
            return None
        noted = self.layout.unfinished.read_bytes()
        if not noted.strip(b"\0"):
            self.finish()
            return None
        return msgspec.json.decode(noted, type=Unfinished)

    def take_back(self, unfinished: Unfinished) -> tuple[Applied, ...]:
        """Record again what was true before; every file follows. The generation never goes back."""
        if unfinished.before is None:
            self.layout.app_state(unfinished.instance).unlink(missing_ok=True)
        else:
            save_applied(self.layout, unfinished.before)
        latest = max(load_pool(self.layout).generation, unfinished.pool.generation)
        pool = replace(unfinished.pool, generation=latest)
        if unfinished.is_structural:
            pool = replace(pool, generation=latest + 1, takes_over=True)
        save_pool(self.layout, pool)
        return self.write_all()

    def _write_maps(self, before: Applied | None, after: Applied | None) -> None:
        for path, render in all_maps(self.layout):
            old = render(before) if before else {}
            new = render(after) if after else {}
            if old != new:
                kept = {key: value for key, value in read_map(path.read_text()).items() if key not in old}
                write_derived(path, write_map({**kept, **new}))


def joined(parts: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """The entries of several apps as one map."""
    return {key: value for part in parts for key, value in part.items()}


def _spares(pool: Pool) -> str:
    return "\n".join(spare(name) for name in pool.free)


def _put(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        write_derived(path, text)

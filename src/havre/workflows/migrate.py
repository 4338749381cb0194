"""Migrations: excluded from each other, looked at before and after, and told with the way on and the way back.

lock     every instance that works with the same database server waits here
look     which revision, what is unfinished, the shape of the schema
run      the command, in a throw-away replica of the service on the app's own network
explain  when it fails: clean, partly done or dirty, and the exact commands to go on or back
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from havre.backups import mysql_revisions, revisions
from havre.backups.book import Book
from havre.backups.choosing import runs
from havre.engines.base import Context
from havre.errors import FailedError, HavreError, Problem
from havre.host.locks import exclusive, is_held
from havre.model.app import App, Migration
from havre.model.plan import RunTask, UndoMigration
from havre.model.project import Project, Service
from havre.model.schema import SchemaState
from havre.planning.databases import database_locks, database_names, under
from havre.workflows.places import place_of
from havre.workflows.server import Server

Progress = Callable[[str], None]
MOST_UNDONE = 100
"""Times that an undo which takes back one migration is run before it is given up."""
_LOOKS = {"postgres": revisions.schema_state, "mysql": mysql_revisions.schema_state}
"""By what a service runs."""
_HEAD_LIMIT = 120.0
_SHOWN = 6
_HEADS = (
    (r"\balembic\b.*?\bupgrade\b", "current"),
    (r"\bflask\b.*?\bdb\s+upgrade\b", "current"),
    (r"\b(?:rails|rake)\s+db:migrate\b", "db:version"),
    (r"\bknex\b.*?\bmigrate:latest\b", "migrate:currentVersion"),
    (r"\bgoose\b.*?\bup\b", "version"),
    (r"\bmigrate\b.*?\s-(?:path|source|database)\b.*?\bup\b", "version"),
)
"""(a migration's command line, the word that asks for the revision instead of its last matched one)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migrating:
    """One app's migrations, as a release or a rollback runs them."""

    server: Server
    app: App
    project: Project
    context: Context
    progress: Progress

    def migrate(self, step: RunTask) -> str | None:
        """Run a migration and return the revision after it; raises FailedError that says how the database stands."""
        with self._alone(step.service, step.timeout):
            before = self._look(step.service, shape=True)
            try:
                self.server.engine.perform(step, self.context, progress=self.progress)
            except HavreError as error:
                after = self._look(step.service, shape=True)
                raise FailedError(self._explained(error, step, before, after)) from error
            return self.head(step.service)

    def take_back(self, step: UndoMigration) -> str | None:
        """Run an undo until the schema is where it is wanted; raises FailedError when it does not get there."""
        with self._alone(step.service, step.timeout):
            head = self.head(step.service)
            for _ in range(MOST_UNDONE):
                if step.until is not None and head == step.until:
                    return head
                task = RunTask(service=step.service, command=step.command, title="undo", timeout=step.timeout)
                self.server.engine.perform(task, self.context, progress=self.progress)
                was, head = head, self.head(step.service)
                if step.until is None:
                    return head
                if head in (None, was):
                    break
            if head != step.until:
                raise FailedError(_not_there(step, head))
            return head

    def head(self, service: Service) -> str | None:
        """The revision now: by the manifest's command, else by the tool's books, else by asking the tool itself."""
        migration = self.app.migration
        if migration is not None and migration.head:
            return self._ask(service, migration.head)
        state = self._look(service, shape=False)
        if state is not None and state.heads:
            return state.head
        inferred = inferred_head(migration) if migration is not None and state is None else None
        return self._ask(service, inferred) if inferred else None

    @contextmanager
    def _alone(self, service: Service, limit: float) -> Iterator[None]:
        """No other instance migrates the same database server meanwhile."""
        with ExitStack() as stack:
            for name in database_locks(self.project, self.app.instance, service):
                lock = lock_of(self.server, name)
                if is_held(lock):
                    self.progress(f"waiting: another migration of {name} is under way")
                what, doing = f"the database {name}", f"migration of {self.app.instance}"
                stack.enter_context(exclusive(lock, what=what, doing=doing, wait=limit))
            yield

    def _look(self, service: Service, *, shape: bool) -> SchemaState | None:
        """None where no database of the app can be asked."""
        return look(self.server, self.app.instance, self.project, service, shape=shape, progress=self.progress)

    def _ask(self, service: Service, command: Sequence[str]) -> str | None:
        """What a command that prints the revision says; a revision that cannot be read stops no release."""
        lines: list[str] = []
        task = RunTask(service=service, command=tuple(command), title="run", timeout=_HEAD_LIMIT)
        try:
            self.server.engine.perform(task, self.context, progress=lines.append)
        except HavreError as error:
            self.progress(f"the schema's revision is not known: {error.problems[0].summary}")
            return None
        return revision_in(lines)

    def _explained(
        self, error: HavreError, step: RunTask, before: SchemaState | None, after: SchemaState | None
    ) -> list[Problem]:
        first, *others = error.problems
        verdict = _verdict(before, after)
        ways = self._ways(step.service, verdict, before, after)
        explained = replace(
            first,
            evidence=(*first.evidence, *ways.lines),
            effect=f"nothing new was started; what served before still serves; {verdict.effect}",
            hint=ways.hint,
            code="migration-failed",
        )
        return [explained, *others]

    def _ways(
        self, service: Service, verdict: _Verdict, before: SchemaState | None, after: SchemaState | None
    ) -> _Ways:
        lines = [*_stand(before, after), *verdict.evidence]
        if verdict.is_clean:
            return _Ways(
                tuple(lines), "correct the migration and run `havre deploy` again; nothing has to be taken back"
            )
        on = [f"to go on: {one.repair}" for one in after.unfinished if one.repair] if after else []
        lines += on or ["to go on: correct the migration and run `havre deploy` again"]
        back = list(self._back(service, before))
        lines += [f"to go back: {command}" for command in back] or ["to go back: no undo and no snapshot is known"]
        advice = "if what serves now can work with this schema, go on, else go back: both commands are above"
        return _Ways(tuple(lines), advice)

    def _back(self, service: Service, before: SchemaState | None) -> Iterator[str]:
        migration, instance = self.app.migration, self.app.instance
        head = before.head if before else None
        if migration is not None and migration.undo and head:
            yield f"havre run {migration.service} -- {' '.join(filled(migration.undo, head))}"
        book = Book(self.server.state.backups)
        for name in under(self.project, service):
            newest = book.newest_good(instance, name)
            if newest is not None:
                yield f"havre restore {name} {newest.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verdict:
    effect: str
    evidence: tuple[str, ...] = ()
    is_clean: bool = False


@dataclass(frozen=True, slots=True)
class _Ways:
    lines: tuple[str, ...]
    hint: str


def lock_of(server: Server, database: str) -> Path:
    """The lock of one database server, whatever characters its name has."""
    return server.state.lock(f"migration-{hashlib.sha256(database.encode()).hexdigest()[:16]}")


def look(
    server: Server, instance: str, project: Project, service: Service | None, *, shape: bool = False,
    progress: Progress = lambda _: None,
) -> SchemaState | None:  # fmt: skip
    """How the databases stand that `service` works with (all of the project without it).

    None where there is none that runs and answers: looking never fails a release.
    """
    near = under(project, service) if service is not None else ()
    servers = {one.name: _LOOKS[kind] for one in project.services if (kind := runs(one)) in _LOOKS}
    chosen = [name for name in servers if name in near] or list(servers)
    names = database_names(service) if service is not None else frozenset()
    states = []
    for name in chosen:
        try:
            place = place_of(server, instance, name)
            states.append(servers[name](place, names, shape=shape))
        except HavreError as error:
            progress(f"the schema in {name} cannot be looked at: {error.problems[0].summary}")
    return _joined(states) if states else None


def inferred_head(migration: Migration) -> tuple[str, ...] | None:
    """The command that prints the revision, of a migration whose tool is recognised."""
    line = " ".join(migration.run)
    for pattern, asks in _HEADS:
        found = re.search(pattern, line)
        if found:
            words = line[: found.end()].split()
            return (*words[:-1], asks)
    return None


def revision_in(lines: Sequence[str]) -> str | None:
    """The last line that says something, without what tools add to it (`3f2a1c (head)`)."""
    said = [line.strip() for line in lines if line.strip()]
    return re.sub(r"\s*\((?:effective )?(?:head|mergepoint|branchpoint)[^)]*\)", "", said[-1]) if said else None


def filled(command: Sequence[str], revision: str) -> tuple[str, ...]:
    """`{revision}` in an undo command is where it must lead."""
    return tuple(word.replace("{revision}", revision) for word in command)


def _joined(states: Sequence[SchemaState]) -> SchemaState:
    return SchemaState(
        heads=tuple(head for state in states for head in state.heads),
        unfinished=tuple(one for state in states for one in state.unfinished),
        shape=frozenset(line for state in states for line in state.shape),
    )


def _verdict(before: SchemaState | None, after: SchemaState | None) -> _Verdict:
    """Clean: nothing of it stayed. Partly done: whole migrations of it did. Dirty: something that is in no book."""
    if before is None or after is None:
        return _Verdict(effect="how the database stands could not be seen: look before anything else")
    differences = after.differences(before)
    shown = tuple(differences[:_SHOWN]) + (
        (f"and {len(differences) - _SHOWN} more",) if len(differences) > _SHOWN else ()
    )
    if new := [one for one in after.unfinished if one not in before.unfinished]:
        begun = tuple(f"begun and not ended: {one.what}" for one in new)
        return _Verdict(effect="the database is DIRTY: a migration stopped half-way", evidence=(*begun, *shown))
    if after.head != before.head:
        return _Verdict(effect="some of its migrations are applied, each of them whole", evidence=shown)
    if differences:
        return _Verdict(effect="the database is DIRTY: the schema changed, and its revision did not", evidence=shown)
    return _Verdict(effect="the schema is CLEAN: as it was before", is_clean=True)


def _stand(before: SchemaState | None, after: SchemaState | None) -> Iterator[str]:
    if before is None or after is None:
        return
    was, now = before.head or "none", after.head or "none"
    yield f"revision: {now}" + (", as before" if was == now else f"; before: {was}")


def _not_there(step: UndoMigration, head: str | None) -> Problem:
    return Problem(
        summary=f"the undo of {step.service.name} left the schema at {head or 'no known revision'}",
        evidence=(f"wanted: {step.until}", f"run: {' '.join(step.command)}"),
        effect="the release that served still serves, with a schema that may be older than it expects",
        hint="bring the schema where it must be by hand with `havre run`, then roll back without --undo",
        code="undo-incomplete",
    )

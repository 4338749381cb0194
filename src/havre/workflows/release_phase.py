"""The `release:` line of a Procfile: what a release from source runs first, where havre.yaml names nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from havre.engines.procfile import RELEASE, argv_of_line, read_procfile
from havre.model.app import Migration
from havre.workflows.intent import Intent


def with_release_phase(intent: Intent) -> Intent:
    """The same intent, which migrates as its Procfile says unless its manifest says how."""
    if intent.app.migration is not None:
        return intent
    migration = next(_release_phases(intent), None)
    return replace(intent, app=replace(intent.app, migration=migration)) if migration else intent


def _release_phases(intent: Intent) -> Iterator[Migration]:
    """Of the first service whose source has such a line: a tree that several services share is released once."""
    sources = {spec.service: spec.source for spec in intent.app.processes}
    for service in intent.project.services:
        if service.build is not None and service.name != RELEASE:
            line = dict(read_procfile(Path(service.build.context) / (sources.get(service.name) or ""))).get(RELEASE)
            if line:
                yield Migration(service=service.name, run=argv_of_line(line))

"""A Project as JSON and back, so that a release can seal what it deployed and a rollback can read it again."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from havre.errors import InputError, Problem
from havre.model.project import Project

VERSION = 1
"""Raised when a project recorded before can no longer be read; new fields with defaults do not need it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recorded:
    """What is written: the project and the version of its form."""

    project: Project
    version: int = VERSION


def project_to_json(project: Project) -> bytes:
    """The same bytes for equal projects."""
    return msgspec.json.encode(_Recorded(project=project))


def project_from_json(data: bytes) -> Project:
    """The Project that `project_to_json` wrote; InputError when it is damaged or from a newer Havre."""
    try:
        version = msgspec.json.decode(data, type=_Version).version
        if version > VERSION:
            raise _unreadable(f"it has version {version}, and this Havre reads up to {VERSION}")
        return msgspec.json.decode(data, type=_Recorded).project
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unreadable(str(error)) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Version:
    """Only the version, read before the rest is trusted."""

    version: int


def _unreadable(reason: str) -> InputError:
    return InputError(
        Problem(
            summary="a recorded configuration cannot be read",
            evidence=(reason,),
            hint="use the Havre that wrote it, or deploy the Compose file again to record a new one",
            code="record.unreadable",
        )
    )

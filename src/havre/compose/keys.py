"""Says of every Compose key whether Havre honours, changes or refuses it (invariant I7)."""

from __future__ import annotations

from collections.abc import Mapping

from havre.compose.key_rows import ApiVersion, Kind, Row, Treatment, joined
from havre.compose.keys_deployment import DEPLOYMENT_KEYS, TOP_KEYS
from havre.compose.keys_services import SERVICE_KEYS

__all__ = ["ENGINES", "KEYS", "OLDEST_API", "ApiVersion", "Kind", "Treatment", "treatment"]

KEYS: Mapping[str, Row] = dict(sorted(joined(TOP_KEYS, SERVICE_KEYS, DEPLOYMENT_KEYS).items()))
"""Every key path of the Compose Specification (`*` is any name, `[]` any item) with its row."""

ENGINES = ("docker", "process")

OLDEST_API: ApiVersion = (1, 41)
"""The oldest Docker Engine API Havre speaks (Docker 20.10)."""


def treatment(key_path: str, engine: str, api_version: ApiVersion = OLDEST_API) -> Treatment:
    """How `engine` treats a key such as `services.*.ports.[].target`.

    `memory`, the engine of our tests, counts as docker. KeyError when the key is in no list: that is a mistake of
    ours, because loading refuses keys that the specification does not have.
    """
    row = KEYS[key_path]
    if engine == "process":
        return row.process
    if row.since is not None and api_version < row.since and row.before is not None:
        return row.before
    return row.docker

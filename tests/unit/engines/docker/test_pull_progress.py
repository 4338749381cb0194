"""Progress of a pull, told once per layer."""

from __future__ import annotations

from typing import Any

from havre.engines.docker.pulls import _Layers


def test_layers_are_counted_as_they_are_finished() -> None:
    told: list[str] = []
    layers = _Layers("redis:7", told.append)
    messages: list[dict[str, Any]] = [
        {"status": "Pulling from library/redis", "id": "7"},
        {"status": "Already exists", "id": "a"},
        {"status": "Pulling fs layer", "id": "b"},
        {"status": "Pulling fs layer", "id": "c"},
        {"status": "Downloading", "id": "b", "progressDetail": {"current": 1, "total": 2 << 20}},
        {"status": "Downloading", "id": "b", "progressDetail": {"current": 2, "total": 2 << 20}},
        {"status": "Pull complete", "id": "b"},
        {"status": "Pull complete", "id": "c"},
        {"status": "Digest: sha256:1"},
        {"status": "Status: Downloaded newer image for redis:7"},
    ]
    for message in messages:
        layers.note(message)

    assert told == [
        "redis:7: 1 of 1 layers (0 B to fetch)",
        "redis:7: 2 of 3 layers (2 MiB to fetch)",
        "redis:7: 3 of 3 layers (2 MiB to fetch)",
        "redis:7: Downloaded newer image for redis:7",
    ]

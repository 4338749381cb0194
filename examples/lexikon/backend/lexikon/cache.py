"""Answers kept in Redis for a while; without Redis every lookup is a miss and the application goes on."""

from __future__ import annotations

import json
from typing import Any

from redis import Redis, RedisError

from lexikon.metrics import Counters

KEEP_SECONDS = 60


class Cache:
    """Counts its hits and misses."""

    def __init__(self, redis: Redis, counters: Counters) -> None:
        self._redis = redis
        self._counters = counters

    def get(self, key: str) -> dict[str, Any] | None:
        """What was stored under this key less than a minute ago."""
        try:
            found = self._redis.get(f"lexikon:{key}")
        except RedisError:
            found = None
        self._counters.add("cache_misses" if found is None else "cache_hits")
        return json.loads(found) if found else None

    def put(self, key: str, value: dict[str, Any]) -> None:
        """Keep a value for a minute."""
        try:
            self._redis.set(f"lexikon:{key}", json.dumps(value), ex=KEEP_SECONDS)
        except RedisError:
            return  # the next reader asks the database again

    def forget(self, key: str) -> None:
        """Drop a value that is no longer true."""
        try:
            self._redis.delete(f"lexikon:{key}")
        except RedisError:
            return  # it expires within a minute

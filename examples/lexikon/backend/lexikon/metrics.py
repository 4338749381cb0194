"""Counters that add up over all workers and replicas: kept in this process, then added to Redis a few times a second.

When Redis cannot be reached the numbers wait here, so a request never fails or slows down because of them.
"""

from __future__ import annotations

import threading
from collections import Counter

from redis import Redis, RedisError

KEY = "lexikon:metrics"
FLUSH_SECONDS = 0.2


class Counters:
    """Add from any thread; `flush` moves what was added to Redis."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._pending: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, name: str, amount: int = 1) -> None:
        """Count something."""
        with self._lock:
            self._pending[name] += amount

    def flush(self) -> None:
        """Add what is pending to the totals, or keep it for the next time."""
        with self._lock:
            pending, self._pending = self._pending, Counter()
        if not pending:
            return
        try:
            with self._redis.pipeline() as pipeline:
                for name, amount in pending.items():
                    pipeline.hincrby(KEY, name, amount)
                pipeline.execute()
        except RedisError:
            with self._lock:
                self._pending.update(pending)

    def totals(self) -> Counter[str]:
        """All that was ever counted, this process's last moments included."""
        self.flush()
        return Counter({name.decode(): int(amount) for name, amount in self._redis.hgetall(KEY).items()})

    def flush_forever(self, stop: threading.Event) -> None:
        """Flush until told to stop, and once more then."""
        while not stop.wait(FLUSH_SECONDS):
            self.flush()
        self.flush()


def report(totals: Counter[str]) -> dict[str, dict[str, int | float]]:
    """The totals as `/metrics` shows them; rates are percentages."""
    requests, lookups = totals["requests"], totals["cache_hits"] + totals["cache_misses"]
    return {
        "requests": {
            "total": requests,
            "successful": requests - totals["requests_failed"],
            "failed": totals["requests_failed"],
            "error_rate": _percentage(totals["requests_failed"], requests),
        },
        "cache": {
            "hits": totals["cache_hits"],
            "misses": totals["cache_misses"],
            "hit_rate": _percentage(totals["cache_hits"], lookups),
        },
        "database": {"queries": totals["queries"]},
    }


def _percentage(part: int, whole: int) -> float:
    return round(100 * part / whole, 2) if whole else 0.0

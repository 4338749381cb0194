"""What replicas wrote: several containers' output as one sequence in order of time, followed when asked."""

from __future__ import annotations

import heapq
import queue
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from havre.engines.base import LogLine, LogQuery
from havre.engines.docker import frames, labels
from havre.engines.docker.client import DockerClient, Stream
from havre.engines.docker.containers import Containers
from havre.errors import HavreError
from havre.host import clock

Json = Mapping[str, Any]

_A_MOMENT = 1e-6
"""Seconds; less than anything takes between two lines, and more than a float loses of a time."""


class Logs:
    """The logs of one engine's replicas."""

    def __init__(self, client: DockerClient, containers: Containers) -> None:
        self._client = client
        self._containers = containers

    def read(self, instance: str, query: LogQuery) -> Iterator[LogLine]:
        """Lines in order of time; with `follow` what comes next too, from replicas started meanwhile as well."""
        chosen = [entry for entry in self._containers.listed(instance) if _is_wanted(entry, query)]
        if not query.follow:
            yield from self._past(chosen, query, query.until)
            return
        now = clock.now()
        yield from self._past(chosen, query, now)
        yield from _Following(self._client, self._containers, instance, query, now).lines()

    def _past(self, chosen: list[Json], query: LogQuery, until: float | None) -> Iterator[LogLine]:
        streams = [self._of(entry, query, until) for entry in chosen]
        yield from heapq.merge(*streams, key=lambda line: line.at)

    def _of(self, entry: Json, query: LogQuery, until: float | None) -> Iterator[LogLine]:
        wanted = _parameters(since=query.since, until=until, tail=query.tail)
        doing = f"read the logs of {entry['Labels'].get(labels.SERVICE)}"
        found = self._containers.inspect(entry["Id"], doing=doing)
        if found is None:
            return
        with self._client.stream("GET", f"/containers/{entry['Id']}/logs", wanted, doing=doing) as stream:
            yield from _lines(stream, found, entry["Labels"])


class _Following:
    """Threads that each read one container, and one that waits for new containers; all end with the iteration."""

    def __init__(
        self, client: DockerClient, containers: Containers, instance: str, query: LogQuery, since: float
    ) -> None:
        self._client = client
        self._containers = containers
        self._instance = instance
        self._query = query
        self._since = since
        self._queue: queue.Queue[LogLine | HavreError] = queue.Queue(maxsize=10_000)
        self._streams: list[Stream] = []
        self._followed: set[str] = set()
        self._last: dict[str, float] = {}
        self._lock = threading.Lock()
        self._over = False

    def lines(self) -> Iterator[LogLine]:
        """Lines as they come, until the caller stops iterating."""
        self._spawn(self._watch)
        try:
            while True:
                item = self._queue.get()
                if isinstance(item, HavreError):
                    raise item
                yield item
        finally:
            with self._lock:
                self._over = True
                streams = list(self._streams)
            for stream in streams:
                stream.close()

    def _spawn(self, target: Any, *args: object) -> None:
        threading.Thread(target=self._guarded, args=(target, *args), daemon=True).start()

    def _guarded(self, target: Any, *args: object) -> None:
        try:
            target(*args)
        except HavreError as error:
            if not self._over:
                self._queue.put(error)

    def _watch(self) -> None:
        """Follow what runs, then whatever starts; the events are asked for first, so that none is missed."""
        wanted = {"type": ["container"], "event": ["start"]} | labels.select(self._instance)
        with self._client.stream("GET", "/events", {"filters": wanted}, doing="wait for new replicas") as events:
            if not self._keep(events):
                return
            for entry in self._containers.listed(self._instance):
                self._begin(entry)
            for event in events.messages():
                for entry in self._containers.listed(self._instance):
                    if entry["Id"] == event["id"]:
                        self._begin(entry)

    def _begin(self, entry: Json) -> None:
        with self._lock:
            if entry["State"] != "running" or entry["Id"] in self._followed or not _is_wanted(entry, self._query):
                return
            self._followed.add(entry["Id"])
        self._spawn(self._follow, entry)

    def _follow(self, entry: Json) -> None:
        """Read until the container stops; one that was started again just then is read on from the last line."""
        container = entry["Id"]
        while True:
            self._read(entry)
            with self._lock:
                self._followed.discard(container)
            again = self._containers.inspect(container, doing="see whether a replica was started again")
            with self._lock:
                if self._over or not again or not again["State"].get("Running") or container in self._followed:
                    return
                self._followed.add(container)

    def _read(self, entry: Json) -> None:
        """Queue the lines that were not told yet, and remember where they end."""
        container, doing = entry["Id"], f"follow the logs of {entry['Labels'].get(labels.SERVICE)}"
        found = self._containers.inspect(container, doing=doing)
        if found is None:
            return
        since = self._last.get(container, self._since)
        wanted = _parameters(since=since, until=self._query.until) | {"follow": True}
        with self._client.stream("GET", f"/containers/{container}/logs", wanted, doing=doing) as stream:
            if self._keep(stream):
                for line in _lines(stream, found, entry["Labels"]):
                    self._queue.put(line)
                    self._last[container] = max(since, line.at + _A_MOMENT)

    def _keep(self, stream: Stream) -> bool:
        with self._lock:
            self._streams.append(stream)
            return not self._over


def _is_wanted(entry: Json, query: LogQuery) -> bool:
    own: Mapping[str, str] = entry["Labels"]
    if query.services and own.get(labels.SERVICE) not in query.services:
        return False
    if query.failed:
        return str(entry["State"]) not in {"running", "paused"}
    return own.get(labels.ROLE) != "task" or str(entry["State"]) == "running"


def _parameters(*, since: float | None, until: float | None, tail: int | None = None) -> dict[str, object]:
    return {
        "stdout": True,
        "stderr": True,
        "timestamps": True,
        "since": None if since is None else f"{since:.9f}",
        "until": None if until is None else f"{until:.9f}",
        "tail": "all" if tail is None else tail,
    }


def _lines(stream: Stream, found: Json, own: Mapping[str, str]) -> Iterator[LogLine]:
    chunks = stream.chunks()
    pieces = frames.raw(chunks) if found["Config"].get("Tty") else frames.rejoin(frames.demultiplex(chunks))
    service, slot = own.get(labels.SERVICE, ""), labels.number(own, labels.SLOT)
    for name, line in frames.lines(pieces):
        at, text = frames.timed(line)
        yield LogLine(service=service, slot=slot, at=at, stream=name, text=text)

"""What replicas wrote: several logs as one sequence in order of time, followed when asked."""

from __future__ import annotations

import heapq
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from havre.engines.base import LogLine, LogQuery
from havre.engines.process.logfile import log_paths, parse
from havre.engines.process.replicas import Found, Replicas
from havre.host import clock

_PAUSE = 0.2


def read_logs(replicas: Replicas, instance: str, query: LogQuery) -> Iterator[LogLine]:
    """Lines in order of time; with `follow` what comes next too, from replicas started meanwhile as well."""
    tails = {one.directory: Tail(one) for one in replicas.listed(instance) if _is_wanted(one, query)}
    past = [_of_last(tail.lines(), query.tail, query.since) for tail in tails.values()]
    yield from _until(heapq.merge(*past, key=lambda line: line.at), query.until)
    while query.follow and (query.until is None or clock.now() < query.until):
        for one in replicas.listed(instance):
            if one.directory not in tails and _is_wanted(one, query):
                tails[one.directory] = Tail(one)
        fresh = sorted((line for tail in tails.values() for line in tail.lines()), key=lambda line: line.at)
        yield from _until(iter(fresh), query.until)
        if not fresh:
            clock.sleep(_PAUSE)


def last_texts(found: Found, count: int) -> tuple[str, ...]:
    """The last lines a replica wrote."""
    return tuple(line.text for line in deque(Tail(found).lines(), maxlen=count))


class Tail:
    """Reads a log file by file and on from where it stopped, also when the file was rotated meanwhile."""

    def __init__(self, found: Found) -> None:
        self._found = found
        self._inode = 0
        self._offset = 0

    def lines(self) -> Iterator[LogLine]:
        """The lines that were not read yet."""
        for path in self._unread():
            yield from self._read(path)

    def _unread(self) -> list[Path]:
        if not self._found.directory.is_dir():
            return []
        paths = [Path(path) for path in log_paths(str(self._found.directory))]
        inodes = [path.stat().st_ino for path in paths]
        return paths[inodes.index(self._inode) :] if self._inode in inodes else paths

    def _read(self, path: Path) -> Iterator[LogLine]:
        launch = self._found.launch
        with path.open("rb") as file:
            inode = os.fstat(file.fileno()).st_ino
            if inode != self._inode:
                self._inode, self._offset = inode, 0
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._offset += len(line)
                for at, stream, text in parse(iter((line,))):
                    yield LogLine(service=launch.service, slot=launch.slot, at=at, stream=stream, text=text)


def _of_last(lines: Iterator[LogLine], count: int | None, since: float | None) -> Iterator[LogLine]:
    chosen = (line for line in lines if since is None or line.at >= since)
    return chosen if count is None else iter(deque(chosen, maxlen=count))


def _until(lines: Iterator[LogLine], until: float | None) -> Iterator[LogLine]:
    for line in lines:
        if until is not None and line.at > until:
            return
        yield line


def _is_wanted(one: Found, query: LogQuery) -> bool:
    if query.services and one.launch.service not in query.services:
        return False
    if query.failed:
        return not one.is_running
    return one.launch.role != "task" or one.is_running

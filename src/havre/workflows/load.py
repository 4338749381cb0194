"""A small strict load: a few visitors who keep their connections and count everything that is not a whole answer."""

from __future__ import annotations

import http.client
import threading
from dataclasses import dataclass, field

from havre.host import clock


@dataclass(slots=True)
class Load:
    """Visitors that ask `paths` of a host in turn, from `start` to `stop`, and what they got."""

    address: str
    port: int
    host: str
    paths: tuple[str, ...] = ("/",)
    visitors: int = 6
    requests: int = 0
    failures: list[str] = field(default_factory=list)
    slowest: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Load:
        for number in range(self.visitors):
            thread = threading.Thread(target=self._visit, args=(number,), name=f"visitor-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _visit(self, number: int) -> None:
        connection = http.client.HTTPConnection(self.address, self.port, timeout=20)
        turn = number
        while not self._stop.is_set():
            began = clock.elapsed()
            failure = self._ask(connection, self.paths[turn % len(self.paths)])
            with self._lock:
                self.requests += 1
                self.slowest = max(self.slowest, clock.elapsed() - began)
                if failure:
                    self.failures.append(failure)
            turn += 1
            self._stop.wait(0.01)
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection, path: str) -> str | None:
        try:
            connection.request("GET", path, headers={"Host": self.host})
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            return f"{path}: {type(error).__name__}"
        return f"{path}: status {answer.status}" if answer.status >= 500 else None

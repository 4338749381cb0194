"""In the place of cAdvisor: its port, and one of its metrics, read from the host's cgroups as mounted at /sys."""

from __future__ import annotations

import http.server
import os
import signal
from collections.abc import Iterator
from pathlib import Path

USAGE = ("memory/docker/*/memory.usage_in_bytes", "system.slice/docker-*.scope/memory.current")


def lines() -> Iterator[str]:
    for pattern in USAGE:
        for file in Path("/sys/fs/cgroup").glob(pattern):
            container = file.parent.name.removeprefix("docker-").removesuffix(".scope")
            yield f'container_memory_usage_bytes{{id="/docker/{container}"}} {file.read_text().strip()}'


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = "ok" if self.path == "/healthz" else "".join(f"{line}\n" for line in lines())
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(body.encode())


signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()

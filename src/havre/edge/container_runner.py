"""HAProxy as a container on the host's network, so that Docker starts it again after a crash or a reboot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from havre.edge.layout import Layout
from havre.edge.runner import VALIDATE_LIMIT, Verdict, arguments, complaints

IMAGE = "haproxy:lts-alpine"
_OUTPUT = 'exec "$0" "$@" >>"$HAVRE_LOG" 2>>"$HAVRE_MESSAGES"'


class Docker(Protocol):
    """The calls of the Docker Engine API that are needed here; the docker engine's client has them."""

    def find(self, path: str, query: Mapping[str, Any] | None = None, *, doing: str) -> Any:
        """The decoded answer to a GET, or None when there is no such thing."""
        ...

    def post(
        self, path: str, body: object = None, query: Mapping[str, Any] | None = None, *, doing: str,
        timeout: float = 60.0, accept: tuple[int, ...] = (),
    ) -> Any:  # fmt: skip
        """The reply to a POST, with `body` as bytes."""
        ...

    def delete(
        self, path: str, query: Mapping[str, Any] | None = None, *, doing: str, accept: tuple[int, ...] = (404,)
    ) -> Any:
        """Remove."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRunner:
    """One container named `name`, on the host's network, with the edge's home mounted under the same path."""

    docker: Docker
    name: str = "havre-edge"
    image: str = IMAGE

    def is_running(self, layout: Layout) -> bool:
        """True when the container runs (a container that is just being restarted does not)."""
        del layout
        found = self.docker.find(f"/containers/{self.name}/json", doing="look at the edge")
        return bool(found and found["State"]["Running"] and not found["State"].get("Restarting"))

    def start(self, layout: Layout) -> None:
        """Create it anew, so that it has today's image and paths, and start it."""
        doing = "start the edge"
        self.docker.delete(f"/containers/{self.name}", {"force": "true"}, doing=doing)
        self.docker.post("/containers/create", self._body(layout), {"name": self.name}, doing=doing)
        self.docker.post(f"/containers/{self.name}/start", doing=doing)

    def stop(self, layout: Layout) -> None:
        """Remove it; what is applied lies in the home directory."""
        del layout
        path, doing = f"/containers/{self.name}", "stop the edge"
        self.docker.post(f"{path}/stop", None, {"t": "2"}, doing=doing, accept=(304, 404))
        self.docker.delete(path, {"force": "true"}, doing=doing)

    def validate(self, layout: Layout, files: tuple[Path, ...]) -> Verdict:
        """`haproxy -c` in the running container: the same binary that will load the files."""
        del layout
        doing = "check the edge's configuration"
        argv = ["haproxy", "-c", *(word for file in files for word in ("-f", str(file)))]
        body = {"Cmd": argv, "AttachStdout": True, "AttachStderr": True}
        made = self.docker.post(f"/containers/{self.name}/exec", body, doing=doing).json()
        started = self.docker.post(
            f"/exec/{made['Id']}/start", {"Detach": False, "Tty": False}, doing=doing, timeout=VALIDATE_LIMIT
        )
        ended = self.docker.find(f"/exec/{made['Id']}/json", doing=doing)
        return complaints(int(ended["ExitCode"]), _joined_frames(started.body))

    def _body(self, layout: Layout) -> dict[str, object]:
        return {
            "Image": self.image,
            "User": "0:0",
            "Entrypoint": ["sh", "-c", _OUTPUT, "haproxy"],
            "Cmd": arguments(layout),
            "Env": [f"HAVRE_LOG={layout.log}", f"HAVRE_MESSAGES={layout.messages}"],
            "Labels": {"havre.role": "edge"},
            "HostConfig": {
                "NetworkMode": "host",
                "Binds": [f"{layout.home}:{layout.home}"],
                "RestartPolicy": {"Name": "unless-stopped"},
                "CapAdd": ["NET_ADMIN"],
            },
        }


def _joined_frames(body: bytes) -> str:
    """The text in Docker's frames: eight bytes of head, the last four of which are the length."""
    text = b""
    while len(body) >= 8:
        size = int.from_bytes(body[4:8], "big")
        text, body = text + body[8 : 8 + size], body[8 + size :]
    return text.decode(errors="replace")

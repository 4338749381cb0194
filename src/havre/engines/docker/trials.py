"""Ask an image's own program about configuration files: in a container without a network that is thrown away."""

from __future__ import annotations

from havre.engines.base import Context, Executed
from havre.engines.docker import frames
from havre.engines.docker.client import DockerClient
from havre.engines.docker.containers import Containers
from havre.engines.docker.lookup import LOOK
from havre.engines.docker.translate import Placement, container_body
from havre.errors import HavreError
from havre.model.project import Service

MOST_OUTPUT = 64 * 1024
"""Bytes of an answer that are looked at."""


def try_once(
    client: DockerClient, containers: Containers, service: Service, context: Context, *, timeout: float
) -> Executed | None:
    """How the service's command ends; None when it cannot be started there, or does not end in time."""
    doing = f"try the configuration of {service.name}"
    placement = Placement(slot=0, role="task", api=client.version)
    body = container_body(service, context, placement)
    body["Labels"] = {LOOK: "configuration"}
    body["HostConfig"]["LogConfig"] = {"Type": "json-file", "Config": {}}
    container = str(client.post("/containers/create", body, doing=doing).json()["Id"])
    try:
        containers.place(container, service, context, doing=doing)
        return _run(client, container, doing=doing, timeout=timeout)
    except HavreError:  # the program is not in this image, or it asks for too long: nothing can be said
        return None
    finally:
        client.delete(f"/containers/{container}", {"force": True, "v": True}, doing=doing)


def _run(client: DockerClient, container: str, *, doing: str, timeout: float) -> Executed:
    client.post(f"/containers/{container}/start", doing=doing)
    ended = client.post(f"/containers/{container}/wait", doing=doing, timeout=timeout).json()
    query = {"stdout": True, "stderr": True}
    output = bytearray()
    with client.stream("GET", f"/containers/{container}/logs", query, doing=doing, timeout=timeout) as stream:
        for _, piece in frames.demultiplex(stream.chunks()):
            output += piece
            if len(output) > MOST_OUTPUT:
                break
    return Executed(exit_code=int(ended["StatusCode"]), output=output.decode(errors="replace"))

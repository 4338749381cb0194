"""A Docker Engine and one throw-away instance on it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from havre.engines.base import Context
from havre.engines.docker.engine import DockerEngine
from havre.model.plan import BuildImage, EngineStep, RemoveNetwork, StartReplica
from havre.model.project import Attachment, Build, FileSource, Network, Project, Service, Volume


@dataclass
class Stage:
    """An instance on the real engine; `project` parts are added as a test needs them."""

    engine: DockerEngine
    instance: str
    networks: tuple[Network, ...] = ()
    volumes: tuple[Volume, ...] = ()
    secrets: tuple[FileSource, ...] = ()
    configs: tuple[FileSource, ...] = ()
    told: list[str] = field(default_factory=list)

    def context(self, **changes: Any) -> Context:
        """The context of release 1."""
        project = Project(
            name=self.instance, networks=self.networks, volumes=self.volumes, secrets=self.secrets, configs=self.configs
        )
        return replace(Context(instance=self.instance, release=1, project=project), **changes)

    def service(self, name: str = "web", shell: str = "sleep 600", **changes: Any) -> Service:
        """A service that runs a shell line and ends at once when asked to."""
        plain = Service(
            name=name,
            image="alpine:latest",
            command=("sh", "-c", f"trap 'exit 0' TERM; {shell} & wait"),
            networks=(Attachment(network="default"),),
        )
        return replace(plain, **changes)

    def do(self, step: EngineStep, context: Context | None = None) -> None:
        """Perform a step."""
        self.engine.perform(step, context or self.context(), progress=self.told.append)

    def start(self, service: Service, slot: int = 1) -> None:
        """Start a replica."""
        self.do(StartReplica(service=service, slot=slot, fingerprint="v1 a=1"))

    def inside(self, command: str, service: str = "web", slot: int = 1) -> str:
        """What a shell line prints inside a replica."""
        return self.engine.execute(self.instance, service, slot, ("sh", "-c", command)).output.strip()

    def inspect(self, service: str = "web", slot: int = 1) -> Any:
        """What the engine itself says about a replica."""
        return self.engine.client.get(f"/containers/{self.instance}-{service}-{slot}/json", doing="look at it")

    def build(self, directory: Path, **changes: Any) -> str:
        """Build an image from a directory; its reference."""
        reference = f"{self.instance}/web:built"
        build = Build(context=str(directory), **changes)
        self.do(BuildImage(service="web", reference=reference, build=build))
        return reference

    def tear_down(self) -> None:
        """Remove containers, networks, volumes and images of the instance."""
        client = self.engine.client
        query = {"all": True, "filters": {"label": [f"havre.instance={self.instance}"]}}
        for entry in client.get("/containers/json", query, doing="list"):
            client.delete(f"/containers/{entry['Id']}", {"force": True, "v": True}, doing="remove")
        for network in self.networks:
            self.do(RemoveNetwork(name=network.name))
        for volume in self.volumes:
            client.delete(f"/volumes/{volume.name}", doing="remove")
        for image in self.engine.images_here():
            if image.instance == self.instance:
                self.engine.discard(image)

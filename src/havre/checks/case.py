"""What every check looks at: the app, its project, and the facts the shell has gathered about them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from havre.compose.project import LoadedProject
from havre.compose.tree import Origin, VariableUse
from havre.errors import Location, Problem, Severity
from havre.model.app import App
from havre.model.observed import Observed
from havre.model.project import Project, Service
from havre.model.server import DiskNeed, FileFacts, RefusedFile, ServerFacts, VariableFact

HasTool = Callable[[Service, str], bool | None]
"""(service, program) -> whether its image has the program; None where nobody looked."""

OriginOf = Callable[[str], Origin | None]
"""`services.web.ports[0]` -> where that was written and which variables it was made of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Everything known before anything is touched; facts that nobody gathered are empty, and then not judged."""

    app: App
    project: Project
    server: ServerFacts | None = None
    observed: Observed | None = None
    files: FileFacts = field(default_factory=FileFacts)
    variables: tuple[VariableFact, ...] = ()
    origin_of: OriginOf = field(default=lambda _path: None, repr=False)
    has_tool: HasTool = field(default=lambda _service, _program: None, repr=False)
    knows_images: Callable[[str], str] = field(default=lambda _image: "", repr=False)
    """Empty where the engine can run that image, else what it can run, in words."""
    on_the_server: bool = False
    """True where services are processes of this server: what it publishes, they reach on localhost."""
    bounded_logs: bool = False
    """True where the engine rotates every log by itself."""
    own_addresses: bool = False
    """True where each replica has an address of its own in this machine's network."""
    edge_address: str = "0.0.0.0"  # noqa: S104 - compared, never bound
    edge_ports: tuple[int, ...] = ()
    """Where the edge serves routes."""
    reserve: int | None = None
    """Bytes of memory kept free of apps; None means the usual share."""
    peaks: tuple[tuple[str, int], ...] = ()
    """(service, bytes): the most memory one of its replicas was seen to use."""
    pools: tuple[tuple[str, int], ...] = ()
    """(range, bits): what the engine takes the subnets of new networks from."""
    disk_needs: tuple[DiskNeed, ...] = ()
    """What new images, builds and the next backups will take."""
    between_backups: tuple[tuple[str, float], ...] = ()
    """(service, seconds): the longest time between two backups that its schedule leaves."""
    refused: tuple[RefusedFile, ...] = ()
    """Mounted configuration files that their image's own program refuses."""
    certificate: tuple[Problem, ...] = ()
    """Why the edge would not take the app's own certificate."""
    baked: tuple[tuple[str, str], ...] = ()
    """(service, what it is, in words): secrets that its image holds."""
    changed: frozenset[str] | None = None
    """The services this release replaces; None means: any of them."""

    @classmethod
    def of(cls, app: App, project: Project, loaded: LoadedProject | None, **facts: Any) -> Case:
        """The case of a loaded project, whose values know where they were written; None for a recorded one."""
        if loaded is None:
            return cls(app=app, project=project, **facts)
        return cls(app=app, project=project, origin_of=loaded.origin, **facts)

    def place(self, path: str) -> Location | None:
        """Where a Compose path was written."""
        origin = self.origin_of(path)
        return origin.location if origin else None

    def uses(self, path: str) -> tuple[VariableUse, ...]:
        """The variables the value at a Compose path was made of."""
        origin = self.origin_of(path)
        return origin.variables if origin else ()

    @property
    def is_production(self) -> bool:
        """Whether this is the environment that real users reach."""
        return self.app.environment == "production"

    def services(self) -> Iterator[Service]:
        """The services that stay up: all but jobs."""
        return (service for service in self.project.services if service.name not in self.project.jobs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check: a stable id, how it counts, what it is about in a sentence, and the page that explains it."""

    id: str
    severity: Severity
    title: str
    doc: str
    find: Callable[[Case], Iterable[Problem]]
    """Yields what is wrong; the id is added, and the severity unless the finding is milder by itself."""


def variable_place(variable: VariableFact) -> Location | None:
    """Where a variable got its value, when that is a file."""
    return Location(variable.file, variable.line) if variable.file else None

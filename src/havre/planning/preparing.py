"""What must be there before any replica: images, networks and volumes; nothing that runs is touched by it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from havre.model.observed import Observed
from havre.model.plan import BuildImage, CreateNetwork, CreateVolume, Phase, PullImage, TryConfiguration
from havre.model.project import MountKind, Project, Service
from havre.planning.compare import Change, Snapshot
from havre.planning.draft import Draft


@dataclass(frozen=True, slots=True)
class Prepared:
    """The steps that make each image (by reference), network and volume (by the project's key)."""

    images: dict[str, int] = field(default_factory=dict)
    networks: dict[str, int] = field(default_factory=dict)
    volumes: dict[str, int] = field(default_factory=dict)
    trials: dict[str, int] = field(default_factory=dict)
    """The steps that ask a new image about its configuration files, by service."""

    def for_service(self, service: Service) -> tuple[int, ...]:
        """What must be done before a replica of `service` can be made."""
        steps = [self.images.get(service.image), self.trials.get(service.name)]
        steps += [self.networks.get(place.network) for place in service.networks]
        steps += [self.volumes.get(mount.source or "") for mount in service.mounts if mount.kind is MountKind.VOLUME]
        return tuple(number for number in steps if number is not None)


def prepare(
    draft: Draft,
    project: Project,
    observed: Observed,
    snapshot: Snapshot,
    changes: Mapping[str, Change],
    trials: Collection[str] = (),
) -> Prepared:
    """Add the steps that make what is missing; external networks and volumes are others' (a check refuses early)."""
    prepared = Prepared()
    starting = [change.service for change in changes.values() if change.start]
    for service in starting:
        _prepare_image(draft, prepared, service, snapshot)
        image = prepared.images.get(service.image)
        if service.name in trials and image is not None:  # of an image that is here, a check has asked already
            step, reason = TryConfiguration(service=service), "its own program must accept its configuration"
            prepared.trials[service.name] = draft.add(step, reason, phase=Phase.PREPARE, after=[image])
    used = [change.service for change in changes.values() if change.slots]
    _prepare_networks(draft, prepared, project, observed, used)
    _prepare_volumes(draft, prepared, project, observed, used)
    return prepared


def _prepare_image(draft: Draft, prepared: Prepared, service: Service, snapshot: Snapshot) -> None:
    if service.image in prepared.images or service.image in snapshot.images:
        return
    if service.build is not None:
        build = BuildImage(service=service.name, reference=service.image, build=service.build)
        reason = "built from these sources for the first time"
        prepared.images[service.image] = draft.add(build, reason, phase=Phase.PREPARE)
        return
    pull = PullImage(reference=service.image, platform=service.platform)
    prepared.images[service.image] = draft.add(pull, f"{service.name} runs it", phase=Phase.PREPARE)


def _prepare_networks(
    draft: Draft, prepared: Prepared, project: Project, observed: Observed, used: list[Service]
) -> None:
    wanted = {place.network for service in used for place in service.networks}
    present = {network.name for network in observed.networks}
    for network in project.networks:
        if network.key in wanted and not network.external and network.name not in present:
            step = CreateNetwork(network=network)
            prepared.networks[network.key] = draft.add(step, "it does not exist yet", phase=Phase.PREPARE)


def _prepare_volumes(
    draft: Draft, prepared: Prepared, project: Project, observed: Observed, used: list[Service]
) -> None:
    wanted = {mount.source for service in used for mount in service.mounts if mount.kind is MountKind.VOLUME}
    present = {volume.name for volume in observed.volumes}
    for volume in project.volumes:
        if volume.key in wanted and not volume.external and volume.name not in present:
            step = CreateVolume(volume=volume)
            prepared.volumes[volume.key] = draft.add(step, "it does not exist yet", phase=Phase.PREPARE)

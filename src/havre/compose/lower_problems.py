"""Finds what a valid Compose project says that no Project can hold, each with its place in the file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from havre.compose.lower_values import text
from havre.compose.normal_form import NormalForm, section
from havre.errors import Location, Problem

UNMOUNTABLE = {
    "image": "copy the files in a Dockerfile (COPY --from=<image>) or into a named volume",
    "npipe": "named pipes exist on Windows only; remove the entry",
    "cluster": "cluster volumes need Swarm; use a named volume or a bind mount",
}
"""Kinds of mounts that Compose knows and Havre refuses, each with what to use."""

_RESTART = re.compile(r"no|always|unless-stopped|on-failure(?::\d+)?")
_CONDITION = re.compile(r"none|no|any|always|unless-stopped|on-failure")
_EVERYWHERE = {"0.0.0.0": 4, "": 4, "::": 6, "[::]": 6}  # noqa: S104 - compared with, never listened on


def problems_of_lowering(loaded: NormalForm) -> tuple[Problem, ...]:
    """Everything that stands in the way of lowering, in the order of the file."""
    found: list[Problem] = []
    for name, spec in section(loaded, "services").items():
        found += _service(loaded, name, spec)
    for key, spec in section(loaded, "networks").items():
        found += _pools(loaded, f"networks.{key}.ipam.config", (spec.get("ipam") or {}).get("config") or ())
    return (*found, *_ports_wanted_twice(loaded))


def _service(loaded: NormalForm, name: str, spec: Mapping[str, Any]) -> Iterator[Problem]:
    path = f"services.{name}"
    if spec.get("provider"):
        yield _problem(
            loaded, f"{path}.provider", "the service is made by an external program, which Havre does not run",
            "run that program yourself and pass what it returns as environment variables", "compose.provider",
        )  # fmt: skip
    yield from _restart(loaded, path, spec)
    for index, volume in enumerate(spec.get("volumes") or ()):
        if volume.get("type") in UNMOUNTABLE:
            yield _unmountable(loaded, f"{path}.volumes[{index}]", text(volume.get("type")))
    for index, entry in enumerate(spec.get("volumes_from") or ()):
        yield from _volumes_from(loaded, f"{path}.volumes_from[{index}]", entry)


def _restart(loaded: NormalForm, path: str, spec: Mapping[str, Any]) -> Iterator[Problem]:
    policy = text(spec.get("restart") or "no")
    if not _RESTART.fullmatch(policy):
        yield _problem(
            loaded, f"{path}.restart", f"`{policy}` is not a restart policy",
            "use no, always, unless-stopped, on-failure or on-failure:3", "compose.restart",
        )  # fmt: skip
    condition = ((spec.get("deploy") or {}).get("restart_policy") or {}).get("condition") or "any"
    if not _CONDITION.fullmatch(condition):
        yield _problem(
            loaded, f"{path}.deploy.restart_policy.condition", f"`{condition}` is not a restart condition",
            "use none, on-failure or any", "compose.restart",
        )  # fmt: skip


def _unmountable(loaded: NormalForm, path: str, kind: str) -> Problem:
    hint = UNMOUNTABLE[kind]
    return _problem(loaded, f"{path}.type", f"a mount of type `{kind}` cannot be made", hint, "compose.mount-type")


def _volumes_from(loaded: NormalForm, path: str, entry: str) -> Iterator[Problem]:
    name = entry.partition(":")[0]
    if name == "container":
        yield _problem(
            loaded, path, f"`{entry}` names a container outside this project",
            "give both a named volume, marked `external: true` where another app owns it", "compose.volumes-from",
        )  # fmt: skip


def _pools(loaded: NormalForm, path: str, pools: Sequence[Mapping[str, Any]]) -> Iterator[Problem]:
    for index, pool in enumerate(pools):
        for key in ("ip_range", "aux_addresses"):
            if index and pool.get(key):
                yield _problem(
                    loaded, f"{path}[{index}].{key}", f"only a network's first address pool can have `{key}`",
                    "move it to the first pool, or declare a second network", "compose.second-pool",
                )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claim:
    """One published port of one service."""

    service: str
    host_ip: str
    at: Location

    def clashes(self, other: _Claim) -> bool:
        """True when both cannot listen; `0.0.0.0` stands for every address of IPv4, `::` for every one of IPv6."""
        mine, theirs = _EVERYWHERE.get(self.host_ip), _EVERYWHERE.get(other.host_ip)
        if mine and theirs:
            return mine == theirs
        return self.host_ip == other.host_ip or mine == _family(other.host_ip) or theirs == _family(self.host_ip)


def _family(address: str) -> int:
    return 6 if ":" in address else 4


def _ports_wanted_twice(loaded: NormalForm) -> Iterator[Problem]:
    claims: dict[str, list[_Claim]] = {}
    for port, claim in _claims(loaded):
        earlier = next((other for other in claims.get(port, ()) if other.clashes(claim)), None)
        claims.setdefault(port, []).append(claim)
        if earlier is not None:
            yield Problem(
                summary=f"port {port} is already published by `{earlier.service}`",
                subject=f"services.{claim.service}.ports",
                at=claim.at,
                evidence=(f"{earlier.service} publishes it at {earlier.at}",),
                effect="only one of them could start",
                hint="publish another port, or none: services of one project reach each other without",
                code="compose.port-twice",
            )


def _claims(loaded: NormalForm) -> Iterator[tuple[str, _Claim]]:
    """Every single published port as (`8080/tcp`, claim); ranges let the engine choose and claim nothing."""
    for name, spec in section(loaded, "services").items():
        if text(spec.get("network_mode")) == "host":
            continue
        for index, port in enumerate(spec.get("ports") or ()):
            published = text(port.get("published"))
            if not published.isdigit() or published == "0":
                continue
            at = loaded.origin(f"services.{name}.ports[{index}]").location
            claim = _Claim(service=name, host_ip=text(port.get("host_ip")), at=at)
            yield f"{int(published)}/{text(port.get('protocol') or 'tcp').lower()}", claim


def _problem(loaded: NormalForm, path: str, summary: str, hint: str, code: str) -> Problem:
    return Problem(summary=summary, hint=hint, at=loaded.origin(path).location, subject=path, code=code)

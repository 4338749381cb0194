"""Lowers how a service runs: health check, restarts, resources, replicas, updates, logging and limits.

Compose says several of these twice (`mem_limit` and `deploy.resources`, `scale` and `deploy.replicas`,
`restart` and `deploy.restart_policy`); which one counts is decided here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from havre.compose.lower_values import canonical, pairs, seconds, text, texts
from havre.compose.units import parse_size
from havre.model.health import HealthCheck
from havre.model.project import Logging, Order, Resources, Restart, Ulimit, UpdatePolicy

_HEALTH_TIMES = ("interval", "timeout", "start_period", "start_interval")

_CONDITIONS = {"any": "always", "none": "no"}
"""`deploy.restart_policy.condition` in the words of `restart`."""


def lower_health(check: Mapping[str, Any] | None) -> tuple[HealthCheck | None, bool]:
    """The health check, and whether the image's own is switched off.

    Without a `test` the image's own stays, with its own times: only a whole check can be given to an engine.
    """
    given = {key: value for key, value in (check or {}).items() if not key.startswith("x-") and value}
    test = given.pop("test", [])
    kind, *words = ["CMD-SHELL", test] if isinstance(test, str) else test or [""]
    if given.pop("disable", False) or kind == "NONE":
        return None, True
    if not kind:
        return None, False
    settings: dict[str, Any] = {key: seconds(given[key]) for key in _HEALTH_TIMES if key in given}
    if "retries" in given:
        settings["retries"] = int(given["retries"])
    return HealthCheck(test=texts(words), shell=kind == "CMD-SHELL", **settings), False


def lower_restart(spec: Mapping[str, Any]) -> Restart:
    """`restart`, or `deploy.restart_policy` where given; only `on-failure` can count attempts."""
    policy, _, limit = text(spec.get("restart") or "no").partition(":")
    deployed = (spec.get("deploy") or {}).get("restart_policy")
    if deployed is not None:
        condition = deployed.get("condition") or (policy if policy != "no" else "any")
        policy, limit = _CONDITIONS.get(condition, condition), text(deployed.get("max_attempts"))
    return Restart(policy=policy, attempts=int(limit) if limit and policy == "on-failure" else 0)


def lower_resources(spec: Mapping[str, Any]) -> Resources:
    """Limits and reservations; where a service says both, `deploy.resources` counts."""
    deployed = (spec.get("deploy") or {}).get("resources") or {}
    limits, reserved = deployed.get("limits") or {}, deployed.get("reservations") or {}
    memory = limits.get("memory") or spec.get("mem_limit")
    reservation = reserved.get("memory") or spec.get("mem_reservation")
    swap, cpus = spec.get("memswap_limit"), limits.get("cpus") or spec.get("cpus")
    pids = limits.get("pids") or spec.get("pids_limit")
    return Resources(
        memory=parse_size(memory) if memory else None,
        memory_reservation=parse_size(reservation) if reservation else None,
        memory_swap=parse_size(swap) if swap else None,
        cpus=float(cpus) if cpus else None,
        pids=int(pids) if pids else None,
        devices=tuple(map(canonical, [*(reserved.get("devices") or ()), *map(_gpu, spec.get("gpus") or ())])),
    )


def _gpu(request: Mapping[str, Any]) -> dict[str, Any]:
    """A `gpus` entry as the device request it stands for."""
    capabilities = [*(request.get("capabilities") or ())]
    return {**request, "capabilities": capabilities if "gpu" in capabilities else [*capabilities, "gpu"]}


def lower_replicas(spec: Mapping[str, Any]) -> int:
    """`scale`, else `deploy.replicas`, else one."""
    for given in (spec.get("scale"), (spec.get("deploy") or {}).get("replicas")):
        if given is not None:
            return int(given)
    return 1


def lower_update(update: Mapping[str, Any]) -> UpdatePolicy:
    """`deploy.update_config`; what is not given keeps our default."""
    given: dict[str, Any] = {key: seconds(update[key]) for key in ("delay", "monitor") if update.get(key)}
    if update.get("order"):
        given["order"] = Order(update["order"])
    if update.get("parallelism") is not None:
        given["parallelism"] = int(update["parallelism"])
    if update.get("failure_action"):
        given["failure_action"] = update["failure_action"]
    return UpdatePolicy(**given)


def lower_logging(logging: Mapping[str, Any] | None) -> Logging | None:
    """The log driver and its options; an empty driver is the engine's own default."""
    options = pairs((logging or {}).get("options") or {})
    driver = text((logging or {}).get("driver"))
    return Logging(driver=driver, options=options) if driver or options else None


def lower_ulimits(limits: Mapping[str, Any]) -> tuple[Ulimit, ...]:
    """A number is both limits; a mapping may name one only."""
    return tuple(_ulimit(name, value) for name, value in limits.items())


def _ulimit(name: str, value: Mapping[str, Any] | str | int) -> Ulimit:
    soft, hard = (value.get("soft"), value.get("hard")) if isinstance(value, Mapping) else (value, value)
    soft, hard = (hard if soft is None else soft), (soft if hard is None else hard)
    return Ulimit(name=name, soft=int(soft or 0), hard=int(hard or 0))

"""Every value in the type and notation of the normal form: mappings of text, sizes, durations, commands.

Runs once, on the merged document, after normalisation. What cannot be read is recorded at its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from havre.compose.canonical import pairs_as_mapping
from havre.compose.findings import Findings
from havre.compose.interpolate import to_integer, to_number
from havre.compose.merge import go_text
from havre.compose.rules import Rule, compile_rules, matches
from havre.compose.shortforms import parse_hosts, split_command, split_line
from havre.compose.tree import Map, Path, Seq, dotted, spot_of
from havre.compose.units import format_duration, parse_duration, parse_size

Convert = Callable[[Any], Any]

_ALL_DEVICES = -1
_LARGEST = 2**63
_OCTAL = "(0o)?[0-7]{1,6}"


def convert_values(root: Any, findings: Findings, *, keeps_unreadable: bool = False) -> None:
    """Rewrite every value of the table, in place."""
    _drop_unset(root)
    for container, key, path, convert in matches(root, RULES):
        value = container[key]
        if value is None:
            continue
        try:
            container[key] = convert(value)
            if convert is _command and isinstance(value, str):
                _warn_dropped(value, findings, spot_of(container, key), path)
        except (ValueError, TypeError, OverflowError) as error:
            if not (keeps_unreadable and "$" in str(value)):
                spot = spot_of(container, key)
                findings.error(str(error), hint="correct the value", spot=spot, path=path, code="value")


def _warn_dropped(line: str, findings: Findings, spot: int, path: Path) -> None:
    """Compose runs no shell and says nothing of what it drops; it may hold secrets, so only the operator is shown."""
    dropped = split_line(line)[1]
    if dropped:
        operator = re.split("[^;&|<>]", dropped)[0]
        findings.warn(
            f"no shell reads this line: Compose drops what stands at and behind `{operator}`",
            hint='put the whole line into a shell: `["sh", "-c", "…"]`',
            at=findings.sources.location(spot),
            code="command-dropped",
            subject=dotted(path),
        )


def _drop_unset(root: Any) -> None:
    """A key written without a value, or switched off where that is the default, says nothing."""
    for service in (root.get("services") or {}).values():
        if not isinstance(service, Map):
            continue
        for key in [key for key, value in service.items() if value is None]:
            del service[key]
        health = service.get("healthcheck")
        if isinstance(health, Map) and health.get("disable") is False:
            del health["disable"]


def nullable_pairs(value: Any) -> Any:
    """Variables: a key without a value is kept, because it means something else than an empty one."""
    pairs = pairs_as_mapping(value) if isinstance(value, Seq) else value
    if isinstance(pairs, Map):
        for key, item in pairs.items():
            if item is not None and not isinstance(item, str):
                pairs[key] = go_text(item)
    return pairs


def text_pairs(value: Any) -> Any:
    """Labels and options: a key without a value has an empty one."""
    pairs = nullable_pairs(value)
    if isinstance(pairs, Map):
        for key, item in pairs.items():
            if item is None:
                pairs[key] = ""
    return pairs


def _environment(value: Any) -> Any:
    if isinstance(value, Seq):
        for item in value:
            name = str(item).partition("=")[0]
            if name != name.rstrip():
                raise ValueError(f"environment variable {name.strip()} is declared with a trailing space")
    return nullable_pairs(value)


def _command(value: Any) -> Any:
    if isinstance(value, str):
        return Seq(split_command(value))
    return _texts(value)


def _health_test(value: Any) -> Any:
    return Seq(["CMD-SHELL", value]) if isinstance(value, str) else _texts(value)


def _texts(value: Any) -> Any:
    if isinstance(value, Seq):
        return Seq([go_text(item) for item in value], value.at)
    return Seq([go_text(value)])


def _size(value: Any) -> str:
    return str(parse_size(value))


def _duration(value: Any) -> str:
    return format_duration(value if isinstance(value, int) else parse_duration(str(value)))


def _integer(value: Any) -> Any:
    if isinstance(value, str):
        return to_integer(value)
    if not -_LARGEST < value < _LARGEST:
        raise ValueError(f"invalid integer: {value:.3g}" if isinstance(value, float) else "invalid integer: too large")
    return int(value)


def _count(value: Any) -> Any:
    number = _integer(value)
    if number < 0:
        raise ValueError(f"must be greater than or equal to 0, not {number}")
    return number


def _number(value: Any) -> Any:
    number = to_number(value) if isinstance(value, str) else value
    if not -_LARGEST < number < _LARGEST:
        raise ValueError(f'invalid number: "{value}"')
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _mode(value: Any) -> str:
    return f"0{_octal_number(value):o}"


def _octal_number(value: Any) -> int:
    if isinstance(value, str) and not re.fullmatch(_OCTAL, value):
        raise ValueError(f'invalid file mode "{value}"')
    return int(value, 8) if isinstance(value, str) else int(value)


def _devices(value: Any) -> Any:
    if value == "all":
        return _ALL_DEVICES
    try:
        return _integer(value)
    except ValueError as error:
        raise ValueError(f"invalid value \"{value}\", the only value allowed is 'all' or a number") from error


def _ulimit(value: Any) -> Any:
    if not isinstance(value, Map):
        return _integer(value)
    value.update({key: _integer(value[key]) for key in ("soft", "hard") if key in value})
    return value


def _hosts(value: Any) -> Any:
    return Seq(parse_hosts(value)) if isinstance(value, Map | Seq) else value


def _ssh(value: Any) -> Any:
    if not isinstance(value, Map):
        return value
    return Seq([f"{name}: {path}" if path else name for name, path in value.items()])


def _service(keys: tuple[str, ...], convert: Convert) -> dict[str, Convert]:
    return {f"services.*.{key}": convert for key in keys}


RULES: Rule[Convert] = compile_rules(
    {
        **_service(("environment", "post_start.*.environment", "pre_start.*.environment"), _environment),
        **_service(("pre_stop.*.environment", "build.args", "develop.watch.*.exec.environment"), _environment),
        **_service(
            (
                *("annotations", "build.labels", "deploy.labels", "labels", "logging.options", "storage_opt"),
                *("networks.*.driver_opts", "sysctls", "volumes.*.volume.labels"),
                *("deploy.resources.reservations.devices.*.options", "gpus.*.options"),
            ),
            text_pairs,
        ),
        **_service(("build.additional_contexts",), nullable_pairs),
        **_service(
            (
                *("command", "entrypoint", "post_start.*.command", "pre_start.*.command", "pre_stop.*.command"),
                "develop.watch.*.exec.command",
            ),
            _command,
        ),
        **_service(("healthcheck.test",), _health_test),
        **_service(
            (
                *("build.no_cache_filter", "develop.watch.*.ignore", "develop.watch.*.include", "dns", "dns_search"),
                *("expose", "group_add", "label_file", "provider.options.*", "tmpfs"),
            ),
            _texts,
        ),
        **_service(
            (
                *("blkio_config.device_read_bps.*.rate", "blkio_config.device_read_iops.*.rate"),
                *("blkio_config.device_write_bps.*.rate", "blkio_config.device_write_iops.*.rate"),
                *("build.shm_size", "deploy.resources.limits.memory", "deploy.resources.reservations.memory"),
                *("mem_limit", "mem_reservation", "mem_swappiness", "memswap_limit", "shm_size"),
                "volumes.*.tmpfs.size",
            ),
            _size,
        ),
        **_service(
            (
                *("deploy.restart_policy.delay", "deploy.restart_policy.window", "deploy.rollback_config.delay"),
                *("deploy.rollback_config.monitor", "deploy.update_config.delay", "deploy.update_config.monitor"),
                *("healthcheck.interval", "healthcheck.start_interval", "healthcheck.start_period"),
                *("healthcheck.timeout", "stop_grace_period"),
            ),
            _duration,
        ),
        **_service(
            (
                *("cpu_count", "cpu_period", "cpu_quota", "cpu_rt_period", "cpu_rt_runtime", "cpu_shares"),
                *("deploy.replicas", "deploy.resources.limits.pids"),
                "deploy.resources.reservations.generic_resources.*.discrete_resource_spec.value",
                *("networks.*.gw_priority", "networks.*.priority", "oom_score_adj", "pids_limit", "scale"),
            ),
            _integer,
        ),
        **_service(
            (
                *("blkio_config.weight", "blkio_config.weight_device.*.weight"),
                *("deploy.placement.max_replicas_per_node", "deploy.restart_policy.max_attempts"),
                *("deploy.rollback_config.parallelism", "deploy.update_config.parallelism"),
                *("healthcheck.retries", "ports.*.target"),
            ),
            _count,
        ),
        **_service(
            (
                *("cpu_percent", "cpus", "deploy.resources.limits.cpus", "deploy.resources.reservations.cpus"),
                *("deploy.rollback_config.max_failure_ratio", "deploy.update_config.max_failure_ratio"),
            ),
            _number,
        ),
        **_service(("build.secrets.*.mode", "configs.*.mode", "secrets.*.mode"), _mode),
        **_service(("volumes.*.tmpfs.mode",), _octal_number),
        **_service(("build.ulimits.*", "ulimits.*"), _ulimit),
        **_service(("build.extra_hosts", "extra_hosts"), _hosts),
        **_service(("build.ssh",), _ssh),
        **_service(("deploy.resources.reservations.devices.*.count", "gpus.*.count"), _devices),
        **_service(("ports.*.published",), go_text),
        **dict.fromkeys(
            (
                *("configs.*.labels", "networks.*.driver_opts", "networks.*.ipam.options", "networks.*.labels"),
                *("secrets.*.driver_opts", "secrets.*.labels", "volumes.*.driver_opts", "volumes.*.labels"),
            ),
            text_pairs,
        ),
    }
)

"""The long tail of Compose keys: each name in `Service.options` and where in the engine's request it goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from havre.model.units import GIB, KIB, MIB

Body = dict[str, Any]
Setter = Callable[[Body, Any, Mapping[str, str]], None]


def apply_options(body: Body, options: tuple[tuple[str, str], ...], peers: Mapping[str, str]) -> None:
    """Add every option to a container's create request; `peers` are containers of other services by service name."""
    for name, value in options:
        setter = HONOURED.get(name)
        if setter is not None:
            setter(body, msgspec.json.decode(value), peers)


def peer_services(options: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    """The services whose containers these options refer to."""
    found: list[str] = []
    for name, value in options:
        decoded = msgspec.json.decode(value)
        if name in {"ipc", "pid"} and isinstance(decoded, str) and decoded.startswith("service:"):
            found.append(decoded.removeprefix("service:"))
        if name == "volumes_from":
            found += [word.split(":")[0] for word in decoded if not word.startswith("container:")]
        if name == "links":
            found += [word.split(":")[0] for word in decoded]
    return tuple(dict.fromkeys(found))


def in_namespace_of(value: str, peers: Mapping[str, str]) -> str:
    """`service:db` becomes `container:<id of db's container>`; everything else stays."""
    kind, _, name = value.partition(":")
    return f"container:{peers.get(name, name)}" if kind == "service" else value


def device_requests(wanted: Any, *, extra: tuple[str, ...] = ()) -> list[Body]:
    """DeviceRequests of Compose's `devices` reservations and `gpus` (`all`, or a list of entries)."""
    entries = [{"count": "all"}] if wanted == "all" else wanted if isinstance(wanted, list) else [wanted]
    return [_device_request(entry, extra) for entry in entries]


def _device_request(entry: Mapping[str, Any], extra: tuple[str, ...]) -> Body:
    ids = list(entry.get("device_ids") or [])
    count = entry.get("count", 0 if ids else "all")
    capabilities = list(dict.fromkeys([*(entry.get("capabilities") or []), *extra]))
    request: Body = {"Count": -1 if count == "all" else int(count), "Capabilities": [capabilities]}
    if entry.get("driver"):
        request["Driver"] = entry["driver"]
    if ids:
        request["DeviceIDs"] = ids
    if entry.get("options"):
        request["Options"] = {name: str(value) for name, value in _pairs(entry["options"])}
    return request


def _host(field: str, convert: Callable[[Any], Any] = lambda value: value) -> Setter:
    def put(body: Body, value: Any, peers: Mapping[str, str]) -> None:
        del peers
        body["HostConfig"][field] = convert(value)

    return put


def _namespace(field: str) -> Setter:
    def put(body: Body, value: Any, peers: Mapping[str, str]) -> None:
        body["HostConfig"][field] = in_namespace_of(str(value), peers)

    return put


def _top(field: str) -> Setter:
    def put(body: Body, value: Any, peers: Mapping[str, str]) -> None:
        del peers
        body[field] = value

    return put


def _strings(value: Any) -> list[str]:
    return [str(item) for item in value]


def _string_map(value: Any) -> dict[str, str]:
    return {name: str(item) for name, item in _pairs(value)}


def _pairs(value: Any) -> list[tuple[str, Any]]:
    """A mapping's pairs, also from Compose's list form (`name=value`) and from our own pairs."""
    if isinstance(value, Mapping):
        return list(value.items())
    pairs = [item.partition("=")[::2] if isinstance(item, str) else item for item in value]
    return [(str(name), item) for name, item in pairs]


def _devices(value: Any) -> list[Body]:
    return [_device(item) for item in value]


def _device(item: Any) -> Body:
    if isinstance(item, Mapping):
        source, target, permissions = item["source"], item.get("target"), item.get("permissions")
    else:
        source, target, permissions = [*str(item).split(":"), None, None][:3]
    if target and not str(target).startswith("/"):
        target, permissions = None, target
    return {"PathOnHost": source, "PathInContainer": target or source, "CgroupPermissions": permissions or "rwm"}


def _blkio(body: Body, value: Any, peers: Mapping[str, str]) -> None:
    del peers
    host = body["HostConfig"]
    if value.get("weight"):
        host["BlkioWeight"] = int(value["weight"])
    if value.get("weight_device"):
        host["BlkioWeightDevice"] = [
            {"Path": entry["path"], "Weight": int(entry["weight"])} for entry in value["weight_device"]
        ]
    for key, field in _BLKIO_RATES.items():
        if value.get(key):
            host[field] = [{"Path": entry["path"], "Rate": _size(entry["rate"])} for entry in value[key]]


_BLKIO_RATES = {
    "device_read_bps": "BlkioDeviceReadBps",
    "device_write_bps": "BlkioDeviceWriteBps",
    "device_read_iops": "BlkioDeviceReadIOps",
    "device_write_iops": "BlkioDeviceWriteIOps",
}


def _size(value: Any) -> int:
    """Bytes of `12mb`, `12m` or a number."""
    text = str(value).strip().lower().removesuffix("b")
    factor = {"k": KIB, "m": MIB, "g": GIB}.get(text[-1:], 1)
    return int(float(text.rstrip("kmg") or 0) * factor)


def _microseconds(value: Any) -> int:
    """Microseconds of a number or of `950ms`, `1s`, `400us`."""
    text = str(value).strip()
    for suffix, factor in (("ms", 1000), ("us", 1), ("µs", 1), ("s", 1_000_000)):
        if text.endswith(suffix):
            return int(float(text.removesuffix(suffix)) * factor)
    return int(float(text))


def _volumes_from(body: Body, value: Any, peers: Mapping[str, str]) -> None:
    found = []
    for word in value:
        if word.startswith("container:"):
            found.append(word.removeprefix("container:"))
            continue
        name, colon, mode = word.partition(":")
        found.append(f"{peers.get(name, name)}{colon}{mode}")
    body["HostConfig"]["VolumesFrom"] = found


def _links(body: Body, value: Any, peers: Mapping[str, str]) -> None:
    """Links become names on the first network: `db:database` is db's container, also called database."""
    links = []
    for word in value:
        name, _, alias = word.partition(":")
        links.append(f"{peers.get(name, name)}:{alias or name}")
    for endpoint in body["NetworkingConfig"]["EndpointsConfig"].values():
        endpoint["Links"] = [*endpoint.get("Links", []), *links]


def _gpus(body: Body, value: Any, peers: Mapping[str, str]) -> None:
    del peers
    requests = body["HostConfig"].setdefault("DeviceRequests", [])
    requests += device_requests(value, extra=("gpu",))


def _api_socket(body: Body, value: Any, peers: Mapping[str, str]) -> None:
    del peers
    if value:
        body["HostConfig"].setdefault("Binds", []).append("/var/run/docker.sock:/var/run/docker.sock")


HONOURED: Mapping[str, Setter] = {
    "annotations": _host("Annotations", _string_map),
    "blkio_config": _blkio,
    "cgroup": _host("CgroupnsMode"),
    "cgroup_parent": _host("CgroupParent"),
    "cpu_period": _host("CpuPeriod", _microseconds),
    "cpu_quota": _host("CpuQuota", _microseconds),
    "cpu_rt_period": _host("CpuRealtimePeriod", _microseconds),
    "cpu_rt_runtime": _host("CpuRealtimeRuntime", _microseconds),
    "cpu_shares": _host("CpuShares", int),
    "cpuset": _host("CpusetCpus", str),
    "device_cgroup_rules": _host("DeviceCgroupRules", _strings),
    "devices": _host("Devices", _devices),
    "external_links": _links,
    "gpus": _gpus,
    "group_add": _host("GroupAdd", _strings),
    "ipc": _namespace("IpcMode"),
    "isolation": _host("Isolation"),
    "links": _links,
    "mac_address": _top("MacAddress"),
    "mem_swappiness": _host("MemorySwappiness", int),
    "oom_kill_disable": _host("OomKillDisable", bool),
    "oom_score_adj": _host("OomScoreAdj", int),
    "pid": _namespace("PidMode"),
    "runtime": _host("Runtime", str),
    "storage_opt": _host("StorageOpt", _string_map),
    "use_api_socket": _api_socket,
    "userns_mode": _host("UsernsMode"),
    "uts": _host("UTSMode"),
    "volumes_from": _volumes_from,
}
"""Every option that has a field of its own in the engine's request."""

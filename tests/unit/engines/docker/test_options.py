"""Every key of the long tail, and where it arrives."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from havre.engines.docker.options import HONOURED, apply_options, device_requests

PEERS = {"db": "db-id"}

CASES: list[tuple[str, Any, dict[str, Any]]] = [
    ("annotations", {"a": 1}, {"Annotations": {"a": "1"}}),
    (
        "blkio_config",
        {
            "weight": 300,
            "weight_device": [{"path": "/dev/sda", "weight": 400}],
            "device_read_bps": [{"path": "/dev/sda", "rate": "12mb"}],
            "device_write_bps": [{"path": "/dev/sda", "rate": 1024}],
            "device_read_iops": [{"path": "/dev/sda", "rate": 120}],
            "device_write_iops": [{"path": "/dev/sda", "rate": "30"}],
        },
        {
            "BlkioWeight": 300,
            "BlkioWeightDevice": [{"Path": "/dev/sda", "Weight": 400}],
            "BlkioDeviceReadBps": [{"Path": "/dev/sda", "Rate": 12 << 20}],
            "BlkioDeviceWriteBps": [{"Path": "/dev/sda", "Rate": 1024}],
            "BlkioDeviceReadIOps": [{"Path": "/dev/sda", "Rate": 120}],
            "BlkioDeviceWriteIOps": [{"Path": "/dev/sda", "Rate": 30}],
        },
    ),
    ("cgroup", "private", {"CgroupnsMode": "private"}),
    ("cgroup_parent", "m-executor", {"CgroupParent": "m-executor"}),
    ("cpu_period", "100ms", {"CpuPeriod": 100_000}),
    ("cpu_quota", 50_000, {"CpuQuota": 50_000}),
    ("cpu_rt_period", "1400us", {"CpuRealtimePeriod": 1400}),
    ("cpu_rt_runtime", "1s", {"CpuRealtimeRuntime": 1_000_000}),
    ("cpu_shares", "512", {"CpuShares": 512}),
    ("cpuset", "0,1", {"CpusetCpus": "0,1"}),
    ("device_cgroup_rules", ["c 1:3 mr"], {"DeviceCgroupRules": ["c 1:3 mr"]}),
    (
        "devices",
        ["/dev/a", "/dev/b:/dev/c", "/dev/d:/dev/e:r", "/dev/f:rw", {"source": "/dev/g", "target": "/dev/h"}],
        {
            "Devices": [
                {"PathOnHost": "/dev/a", "PathInContainer": "/dev/a", "CgroupPermissions": "rwm"},
                {"PathOnHost": "/dev/b", "PathInContainer": "/dev/c", "CgroupPermissions": "rwm"},
                {"PathOnHost": "/dev/d", "PathInContainer": "/dev/e", "CgroupPermissions": "r"},
                {"PathOnHost": "/dev/f", "PathInContainer": "/dev/f", "CgroupPermissions": "rw"},
                {"PathOnHost": "/dev/g", "PathInContainer": "/dev/h", "CgroupPermissions": "rwm"},
            ]
        },
    ),
    ("gpus", "all", {"DeviceRequests": [{"Count": -1, "Capabilities": [["gpu"]]}]}),
    ("group_add", ["mail", 27], {"GroupAdd": ["mail", "27"]}),
    ("ipc", "service:db", {"IpcMode": "container:db-id"}),
    ("ipc", "shareable", {"IpcMode": "shareable"}),
    ("isolation", "default", {"Isolation": "default"}),
    ("mem_swappiness", 10, {"MemorySwappiness": 10}),
    ("oom_kill_disable", True, {"OomKillDisable": True}),
    ("oom_score_adj", -500, {"OomScoreAdj": -500}),
    ("pid", "host", {"PidMode": "host"}),
    ("runtime", "runsc", {"Runtime": "runsc"}),
    ("storage_opt", {"size": "1G"}, {"StorageOpt": {"size": "1G"}}),
    ("use_api_socket", True, {"Binds": ["/var/run/docker.sock:/var/run/docker.sock"]}),
    ("userns_mode", "host", {"UsernsMode": "host"}),
    ("uts", "host", {"UTSMode": "host"}),
    ("volumes_from", ["db:ro", "container:other"], {"VolumesFrom": ["db-id:ro", "other"]}),
]


def empty() -> dict[str, Any]:
    return {"HostConfig": {}, "NetworkingConfig": {"EndpointsConfig": {"net": {"Aliases": []}}}}


@pytest.mark.parametrize(("key", "value", "expected"), CASES)
def test_an_option_arrives_in_the_host_configuration(key: str, value: Any, expected: dict[str, Any]) -> None:
    body = empty()

    apply_options(body, ((key, msgspec.json.encode(value).decode()),), PEERS)

    assert body["HostConfig"] == expected


@pytest.mark.parametrize("key", ["links", "external_links"])
def test_links_are_names_on_the_network(key: str) -> None:
    body = empty()

    apply_options(body, ((key, '["db","other:alias"]'),), PEERS)

    assert body["NetworkingConfig"]["EndpointsConfig"]["net"]["Links"] == ["db-id:db", "other:alias"]


def test_every_honoured_option_is_tried_here() -> None:
    tried = {key for key, _, _ in CASES} | {"links", "external_links", "mac_address"}

    assert set(HONOURED) == tried


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"count": 2, "capabilities": ["gpu"]}, [{"Count": 2, "Capabilities": [["gpu"]]}]),
        (
            [{"driver": "nvidia", "device_ids": ["0", "3"], "capabilities": ["gpu", "utility"], "options": {"a": 1}}],
            [
                {
                    "Count": 0,
                    "Capabilities": [["gpu", "utility"]],
                    "Driver": "nvidia",
                    "DeviceIDs": ["0", "3"],
                    "Options": {"a": "1"},
                }
            ],
        ),
    ],
)
def test_device_reservations(wanted: Any, expected: Any) -> None:
    assert device_requests(wanted) == expected

"""The Compose Specification as shapes: every key, what it takes, and what is in it."""

from __future__ import annotations

from havre.compose.shapes import (
    BOOLEAN,
    INTEGER,
    LIST,
    NULL,
    NUMBER,
    STRING,
    Shape,
    listing,
    mapping,
    one,
)

_NAME = r"^[a-zA-Z0-9._-]+$"
_NOT_EMPTY = "."
_TEXT = one(STRING)
_FLAG = one(BOOLEAN, STRING)
_COUNT = one(INTEGER, STRING)
_AMOUNT = one(NUMBER, STRING)
_SCALAR = one(STRING, NUMBER, BOOLEAN, NULL)
_OPTION = one(STRING, NUMBER)

_TEXTS = listing(_TEXT)
_NAMES = listing(_TEXT, is_set=True)
_TEXT_OR_NAMES = listing(_TEXT, STRING, is_set=True)
_TEXT_OR_LIST = listing(_TEXT, STRING)
_PAIRS = mapping(None, LIST, every=_SCALAR, key_pattern=_NOT_EMPTY, extensible=False, items=_TEXT, is_set=True)
_OPTIONS = mapping(None, every=_OPTION, key_pattern=_NOT_EMPTY, extensible=False)
_COMMAND = listing(_TEXT, STRING, NULL)
_HOSTS = mapping(None, LIST, every=_TEXT_OR_LIST, key_pattern=_NOT_EMPTY, extensible=False, items=_TEXT, is_set=True)
_STRICT: dict[str, bool] = {"extensible": False}

_FILE_MOUNTS = listing(mapping({"source": _TEXT, "target": _TEXT, "uid": _TEXT, "gid": _TEXT, "mode": _AMOUNT}, STRING))
_ULIMITS = mapping(
    None,
    every=mapping({"hard": _COUNT, "soft": _COUNT}, INTEGER, STRING, required=("soft", "hard")),
    key_pattern="^[a-z]+$",
    is_open=True,
)
_HOOK_KEYS = {
    "command": _COMMAND,
    "user": _TEXT,
    "privileged": _FLAG,
    "working_dir": _TEXT,
    "environment": _PAIRS,
}
_HOOK = mapping(_HOOK_KEYS, required=("command",))
_PRE_START = mapping({**_HOOK_KEYS, "image": _TEXT, "per_replica": _FLAG})
_DEVICE_KEYS = {
    "capabilities": _NAMES,
    "count": _COUNT,
    "device_ids": _NAMES,
    "driver": _TEXT,
    "options": _PAIRS,
}

_BUILD = mapping(
    {
        **dict.fromkeys(("context", "dockerfile", "dockerfile_inline", "network", "target", "isolation"), _TEXT),
        **dict.fromkeys(("args", "ssh", "labels", "additional_contexts"), _PAIRS),
        **dict.fromkeys(("cache_from", "cache_to", "entitlements", "tags", "platforms"), _TEXTS),
        **dict.fromkeys(("no_cache", "pull", "privileged", "provenance", "sbom"), _FLAG),
        "extra_hosts": _HOSTS,
        "no_cache_filter": _TEXT_OR_LIST,
        "secrets": _FILE_MOUNTS,
        "shm_size": _COUNT,
        "ulimits": _ULIMITS,
    },
    STRING,
)
_BLKIO_LIMITS = listing(mapping({"path": _TEXT, "rate": _COUNT}, **_STRICT))
_BLKIO = mapping(
    {
        **dict.fromkeys(
            ("device_read_bps", "device_read_iops", "device_write_bps", "device_write_iops"),
            _BLKIO_LIMITS,
        ),
        "weight": _COUNT,
        "weight_device": listing(mapping({"path": _TEXT, "weight": _COUNT}, **_STRICT)),
    },
    **_STRICT,
)
_DEPENDENCY = mapping(
    {
        "restart": _FLAG,
        "required": one(BOOLEAN),
        "condition": one(
            STRING,
            choices=("service_started", "service_healthy", "service_completed_successfully"),
        ),
    },
    required=("condition",),
)
_HEALTHCHECK = mapping(
    {
        **dict.fromkeys(("interval", "timeout", "start_period", "start_interval"), _TEXT),
        "disable": _FLAG,
        "retries": _AMOUNT,
        "test": _TEXT_OR_LIST,
    }
)
_ENV_FILES = listing(
    mapping({"path": _TEXT, "format": _TEXT, "required": _FLAG}, STRING, required=("path",), **_STRICT), STRING
)
_UPDATE = mapping(
    {
        **dict.fromkeys(("delay", "monitor", "failure_action"), _TEXT),
        "parallelism": _COUNT,
        "max_failure_ratio": _AMOUNT,
        "order": one(STRING, choices=("start-first", "stop-first")),
    }
)
_RESERVED_DEVICES = listing(mapping(_DEVICE_KEYS, required=("capabilities",)))
_GENERIC = listing(mapping({"discrete_resource_spec": mapping({"kind": _TEXT, "value": _AMOUNT})}))
_DEPLOY = mapping(
    {
        "mode": _TEXT,
        "endpoint_mode": _TEXT,
        "replicas": _COUNT,
        "labels": _PAIRS,
        "rollback_config": _UPDATE,
        "update_config": _UPDATE,
        "resources": mapping(
            {
                "limits": mapping({"cpus": _AMOUNT, "memory": _TEXT, "pids": _COUNT}),
                "reservations": mapping(
                    {
                        "cpus": _AMOUNT,
                        "memory": _TEXT,
                        "generic_resources": _GENERIC,
                        "devices": _RESERVED_DEVICES,
                    }
                ),
            }
        ),
        "restart_policy": mapping({"condition": _TEXT, "delay": _TEXT, "max_attempts": _COUNT, "window": _TEXT}),
        "placement": mapping(
            {
                "constraints": _TEXTS,
                "preferences": listing(mapping({"spread": _TEXT})),
                "max_replicas_per_node": _COUNT,
            }
        ),
    },
    NULL,
)
_WATCH = mapping(
    {
        "ignore": _TEXT_OR_NAMES,
        "include": _TEXT_OR_NAMES,
        "path": _TEXT,
        "action": one(STRING, choices=("rebuild", "sync", "restart", "sync+restart", "sync+exec")),
        "target": _TEXT,
        "exec": _HOOK,
        "initial_sync": one(BOOLEAN),
    },
    required=("path", "action"),
)
_ATTACHMENT = mapping(
    {
        **dict.fromkeys(("interface_name", "ipv4_address", "ipv6_address", "mac_address"), _TEXT),
        **dict.fromkeys(("aliases", "link_local_ips"), _NAMES),
        **dict.fromkeys(("priority", "gw_priority"), _AMOUNT),
        "driver_opts": _OPTIONS,
    },
    NULL,
)
_PORT = mapping(
    {
        **dict.fromkeys(("name", "mode", "host_ip", "protocol", "app_protocol"), _TEXT),
        "target": _COUNT,
        "published": _COUNT,
    },
    NUMBER,
    STRING,
)
_VOLUME_MOUNT = mapping(
    {
        "type": one(STRING, choices=("bind", "volume", "tmpfs", "cluster", "npipe", "image")),
        **dict.fromkeys(("source", "target", "consistency"), _TEXT),
        "read_only": _FLAG,
        "bind": mapping(
            {
                "propagation": _TEXT,
                "create_host_path": _FLAG,
                "recursive": one(STRING, choices=("enabled", "disabled", "writable", "readonly")),
                "selinux": one(STRING, choices=("z", "Z")),
            }
        ),
        "volume": mapping({"labels": _PAIRS, "nocopy": _FLAG, "subpath": _TEXT}),
        "tmpfs": mapping({"size": one(INTEGER, STRING, least=0), "mode": _AMOUNT}),
        "image": mapping({"subpath": _TEXT}),
    },
    STRING,
    required=("type",),
)
_PROVIDER_OPTION = listing(one(STRING, NUMBER, BOOLEAN), STRING, NUMBER, BOOLEAN)

SERVICE_KEYS: dict[str, Shape] = {
    **dict.fromkeys(
        (
            *("cgroup_parent", "cpuset", "domainname", "hostname", "image", "ipc", "isolation", "mac_address"),
            *("network_mode", "platform", "pull_refresh_after", "restart", "runtime", "stop_grace_period"),
            *("stop_signal", "user", "userns_mode", "uts", "working_dir"),
        ),
        _TEXT,
    ),
    **dict.fromkeys(("annotations", "environment", "labels", "sysctls"), _PAIRS),
    **dict.fromkeys(
        ("attach", "init", "oom_kill_disable", "privileged", "read_only", "stdin_open", "tty"),
        _FLAG,
    ),
    **dict.fromkeys(
        (
            *("cap_add", "cap_drop", "device_cgroup_rules", "dns_opt", "external_links", "links", "profiles"),
            *("security_opt", "volumes_from"),
        ),
        _NAMES,
    ),
    **dict.fromkeys(("command", "entrypoint"), _COMMAND),
    **dict.fromkeys(("configs", "secrets"), _FILE_MOUNTS),
    **dict.fromkeys(
        (
            *("cpu_period", "cpu_quota", "cpu_rt_period", "cpu_rt_runtime", "cpu_shares", "cpus", "mem_limit"),
            *("memswap_limit", "pids_limit", "shm_size"),
        ),
        _AMOUNT,
    ),
    **dict.fromkeys(("mem_reservation", "mem_swappiness", "scale"), _COUNT),
    **dict.fromkeys(("dns", "dns_search", "tmpfs"), _TEXT_OR_NAMES),
    **dict.fromkeys(("expose", "group_add"), listing(_OPTION, is_set=True)),
    **dict.fromkeys(("post_start", "pre_stop"), listing(_HOOK)),
    "blkio_config": _BLKIO,
    "build": _BUILD,
    "cgroup": one(STRING, choices=("host", "private")),
    "container_name": one(STRING, pattern=r"[a-zA-Z0-9][a-zA-Z0-9_.-]+"),
    "cpu_count": one(STRING, INTEGER, least=0),
    "cpu_percent": one(STRING, INTEGER, least=0, most=100),
    "credential_spec": mapping({"config": _TEXT, "file": _TEXT, "registry": _TEXT}),
    "depends_on": mapping(None, LIST, every=_DEPENDENCY, key_pattern=_NAME, items=_TEXT, is_set=True, extensible=False),
    "deploy": _DEPLOY,
    "develop": mapping({"watch": listing(_WATCH)}, NULL),
    "devices": listing(mapping({"source": _TEXT, "target": _TEXT, "permissions": _TEXT}, STRING, required=("source",))),
    "env_file": _ENV_FILES,
    "extends": mapping({"service": _TEXT, "file": _TEXT}, STRING, required=("service",), **_STRICT),
    "extra_hosts": _HOSTS,
    "gpus": listing(mapping(_DEVICE_KEYS), STRING, choices=("all",)),
    "healthcheck": _HEALTHCHECK,
    "label_file": _TEXT_OR_LIST,
    "logging": mapping({"driver": _TEXT, "options": mapping(None, every=one(STRING, NUMBER, NULL), extensible=False)}),
    "models": mapping(
        None,
        LIST,
        every=mapping({"endpoint_var": _TEXT, "model_var": _TEXT}, NULL),
        key_pattern=_NAME,
        is_open=True,
        items=_TEXT,
        is_set=True,
    ),
    "networks": mapping(None, LIST, every=_ATTACHMENT, key_pattern=_NAME, items=_TEXT, is_set=True),
    "oom_score_adj": one(STRING, INTEGER, least=-1000, most=1000),
    "pid": one(STRING, NULL),
    "ports": listing(_PORT, is_set=True),
    "pre_start": listing(_PRE_START),
    "provider": mapping(
        {"type": _TEXT, "options": mapping(None, every=_PROVIDER_OPTION, extensible=False)}, required=("type",)
    ),
    "pull_policy": one(
        STRING,
        pattern=r"always|never|build|if_not_present|missing|refresh|daily|weekly|every_([0-9]+[wdhms])+",
    ),
    "storage_opt": mapping(None, is_open=True),
    "ulimits": _ULIMITS,
    "use_api_socket": one(BOOLEAN),
    "volumes": listing(_VOLUME_MOUNT, is_set=True),
}

_EXTERNAL = mapping({"name": _TEXT}, BOOLEAN, STRING)
_DRIVEN = {"name": _TEXT, "driver": _TEXT, "driver_opts": _OPTIONS, "external": _EXTERNAL, "labels": _PAIRS}
_ADDRESS_POOL = mapping(
    {
        "subnet": _TEXT,
        "ip_range": _TEXT,
        "gateway": _TEXT,
        "aux_addresses": mapping(None, every=_TEXT, extensible=False),
    }
)
_IPAM = mapping(
    {"driver": _TEXT, "config": listing(_ADDRESS_POOL), "options": mapping(None, every=_TEXT, extensible=False)}
)
NETWORK_KEYS: dict[str, Shape] = {
    **_DRIVEN,
    **dict.fromkeys(("internal", "enable_ipv4", "enable_ipv6", "attachable"), _FLAG),
    "ipam": _IPAM,
}
VOLUME_KEYS: dict[str, Shape] = _DRIVEN
SECRET_KEYS: dict[str, Shape] = {**_DRIVEN, **dict.fromkeys(("environment", "file", "template_driver"), _TEXT)}
CONFIG_KEYS: dict[str, Shape] = {
    "name": _TEXT,
    "external": _EXTERNAL,
    "labels": _PAIRS,
    **dict.fromkeys(("content", "environment", "file", "template_driver"), _TEXT),
}
MODEL_KEYS: dict[str, Shape] = {
    "name": _TEXT,
    "model": _TEXT,
    "context_size": one(INTEGER),
    "runtime_flags": _TEXTS,
}
INCLUDE = mapping({"path": _TEXT_OR_LIST, "env_file": _TEXT_OR_LIST, "project_directory": _TEXT}, STRING, **_STRICT)

SERVICE = mapping(SERVICE_KEYS)
TOP_KEYS: dict[str, Shape] = {
    "version": _TEXT,
    "name": _TEXT,
    "include": listing(INCLUDE),
    "services": mapping(None, every=SERVICE, key_pattern=_NAME, extensible=False),
    "networks": mapping(None, every=mapping(NETWORK_KEYS, NULL), key_pattern=_NAME, is_open=True, extensible=False),
    "volumes": mapping(None, every=mapping(VOLUME_KEYS, NULL), key_pattern=_NAME, extensible=False),
    "secrets": mapping(None, every=mapping(SECRET_KEYS), key_pattern=_NAME, extensible=False),
    "configs": mapping(None, every=mapping(CONFIG_KEYS), key_pattern=_NAME, extensible=False),
    "models": mapping(
        None, every=mapping(MODEL_KEYS, required=("model",)), key_pattern=_NAME, is_open=True, extensible=False
    ),
}
DOCUMENT = mapping(TOP_KEYS)

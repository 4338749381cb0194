"""How `build`, `deploy` and the keys that limit resources are treated."""

from __future__ import annotations

from havre.compose.key_rows import (
    FROM_SOURCE,
    KNOWN_NAMES,
    NO_CONTAINER,
    WINDOWS,
    Rows,
    changed,
    honoured,
    joined,
    refused,
    rows,
)

_S = "services.*"

_BUILD = joined(
    rows(
        f"{_S}.build", ".", honoured("built before anything is replaced; unchanged input is not built again"),
        changed("the service runs from this directory; its dependencies are prepared once per content"),
    ),
    rows(f"{_S}.build", "context", honoured()),
    rows(
        f"{_S}.build", "dockerfile dockerfile_inline target args", honoured(),
        changed("its directory, variables, port and command are taken over; its RUN lines are not run"),
    ),
    rows(
        f"{_S}.build",
        "labels network tags cache_from extra_hosts shm_size no_cache pull platforms",
        honoured(),
        FROM_SOURCE,
    ),
    rows(
        f"{_S}.build",
        "additional_contexts cache_to entitlements no_cache_filter privileged provenance sbom secrets secrets.[].source"
        " secrets.[].target ssh ulimits ulimits.*.soft ulimits.*.hard",
        honoured("needs buildx; without it the build is refused, never made without this key"),
        FROM_SOURCE,
    ),
    rows(
        f"{_S}.build", "secrets.[].uid secrets.[].gid secrets.[].mode",
        changed("no effect: the Dockerfile's `RUN --mount=type=secret` says who may read it"), FROM_SOURCE,
    ),
    rows(f"{_S}.build", "isolation", WINDOWS),
)  # fmt: skip

_ONE_MACHINE = changed("no effect: it chooses among the machines of a Swarm, and there is one machine")
_LIMITED = honoured()
_CGROUP = honoured("through a cgroup where this user may make one; otherwise Havre says that it is not enforced")

_SCALE = joined(
    rows(f"{_S}.deploy", ". replicas", honoured("replicas are reached through the edge")),
    rows(
        f"{_S}.deploy", "mode",
        changed("on one machine `global` is one replica; the job modes are refused, a job is a service that others"
                " wait to see completed"),
    ),
    rows(f"{_S}.deploy", "endpoint_mode", changed("no effect: every service is reached by name and through the edge")),
    rows(f"{_S}.deploy", "labels", changed("kept in the record: they are labels of a Swarm service")),
    rows(
        f"{_S}.deploy.placement",
        ". constraints preferences preferences.[].spread max_replicas_per_node",
        _ONE_MACHINE,
    ),
)  # fmt: skip

_RESTART = joined(
    rows(f"{_S}.deploy.restart_policy", ". condition max_attempts", honoured("counts more than `restart`")),
    rows(
        f"{_S}.deploy.restart_policy",
        "delay window",
        changed("no effect: the engine waits a little longer after each failure, from 0.1 s up to a minute"),
        changed("no effect: the supervisor waits a little longer after each failure"),
    ),
)

_UPDATE = joined(
    rows(f"{_S}.deploy.update_config", ". order", honoured("start-first or stop-first; the plan says which and why")),
    rows(
        f"{_S}.deploy.update_config",
        "parallelism delay",
        changed(
            "no effect: all new replicas are started and proven beside the old, then all traffic moves in one step"
        ),
    ),
    rows(
        f"{_S}.deploy.update_config",
        "failure_action max_failure_ratio monitor",
        changed("a release always goes back as a whole when any replica fails its proof, before traffic moves"),
    ),
    rows(
        f"{_S}.deploy.rollback_config",
        ". order parallelism delay failure_action max_failure_ratio monitor",
        changed("a rollback is a release of the earlier record and follows the same rules"),
    ),
)

_DEVICES = changed("the process sees the GPUs and other devices that its user may open")
_REQUEST = ". [].capabilities [].count [].device_ids [].driver [].options"

_DEPLOY_RESOURCES = joined(
    rows(f"{_S}.deploy.resources", ". limits reservations", honoured()),
    rows(f"{_S}.deploy.resources.limits", "cpus memory pids", _LIMITED, _CGROUP),
    rows(
        f"{_S}.deploy.resources.reservations", "memory",
        honoured("also counted when Havre asks whether the server has room"),
        changed("counted when Havre asks whether the server has room; the kernel is not told"),
    ),
    rows(
        f"{_S}.deploy.resources.reservations", "cpus",
        changed("no effect: on one machine a share of CPU cannot be set aside; `cpus` limits, `cpu_shares` weighs"),
    ),
    rows(f"{_S}.deploy.resources.reservations.devices", _REQUEST, honoured(), _DEVICES),
    rows(
        f"{_S}.deploy.resources.reservations.generic_resources",
        ". [].discrete_resource_spec [].discrete_resource_spec.kind [].discrete_resource_spec.value",
        _ONE_MACHINE,
    ),
)  # fmt: skip

_OWN_RESOURCES = joined(
    rows(_S, "mem_limit cpus pids_limit", _LIMITED, _CGROUP),
    rows(
        _S, "mem_reservation", honoured("also counted when Havre asks whether the server has room"),
        changed("counted when Havre asks whether the server has room; the kernel is not told"),
    ),
    rows(
        _S,
        "memswap_limit mem_swappiness oom_kill_disable cgroup_parent cpu_period cpu_quota cpu_rt_period"
        " cpu_rt_runtime cpu_shares cpuset shm_size",
        honoured(),
        changed("no effect: only memory, CPU and the number of processes are limited here"),
    ),
    rows(_S, "oom_score_adj", honoured(), NO_CONTAINER),
    rows(_S, "cpu_count cpu_percent", WINDOWS),
    rows(f"{_S}.ulimits", ". *.soft *.hard", honoured()),
    rows(f"{_S}.gpus", _REQUEST, honoured(), _DEVICES),
    rows(
        f"{_S}.blkio_config",
        ". weight weight_device weight_device.[].path weight_device.[].weight"
        + "".join(
            f" {key} {key}.[].path {key}.[].rate"
            for key in ("device_read_bps", "device_read_iops", "device_write_bps", "device_write_iops")
        ),
        honoured(),
        changed("no effect: only memory, CPU and the number of processes are limited here"),
    ),
)  # fmt: skip

DEPLOYMENT_KEYS: Rows = joined(_BUILD, _SCALE, _RESTART, _UPDATE, _DEPLOY_RESOURCES, _OWN_RESOURCES)

_OUTSIDE = "Docker keeps such objects in a Swarm only, and Havre has its own sealed store"

_FILES = joined(
    *(
        joined(
            rows(kind, ". *.file *.environment", honoured()),
            rows(f"{kind}.*", "name", changed("no effect: the entry is known by its key")),
            rows(
                f"{kind}.*", "external external.name", refused(_OUTSIDE, f"use `file:` or `environment:` in `{kind}`"),
            ),
            rows(f"{kind}.*", "labels", changed("no effect: it is a file, and a file has no labels")),
            rows(f"{kind}.*", "template_driver", refused("only a Swarm fills in templates", "write the finished text")),
        )
        for kind in ("secrets", "configs")
    ),
    rows("configs.*", "content", honoured()),
    rows("secrets.*", "driver driver_opts", refused(_OUTSIDE, "use `file:` or `environment:`")),
)  # fmt: skip

_NO_NETWORK = changed("no effect: a network only says which services know each other's names")

_SHARED = joined(
    rows("networks", ".", honoured(), KNOWN_NAMES),
    rows(
        "networks.*",
        "name driver driver_opts attachable internal enable_ipv6 labels external external.name ipam ipam.driver"
        " ipam.options ipam.config ipam.config.[].subnet ipam.config.[].gateway ipam.config.[].ip_range"
        " ipam.config.[].aux_addresses",
        honoured(),
        _NO_NETWORK,
    ),
    rows(
        "networks.*", "enable_ipv4", honoured(), _NO_NETWORK, since=(1, 47),
        before=refused("this Docker Engine gives every network IPv4", "upgrade it to 27.2 or later, or remove the key"),
    ),
    rows("volumes", ".", honoured(), honoured("each is a directory below Havre's state directory")),
    rows("volumes.*", "name external external.name", honoured()),
    rows("volumes.*", "driver driver_opts labels", honoured(), changed("no effect: a volume is a directory")),
)  # fmt: skip

_DOCUMENT = joined(
    rows("", "name", changed("the instance's name comes from havre.yaml and takes its place")),
    rows("", "version", changed("no effect: the Compose Specification has no versions any more; the line can go")),
    rows("include", ". [].path [].project_directory [].env_file", honoured("resolved when the files are read")),
    rows(
        "models", ". *.name *.model *.context_size *.runtime_flags",
        refused("Docker Model Runner is no part of the Docker Engine", "run the model as a service of its own"),
    ),
)  # fmt: skip

TOP_KEYS: Rows = joined(_FILES, _SHARED, _DOCUMENT)

"""How each key of a service is treated, all but `build`, `deploy` and the limits of resources."""

from __future__ import annotations

from havre.compose.key_rows import (
    BY_LOADING,
    KNOWN_NAMES,
    NO_CONTAINER,
    ONE_NETWORK,
    WINDOWS,
    Rows,
    changed,
    honoured,
    joined,
    refused,
    rows,
)

_S = "services.*"

_IDENTITY = joined(
    rows("services", ".", honoured()),
    rows(_S, "command entrypoint working_dir stop_signal stop_grace_period restart", honoured()),
    rows(
        _S,
        "image",
        honoured("pinned by digest in the release"),
        changed("PostgreSQL, Redis and Valkey run from this machine's programs or PyPI; other images are refused"),
    ),
    rows(
        _S,
        "container_name",
        changed("becomes a name on the service's networks; containers get a name per replica, so that two can run"),
        changed("becomes one more name under which the other services reach it"),
    ),
    rows(
        _S, "hostname", honoured(), changed("one more name for the service; the process sees the machine's")
    ),
    rows(
        _S, "user", honoured(), changed("as root a user this machine knows, else the instance's own; without root you")
    ),
    rows(_S, "platform", honoured(), changed("no effect: no image is pulled")),
    rows(
        _S, "pull_policy pull_refresh_after",
        changed("an image is pulled when it is missing, and `havre deploy --pull` asks for newer ones first"),
        changed("no effect: no image is pulled"),
    ),
    rows(_S, "domainname init tty stdin_open runtime userns_mode uts", honoured(), NO_CONTAINER),
    rows(_S, "annotations", honoured(), NO_CONTAINER, since=(1, 43), before=refused(
        "this Docker Engine cannot annotate containers", "upgrade it to 24.0 or later, or use `labels`")),
    rows(_S, "labels", honoured(), changed("kept in the release record; a process has no labels")),
    rows(_S, "isolation credential_spec credential_spec.file credential_spec.registry credential_spec.config", WINDOWS),
    rows(_S, "attach", changed("no effect: `havre logs SERVICE` chooses whose output you follow")),
    rows(_S, "scale", honoured("replicas are reached through the edge")),
)  # fmt: skip

_LOADED = rows(
    _S,
    "extends extends.file extends.service profiles env_file env_file.[].path env_file.[].required env_file.[].format"
    " label_file",
    BY_LOADING,
)

_ENVIRONMENT = rows(_S, "environment", honoured())

_HEALTH = joined(
    rows(f"{_S}.healthcheck", ". disable retries timeout start_period", honoured()),
    rows(f"{_S}.healthcheck", "test", honoured("Havre runs it itself, and does not believe an answer such as NOAUTH")),
    rows(
        f"{_S}.healthcheck",
        "interval",
        honoured("during a release Havre probes at once and often; afterwards at this interval"),
    ),
    rows(
        f"{_S}.healthcheck", "start_interval", honoured(), since=(1, 44),
        before=changed("during a release Havre probes more often anyway; this Docker Engine has no such setting"),
    ),
)  # fmt: skip

_ORDER = joined(
    rows(f"{_S}.depends_on", ". *.condition *.required", honoured()),
    rows(f"{_S}.depends_on", "*.restart", honoured("dependents are replaced after their dependency")),
    rows(_S, "links", changed("each alias becomes a name of the linked service on the networks both are on")),
    rows(
        _S,
        "external_links",
        honoured("to a container of exactly that name"),
        refused("there are no containers here", "name the other service's address in `extra_hosts`"),
    ),
)

_PORTS = joined(
    rows(
        _S,
        "ports",
        changed("TCP ports are opened by the edge, which leads to the replicas; others by the replica itself"),
        changed("opened by the edge, which leads to the replicas"),
    ),
    rows(f"{_S}.ports.[]", "target published host_ip protocol", honoured()),
    rows(f"{_S}.ports.[]", "name app_protocol", honoured("a description; kept in the record")),
    rows(f"{_S}.ports.[]", "mode", changed("no effect on a single machine: the edge opens the port either way")),
    rows(_S, "expose", honoured()),
)

_NETWORKS = joined(
    rows(_S, "networks", honoured(), KNOWN_NAMES),
    rows(f"{_S}.networks.*", "aliases", honoured()),
    rows(
        f"{_S}.networks.*",
        "ipv4_address ipv6_address",
        honoured("one replica at a time can have it, so the service is replaced stop-first"),
        ONE_NETWORK,
    ),
    rows(f"{_S}.networks.*", "link_local_ips driver_opts priority", honoured(), ONE_NETWORK),
    rows(
        f"{_S}.networks.*", "mac_address", honoured(), ONE_NETWORK, since=(1, 44),
        before=refused("this Docker Engine cannot give one network of a container a MAC address",
                       "upgrade it to 25.0 or later, or use the service's own `mac_address`"),
    ),
    rows(
        f"{_S}.networks.*", "interface_name", honoured(), ONE_NETWORK, since=(1, 49),
        before=refused("this Docker Engine cannot name a container's interfaces",
                       "upgrade it to 28.1 or later, or remove the key"),
    ),
    rows(
        f"{_S}.networks.*", "gw_priority",
        refused("Havre does not choose which network is the container's way out",
                "remove the key; mark networks that must not lead out `internal: true`"),
        ONE_NETWORK,
    ),
    rows(_S, "network_mode", honoured("without networks of its own it is not reached through the edge"), ONE_NETWORK),
    rows(_S, "mac_address", honoured(), ONE_NETWORK),
    rows(_S, "dns dns_opt dns_search", honoured(), changed("no effect: names are resolved as on this machine")),
    rows(_S, "extra_hosts", honoured()),
)  # fmt: skip

_MOUNTS = joined(
    rows(_S, "volumes", honoured(), honoured("a named volume is a directory below Havre's state directory")),
    rows(f"{_S}.volumes.[]", "type source target read_only", honoured()),
    rows(
        f"{_S}.volumes.[]",
        "consistency",
        changed("no effect: it was for Docker Desktop on macOS; on Linux every mount is consistent"),
    ),
    rows(f"{_S}.volumes.[]", "bind bind.create_host_path", honoured()),
    rows(f"{_S}.volumes.[]", "bind.propagation bind.selinux", honoured(), NO_CONTAINER),
    rows(
        f"{_S}.volumes.[]",
        "bind.recursive",
        refused("Havre always binds a directory with what is mounted below it", "remove the key"),
    ),
    rows(f"{_S}.volumes.[]", "volume volume.nocopy", honoured()),
    rows(f"{_S}.volumes.[]", "volume.labels", honoured(), changed("no effect: a directory has no labels")),
    rows(
        f"{_S}.volumes.[]", "volume.subpath", honoured(), since=(1, 45),
        before=refused("this Docker Engine mounts whole volumes only",
                       "upgrade it to 26.0 or later, or use one volume per directory"),
    ),
    rows(f"{_S}.volumes.[]", "tmpfs tmpfs.size tmpfs.mode", honoured()),
    rows(
        f"{_S}.volumes.[]",
        "image image.subpath",
        refused("Havre does not mount images", "copy the files in a Dockerfile (COPY --from=<image>) or into a volume"),
    ),
    rows(_S, "volumes_from", changed("its named volumes and binds are mounted too, its anonymous ones are not")),
    rows(_S, "tmpfs", honoured()),
)  # fmt: skip

_GRANTS = joined(
    rows(f"{_S}.secrets", ". [].source [].target", honoured("a file that is never part of a record in the clear")),
    rows(f"{_S}.configs", ". [].source [].target", honoured()),
    *(
        rows(
            f"{_S}.{kind}.[]",
            "uid gid",
            honoured("for content given in the file or the environment; a file keeps its own owner"),
            changed("the file belongs to the user that runs the service"),
        )
        for kind in ("secrets", "configs")
    ),
    *(
        rows(
            f"{_S}.{kind}.[]",
            "mode",
            honoured("for content given in the file or the environment; a file keeps its own mode"),
            honoured(),
        )
        for kind in ("secrets", "configs")
    ),
)

_HOOK = ". [].command [].user [].working_dir [].environment"

_HOOKS = joined(
    *(
        joined(
            rows(f"{_S}.{kind}", _HOOK, honoured(), honoured("`user` needs root")),
            rows(f"{_S}.{kind}", "[].privileged", honoured(), NO_CONTAINER),
        )
        for kind in ("post_start", "pre_stop")
    ),
    rows(
        f"{_S}.pre_start",
        f"{_HOOK} [].privileged [].image [].per_replica",
        refused(
            "Havre does not run containers before a container",
            "make it a service that others wait for (`service_completed_successfully`), or use `release.migrate`",
        ),
    ),
)

_LOGGING = joined(
    rows(f"{_S}.logging", ". driver", honoured(), changed("output goes to files, rotated at 10 MB, three of each")),
    rows(f"{_S}.logging", "options", honoured(), changed("`max-size` and `max-file` count, the others have no effect")),
)

_RIGHTS = joined(
    rows(
        _S,
        "cap_add cap_drop privileged read_only sysctls ipc pid cgroup group_add device_cgroup_rules"
        " storage_opt",
        honoured(),
        NO_CONTAINER,
    ),
    rows(_S, "security_opt", honoured(), changed("`no-new-privileges` is kept, the others have no effect")),
    rows(
        f"{_S}.devices", ". [].source [].target [].permissions", honoured(),
        changed("the process sees the devices that its user may open"),
    ),
    rows(
        _S, "use_api_socket",
        changed("the Engine's socket is mounted; your registry credentials are not"),
        refused("there is no Docker Engine here", "remove the key"),
    ),
)  # fmt: skip

_NOT_OURS = joined(
    rows(
        f"{_S}.develop",
        ". watch"
        + "".join(
            f" watch.[].{key}"
            for key in (
                "action", "path", "target", "ignore", "include", "initial_sync", "exec", "exec.command", "exec.user",
                "exec.working_dir", "exec.environment", "exec.privileged",
            )
        ),
        changed("no effect: watching source files belongs to development, not to a release"),
    ),
    rows(
        f"{_S}.provider", ". type options",
        refused("the service is made by an external program, which Havre does not run",
                "run that program yourself and pass what it returns as environment variables"),
    ),
    rows(
        f"{_S}.models", ". *.endpoint_var *.model_var",
        refused("Docker Model Runner is no part of the Docker Engine",
                "run the model as a service of its own and give its address as an environment variable"),
    ),
)  # fmt: skip

SERVICE_KEYS: Rows = joined(
    _IDENTITY, _LOADED, _ENVIRONMENT, _HEALTH, _ORDER, _PORTS, _NETWORKS, _MOUNTS, _GRANTS, _HOOKS, _LOGGING, _RIGHTS,
    _NOT_OURS,
)  # fmt: skip

"""How well-known images check a configuration file: by their own program, which says whether it would start with it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from havre.model.images import image_name
from havre.model.project import Mount, MountKind, Resources, Service
from havre.model.units import MIB

MEMORY = 256 * MIB
"""Bytes that a trial may use: it reads files, it serves nobody."""

_WRITTEN = re.compile(r"/(?:logs?|run|cache|tmp|data|lib|spool)(?:/|$)")
"""Directories that are written: a trial gets an empty one there instead of what the service has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One question to the program of a service's image: would you start with these files?"""

    tool: str
    """As people know it: `nginx -t`."""
    argv: tuple[str, ...]
    file: str
    """The file that a complaint without a file name is about, as the container sees it."""
    user: str | None = None
    with_entrypoint: bool = False
    """The image's own entry prepares the configuration (fills in templates) and must run before."""
    is_strict: bool = True
    """False where it also refuses for what is there only when the app runs, such as a certificate."""
    unless: str = ""
    """A pattern: an answer that has it means that everything was read, whatever the exit code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foundation:
    """What an image that is built stands on, as its Dockerfile says.

    `copied` is (path in the image, path on this server; empty for what another stage made) of every file and directory
    that is put in; `command` what it runs unless told otherwise; `entrypoint` what another command leaves of that.
    """

    base: str
    copied: tuple[tuple[str, str], ...] = ()
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()


Ask = Callable[[Service], Trial | None]
"""What to ask of a service; None where no file of that kind comes to it from outside its well-known image."""


def trials_of(service: Service, foundation: Foundation | None = None) -> tuple[Trial, ...]:
    """What can be asked about the configuration files of a service; usually nothing or one.

    Of an image that is built only its `foundation` tells which programs are in it.
    """
    if service.build is not None and foundation is None:
        return ()
    image = foundation.base if foundation else service.image
    seen = _with_copied(service, foundation) if foundation else service
    found = (ask(seen) for ask in FAMILIES.get(image_name(image), ()))
    return tuple(trial for trial in found if trial is not None)


def _with_copied(service: Service, foundation: Foundation) -> Service:
    """The service as if what its Dockerfile copies were mounted: either way it is not the well-known image's own."""
    copied = (Mount(kind=MountKind.BIND, target=target) for target, _ in foundation.copied)
    command = service.command or (foundation.command if service.entrypoint is None else None)
    return replace(service, mounts=(*service.mounts, *copied), command=command)


def as_trial(
    service: Service, trial: Trial, *, volumes: Collection[str] = (), hosts: Mapping[str, str] | None = None
) -> Service:
    """The service as it is tried: its image and files, read-only, without a network; `hosts` are names it may look up.

    `volumes` are the named volumes (by the project's keys) that exist: looking must not make any.
    """
    keeps_entry = trial.with_entrypoint and service.entrypoint is None
    return Service(
        name=service.name,
        image=service.image,
        entrypoint=None if keeps_entry else trial.argv[:1],
        command=trial.argv if keeps_entry else trial.argv[1:],
        environment=service.environment,
        mounts=tuple(_to_look_at(mount, trial, volumes) for mount in service.mounts),
        secrets=service.secrets,
        configs=service.configs,
        network_mode="none",
        extra_hosts=(*service.extra_hosts, *(f"{name}:{address}" for name, address in sorted((hosts or {}).items()))),
        resources=Resources(memory=MEMORY, pids=200),
        user=trial.user or service.user,
        working_dir=service.working_dir,
        platform=service.platform,
    )


def _to_look_at(mount: Mount, trial: Trial, volumes: Collection[str]) -> Mount:
    """Everything is read-only; what is only written, or is not there yet, is an empty directory."""
    holds_file = trial.file == mount.target or trial.file.startswith(mount.target.rstrip("/") + "/")
    is_absent = mount.kind is MountKind.VOLUME and mount.source not in volumes
    is_written = not mount.read_only and not holds_file and _WRITTEN.search(mount.target)
    if mount.kind is MountKind.TMPFS or is_absent or is_written:
        return Mount(kind=MountKind.TMPFS, target=mount.target)
    return replace(mount, read_only=True, create_host_path=False, nocopy=True)


def _words(service: Service) -> tuple[str, ...]:
    return (*(service.entrypoint or ()), *(service.command or ()))


def _option(service: Service, *names: str) -> str | None:
    """The value of the first of these options in a service's command: `--config.file=X`, `-f X`."""
    words = _words(service)
    for index, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name in names and equals:
            return value
        if word in names and index + 1 < len(words):
            return words[index + 1]
    return None


def _is_mounted(service: Service, path: str) -> bool:
    """Whether a file, or something in a directory, comes from outside the image."""
    targets = [mount.target for mount in service.mounts if mount.kind is not MountKind.TMPFS]
    targets += [grant.target or f"/{grant.source}" for grant in service.configs]
    inside = path.rstrip("/") + "/"
    return any(
        path == target or path.startswith(target.rstrip("/") + "/") or target.startswith(inside) for target in targets
    )


def _nginx(program: str, file: str) -> Ask:
    def ask(service: Service) -> Trial | None:
        given = _option(service, "-c")
        main = given or file
        if not _is_mounted(service, posixpath.dirname(main)):
            return None
        argv = (program, "-t", *(("-c", given) if given else ()))
        return Trial(tool=f"{program} -t", argv=argv, file=main, with_entrypoint=True, is_strict=False)

    return ask


def _with_option(*argv: str, options: tuple[str, ...], file: str) -> Ask:
    """A program that takes the file's path where `FILE` stands in `argv`; `options` of the command may name it."""

    def ask(service: Service) -> Trial | None:
        main = _option(service, *options) or file
        if not _is_mounted(service, main):
            return None
        filled = tuple(word.replace("FILE", main) for word in argv)
        tool = " ".join(word for word in argv if "FILE" not in word and word not in ("-f", "--config"))
        return Trial(tool=tool, argv=filled, file=main)

    return ask


def _redis(program: str) -> Ask:
    """Redis only reads its file when it starts: an unknown option behind the file ends that as soon as it is read."""

    def ask(service: Service) -> Trial | None:
        main = next((word for word in _words(service) if word.endswith(".conf") and word.startswith("/")), None)
        if main is None or not _is_mounted(service, main):
            return None
        argv = (program, main, "--end-of-trial", "yes")
        return Trial(tool=program, argv=argv, file=main, unless=r">>> 'end-of-trial")

    return ask


def _postgres(service: Service) -> Trial | None:
    main = _postgres_setting(service, "config_file")
    if main is None or not _is_mounted(service, main):
        return None
    argv = ("postgres", "-C", "config_file", "-c", f"config_file={main}", "-D", "/tmp")  # noqa: S108 - in the container
    return Trial(tool="postgres -C", argv=argv, file=main)


_TRY_ACCESS = """
initdb -D /tmp/trial -A trust --no-sync >/dev/null 2>&1 || exit 126
pg_ctl -D /tmp/trial -s -w -t 15 -o "-c listen_addresses= -c unix_socket_directories=/tmp -c hba_file=$0" start
code=$?
pg_ctl -D /tmp/trial -s -m immediate stop >/dev/null 2>&1
exit $code
"""
"""Who may log in is read only by a server that starts: a throw-away one does, and listens to nobody."""


def _postgres_access(service: Service) -> Trial | None:
    main = _postgres_setting(service, "hba_file")
    if main is None or not _is_mounted(service, main):
        return None
    return Trial(tool="postgres", argv=("sh", "-c", _TRY_ACCESS, main), file=main, user="postgres")


def _postgres_setting(service: Service, name: str) -> str | None:
    """`-c config_file=X` or `--config-file=X` of a server's command."""
    for word in _words(service):
        option, equals, value = word.partition("=")
        if equals and option.lstrip("-").replace("-", "_") == name:
            return value
    return None


_CONFIG = ("--config.file", "-config.file")
_NGINX = (_nginx("nginx", "/etc/nginx/nginx.conf"),)
_POSTGRES = (_postgres, _postgres_access)

FAMILIES: Mapping[str, tuple[Ask, ...]] = {
    "nginx": _NGINX,
    "nginx-unprivileged": _NGINX,
    "openresty": (_nginx("openresty", "/usr/local/openresty/nginx/conf/nginx.conf"),),
    "prometheus": (
        _with_option("promtool", "check", "config", "FILE", options=_CONFIG, file="/etc/prometheus/prometheus.yml"),
    ),
    "alertmanager": (
        _with_option("amtool", "check-config", "FILE", options=_CONFIG, file="/etc/alertmanager/alertmanager.yml"),
    ),
    "blackbox-exporter": (
        _with_option(
            "blackbox_exporter", "--config.check", "--config.file=FILE",
            options=_CONFIG, file="/etc/blackbox_exporter/config.yml",
        ),
    ),
    "loki": (
        _with_option(
            "/usr/bin/loki", "-verify-config", "-config.file=FILE", options=_CONFIG, file="/etc/loki/local-config.yaml"
        ),
    ),
    "haproxy": (
        _with_option("haproxy", "-c", "-f", "FILE", options=("-f",), file="/usr/local/etc/haproxy/haproxy.cfg"),
    ),
    "caddy": (
        _with_option(
            "caddy", "validate", "--config", "FILE", options=("--config", "-config"), file="/etc/caddy/Caddyfile"
        ),
    ),
    "httpd": (_with_option("httpd", "-t", "-f", "FILE", options=("-f",), file="/usr/local/apache2/conf/httpd.conf"),),
    "redis": (_redis("redis-server"),),
    "valkey": (_redis("valkey-server"),),
    "postgres": _POSTGRES,
    "postgis": _POSTGRES,
    "pgvector": _POSTGRES,
    "timescaledb": _POSTGRES,
}  # fmt: skip
"""What to ask, by the family of the image."""

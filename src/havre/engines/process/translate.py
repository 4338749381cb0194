"""From a service and its image to the launch of a replica: pure, no I/O."""

from __future__ import annotations

import re
import shlex
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from havre.engines.hooks import POST_START, PRE_STOP, hooks_text
from havre.engines.process.images import Image
from havre.engines.process.listening import put_ahead
from havre.engines.process.names import host_variables, variable_with_address, with_addresses
from havre.engines.process.proctable import MARK
from havre.engines.process.records import Launch, Place
from havre.errors import InputError, Problem
from havre.model.project import Service

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PRIVATE_RUN = "/havre/run"
DEFAULT_PORT = 8000
"""PORT for a service that nobody gave a port."""

_ANY = "0.0.0.0"  # noqa: S104 - what is replaced
_TMP = "/tmp"  # noqa: S108 - private to each replica
_SHELLS = frozenset({"sh", "bash", "dash", "ash"})
_COMPOUND = re.compile(
    r"[;&|<>\n(){}`]|^\s*(?:if|for|while|until|case|\w+="
    r"|(?:set|unset|export|cd|exit|eval|exec|source|trap|wait|umask|ulimit|read|shift|test|true|false|\.|:)(?:\s|$))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the engine decided and prepared for this replica before it is launched."""

    instance: str
    directory: str
    address: str
    source: str
    """The image's immutable source tree; empty for a known server."""
    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    isolated: bool = True
    mark: str = ""
    role: str = "replica"
    release: int = 0
    fingerprint: str = ""
    places: tuple[Place, ...] = ()
    networks: tuple[str, ...] = ()
    names: tuple[tuple[str, str], ...] = ()
    inside: tuple[tuple[str, str], ...] = ()
    known: Mapping[str, str] | None = None
    """Addresses by name, for the fallback without namespaces."""
    now: float = 0.0


def launch_of(service: Service, slot: int, image: Image, given: Given, command: Sequence[str] | None = None) -> Launch:
    """The launch of one replica; `command` takes the place of the service's own (a one-off)."""
    argv, whole_session = through_shell(argv_of(service, image, command))
    launch = Launch(
        instance=given.instance, service=service.name, slot=slot, role=given.role, release=given.release,
        fingerprint=given.fingerprint, image=service.image, image_id=image.id, address=given.address,
        port=known_port(service, image) if command is None else 0,
        argv=tuple(at_own_address(word, given.address) for word in argv),
        environment=tuple(environment_of(service, slot, image, given).items()), inside=given.inside,
        uid=given.uid, gid=given.gid, groups=given.groups, workdir=workdir_of(service, image),
        places=given.places, reveal=image.reveal, isolated=given.isolated, mark=given.mark, signal_group=whole_session,
        stop_signal=stop_signal(service, image), grace=service.stop_grace,
        restart=service.restart.policy if given.role == "replica" else "no", attempts=service.restart.attempts,
        memory=service.resources.memory or 0, cpus=service.resources.cpus or 0.0, pids=service.resources.pids or 0,
        limits=tuple((limit.name, limit.soft, limit.hard) for limit in service.ulimits),
        no_new_privileges=any(option.startswith("no-new-privileges") for option in service.security_opt),
        log_size=_log_size(service), log_files=_log_files(service), networks=given.networks, names=given.names,
        aliases=aliases_of(service), extra_hosts=extra_hosts(service), created_at=given.now,
        pre_stop=hooks_text(service, PRE_STOP) if given.role == "replica" else "",
    )  # fmt: skip
    return launch if given.isolated else without_view(launch, given)


def argv_of(service: Service, image: Image, command: Sequence[str] | None) -> tuple[str, ...]:
    """What runs: the manifest's command, the Procfile's, Compose's, the Procfile's `web`, the Dockerfile's."""
    procfile = dict(image.commands)
    entrypoint = image.entrypoint if service.entrypoint is None else service.entrypoint
    if command is not None:
        return (*entrypoint, *command)
    for line in (dict(image.own).get(service.name), procfile.get(service.name)):
        if line:
            return ("/bin/sh", "-c", line)
    if service.command is not None or service.entrypoint is not None:
        return (*entrypoint, *(service.command or ()))
    if "web" in procfile:
        return ("/bin/sh", "-c", procfile["web"])
    argv = (*image.entrypoint, *image.command)
    if not argv:
        raise InputError(_no_command(service))
    return argv


def through_shell(argv: tuple[str, ...]) -> tuple[tuple[str, ...], bool]:
    """A shell that only starts one program becomes that program; else signals must go to the whole session.

    Not to that of a shell that catches signals itself (`trap`): it knows what to do with its children.
    """
    if len(argv) != 3 or Path(argv[0]).name not in _SHELLS or argv[1] != "-c":
        return argv, False
    line = argv[2].strip()
    if line.startswith("exec ") or _COMPOUND.search(line):
        return argv, not line.startswith("exec ") and not re.search(r"\btrap\b", line)
    return (argv[0], "-c", f"exec {line}"), False


def environment_of(service: Service, slot: int, image: Image, given: Given) -> dict[str, str]:
    """The replica's whole environment; where it listens is the engine's to say."""
    port = _asked_port(service) or known_port(service, image) or DEFAULT_PORT
    workdir = workdir_of(service, image)
    folders = [folder if folder.startswith("/") else f"{workdir}/{folder}" for folder in image.programs]
    base = {
        "PATH": ":".join([*folders, SYSTEM_PATH]),
        "HOME": _TMP,
        "LANG": "C.UTF-8",
        "HOSTNAME": f"{service.name}-{slot}",
        "UVICORN_HOST": given.address, "UVICORN_PORT": str(port),
        "FLASK_RUN_HOST": given.address, "FLASK_RUN_PORT": str(port),
        "GUNICORN_CMD_ARGS": f"--bind={given.address}:{port}",
    }  # fmt: skip
    if image.is_source:
        base["HOSTNAME"] = given.address  # what Next.js and others bind to
    if image.kind == "postgres":
        base |= {"PGDATA": "/var/lib/postgresql/data", "HAVRE_INITDB": "/docker-entrypoint-initdb.d"}
    written = {name: value for name, value in service.environment if value is not None}
    merged = {**base, **dict(image.environment), **written}
    merged = {name: at_own_address(value, given.address, whole=True) for name, value in merged.items()}
    own = {"HOST": given.address, "PORT": str(port), "HAVRE_RUN": PRIVATE_RUN, MARK: given.mark}
    return {**put_ahead(image.ahead, merged), **own}


def known_port(service: Service, image: Image) -> int:
    """The TCP port it ought to listen on: published, exposed, asked for, or its image's own; 0 when nobody says."""
    for port in service.ports:
        if port.protocol == "tcp":
            return port.target
    for entry in service.expose:
        number, _, protocol = entry.partition("/")
        if protocol in {"", "tcp"}:
            return int(number.partition("-")[0])
    if asked := _asked_port(service):
        return asked
    replaced = image.is_source and (service.command is not None or service.entrypoint is not None)
    return image.ports[0] if image.ports and not replaced else 0


def workdir_of(service: Service, image: Image) -> str:
    """Where the source tree appears and the command starts."""
    if service.working_dir and not image.is_source:
        return service.working_dir
    path = service.working_dir or image.workdir
    return path if path.startswith("/") else f"{image.workdir.rstrip('/')}/{path}"


def stop_signal(service: Service, image: Image) -> int:
    """The number of the stop signal: Compose's, or the image's own."""
    if service.stop_signal is None:
        return signal.SIGINT if image.kind == "postgres" else signal.SIGTERM
    text = service.stop_signal.upper()
    if text.isdigit():
        return int(text)
    try:
        return signal.Signals[text if text.startswith("SIG") else f"SIG{text}"]
    except KeyError:
        raise InputError(_unknown_signal(service)) from None


def at_own_address(text: str, address: str, *, whole: bool = False) -> str:
    """`0.0.0.0` (every address of a container) becomes the replica's own; with `whole` only at the beginning."""
    if whole:
        return address + text[len(_ANY) :] if text == _ANY or text.startswith(f"{_ANY}:") else text
    return re.sub(r"(?<![\w.])0\.0\.0\.0(?![\w.])", address, text)


def without_effect(service: Service) -> tuple[str, ...]:
    """The Compose keys of this service that mean nothing to a plain process."""
    given = {
        "cap_add": service.cap_add, "cap_drop": service.cap_drop, "devices": service.resources.devices,
        "dns": service.dns, "dns_opt": service.dns_opt, "dns_search": service.dns_search,
        "network_mode": service.network_mode not in {None, "bridge"}, "platform": service.platform,
        "privileged": service.privileged, "shm_size": service.shm_size, "sysctls": service.sysctls,
    }  # fmt: skip
    others = {name for name, _ in service.options} - {POST_START, PRE_STOP}
    return tuple(sorted({*(name for name, value in given.items() if value), *others}))


def aliases_of(service: Service) -> tuple[str, ...]:
    """Its other names for its neighbours."""
    names = [alias for attachment in service.networks for alias in attachment.aliases]
    if service.container_name:
        names.append(service.container_name)
    if service.hostname:
        names.append(service.hostname)
    return tuple(dict.fromkeys(names))


def extra_hosts(service: Service) -> tuple[tuple[str, str], ...]:
    """Compose's `extra_hosts`; `host-gateway` is this machine."""
    pairs = []
    for entry in service.extra_hosts:
        name, address = entry.split("=", 1) if "=" in entry else entry.split(":", 1)
        pairs.append((name, "127.0.0.1" if address == "host-gateway" else address.strip("[]")))
    return tuple(pairs)


def without_view(launch: Launch, given: Given) -> Launch:
    """The same launch where no private view is to be had: paths and names are put into the text instead."""
    targets = dict(_moved(launch.places))
    known = given.known or {}
    environment = {
        name: value if name == "PATH" else _relocated(variable_with_address(name, value, known), targets)
        for name, value in launch.environment
    }
    private = f"{given.directory}{_TMP}"
    environment |= {"TMPDIR": private} | ({"HOME": private} if environment.get("HOME") == _TMP else {})
    return replace(
        launch,
        environment=tuple({**environment, **dict(host_variables(known))}.items()),
        argv=tuple(_relocated(with_addresses(word, known), targets) for word in launch.argv),
        workdir=_relocated(launch.workdir, targets),
    )


def _moved(places: Sequence[Place]) -> Iterator[tuple[str, str]]:
    """(target, where it really is); the machine's own /tmp and /etc stay what they are."""
    for place in places:
        if place.kind == "layer":
            yield place.target, place.source.partition(":")[0]
        elif place.kind == "bind" and place.target != _TMP and not place.target.startswith("/etc/"):
            yield place.target, place.source


def _relocated(text: str, targets: Mapping[str, str]) -> str:
    """In one pass, so that what was put in is not looked at again."""
    if not targets:
        return text
    longest_first = "|".join(re.escape(target) for target in sorted(targets, key=len, reverse=True))
    return re.sub(rf"(?<![\w./-])({longest_first})(?=/|:|\s|$|[\"'])", lambda found: targets[found[1]], text)


def _asked_port(service: Service) -> int:
    asked = dict(service.environment).get("PORT") or ""
    return int(asked) if asked.isdigit() else 0


def _log_options(service: Service) -> Mapping[str, str]:
    return dict(service.logging.options) if service.logging else {}


def _log_size(service: Service) -> int:
    found = re.fullmatch(r"(\d+)([kmg]?)b?", _log_options(service).get("max-size", "10m").lower())
    return int(found[1]) * 1024 ** " kmg".index(found[2] or " ") if found else 10 * 1024**2


def _log_files(service: Service) -> int:
    text = _log_options(service).get("max-file", "3")
    return int(text) if text.isdigit() else 3


def _no_command(service: Service) -> Problem:
    return Problem(
        summary="nothing says what to run",
        subject=service.name,
        hint=(
            f"give a command in havre.yaml (`processes: {{{service.name}: {{command: …}}}}`), "
            "in a Procfile, or a `CMD` in the Dockerfile"
        ),
        code="process-command",
    )


def _unknown_signal(service: Service) -> Problem:
    return Problem(
        summary=f"stop_signal {service.stop_signal} is not a signal",
        subject=service.name,
        hint="use a name such as SIGINT or SIGTERM",
        code="process-signal",
    )


def shown(argv: Sequence[str]) -> str:
    """A command as people write it."""
    return shlex.join(argv)


def view_places(directory: str, *, root: bool) -> Iterator[Place]:
    """What every replica gets: its own names, its own /tmp, a private place for sockets."""
    yield Place(kind="bind", target=_TMP, source=f"{directory}{_TMP}")
    yield Place(kind="bind", target=PRIVATE_RUN, source=f"{directory}/run")
    yield Place(kind="bind", target="/etc/hosts", source=f"{directory}/hosts", read_only=True)
    yield Place(kind="bind", target="/etc/nsswitch.conf", source=f"{directory}/nsswitch.conf", read_only=True)
    if root:
        yield Place(kind="bind", target="/etc/passwd", source=f"{directory}/passwd", read_only=True)
        yield Place(kind="bind", target="/etc/group", source=f"{directory}/group", read_only=True)

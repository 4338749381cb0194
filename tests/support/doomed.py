"""Run a havre command that meets a fault at an exact point of its release.

    doomed.py FAULT STEP MOMENT STATE -- deploy -y

FAULT is what is killed with SIGKILL: `havre` (this process), `edge` (every process of HAProxy), `both` of them, or
`dockerd` (whose process id is in the file that DOCKERD_PID names); `restart` asks dockerd to end.
STEP is the number of a step; 0 is before the first one, 99 after the last one and before the record is closed.
MOMENT is `started` (recorded as started, nothing done), `performed` (done, not yet recorded), `done` (recorded), or
`mid:SECONDS` after its start. What is killed is real, and so is the process that has no chance to clean up.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from havre.cli.main import main
from havre.model.release import StepState
from havre.store.releases import Releases
from havre.workflows.journal import Journal

BEFORE_ALL, AFTER_ALL = 0, 99


def kill_edge(state: Path) -> list[int]:
    """SIGKILL to HAProxy's master and workers, all at once; who was killed."""
    pid = int((state / "edge/run/edge.pid").read_text())
    family = [pid, *children(pid)]
    for member in family:
        os.kill(member, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while any(is_alive(member) for member in family) and time.monotonic() < deadline:
        time.sleep(0.005)
    return family


def children(pid: int) -> list[int]:
    """The direct children of a process."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[1]) == pid:
                found.append(int(entry.name))
    return found


def is_alive(pid: int) -> bool:
    """True unless it is gone or a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Fate:
    """Strikes once."""

    def __init__(self, fault: str, state: Path) -> None:
        self.fault, self.state = fault, state
        self.struck = False

    def strike(self) -> None:
        """Kill what the fault says; returns only when this process is to live on."""
        if self.struck:
            return
        self.struck = True
        print("-- struck", time.time(), flush=True)
        if self.fault in ("edge", "both"):
            kill_edge(self.state)
        if self.fault in ("dockerd", "restart"):
            dockerd = int(Path(os.environ["DOCKERD_PID"]).read_text())
            os.kill(dockerd, signal.SIGKILL if self.fault == "dockerd" else signal.SIGTERM)
        if self.fault in ("havre", "both"):
            os.kill(os.getpid(), signal.SIGKILL)


def arrange(fate: Fate, number: int, moment: str) -> None:
    """Have `fate` strike when the journal comes to that point."""
    record, begin, close = Journal.__call__, Journal.begin, Releases.close

    def recorded(self: Journal, step: Any, state: StepState, error: str) -> None:
        mine = step.number == number
        if mine and state is StepState.DONE and moment == "performed":
            fate.strike()
        record(self, step, state, error)
        if mine and (state.value == moment or (state is StepState.STARTED and moment == "started")):
            fate.strike()
        if mine and state is StepState.STARTED and moment.startswith("mid:"):
            threading.Timer(float(moment[4:]), fate.strike).start()

    def begun(self: Journal, plan: Any) -> None:
        if number == BEFORE_ALL:
            fate.strike()
        begin(self, plan)

    def closed(self: Releases, release: Any) -> None:
        if number == AFTER_ALL:
            fate.strike()
        close(self, release)

    Journal.__call__, Journal.begin, Releases.close = recorded, begun, closed  # type: ignore[method-assign]


if __name__ == "__main__":
    fault, step, moment, state = sys.argv[1:5]
    arrange(Fate(fault, Path(state)), int(step), moment)
    sys.argv = ["havre", *sys.argv[6:]]
    main()

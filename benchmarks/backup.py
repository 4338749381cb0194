"""A large database with JSON documents: Havre's backup and restore against `pg_dump | gzip` and `gunzip | psql`.

The base restore is that of the point-in-time tier: a base backup and its log, proven beside the live data and swapped.
Both ways of restoring are measured twice: with a primary key alone, and with the indexes that make documents
searchable, which a dump only names and a base holds.

Runs are interleaved. CPU is that of everything involved: the database server and its tools (the container's CPU
accounting), Havre, restic and gzip (this process' children). Sizes can be given: `backup.py [MEGABYTES] [RUNS]`.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/support"))

from data_stand import Stand, docker

from havre.workflows.backup import back_up
from havre.workflows.receiver import end_receivers
from havre.workflows.recovery import recover_to
from havre.workflows.restore import drop_kept, restore
from havre.workflows.wal import keep_wal

MEGABYTES = int(sys.argv[1]) if len(sys.argv) > 1 else 1024
RUNS = int(sys.argv[2]) if len(sys.argv) > 2 else 3
TARGETS = {"backup_time": 0.7, "backup_cpu": 0.6, "base_restore_time": 0.4, "memory_mb": 60.0}
INDEXED = ", indexed"
MANIFEST = "backups:\n  db: {pitr: true}\n"
FILL = """
CREATE TABLE documents AS
SELECT g AS id, now() - g * interval '1 minute' AS at,
       jsonb_build_object(
           'title', 'Order ' || g, 'state', (ARRAY['open', 'paid', 'sent', 'returned'])[1 + g % 4],
           'customer', jsonb_build_object('id', g % 5000, 'mail', 'customer' || g % 5000 || '@example.org'),
           'notes', (SELECT string_agg(md5((g * 31 + i)::text), ' ') FROM generate_series(1, 12) i),
           'lines', (SELECT jsonb_agg(jsonb_build_object('sku', md5((g % 3000 + i)::text), 'count', i, 'price', 9.99))
                     FROM generate_series(1, 6) i)
       ) AS body
FROM generate_series(1, {rows}) g
"""

INDEXES = (
    "CREATE INDEX ON documents USING gin (body jsonb_path_ops)",
    "CREATE INDEX ON documents (at)",
    "CREATE INDEX ON documents ((body #>> '{customer,id}'), at)",
)
RESTORES = ("gzip restore", "base restore")


@dataclass
class Figures:
    """Seconds and CPU seconds of each run."""

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    @property
    def median(self) -> tuple[float, float]:
        return statistics.median(self.seconds), statistics.median(self.cpu or [float("nan")])


class Machine:
    """CPU time of the container and of our children."""

    def __init__(self, container: str) -> None:
        full = docker("inspect", "-f", "{{.Id}}", container).strip()
        candidates = [*Path("/sys/fs/cgroup").glob(f"**/{full}/cpuacct.usage"),
                      *Path("/sys/fs/cgroup").glob(f"**/*{full}*/cpu.stat")]  # fmt: skip
        self._account = candidates[0]

    def cpu(self) -> float:
        own = resource.getrusage(resource.RUSAGE_SELF)
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        mine = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
        if self._account.name == "cpu.stat":
            return mine + int(self._account.read_text().split()[1]) / 1e6
        return mine + int(self._account.read_text()) / 1e9

    def measure(self, work: Callable[[], object], figures: Figures) -> None:
        started, cpu = time.monotonic(), self.cpu()
        work()
        figures.seconds.append(time.monotonic() - started)
        figures.cpu.append(self.cpu() - cpu)


def memory_of(stand: Stand, *words: str) -> float:
    """The largest resident size of one `havre` command, in MB; its children, restic among them, have their own."""
    command = [sys.executable, "-m", "havre", *words, "--engine", "docker", "--state", str(stand.state.directory)]
    variables = {**os.environ, **stand.variables}
    with subprocess.Popen(
        command, cwd=stand.directory / "app", env=variables, stdout=subprocess.DEVNULL
    ) as process:  # fmt: skip
        status, most = Path(f"/proc/{process.pid}/status"), 0
        while process.poll() is None:
            peak = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM")]
            most = max([most, *map(int, peak)])
            time.sleep(0.02)
    if process.returncode != 0:
        raise SystemExit(f"havre {' '.join(words)} failed")
    return most / 1024


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="havre-bench-", dir=os.environ.get("HAVRE_BENCH_DIR")) as directory:
        stand = Stand(Path(directory), manifest=MANIFEST)
        try:
            stand.deploy()
            return _run(stand, Path(directory))
        finally:
            end_receivers(stand.server, stand.name)
            stand.tear_down()


def _run(stand: Stand, directory: Path) -> int:
    stand.sql(FILL.format(rows=MEGABYTES * 1024 * 1024 // 1480))
    stand.sql("ALTER TABLE documents ADD PRIMARY KEY (id)")
    stand.sql("CHECKPOINT")
    container = stand.container("db")
    machine, plain = Machine(container), directory / "plain.sql.gz"
    dump = f"docker exec {container} pg_dump -U shop shop | gzip > {plain}"
    load = f"gunzip -c {plain} | docker exec -i {container} psql -q -U shop -v ON_ERROR_STOP=1 -d plain"
    figures = {name: Figures() for name in ("gzip", "havre", "havre restore", *_restores(""), *_restores(INDEXED))}
    memory = [memory_of(stand, "backup", "take", "db"), memory_of(stand, "restore", "db", "--to", "first", "-y")]
    stand.sql("DROP DATABASE first", "postgres")
    for number in range(RUNS):
        machine.measure(lambda: _shell(dump), figures["gzip"])
        _forget_everything(stand, directory)
        machine.measure(lambda: back_up(stand.storage, stand.intent, ["db"]), figures["havre"])
        name = f"again{number}"
        machine.measure(partial(_restore, stand, name), figures["havre restore"])
        stand.sql(f"DROP DATABASE {name}", "postgres")
    repository = directory / "state/backups/repo"
    stored = sum(file.stat().st_size for file in repository.rglob("*") if file.is_file())
    sizes = [_size(stand)]
    _restore_both_ways(stand, directory, machine, load, [figures[name] for name in _restores("")])
    memory.append(memory_of(stand, "restore", "db", "--at", "latest", "-y"))
    drop_kept(stand.storage, stand.intent, "db")
    for index in INDEXES:
        stand.sql(index)
    sizes.append(_size(stand))
    _shell(dump)
    _restore_both_ways(stand, directory, machine, load, [figures[name] for name in _restores(INDEXED)])
    return _report(sizes, stored, figures, max(memory), plain)


def _restores(kind: str) -> list[str]:
    return [name + kind for name in RESTORES]


def _restore_both_ways(
    stand: Stand, directory: Path, machine: Machine, load: str, figures: Sequence[Figures]
) -> None:  # fmt: skip
    by_dump, by_base = figures
    for _ in range(RUNS):
        stand.sql("CREATE DATABASE plain", "postgres")
        machine.measure(lambda: _shell(load), by_dump)
        stand.sql("DROP DATABASE plain", "postgres")
        _forget_everything(stand, directory)
        keep_wal(stand.storage, stand.intent, base=True)
        by_base.seconds.append(recover_to(stand.storage, stand.intent, "db", None).seconds)
        drop_kept(stand.storage, stand.intent, "db")


def _size(stand: Stand) -> int:
    return int(stand.sql("SELECT pg_database_size('shop')"))


def _restore(stand: Stand, name: str) -> None:
    restore(stand.storage, stand.intent, "db", to=name)


def _forget_everything(stand: Stand, directory: Path) -> None:
    """Each timed backup is a first one: nothing is there to deduplicate against."""
    end_receivers(stand.server, stand.name)
    _shell(f"cd {directory}/state/backups && rm -rf repo snapshots wal")
    stand.storage.repository(stand.storage.default_url).make()


def _shell(command: str) -> None:
    subprocess.run(["bash", "-o", "pipefail", "-c", command], check=True)


def _report(sizes: Sequence[int], stored: int, figures: dict[str, Figures], memory: float, plain: Path) -> int:
    shown = ", indexed ".join(f"{size / 1e6:.0f} MB" for size in sizes)
    print(f"database {shown}; gzip {plain.stat().st_size / 1e6:.0f} MB, repository {stored / 1e6:.0f} MB")
    for name, found in figures.items():
        seconds, cpu = found.median
        print(f"{name:>23}: {seconds:6.1f} s, CPU {cpu:6.1f} s")
    (gzip_s, gzip_c), (havre_s, havre_c) = figures["gzip"].median, figures["havre"].median
    measured: dict[str, float] = {
        "backup_time": round(havre_s / gzip_s, 3),
        "backup_cpu": round(havre_c / gzip_c, 3),
        "memory_mb": round(memory, 1),
        "restore_time": _ratio(figures, "havre restore", "gzip restore"),
        "base_restore_time": _ratio(figures, "base restore", "gzip restore"),
        "indexed_base_restore_time": _ratio(figures, "base restore" + INDEXED, "gzip restore" + INDEXED),
    }
    missed = {name: target for name, target in TARGETS.items() if measured[name] > target}
    print(json.dumps({"benchmark": "backup", "measured": measured, "targets": TARGETS, "missed": sorted(missed)}))
    return 1 if missed else 0


def _ratio(figures: dict[str, Figures], ours: str, theirs: str) -> float:
    return round(figures[ours].median[0] / figures[theirs].median[0], 3)


if __name__ == "__main__":
    sys.exit(main())

"""A release that is hindered by something other than a crash: another one, Ctrl-C, a full disk, a killed recovery."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from shop import Shop
from wreck import Cell, Result, book, close, hit, leftovers, start_havre, versions, visitors


def test_of_two_deploys_at_once_the_second_is_told_who_is_at_work(standing: Shop, next_version: Iterator[int]) -> None:
    new = str(next(next_version))
    standing.write(web=new, api=new)
    _slow_start(standing)
    with visitors(standing) as tally:
        first = start_havre(standing, "deploy", "-y", "--engine", standing.engine)
        _until(first, "… start api")
        second = standing.deploy(check=False)
        output, errors = first.communicate(timeout=60)
    assert second.returncode == 4, second.stderr
    assert f"pid {first.pid}" in second.stderr
    assert first.returncode == 0, output + errors
    assert tally.failed == 0, tally.examples
    assert versions(standing) == (new, new)
    assert not leftovers(standing)


def test_a_second_deploy_that_waits_goes_on_after_the_first(standing: Shop, next_version: Iterator[int]) -> None:
    new = str(next(next_version))
    standing.write(web=new, api=new)
    _slow_start(standing)
    first = start_havre(standing, "deploy", "-y", "--engine", standing.engine)
    _until(first, "… start api")
    second = standing.havre("deploy", "-y", "--engine", standing.engine, "--wait", "60", check=False)
    first.communicate(timeout=60)
    assert (first.returncode, second.returncode) == (0, 0), second.stderr
    assert "nothing to do" in second.stdout
    assert not leftovers(standing)


@pytest.mark.parametrize("moment", ["… start api", "… await web", "… drain"])
def test_ctrl_c_leaves_one_whole_release_serving(standing: Shop, next_version: Iterator[int], moment: str) -> None:
    old, new = versions(standing), str(next(next_version))
    standing.write(web=new, api=new)
    with visitors(standing) as tally:
        release = start_havre(standing, "deploy", "-y", "--engine", standing.engine)
        _until(release, moment)
        release.send_signal(signal.SIGINT)
        output, errors = release.communicate(timeout=60)
    serving = versions(standing)
    assert "Traceback" not in errors
    assert release.returncode in ((130,) if "drain" not in moment else (0, 130)), output + errors
    assert tally.failed == 0, tally.examples
    assert serving == old or ("drain" in moment and serving == (new, new))
    assert all(row["ended_at"] for row in book(standing))
    assert not leftovers(standing)


def test_a_recovery_that_is_killed_too_is_settled_by_the_next(
    standing: Shop, next_version: Iterator[int], table: list[Result]
) -> None:
    old, new = versions(standing), str(next(next_version))
    standing.write(web=new, api=new)
    with visitors(standing) as tally:
        hit(
            standing,
            Cell(shape="rolling", step=4, moment="performed", fault="havre"),
            "deploy",
            "-y",
            "--engine",
            standing.engine,
        )
        for number in (1, 2):
            killed = hit(standing, Cell(shape="rolling", step=number, moment="performed", fault="havre"), "recover")
            assert killed.returncode in (-9, 0)
        standing.havre("recover")
    assert tally.failed == 0, tally.examples
    assert versions(standing) == old
    assert book(standing)[0]["state"] == "interrupted"
    assert not leftovers(standing)


@pytest.mark.parametrize(("step", "moment"), [(1, "mid:0.2"), (6, "performed"), (12, "performed")])
def test_a_first_release_that_is_killed_can_simply_be_deployed_again(fresh: Shop, step: int, moment: str) -> None:
    cell = Cell(shape="first", step=step, moment=moment, fault="havre")
    killed = hit(fresh, cell, "deploy", "-y", "--engine", fresh.engine)
    assert killed.returncode == -9, killed.stdout + killed.stderr
    fresh.havre("recover")
    assert len(fresh.replicas()) in (0, 3), "all of it or nothing"
    fresh.deploy()
    assert versions(fresh) == ("1", "1")
    assert not leftovers(fresh)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_is_told_and_leaves_nothing_half_done(fresh: Shop) -> None:
    with _small_disk(fresh.directory / "state"):
        fresh.write()
        fresh.deploy()
        fresh.write(web="2", api="2")
        filler = fresh.directory / "state/filler"
        with visitors(fresh) as tally:
            _fill(filler)
            refused = fresh.deploy(check=False)
            filler.unlink()
            after = fresh.deploy(check=False)
        assert refused.returncode not in (0, None)
        assert "Traceback" not in refused.stderr, refused.stderr
        assert "space" in refused.stderr or "disk" in refused.stderr, refused.stderr
        assert after.returncode == 0, after.stdout + after.stderr
        assert tally.failed == 0, tally.examples
        assert versions(fresh) == ("2", "2")
        assert not leftovers(fresh)
        close(fresh)


def _slow_start(shop: Shop) -> None:
    """Make `web` new for good measure and its start take three seconds."""
    path = shop.directory / "compose.yaml"
    text = path.read_text()
    path.write_text(
        text.replace(
            "    environment: {ROLE: web",
            '    command: ["sh", "-c", "sleep 3; exec python /app/app.py"]\n    environment: {ROLE: web',
        )
    )


@contextmanager
def _small_disk(directory: Path) -> Iterator[None]:
    directory.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700m", "tmpfs", str(directory)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=False)


def _fill(path: Path) -> None:
    """Write until nothing more fits."""
    with path.open("wb", buffering=0) as sink:
        for size in (1 << 20, 1 << 12, 1):
            with suppress(OSError):
                while sink.write(b"x" * size):
                    pass


def _until(process: subprocess.Popen[str], text: str) -> None:
    """Read a command's output up to a line with `text`."""
    assert process.stdout is not None
    deadline = time.monotonic() + 60
    for line in process.stdout:
        if text in line:
            return
        assert time.monotonic() < deadline, f"never came to `{text}`"
    raise AssertionError(f"ended before `{text}`")

"""Bring the lab up: a Docker Engine when none answers, and the images that the tests and the examples use.

Runs with a bare Python 3.11, any number of times: the second time takes about a second.
"""

from __future__ import annotations

import argparse
import os
import time

import dockerd
import standins
from packages import ENGINE, SERVERS, install_missing
from places import ENV, LAB, answering_engine, say


def main() -> None:
    """Say what was done, and where the engine is."""
    options = _options()
    started = time.monotonic()
    host = answering_engine() or _start_engine()
    _publish(host)
    install_missing(("docker",))
    _install_servers()
    wanted = standins.select(tuple(options.images), everything=options.all)
    outcome = "official" if standins.pull_official(wanted, host=host) else _build(wanted, host)
    say(f"{len(wanted)} images ready ({outcome}) on {host} in {time.monotonic() - started:.1f} s")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="also the images that only some examples need")
    parser.add_argument("images", nargs="*", metavar="IMAGE", help="only these, by tag, and what they are built from")
    return parser.parse_args()


def _install_servers() -> None:
    """Tests that need a server which cannot be had are skipped, each with its reason."""
    if os.geteuid() == 0:
        install_missing(SERVERS)


def _start_engine() -> str:
    install_missing(ENGINE)
    return dockerd.start()


def _build(wanted: tuple[standins.Standin, ...], host: str) -> str:
    install_missing(("debootstrap",))
    return f"stand-ins, {standins.build(wanted, host=host)} built"


def _publish(host: str) -> None:
    """Tests and tools read the engine's address from here."""
    LAB.mkdir(parents=True, exist_ok=True)
    ENV.write_text(f"DOCKER_HOST={host}\n")


if __name__ == "__main__":
    main()

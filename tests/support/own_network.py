"""A network of a test's own, in which every port is free: 80 and 443 too."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

NETWORK = 0x40000000


@contextmanager
def inside_network(pid: int) -> Iterator[None]:
    """This thread, and all that it starts, in the network namespace of a process."""
    outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        with open(f"/proc/{pid}/ns/net") as network:
            _enter(network.fileno())
        yield
    finally:
        _enter(outside)
        os.close(outside)


@contextmanager
def own_network(*addresses: str) -> Iterator[None]:
    """This thread in a new network that has the loopback device, with these addresses beside 127.0.0.1."""
    script = "ip link set lo up && for one; do ip address add $one/32 dev lo || exit 1; done; echo ready; read _"
    argv = ["unshare", "--net", "sh", "-c", script, "network", *addresses]
    holder = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "ready\n"
        with inside_network(holder.pid):
            yield
    finally:
        holder.communicate("done\n")


def _enter(network: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(network, NETWORK) != 0:
        raise OSError(ctypes.get_errno(), "cannot enter the network namespace")

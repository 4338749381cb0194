"""Where a process listens, from the kernel's own tables."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from havre.host.listening import listening_addresses

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0B00007F:A1B2 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100 0 0 10 0
   2: 0200000A:1F90 0300000A:C000 01 00000000:00000000 00:00000000 00000000     0        0 3 1 0 100 0 0 10 0
"""
TCP6 = """\
  sl  local_address                         remote_address                        st
   0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 0
   1: 0000000000000000FFFF00000100007F:0051 00000000000000000000000000000000:0000 0A 0
"""


def test_only_sockets_that_wait_count_and_dockers_own_resolver_does_not(tmp_path: Path) -> None:
    (tmp_path / "7" / "net").mkdir(parents=True)
    (tmp_path / "7" / "net" / "tcp").write_text(TCP)
    (tmp_path / "7" / "net" / "tcp6").write_text(TCP6)

    assert listening_addresses(7, proc=tmp_path) == (("::", 80), ("127.0.0.1", 81), ("127.0.0.1", 8080))


def test_a_real_socket_is_seen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert ("127.0.0.1", server.getsockname()[1]) in listening_addresses(os.getpid())


def test_a_process_that_is_gone_listens_nowhere(tmp_path: Path) -> None:
    assert listening_addresses(7, proc=tmp_path) == ()

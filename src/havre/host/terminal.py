"""The caller's terminal: its size, and lending it to a program at the other end of a socket."""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import socket
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator

_CHUNK = 65536


def terminal_size() -> tuple[int, int]:
    """(columns, rows); 80 by 24 when there is no terminal."""
    size = shutil.get_terminal_size()
    return size.columns, size.lines


def lend_terminal(raw: socket.socket, resized: Callable[[], None]) -> None:
    """Copy between this terminal and the socket until the socket ends; `resized` is called when the window changes.

    The terminal is raw meanwhile (Ctrl-C goes to the other end) and is always put back. Where stdin is not a
    terminal its content is sent as it is, and its end is passed on.
    """
    with _raw_terminal(), _watching_size(resized), selectors.DefaultSelector() as selector:
        selector.register(raw, selectors.EVENT_READ)
        with contextlib.suppress(PermissionError):  # a regular file is always readable and cannot be waited for
            selector.register(0, selectors.EVENT_READ)
        if 0 not in selector.get_map():
            threading.Thread(target=_send_file, args=(raw,), daemon=True).start()
        while _copied(selector, raw):
            pass


def _copied(selector: selectors.BaseSelector, raw: socket.socket) -> bool:
    for key, _ in selector.select():
        if key.fileobj is raw:
            data = raw.recv(_CHUNK)
            if not data:
                return False
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        elif typed := os.read(0, _CHUNK):
            raw.sendall(typed)
        else:
            selector.unregister(0)
            _end_of_input(raw)
    return True


def _send_file(raw: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := os.read(0, _CHUNK):
            raw.sendall(data)
        _end_of_input(raw)


def _end_of_input(raw: socket.socket) -> None:
    with contextlib.suppress(OSError):
        raw.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def _raw_terminal() -> Iterator[None]:
    if not os.isatty(0):
        yield
        return
    before = termios.tcgetattr(0)
    try:
        tty.setraw(0)
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _watching_size(resized: Callable[[], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGWINCH, lambda *_: resized())
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)

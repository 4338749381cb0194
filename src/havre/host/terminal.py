"""The caller's terminal: its size, and lending it to a program at the other end of a socket."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator

_CHUNK = 65536


def terminal_size() -> tuple[int, int]:
    """(columns, rows) of the terminal itself, whatever COLUMNS says; 80 by 24 when there is none."""
    try:
        size = os.get_terminal_size(0)
    except OSError:
        return 80, 24
    return size.columns, size.lines


def is_terminal() -> bool:
    """True when a person sits at both ends: what is typed and what is shown."""
    return os.isatty(0) and os.isatty(1)


def lend_terminal(raw: socket.socket, resized: Callable[[], None]) -> None:
    """Copy between this terminal and the socket until the socket ends; `resized` is called when the window changes.

    The terminal is raw meanwhile (Ctrl-C goes to the other end) and is always put back.
    """
    with _raw_terminal(), _watching_size(resized), selectors.DefaultSelector() as selector:
        selector.register(raw, selectors.EVENT_READ)
        selector.register(0, selectors.EVENT_READ)
        while _copied(selector, raw):
            pass


def pass_input_on(raw: socket.socket) -> None:
    """Send our own stdin (a pipe or a file) to the socket in the background, and its end as well."""
    threading.Thread(target=_send_input, args=(raw,), daemon=True).start()


def write_output(stream: str, piece: bytes) -> None:
    """Write to our own `stdout` or `stderr` at once."""
    target = sys.stderr if stream == "stderr" else sys.stdout
    target.buffer.write(piece)
    target.buffer.flush()


def _copied(selector: selectors.BaseSelector, raw: socket.socket) -> bool:
    for key, _ in selector.select():
        if key.fileobj is raw:
            data = raw.recv(_CHUNK)
            if not data:
                return False
            write_output("stdout", data)
        elif typed := os.read(0, _CHUNK):
            raw.sendall(typed)
        else:
            selector.unregister(0)
            _end_of_input(raw)
    return True


def _send_input(raw: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := os.read(0, _CHUNK):
            raw.sendall(data)
        _end_of_input(raw)


def _end_of_input(raw: socket.socket) -> None:
    with contextlib.suppress(OSError):
        raw.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def _raw_terminal() -> Iterator[None]:
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

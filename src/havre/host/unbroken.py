"""Work that neither Ctrl-C nor the end of a login cuts in the middle."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def unbroken(told: Callable[[], None]) -> Iterator[None]:
    """The block goes on to its end whatever asks the process to end; `told` says so to who presses Ctrl-C.

    Signals come to the main thread: in another one this changes nothing.
    """

    def heard(number: int, _: FrameType | None) -> None:
        if number == signal.SIGINT:
            with contextlib.suppress(OSError):  # nobody sees it: that must not break the work either
                told()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, heard) for number in _ENDINGS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

"""What must not be cut in the middle is not."""

from __future__ import annotations

import os
import signal
import threading
import time

from havre.host.unbroken import unbroken


def test_ctrl_c_and_the_end_of_a_login_let_the_work_go_on() -> None:
    told: list[str] = []
    with unbroken(lambda: told.append("it goes on")):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(os.getpid(), number)
            time.sleep(0.05)
        whole = True
    assert whole
    assert told == ["it goes on"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_in_another_thread_it_is_done_as_it_is() -> None:
    done: list[bool] = []

    def work() -> None:
        with unbroken(lambda: None):
            done.append(True)

    other = threading.Thread(target=work)
    other.start()
    other.join()
    assert done

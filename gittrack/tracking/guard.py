"""Runs that the script does not finish itself: they are finished when its process ends."""

from __future__ import annotations

import atexit
import os
import signal
import threading
from functools import lru_cache

from gittrack.domain.run import Failure, Status
from gittrack.tracking.active import active_runs, finish_at_exit, remember_exit_code


@lru_cache(maxsize=1)
def guard_exit() -> None:
    """At the end of the process, or on SIGTERM where nobody else handles it, open runs are finished; set up once."""
    remember_exit_code()
    atexit.register(finish_at_exit)
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _on_sigterm)


def _on_sigterm(number: int, _frame: object) -> None:
    for run in active_runs():
        run.finish(Status.KILLED, Failure(signal="SIGTERM"))
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)

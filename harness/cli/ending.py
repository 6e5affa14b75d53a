"""The end of the process, whatever a plugin or a library left behind."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
import time
from typing import Any, Final

#: seconds that what a run left behind has to end: tasks of the loop; threads and exit functions of the process
LINGER_SECONDS: Final = 5.0


def end_idle_workers() -> None:
    """End the threads that AnyIO kept for more work, where their loop is gone.

    A loop tells them when it ends. One that a SystemExit in a plugin's task ended does not, and Python would wait.
    """
    for worker in _idle_workers():
        if not worker.loop.is_running():
            worker.stop()


def leave_threads(code: int) -> None:
    """End the process where a thread is still at work, such as one that loads a model: Python would wait for it."""
    if _others():
        leave(code)


def end_soon(code: int, seconds: float = LINGER_SECONDS) -> None:
    """End the process after some seconds, whatever a plugin left behind: a thread, an exit function that hangs."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    threading.Thread(target=_exit_after, args=(seconds, code), name="harness-end", daemon=True).start()


def _exit_after(seconds: float, code: int) -> None:
    time.sleep(seconds)
    names = ", ".join(thread.name for thread in _others()) or "an exit function"
    with contextlib.suppress(OSError):
        os.write(2, f"ended all the same: {names} was still at work, left behind by a plugin or a library\n".encode())
    os._exit(code)


def _others() -> list[threading.Thread]:
    """The threads at work that Python would wait for."""
    waiting = {threading.main_thread(), *_idle_workers()}
    return [thread for thread in threading.enumerate() if not thread.daemon and thread not in waiting]


def _idle_workers() -> list[Any]:
    """AnyIO's threads that have no work; its class for them is not public."""
    workers: list[Any] = [each for each in threading.enumerate() if type(each).__name__ == "WorkerThread"]
    return [each for each in workers if not each.queue.unfinished_tasks]


def leave(code: int) -> None:
    """End the process now; the exit functions of libraries, which end their children, are called."""
    atexit._run_exitfuncs()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - ends the children of libraries
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)

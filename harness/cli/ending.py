"""Ends a command: turns what it raised into an exit code and a message, reports bugs, and ends the process."""

from __future__ import annotations

import atexit
import contextlib
import errno
import io
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import click

from harness import descriptors
from harness.errors import (
    FIXABLE,
    BudgetSpent,
    HarnessError,
    PluginError,
    TooManyOpen,
    find_plugin_error,
    find_root_error,
)
from harness.secrets import holds_key, without_secrets

from .stdout import tell

INTERRUPTED: Final = 130
INCOMPLETE: Final = 3
#: seconds that leftovers of a run get to end: tasks of the loop; threads and exit functions of the process
LINGER_SECONDS: Final = 5.0
_DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


def find_version() -> str:
    """The installed version."""
    import importlib.metadata

    try:
        return importlib.metadata.version("vlm-safety-harness")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def exit_code(run: Callable[[], object], arguments: Sequence[str]) -> int:
    """Run a command and return its exit code; print whatever it raises on stderr."""
    try:
        result = run()
        if not sys.stdout.closed:
            sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001 - the last place that can turn an error into a message
        return _report_error(error, arguments)
    return result if isinstance(result, int) and not isinstance(result, bool) else 0


def _report_error(error: BaseException, arguments: Sequence[str]) -> int:
    if isinstance(error, click.Abort):  # Ctrl-C, or the end of a prompt's input
        error = error.__cause__ if isinstance(error.__cause__, EOFError) else KeyboardInterrupt()
    else:
        error = find_root_error(error)
    if os.environ.get("HARNESS_DEBUG") == "1" and not isinstance(error, click.ClickException):
        tell(_format_traceback(error))
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    # click replaces stdout and exits when its reader is gone
    left_unread = isinstance(error, SystemExit) and type(sys.stdout).__name__.endswith("PacifyFlushWrapper")
    if left_unread or isinstance(error, BrokenPipeError):
        with contextlib.suppress(OSError, ValueError):  # otherwise Python complains again when it flushes at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    if isinstance(error, click.ClickException):
        with contextlib.suppress(OSError, ValueError):  # stderr is closed
            message = io.StringIO()
            error.show(message)
            tell(message.getvalue().rstrip("\n"))
        return 2
    if isinstance(error, BudgetSpent):
        tell(str(error))
        return INCOMPLETE
    text = _describe_fixable(error, arguments)
    if text is not None:
        tell(f"error: {text}")
        return 2
    tell(f"error: this is a bug: {type(error).__name__}: {error}")
    try:
        path = _write_report(error, arguments)
    except OSError as unwritable:
        tell(f"  no report could be written: {unwritable}; HARNESS_DEBUG=1 shows the traceback")
    else:
        tell(f"  please send the report {path}")
    return 1


def _describe_fixable(error: BaseException, arguments: Sequence[str]) -> str | None:
    """What is wrong and what to do, for an error that is not our bug; None for a bug."""
    if (by := find_plugin_error(error)) is not None:
        if not by.log and by.story:  # no run's log.txt holds the traceback
            try:
                by.log = str(_write_log(by, arguments))
            except OSError as unwritable:
                return f"{error}\n  its traceback cannot be written: {unwritable}; HARNESS_DEBUG=1 shows it"
        return f"{error}\n  its traceback is in {by.log}" if by.log else str(error)
    if isinstance(error, OSError):
        try:
            descriptors.check(error)
        except TooManyOpen as limit:
            return str(limit)
        if error.errno in FIXABLE:
            text = f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror)
            return f"{text}\n  free some space and run it again" if error.errno in _DISK_FULL else text
    return str(error) if isinstance(error, HarnessError) else None


def _write_log(error: PluginError, arguments: Sequence[str]) -> Path:
    path = _state_folder() / "log.txt"
    head = f"{time.strftime('%Y-%m-%dT%H:%M:%S')} harness {find_version()}: harness {' '.join(arguments)}"
    with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(without_secrets(f"{head}\n{error.what}\n{error.story}\n"))
    return path


def _write_report(error: BaseException, arguments: Sequence[str]) -> Path:
    import platform

    path = _state_folder("bugs") / f"bug-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    lines = [
        f"harness {find_version()}",
        f"python {platform.python_version()} on {platform.platform()}",
        f"command: harness {' '.join('***' if holds_key(each) else each for each in arguments)}",
        "",
        _format_traceback(error),
    ]
    path.write_text(without_secrets("\n".join(lines)), encoding="utf-8", errors="backslashreplace")
    return path


def _state_folder(*below: str) -> Path:
    """The user's state folder: it always exists, apart from the user's own files."""
    import platformdirs

    folder = platformdirs.user_state_path("harness").joinpath(*below)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _format_traceback(error: BaseException) -> str:
    import traceback

    return "".join(traceback.format_exception(error))


def end_workers() -> None:
    """End AnyIO's threads if their loop is gone, each once its call has returned.

    A loop normally ends them. A loop that a SystemExit in a plugin's task ended does not, and Python would wait.
    A thread that has just handed over its result counts as busy for a moment, so busy threads are told to end, too.
    """
    for worker in _find_workers():
        if not worker.stopping and not worker.loop.is_running():
            worker.stop()


def leave_threads(code: int) -> None:
    """End the process if a thread still works, such as one that loads a model: Python would wait for it."""
    if _busy_threads():
        leave(code)


def end_soon(code: int, seconds: float | None = None) -> None:
    """End the process after some seconds, even if a plugin left a thread or an exit function that hangs."""
    limit = LINGER_SECONDS if seconds is None else seconds

    def end() -> None:
        time.sleep(limit)
        names = ", ".join(thread.name for thread in _busy_threads()) or "an exit function"
        line = f"ended anyway: {names}, started by a plugin or a library, was still running\n"
        with contextlib.suppress(OSError):
            os.write(2, line.encode())
        os._exit(code)

    _flush()
    threading.Thread(target=end, name="harness-end", daemon=True).start()


def leave(code: int) -> None:
    """End the process now, after calling the exit functions of libraries, which end their child processes."""
    atexit._run_exitfuncs()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - ends the children of libraries
    _flush()
    os._exit(code)


def _busy_threads() -> list[threading.Thread]:
    """The working threads for which Python would wait."""
    idle = {threading.main_thread(), *(each for each in _find_workers() if not each.queue.unfinished_tasks)}
    return [thread for thread in threading.enumerate() if not thread.daemon and thread not in idle]


def _find_workers() -> list[Any]:
    """AnyIO's threads; their class is not public."""
    return [each for each in threading.enumerate() if type(each).__name__ == "WorkerThread"]


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()

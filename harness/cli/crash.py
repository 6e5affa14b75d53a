"""From what a command raised to an exit code, and the report of a bug."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from harness import descriptors
from harness.errors import FIXABLE, HarnessError, PluginError, TooManyOpen, find_plugin_error, find_root_error
from harness.secrets import holds_key, without_secrets

from .stdout import tell

INTERRUPTED = 130
DISTRIBUTION = "vlm-safety-harness"
_FULL = {errno.ENOSPC, errno.EDQUOT}
_ROOM = "free some space and run it again"


def version() -> str:
    """The installed version."""
    import importlib.metadata

    try:
        return importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def exit_code(run: Callable[[], object], arguments: Sequence[str]) -> int:
    """Run a command; whatever it raises is said on stderr and becomes an exit code."""
    try:
        result = run()
        if not sys.stdout.closed:
            sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001 - the last place that can turn an error into a sentence
        return _failed(_leaf(error), arguments)
    return result if isinstance(result, int) and not isinstance(result, bool) else 0


def _failed(error: BaseException, arguments: Sequence[str]) -> int:
    if os.environ.get("HARNESS_DEBUG") == "1" and not isinstance(error, click.ClickException):
        tell(_story(error))
    if isinstance(error, SystemExit):
        if type(sys.stdout).__name__.endswith("PacifyFlushWrapper"):  # left there by click: nobody reads any more
            return _unread()
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, BrokenPipeError):
        return _unread()
    if isinstance(error, click.ClickException):
        with contextlib.suppress(OSError, ValueError):  # stderr is closed
            shown = io.StringIO()
            error.show(shown)
            tell(shown.getvalue().rstrip("\n"))
        return 2
    if (by := find_plugin_error(error)) is not None:
        return _mendable(f"{error}{_logged(by, arguments)}")
    if isinstance(error, OSError):
        error = _of_descriptors(error)
    if isinstance(error, HarnessError):
        return _mendable(str(error))
    if isinstance(error, OSError) and error.errno in FIXABLE:
        said = f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror)
        return _mendable(f"{said}\n  {_ROOM}" if error.errno in _FULL else said)
    return _bug(error, arguments)


def _of_descriptors(error: OSError) -> OSError | TooManyOpen:
    """What to say where no file could be opened any more; the error itself where that was not it."""
    try:
        descriptors.check(error)
    except TooManyOpen as told:
        return told
    return error


def _mendable(text: str) -> int:
    tell(f"error: {text}")
    return 2


def _logged(error: PluginError, arguments: Sequence[str]) -> str:
    """Where the traceback of a plugin's error is; it goes into the user's state folder where no run's log has it."""
    if not error.log and error.story:
        try:
            error.log = str(_write_log(error, arguments))
        except OSError as unwritable:
            return f"\n  its traceback cannot be written: {unwritable}; HARNESS_DEBUG=1 shows it"
    return f"\n  its traceback is in {error.log}" if error.log else ""


def _write_log(error: PluginError, arguments: Sequence[str]) -> Path:
    import time

    path = _state_folder() / "log.txt"
    head = f"{time.strftime('%Y-%m-%dT%H:%M:%S')} harness {version()}: harness {' '.join(arguments)}"
    with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(without_secrets(f"{head}\n{error.what}\n{error.story}\n"))
    return path


def _state_folder(*below: str) -> Path:
    """The user's state folder: it is always there, and not among the user's own files."""
    import platformdirs

    folder = platformdirs.user_state_path("harness").joinpath(*below)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _unread() -> int:
    # Whoever read stdout has seen enough; Python would complain again when it flushes at exit.
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _leaf(error: BaseException) -> BaseException:
    """What stands behind click's Abort and behind groups of errors: an interrupt before a bug before a HarnessError."""
    if isinstance(error, click.Abort):
        return error.__cause__ if isinstance(error.__cause__, EOFError) else KeyboardInterrupt()
    return find_root_error(error)


def _bug(error: BaseException, arguments: Sequence[str]) -> int:
    tell(f"error: this is a bug: {type(error).__name__}: {error}")
    try:
        path = _write_report(error, arguments)
    except OSError as unwritable:
        tell(f"  no report could be written: {unwritable}; HARNESS_DEBUG=1 shows the traceback")
    else:
        tell(f"  please send the report {path}")
    return 1


def _write_report(error: BaseException, arguments: Sequence[str]) -> Path:
    import platform
    import time

    path = _state_folder("bugs") / f"bug-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    lines = [
        f"harness {version()}",
        f"python {platform.python_version()} on {platform.platform()}",
        f"command: harness {' '.join('***' if holds_key(each) else each for each in arguments)}",
        "",
        _story(error),
    ]
    path.write_text(without_secrets("\n".join(lines)), encoding="utf-8", errors="backslashreplace")
    return path


def _story(error: BaseException) -> str:
    import traceback

    return "".join(traceback.format_exception(error))

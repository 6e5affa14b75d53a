"""Starts a process per service that logs a finished run.

The clients wait for their service when Python ends, retry for minutes and set signal handlers. So each has a process of
its own, in a session of its own: a service that fails or does not answer neither ends a run nor holds it. A process
that takes longer than a run waits for goes on after the run, and its output is in the run folder.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from harness.errors import HarnessError
from harness.extras import install_command
from harness.text import one_line

FOLDER: Final = ".tracking"  #: in the run folder: a log per service, and the files of Weights & Biases
PATIENCE: Final = 4.0  # seconds; closing a run waits 5 for its observers
LOGGED: Final = "logged"  #: last line of the log of a service that has everything
_left: list[subprocess.Popen[bytes]] = []  # what goes on by itself; an object that is gone would warn of its process
_LAST: Final = 1 << 14  # bytes of a log that are read for its last line


def check_ready(folder: Path, services: Sequence[str]) -> None:
    """Raise a HarnessError if results cannot be logged, or if those of the folder's last invocation were not.

    A process that still logs these is no error.

    Args:
        folder: the run folder.
        services: `wandb`, `mlflow`.
    """
    # a folder `wandb`, as its client leaves behind, is found too, without an origin
    found = {service: importlib.util.find_spec(service) for service in services}
    if missing := [service for service, spec in found.items() if spec is None or spec.origin is None]:
        are = "is" if len(missing) == 1 else "are"
        what = f"the results will not be logged: {' and '.join(missing)} {are} not installed"
        raise HarnessError(what, remedy=install_command(*missing))
    place = folder.resolve() / FOLDER
    ended = [place / f"{service}.log" for service in services if not _is_logging(place / f"{service}.lock")]
    if unlogged := [str(log) for log in ended if log.is_file() and _read_last_line(log) != LOGGED]:
        what = "the last results of this run are not logged; they will be with the next"
        raise HarnessError(what, where=", ".join(unlogged))


def log_run(folder: Path, services: Sequence[str], *, patience: float = PATIENCE) -> None:
    """Log a finished run to each service, at the same time.

    Args:
        folder: the run folder.
        services: `wandb`, `mlflow`.
        patience: seconds to wait. What then still goes on is left to itself, with a line on stderr.

    Raises:
        HarnessError: a service failed within that time.
    """
    place = folder.resolve() / FOLDER
    deadline = time.monotonic() + patience
    children: dict[str, subprocess.Popen[bytes]] = {}
    try:
        place.mkdir(exist_ok=True)
        for service in services:
            with (place / f"{service}.log").open("ab") as log:
                log.write(f"started {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}\n".encode())
                log.flush()
                children[service] = subprocess.Popen(  # noqa: S603 - this Python, and a module of ours
                    [sys.executable, "-P", "-m", "harness_tracking", str(folder.resolve()), service],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                    start_new_session=True,
                )
    except OSError as error:
        raise HarnessError(
            f"the results are not logged to {' and '.join(services[len(children) :])}: {error.strerror}",
            where=str(error.filename or place),
            remedy=f"once that is fixed: python -m harness_tracking {folder}",
        ) from error
    failed: list[str] = []
    for service, child in children.items():
        log_file = place / f"{service}.log"
        try:
            code = child.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            print(f"still logging to {service}; its output is in {log_file}", file=sys.stderr)  # noqa: T201
            _left.append(child)
            continue
        if code:
            failed.append(f"{_read_last_line(log_file)} ({log_file})")
    if failed:
        raise HarnessError(
            f"the results were not logged: {'; '.join(failed)}",
            remedy="put that right, then give the same command again: it asks nothing twice",
        )


def _read_last_line(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _LAST))
        lines = file.read().decode(errors="replace").split("\n")
    return one_line(next((line for line in reversed(lines) if line.strip()), ""))


def _is_logging(lock: Path) -> bool:
    if not lock.is_file():
        return False
    try:
        with FileLock(lock, timeout=0):
            return False
    except (Timeout, OSError):
        return True

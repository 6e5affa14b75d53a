"""Logs a run that has ended: `python -m harness_tracking RUN [SERVICE…]`; also the process that a run starts."""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path
from threading import Timer

from filelock import FileLock, Timeout

from harness.errors import HarnessError
from harness.runs.redaction import remove_keys
from harness.runs.stored import open_run
from harness.text import one_line

from . import VARIABLES
from .observer import FOLDER, LOGGED
from .record import TrackedRun, load_tracked_run

WAIT = 600.0  #: seconds for the process of an earlier invocation of the same run
LONGEST = 3600.0  #: seconds after which a process that a run has started gives up; the clients may try for days


def log(service: str, tracked: TrackedRun, place: Path) -> None:
    """Log a run to `wandb` or `mlflow`, which a variable must have turned on.

    Args:
        service: where to.
        tracked: what is logged.
        place: where a client may write files.
    """
    if not (target := os.environ.get(VARIABLES[service])):
        raise HarnessError(f"{service} is not turned on", remedy=f"set {VARIABLES[service]}")
    if service == "wandb":
        from .wandb_service import log_to_wandb

        log_to_wandb(tracked, target, Path(os.environ.get("WANDB_DIR") or place))
    else:
        from .mlflow_service import log_to_mlflow

        experiment = os.environ.get("HARNESS_MLFLOW_EXPERIMENT") or "vlm-safety-harness"
        log_to_mlflow(tracked, target, experiment)


def main(words: list[str]) -> int:
    """Log the run of a folder to the named services, or to all that are turned on; the exit code."""
    if not words:
        print("usage: python -m harness_tracking RUN [wandb] [mlflow]", file=sys.stderr)  # noqa: T201
        return 2
    folder, texts = Path(words[0]).resolve(), os.environ.get("HARNESS_TRACKING_TEXTS") == "1"
    code = 0
    services = words[1:] or [each for each, variable in VARIABLES.items() if os.environ.get(variable)]
    if not services or not set(services) <= VARIABLES.keys():
        print(f"no service is turned on: set {' or '.join(VARIABLES.values())}", file=sys.stderr)  # noqa: T201
        return 2
    for service in services:
        try:
            open_run(folder)  # a folder without a run gets none of our files
            place = folder / FOLDER
            place.mkdir(exist_ok=True)
            with FileLock(place / f"{service}.lock", timeout=WAIT):  # who waits logs the results that are then there
                log(service, load_tracked_run(folder, texts=texts), place)
                record_success(place / f"{service}.log")
        except Exception as error:
            if os.environ.get("HARNESS_DEBUG"):
                raise
            print(f"{service}: {describe(error)}", file=sys.stderr)  # noqa: T201
            code = 2
        else:
            print(LOGGED)  # noqa: T201
    return code


def record_success(log_file: Path) -> None:
    """End the log of a process that failed before; one that a run has started writes it by printing."""
    if log_file.is_file() and not os.path.samestat(os.fstat(1), log_file.stat()):
        with log_file.open("a", encoding="utf-8") as file:
            file.write(f"{LOGGED}\n")


def describe(error: Exception) -> str:
    """An error on one line, without a key and without the user and password of an address."""
    if isinstance(error, Timeout):
        text = f"another process logs this run, for more than {WAIT:.0f} seconds ({error.lock_file}): try again later"
    else:
        text = str(error) if isinstance(error, HarnessError) else f"{type(error).__name__}: {error}"
    return one_line(re.sub(r"://[^\s/@]+@", "://***@", str(remove_keys(text))))


def limit_time(seconds: float) -> None:
    """End this process, and those of its client, after so many seconds; it must have a session of its own."""

    def end() -> None:
        print(f"gave up after {seconds:.0f} seconds: the service does not answer", file=sys.stderr, flush=True)  # noqa: T201
        os.killpg(0, signal.SIGKILL)

    timer = Timer(seconds, end)
    timer.daemon = True
    timer.start()


if __name__ == "__main__":
    if os.getsid(0) == os.getpid():  # started by a run; by hand there is somebody who can end it
        limit_time(LONGEST)
    sys.exit(main(sys.argv[1:]))

"""Logs a run that has ended: `python -m harness_tracking RUN [SERVICE…]`; also the process that a run starts."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from filelock import FileLock

from harness.errors import HarnessError
from harness.text import one_line

from . import VARIABLES
from .observer import FOLDER, LOGGED
from .record import TrackedRun, load_tracked_run

_WAIT = 600  # seconds for the process of an earlier invocation of the same run


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
            tracked, place = load_tracked_run(folder, texts=texts), folder / FOLDER
            place.mkdir(exist_ok=True)
            with FileLock(place / f"{service}.lock", timeout=_WAIT):
                log(service, tracked, place)
        except Exception as error:
            if os.environ.get("HARNESS_DEBUG"):
                raise
            kind = "" if isinstance(error, HarnessError) else f"{type(error).__name__}: "
            print(f"{service}: {kind}{one_line(str(error))}", file=sys.stderr)  # noqa: T201
            code = 2
        else:
            print(LOGGED)  # noqa: T201
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Logs runs to Weights & Biases and to MLflow, if an environment variable asks for it; else it does nothing.

`HARNESS_WANDB_PROJECT` or `HARNESS_MLFLOW_URI` turns it on. Neither client is imported into the process of the run.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from harness import hookimpl

if TYPE_CHECKING:
    from harness import RunInfo

VARIABLES = {"wandb": "HARNESS_WANDB_PROJECT", "mlflow": "HARNESS_MLFLOW_URI"}  #: service -> what turns it on


@hookimpl
def harness_run_started(run: RunInfo) -> None:
    """Say at once if the results cannot be logged, since they may be hours away."""
    if services := [service for service, variable in VARIABLES.items() if os.environ.get(variable)]:
        from .observer import check_ready

        check_ready(run.folder, services)


@hookimpl
def harness_run_finished(run: RunInfo) -> None:
    """Log the results to each service that is turned on."""
    if services := [service for service, variable in VARIABLES.items() if os.environ.get(variable)]:
        from .observer import log_run

        log_run(run.folder, services)

"""Logs a run to an MLflow server, or to a folder of files."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from harness.extras import Untyped, require_module
from harness.types import Json

from .record import TrackedRun

_ID: Final = "harness.run"  # the tag by which a run is found again, since MLflow gives the ids
_TABLE: Final = "samples.json"
_BATCH: Final = 100  # parameters of one call; MLflow allows no more
_METRICS: Final = 1000  # metrics of one call
_LONGEST: Final = 500  # characters of a parameter's value


def log_to_mlflow(tracked: TrackedRun, uri: str, experiment: str) -> None:
    """Create the run or go on in it.

    Args:
        tracked: what is logged.
        uri: of the tracking server; or a folder, as a path or `file:` address.
        experiment: its name; it is created if there is none.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # which goes to MLflow's makers, not to this server
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # a folder is refused otherwise; servers do not read it
    mlflow = require_module("mlflow", "mlflow", by="HARNESS_MLFLOW_URI")
    entities = require_module("mlflow.entities", "mlflow", by="HARNESS_MLFLOW_URI")
    client = mlflow.MlflowClient(tracking_uri=uri)
    found = client.get_experiment_by_name(experiment)
    where = found.experiment_id if found is not None else client.create_experiment(experiment)
    earlier = client.search_runs([where], filter_string=f"tags.`{_ID}` = '{tracked.id}'", max_results=1)
    if earlier:
        run = earlier[0]
        client.update_run(run.info.run_id, status="RUNNING")
    else:
        run = client.create_run(where, run_name=tracked.name, tags={_ID: tracked.id})
    _log(client, entities, run, tracked)
    client.set_terminated(run.info.run_id, "FINISHED")


def _log(client: Untyped, entities: Untyped, run: Untyped, tracked: TrackedRun) -> None:
    own = run.info.run_id
    # A parameter never changes in MLflow, so those of an earlier invocation stay; run.json has the current ones.
    params = [entities.Param(name, value) for name, value in flatten(tracked.config) if name not in run.data.params]
    for start in range(0, len(params), _BATCH):
        client.log_batch(own, params=params[start : start + _BATCH])
    now, step = int(time.time() * 1000), int(run.data.tags.get("harness.invocations", "0"))
    metrics = [entities.Metric(clean_name(name), value, now, step) for name, value in tracked.metrics.items()]
    for start in range(0, len(metrics), _METRICS):
        client.log_batch(own, metrics=metrics[start : start + _METRICS])
    for name, content in tracked.files.items():
        client.log_text(own, json.dumps(content, ensure_ascii=False, indent=1), name)
    # `client.log_table` appends to the table of an earlier invocation; this replaces it.
    table: dict[str, Any] = {"columns": list(tracked.columns), "data": [list(row) for row in tracked.rows]}
    client.log_text(own, json.dumps(table, ensure_ascii=False), _TABLE)
    shown = json.dumps([{"path": _TABLE, "type": "table"}])
    tags = {**tracked.tags, "mlflow.loggedArtifacts": shown, "harness.invocations": str(step + 1)}
    client.log_batch(own, tags=[entities.RunTag(name, value) for name, value in tags.items()])


def clean_name(name: str) -> str:
    """A name without characters that MLflow refuses."""
    return re.sub(r"[^\w\-. :/]", "_", name, flags=re.ASCII)[:250]


def flatten(config: Mapping[str, Json], place: str = "") -> Iterator[tuple[str, str]]:
    """The leaves of a configuration, as MLflow's parameters: `model.settings.adapter` -> text."""
    for key, value in config.items():
        name = f"{place}{clean_name(str(key))}"
        if isinstance(value, Mapping):
            yield from flatten(cast("Mapping[str, Json]", value), f"{name}.")
        elif value not in (None, "", []):
            yield name[:250], (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))[:_LONGEST]

"""Logs a run to an MLflow server, or to a folder of files."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, cast

from harness.extras import Untyped, require_module
from harness.text import plain
from harness.types import Json

from .record import TrackedRun

_ID: Final = "harness.run"  # the tag by which a run is found again, since MLflow gives the ids
_TABLE: Final = "samples.json"
_BATCH: Final = 100  # parameters of one call; MLflow allows no more
_METRICS: Final = 1000  # metrics of one call
_LONGEST: Final = 500  # characters of a parameter's value
_NAME: Final = 250  # characters of a name


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
    where = _open_experiment(client, experiment)
    earlier = client.search_runs([where], filter_string=f"tags.`{_ID}` = '{tracked.id}'", max_results=1)
    if earlier:
        run = earlier[0]
        client.update_run(run.info.run_id, status="RUNNING")
    else:
        run = client.create_run(where, run_name=tracked.name, tags={_ID: tracked.id})
    own = run.info.run_id
    # A parameter never changes in MLflow, so those of an earlier invocation stay; run.json has the current ones.
    leaves = dict(flatten(tracked.config))
    names = clean_names(leaves)
    params = [entities.Param(names[key], each) for key, each in leaves.items() if names[key] not in run.data.params]
    for start in range(0, len(params), _BATCH):
        client.log_batch(own, params=params[start : start + _BATCH])
    now, step = int(time.time() * 1000), int(run.data.tags.get("harness.invocations", "0"))
    names = clean_names(tracked.metrics)
    metrics = [entities.Metric(names[key], value, now, step) for key, value in tracked.metrics.items()]
    for start in range(0, len(metrics), _METRICS):
        client.log_batch(own, metrics=metrics[start : start + _METRICS])
    for name, content in tracked.files.items():
        client.log_text(own, json.dumps(content, indent=1), name)  # ASCII, since a text may hold half a surrogate pair
    # `client.log_table` appends to the table of an earlier invocation; this replaces it.
    table: dict[str, Any] = {"columns": list(tracked.columns), "data": [list(row) for row in tracked.rows]}
    client.log_text(own, json.dumps(table), _TABLE)
    shown = json.dumps([{"path": _TABLE, "type": "table"}])
    tags = {**tracked.tags, "mlflow.loggedArtifacts": shown, "harness.invocations": str(step + 1)}
    client.log_batch(own, tags=[entities.RunTag(name, value) for name, value in tags.items()])
    client.set_terminated(own, "FINISHED")


def _open_experiment(client: Untyped, name: str) -> str:
    """The id of the experiment with this name. Two runs that end together may both find none; one then creates it."""
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name))
        except Exception:
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return str(found.experiment_id)


def clean_names(names: Iterable[str]) -> dict[str, str]:
    """Each name with the one that MLflow takes: of words, short, a path that goes nowhere else, and no two alike."""
    cleaned: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        pieces = (re.sub(r"[^\w\-. :]", "_", piece) for piece in name.split("/"))
        short = "/".join(piece if piece.strip(".") else "_" * max(1, len(piece)) for piece in pieces)
        if len(short) > _NAME or short in taken:
            digest, half = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:12], (_NAME - 14) // 2
            ends = (short, "") if len(short) <= 2 * half else (short[:half], short[-half:])
            short = f"{ends[0]}_{digest}_{ends[1]}".rstrip("_")
        taken.add(short)
        cleaned[name] = short
    return cleaned


def flatten(config: Mapping[str, Json], place: str = "") -> Iterator[tuple[str, str]]:
    """The leaves of a configuration, as MLflow's parameters: `model.settings.adapter` -> text."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from flatten(cast("Mapping[str, Json]", value), f"{place}{key}.")
        elif value not in (None, "", []):
            yield f"{place}{key}", plain(value if isinstance(value, str) else json.dumps(value))[:_LONGEST]

"""Logs a run to Weights & Biases, or to its files while `WANDB_MODE=offline`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.extras import require_module

from .record import TrackedRun


def log_to_wandb(tracked: TrackedRun, project: str, place: Path) -> None:
    """Create the run or go on in it.

    Nothing of the machine is sent: no output, name, command line, code, packages or hardware. All that the client
    writes stays in `place`. Otherwise its copies of tables and files lie in the user's home, and stay there.

    Args:
        tracked: what is logged.
        project: `PROJECT` or `ENTITY/PROJECT`.
        place: where the client writes its files.
    """
    os.environ.setdefault("WANDB_DATA_DIR", str(place))
    os.environ.setdefault("WANDB_CACHE_DIR", str(place / "cache"))
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # its crashes are not reported to its makers
    wandb = require_module("wandb", "wandb", by="HARNESS_WANDB_PROJECT")
    entity, _, name = project.rpartition("/")
    settings = wandb.Settings(
        console="off",
        host="",
        silent=True,
        save_code=False,
        disable_git=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
        disable_job_creation=True,
    )
    run = wandb.init(
        project=name,
        entity=entity or None,
        id=tracked.id,
        name=tracked.name,
        resume="allow",
        dir=place,
        job_type="evaluation",
        settings=settings,
    )
    run.config.update({**tracked.config, **tracked.tags}, allow_val_change=True)
    table = wandb.Table(columns=list(tracked.columns), data=[list(row) for row in tracked.rows])
    run.log({**tracked.metrics, "samples": table})
    with TemporaryDirectory() as scratch:
        artifact = wandb.Artifact(f"results-{tracked.id}", type="results")
        for file, content in tracked.files.items():
            path = Path(scratch) / file
            path.write_text(json.dumps(content, indent=1), encoding="ascii")
            artifact.add_file(str(path), name=file)
        run.log_artifact(artifact)
        run.finish()

"""The agreement of a run's judges, as the page of each split reads it: figures, labels and items, never a text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.errors import HarnessError
from harness.runs.agreement import load_parts, measure_split
from harness.runs.agreement_json import agreement_as_json
from harness.runs.stored import open_run
from harness.types import Json


def describe_agreement(folder: Path, name: str) -> dict[str, Json]:
    """The agreement on each split of a run, as `harness agree --json` prints it.

    Args:
        folder: the run folder.
        name: of the run on the page, which stands in place of its folder.

    Returns:
        `why` is empty, or says why nothing could be measured; then there are no splits.
    """
    try:
        run = open_run(folder, ())
        splits = [measure_split(replace(part, run=name)) for part in load_parts(run)]
    except HarnessError as error:  # the run has not ended, or its plugin is missing
        return {"why": error.what, "remedy": error.remedy, "splits": {}}
    return {**agreement_as_json({name: run.file.model.ref}, splits), "why": ""}

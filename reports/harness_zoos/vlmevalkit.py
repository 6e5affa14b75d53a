"""Results as VLMEvalKit keeps them: `MODEL/MODEL_DATASET_score.json` and its siblings, and the folder's status.json.

Values are in their own unit: percent from 0 to 100. Only `_acc.csv`, the table of a multiple-choice set, has shares of
1, as there. A metric without a value is null in JSON, empty in CSV, and left out of status.json, which holds numbers
only.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from harness.board.rows import Measure, Row
from harness.contracts import Results
from harness.keys import short
from harness.store.folder import file_name
from harness.text import escape_cell, one_line
from harness.types import Json

from .runs import Number, count_records, encode_json, format_title, list_splits, name_runs

#: our splits that are a data set of VLMEvalKit's, scored by it, and what its table calls their part
SETS: Final = {
    "mmstar:val": ("MMStar", "none"),
    "mmmu:validation": ("MMMU_DEV_VAL", "validation"),
    "muirbench:test": ("MUIRBench", "none"),
    "mmt-bench:val_mi": ("MMT-Bench_VAL_MI", "none"),
    "hallusionbench:image": ("HallusionBench", "none"),
    "pope:test": ("POPE", "none"),
}
_ACCURACY: Final = "accuracy"
_LONGEST: Final = 200  #: characters of a name without its ending; most file systems end at 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """One split as a data set.

    Attributes:
        name: VLMEvalKit's; for what it does not have, ours.
        part: what its table calls the part.
        rows: the run's own judge first.
    """

    name: str
    part: str
    rows: tuple[Row, ...]


def render_files(results: Sequence[Results]) -> Mapping[str, bytes]:
    """File name, under what VLMEvalKit calls `outputs` -> its bytes."""
    files: dict[str, bytes] = {}
    for _, model, run in name_runs(results, lambda name: _cut(file_name(name))):
        sets = list(_list_datasets(run))
        files[f"{model}/status.json"] = _build_status(model, run, sets)
        for each in sets:
            for row in each.rows:
                # other judges than the run's own are named in the file's name, as VLMEvalKit names a judge
                judge = "" if row.primary else f"_{file_name(row.judge.id)}"
                stem = f"{model}/{_cut(f'{model}_{each.name}{judge}')}"
                scores = _list_scores(row)
                about = {"judge": row.judge.label, "complete": row.complete, "subset": row.subset}
                files[f"{stem}_score.json"] = encode_json({**scores, **about, "flags": row.caution_kinds})
                files[f"{stem}_score.csv"] = _write_line(scores)
            main = each.rows[0].main
            if main is not None and main.name == _ACCURACY:
                stem = f"{model}/{_cut(f'{model}_{each.name}')}"
                files[f"{stem}_acc.csv"] = _write_line(_list_accuracies(each))
    return files


def _list_datasets(run: Results) -> Iterator[Dataset]:
    """The splits of a run; one whose name another has taken keeps ours."""
    taken: set[str] = set()
    for section, every in list_splits(run):
        ours = file_name(format_title(section).replace(":", "_"))
        own = (file_name(section.split), "none") if section.task == "vlmeval" else None
        name, part = own or SETS.get(format_title(section)) or (ours, "none")
        name = ours if name in taken else name
        taken.add(name)
        yield Dataset(name=name, part=part, rows=every)


def _cut(name: str) -> str:
    """A name that leaves room for an ending in a file's name."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 9]}-{short(name)}"


def _list_scores(row: Row) -> dict[str, Number | None]:
    """`Overall`, which is the main metric's value, each metric, and the counts that belong to them."""
    overall = None if row.main is None else row.main.value
    return {"Overall": overall, **{each.name: each.value for each in row.measures}, **count_records(row)}


def _list_accuracies(found: Dataset) -> dict[str, Json]:
    """One line of the table of a multiple-choice set: the part, the whole, each group, and the counts."""

    def share(measures: Sequence[Measure]) -> float | None:
        value = next((each.value for each in measures if each.name == _ACCURACY), None)
        return None if value is None else value / 100

    row = found.rows[0]
    groups = [row.by.get(by, {}) for by in ("l2-category", "category")]
    shares = {name: share(measures) for every in groups for name, (_, measures) in every.items()}
    return {"split": found.part, "Overall": share(row.measures), **shares, **count_records(row)}


def _write_line(line: Mapping[str, Json]) -> bytes:
    """A CSV file of one line."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([escape_cell(one_line(name)) for name in line])
    writer.writerow(line.values())
    return out.getvalue().encode()


def _build_status(model: str, run: Results, sets: Sequence[Dataset]) -> bytes:
    """What `collect_run_benchmark_report` of VLMEvalKit reads."""
    datasets: dict[str, Json] = {}
    for each in sets:
        row = each.rows[0]
        error = f"incomplete: {row.coverage} of the records have a result"
        datasets[each.name] = {
            "status": "done",
            "judge_model": row.judge.label,
            **({} if row.complete else {"error_message": error}),
            "primary_metric": "Overall",
            "metrics": {name: value for name, value in _list_scores(row).items() if value is not None},
            "updated_at": run["finished"],
        }
    status = {
        "schema_version": "1.0",
        "eval_id": model,
        "model_name": model,
        "created_at": run["started"],
        "updated_at": run["finished"],
        "datasets": datasets,
    }
    return encode_json(status)

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

from harness.board.flagged import cautioned
from harness.board.values import Measure, Row
from harness.contracts import Results
from harness.keys import short
from harness.sheets import defused
from harness.store.folder import file_name
from harness.terminal import one_line
from harness.types import Json

from .runs import Number, beside, encoded, named, splits, title

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


def files(results: Sequence[Results]) -> Mapping[str, bytes]:
    """File name, under what VLMEvalKit calls `outputs` -> its bytes."""
    found: dict[str, bytes] = {}
    for _, model, run in named(results, lambda name: _cut(file_name(name))):
        sets = list(datasets(run))
        found[f"{model}/status.json"] = encoded(_status(model, run, sets))
        for each in sets:
            found.update(_files(f"{model}/{model}_{each.name}", each))
    return found


def datasets(run: Results) -> Iterator[Dataset]:
    """The splits of a run; one whose name another has taken keeps ours."""
    taken: set[str] = set()
    for section, every in splits(run):
        ours = file_name(title(section).replace(":", "_"))
        opened = (file_name(section.split), "none") if section.task == "vlmeval" else None
        name, part = opened or SETS.get(title(section)) or (ours, "none")
        name = ours if name in taken else name
        taken.add(name)
        yield Dataset(name=name, part=part, rows=every)


def _files(stem: str, found: Dataset) -> Iterator[tuple[str, bytes]]:
    for row in found.rows:
        yield from _scores(_within(f"{stem}{_judged_by(row)}"), row)
    main = found.rows[0].main
    if main is not None and main.name == _ACCURACY:
        yield f"{_within(stem)}_acc.csv", _table(_accuracies(found))


def _within(stem: str) -> str:
    """A path whose last part, with its ending, is no longer than a file's name may be."""
    folder, _, name = stem.partition("/")
    return f"{folder}/{_cut(name)}"


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 9]}-{short(name)}"


def _judged_by(row: Row) -> str:
    """Other judges than the run's own are named in the file's name, as VLMEvalKit names a judge."""
    return "" if row.primary else f"_{file_name(row.judge.id)}"


def _scores(stem: str, row: Row) -> Iterator[tuple[str, bytes]]:
    scores = _numbers(row)
    about = {"judge": row.judge.label, "complete": row.complete, "subset": row.subset, "flags": cautioned(row)}
    yield f"{stem}_score.json", encoded({**scores, **about})
    yield f"{stem}_score.csv", _table(scores)


def _numbers(row: Row) -> dict[str, Number | None]:
    """`Overall`, which is the main metric's value, each metric, and what stands beside them."""
    overall = None if row.main is None else row.main.value
    return {"Overall": overall, **{each.name: each.value for each in row.measures}, **beside(row)}


def _accuracies(found: Dataset) -> dict[str, Json]:
    """One line of the table of a multiple-choice set: the part, the whole, each group, and what stands beside."""
    row = found.rows[0]
    groups = [row.by.get(by, {}) for by in ("l2-category", "category")]
    shares = {name: _share(measures) for every in groups for name, (_, measures) in every.items()}
    return {"split": found.part, "Overall": _share(row.measures), **shares, **beside(row)}


def _share(measures: Sequence[Measure]) -> float | None:
    value = next((each.value for each in measures if each.name == _ACCURACY), None)
    return None if value is None else value / 100


def _table(line: Mapping[str, Json]) -> bytes:
    """A CSV file of one line."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([defused(one_line(name)) for name in line])
    writer.writerow(line.values())
    return out.getvalue().encode()


def _status(model: str, run: Results, sets: Sequence[Dataset]) -> dict[str, Json]:
    """What `collect_run_benchmark_report` of VLMEvalKit reads."""
    return {
        "schema_version": "1.0",
        "eval_id": model,
        "model_name": model,
        "created_at": run["started"],
        "updated_at": run["finished"],
        "datasets": {each.name: _dataset_status(each.rows[0], run) for each in sets},
    }


def _dataset_status(row: Row, run: Results) -> dict[str, Json]:
    numbers = {name: value for name, value in _numbers(row).items() if value is not None}
    return {
        "status": "done",
        "judge_model": row.judge.label,
        **({} if row.complete else {"error_message": f"incomplete: {row.coverage} of the records have a result"}),
        "primary_metric": "Overall",
        "metrics": numbers,
        "updated_at": run["finished"],
    }

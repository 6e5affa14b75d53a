"""Results as lm-eval keeps them: `MODEL/results_<time>.json`, with the keys that lm-eval 0.4.13 writes.

There a share is a number from 0 to 1, so percent is divided by 100. A metric is named `metric,filter`; the filter is
`none` for the run's own judge, and the judge's id for another. Standard errors are "N/A", as where lm-eval has none:
our intervals are not made of one, and stand under `harness`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from harness.board.flagged import cautioned
from harness.board.rows import Section
from harness.board.values import Ends, Measure, Row
from harness.contracts import Results
from harness.keys import text_hash
from harness.types import Json

from .runs import beside, encoded, named, splits, title

_LONGEST = 200  #: characters of a folder's name
_Tasks = Mapping[str, tuple[Section, tuple[Row, ...]]]


def files(results: Sequence[Results]) -> Mapping[str, bytes]:
    """File name, under lm-eval's output path -> its bytes."""
    return {
        f"{folder}/results_{re.sub(r'[^0-9A-Za-z.+-]', '-', run['started'])[:40]}.json": encoded(document(ref, run))
        for ref, folder, run in named(results, folder_of)
    }


def folder_of(model: str) -> str:
    """A model's name as lm-eval makes a folder of it; never one that is hidden or above."""
    name = re.sub(r"[\"<>:/|\\?*\[\]]+", "__", model)
    return name.encode()[:_LONGEST].decode(errors="ignore").strip(". ") or "model"


def document(ref: str, run: Results) -> dict[str, Json]:
    """One run of the model `ref`."""
    tasks = {_name(section): (section, every) for section, every in splits(run)}
    measured = {name: _measured(name, every) for name, (_, every) in tasks.items()}
    pooled = {name: _parts(section) for name, (section, _) in tasks.items()}
    return {
        "results": measured,
        "groups": {name: measured[name] for name, parts in pooled.items() if parts},
        "group_subtasks": pooled,
        "configs": {name: _config(name, section, every[0]) for name, (section, every) in tasks.items()},
        "versions": {name: section.about.get("version") for name, (section, _) in tasks.items()},
        "n-shot": dict.fromkeys(tasks, 0),
        "higher_is_better": {name: _directions(every[0]) for name, (_, every) in tasks.items()},
        "n-samples": {name: _counts(every[0]) for name, (_, every) in tasks.items()},
        **_run(ref, run, tasks),
        "harness": {name: [_whole(row) for row in every] for name, (_, every) in tasks.items()},
    }


def _name(section: Section) -> str:
    """lm-eval's own name of a task of its; else ours."""
    return section.split if section.task == "lm-eval" else title(section)


def _parts(section: Section) -> list[str]:
    return [f"{section.task}:{part}" for part in section.parts]


def _measured(name: str, every: Sequence[Row]) -> dict[str, Json]:
    found: dict[str, Json] = {"name": name, "alias": name, "sample_len": every[0].n}
    for row in every:
        chosen = "none" if row.primary else row.judge.id
        for measure in row.measures:
            found[f"{measure.name},{chosen}"] = "N/A" if measure.value is None else _unit(measure.value, measure)
            found[f"{measure.name}_stderr,{chosen}"] = "N/A"
        found.update({f"{what},{chosen}": value for what, value in beside(row).items()})
    return found


def _unit(value: float, measure: Measure) -> float:
    return value / 100 if measure.unit == "%" else value


def _directions(row: Row) -> dict[str, bool]:
    return {measure.name: measure.better == "higher" for measure in row.measures if measure.better != "neither"}


def _counts(row: Row) -> dict[str, int]:
    return {"original": row.n if row.n_expected is None else row.n_expected, "effective": row.n}


def _config(name: str, section: Section, row: Row) -> dict[str, Json]:
    data: Mapping[str, Any] = section.about.get("data") or {}
    return {
        "task": name,
        "dataset_path": data.get("source") or "",
        "test_split": section.split,
        "output_type": "generate_until",
        "num_fewshot": 0,
        "generation_kwargs": {key: value for key, value in row.settings.items() if value not in (None, [])},
        "repeats": row.epochs,
        "metadata": {
            "version": section.about.get("version"),
            "data_revision": data.get("revision") or "",
            "judge": row.judge.label,
            "input_fidelity": row.fidelity,
            "flags": cautioned(row),
        },
    }


def _run(ref: str, run: Results, tasks: _Tasks) -> dict[str, Json]:
    scheme, _, model = str(run["model"]["ref"]).partition("/")
    row = next((every[0] for _, every in tasks.values()), None)
    system = "" if row is None else row.system
    return {
        "config": {
            "model": scheme,
            "model_args": {"model": model, **run["model"].get("settings", {})},
            "batch_size": None,
            "device": None,
            "limit": next(_limits(tasks), None),
            "gen_kwargs": {} if row is None else dict(row.settings),
            "random_seed": None if row is None else row.settings.get("seed"),
        },
        "git_hash": None,
        "date": _seconds(run["started"]),
        "harness_version": run["harness"],
        "model_source": scheme,
        "model_name": ref,
        "model_name_sanitized": folder_of(ref),
        "system_instruction": system or None,
        "system_instruction_sha": text_hash(system) if system else None,
        "fewshot_as_multiturn": None,
        "chat_template": None,
        "chat_template_sha": None,
        "task_hashes": {},
        "total_evaluation_time_seconds": str(run["wall_s"]),
    }


def _seconds(time: str) -> float | None:
    """Since 1970; None for a text that is no time."""
    try:
        return datetime.fromisoformat(time).timestamp()
    except ValueError:
        return None


def _limits(tasks: _Tasks) -> Iterator[Json]:
    return (every[0].subset.get("limit") for _, every in tasks.values() if every[0].subset is not None)


def _whole(row: Row) -> dict[str, Json]:
    """What lm-eval has no place for, in lm-eval's unit: intervals and bounds, verdicts and outcomes."""
    return {
        "judge": row.judge.label,
        "judge_id": row.judge.id,
        "primary": row.primary,
        "complete": row.complete,
        "subset": row.subset,
        "outcomes": dict(row.outcomes),
        "verdicts": dict(row.verdicts),
        "metrics": {measure.name: _ends(measure) for measure in row.measures},
    }


def _ends(measure: Measure) -> dict[str, Json]:
    def turned(ends: Ends) -> list[float | None]:
        return [None if end is None else _unit(end, measure) for end in ends]

    return {
        "ci95": turned(measure.ci95),
        "ci95_worst": turned(measure.ci95_worst),
        "bounds": turned(measure.bounds),
        "unresolved": measure.unresolved,
        "main": measure.main,
    }

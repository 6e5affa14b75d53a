"""Results as lm-eval keeps them: `MODEL/results_<time>.json`, with the keys that lm-eval 0.4.13 writes.

There a share is a number from 0 to 1, so percent is divided by 100. A metric is named `metric,filter`; the filter is
`none` for the run's own judge, and the judge's id for another. Standard errors are "N/A", as where lm-eval has none:
our intervals are not made of one, and are under `harness`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from harness.board.rows import Ends, Measure, Row, Section
from harness.contracts import Results
from harness.keys import text_hash
from harness.types import Json

from .runs import count_records, encode_json, format_title, list_splits, name_runs

_LONGEST: Final = 200  #: bytes of a folder's name
Tasks = Mapping[str, tuple[Section, tuple[Row, ...]]]  #: name in lm-eval -> its split and the rows of each judge


def render_files(results: Sequence[Results]) -> Mapping[str, bytes]:
    """File name, under lm-eval's output path -> its bytes."""
    files: dict[str, bytes] = {}
    for ref, folder, run in name_runs(results, make_folder):
        time = re.sub(r"[^0-9A-Za-z.+-]", "-", run["started"])[:40]
        files[f"{folder}/results_{time}.json"] = encode_json(_build_document(ref, run))
    return files


def make_folder(model: str) -> str:
    """A model's name as lm-eval makes a folder of it; never one that is hidden or above."""
    name = re.sub(r"[\"<>:/|\\?*\[\]]+", "__", model)
    return name.encode()[:_LONGEST].decode(errors="ignore").strip(". ") or "model"


def _build_document(ref: str, run: Results) -> dict[str, Json]:
    """One run of the model `ref`; lm-eval's own task keeps its name there."""
    tasks: Tasks = {
        section.split if section.task == "lm-eval" else format_title(section): (section, every)
        for section, every in list_splits(run)
    }
    numbers = {name: _list_numbers(name, every) for name, (_, every) in tasks.items()}
    parts = {name: [f"{section.task}:{part}" for part in section.parts] for name, (section, _) in tasks.items()}
    first = {name: every[0] for name, (_, every) in tasks.items()}
    return {
        "results": numbers,
        "groups": {name: numbers[name] for name, given in parts.items() if given},
        "group_subtasks": parts,
        "configs": {name: _build_config(name, section, every[0]) for name, (section, every) in tasks.items()},
        "versions": {name: section.about.get("version") for name, (section, _) in tasks.items()},
        "n-shot": dict.fromkeys(tasks, 0),
        "higher_is_better": {
            name: {each.name: each.better == "higher" for each in row.measures if each.better != "neither"}
            for name, row in first.items()
        },
        "n-samples": {
            name: {"original": row.n if row.n_expected is None else row.n_expected, "effective": row.n}
            for name, row in first.items()
        },
        **_describe_run(ref, run, list(first.values())),
        "harness": {name: [_describe_row(row) for row in every] for name, (_, every) in tasks.items()},
    }


def _list_numbers(name: str, every: Sequence[Row]) -> dict[str, Json]:
    found: dict[str, Json] = {"name": name, "alias": name, "sample_len": every[0].n}
    for row in every:
        chosen = "none" if row.primary else row.judge.id
        for measure in row.measures:
            found[f"{measure.name},{chosen}"] = "N/A" if measure.value is None else _scale(measure.value, measure)
            found[f"{measure.name}_stderr,{chosen}"] = "N/A"
        found.update({f"{what},{chosen}": value for what, value in count_records(row).items()})
    return found


def _scale(value: float, measure: Measure) -> float:
    return value / 100 if measure.unit == "%" else value


def _build_config(name: str, section: Section, row: Row) -> dict[str, Json]:
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
            "flags": row.caution_kinds,
        },
    }


def _describe_run(ref: str, run: Results, first: Sequence[Row]) -> dict[str, Json]:
    """What lm-eval says of the whole run.

    Args:
        ref: of the model.
        run: its results.
        first: the row of the run's own judge of each split.
    """
    scheme, _, model = str(run["model"]["ref"]).partition("/")
    row = first[0] if first else None
    system = "" if row is None else row.system
    try:
        date = datetime.fromisoformat(run["started"]).timestamp()
    except ValueError:
        date = None
    return {
        "config": {
            "model": scheme,
            "model_args": {"model": model, **run["model"].get("settings", {})},
            "batch_size": None,
            "device": None,
            "limit": next((each.subset.get("limit") for each in first if each.subset is not None), None),
            "gen_kwargs": {} if row is None else dict(row.settings),
            "random_seed": None if row is None else row.settings.get("seed"),
        },
        "git_hash": None,
        "date": date,
        "harness_version": run["harness"],
        "model_source": scheme,
        "model_name": ref,
        "model_name_sanitized": make_folder(ref),
        "system_instruction": system or None,
        "system_instruction_sha": text_hash(system) if system else None,
        "fewshot_as_multiturn": None,
        "chat_template": None,
        "chat_template_sha": None,
        "task_hashes": {},
        "total_evaluation_time_seconds": str(run["wall_s"]),
    }


def _describe_row(row: Row) -> dict[str, Json]:
    """What lm-eval has no place for, in lm-eval's unit: intervals and bounds, verdicts and outcomes."""
    return {
        "judge": row.judge.label,
        "judge_id": row.judge.id,
        "primary": row.primary,
        "complete": row.complete,
        "subset": row.subset,
        "outcomes": dict(row.outcomes),
        "verdicts": dict(row.verdicts),
        "metrics": {measure.name: _list_ends(measure) for measure in row.measures},
    }


def _list_ends(measure: Measure) -> dict[str, Json]:
    def scale(ends: Ends) -> list[float | None]:
        return [None if end is None else _scale(end, measure) for end in ends]

    return {
        "ci95": scale(measure.ci95),
        "ci95_worst": scale(measure.ci95_worst),
        "bounds": scale(measure.bounds),
        "unresolved": measure.unresolved,
        "main": measure.main,
    }

"""Results in the files that VLMEvalKit and lm-eval 0.4.13 write.

VLMEvalKit: `MODEL/MODEL_DATASET_score.json` and its siblings, and the folder's status.json. Values are in percent, 0 to
100. Only `_acc.csv`, the table of a multiple-choice set, has shares of 1, as in VLMEvalKit. A metric without a value is
null in JSON, empty in CSV, and left out of status.json, which holds numbers only.

lm-eval: `MODEL/results_<time>.json`. A share is a number from 0 to 1, so percent is divided by 100. A metric is named
`metric,filter`; the filter is `none` for the primary judge, and the judge's id for another. Standard errors are "N/A",
lm-eval's value for none: our intervals do not use them, and are under `harness`.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from harness.board.rows import Measure, Row
from harness.board.sections import Section, attack_name, list_sections, read_rows, strategy_name
from harness.contracts import Results
from harness.keys import short, text_hash
from harness.store.folder import file_name
from harness.text import escape_cell, one_line
from harness.types import Json

#: our splits that VLMEvalKit scores -> its data set, and the part's name in its table
SETS: Final = {
    "mmstar:val": ("MMStar", "none"),
    "mmmu:validation": ("MMMU_DEV_VAL", "validation"),
    "muirbench:test": ("MUIRBench", "none"),
    "mmt-bench:val_mi": ("MMT-Bench_VAL_MI", "none"),
    "hallusionbench:image": ("HallusionBench", "none"),
    "pope:test": ("POPE", "none"),
}
_ACCURACY: Final = "accuracy"
_LONGEST: Final = 200  #: most characters or bytes of a name without its suffix; most file systems allow 255

Number = int | float


def _name_runs(results: Sequence[Results], make_folder: Callable[[str], str]) -> Iterator[tuple[str, str, Results]]:
    """Each run with its model's name and its folder: the model, its strategy and its attack.

    A part of the identity tells runs of one name apart.

    Args:
        results: results of the runs.
        make_folder: makes a folder name from a model's name.
    """
    refs = [
        "+".join(filter(None, (one_line(run["model"]["ref"]), strategy_name(run), attack and f"attack-{attack}")))
        for run, attack in ((run, attack_name(run)) for run in results)
    ]
    taken: set[str] = set()
    for ref, run in zip(refs, results, strict=True):
        whole = ref if refs.count(ref) == 1 else f"{ref}-{short(run['model'].get('identity'), 6)}"
        tries = (whole if number == 1 else f"{whole}-{number}" for number in range(1, len(refs) + 1))
        name = next(each for each in tries if make_folder(each).casefold() not in taken)
        taken.add(make_folder(name).casefold())
        yield name, make_folder(name), run


def _list_splits(run: Results) -> Iterator[tuple[Section, str, tuple[Row, ...]]]:
    """Each split of a run, its title (`task:split`, or `task` alone), and its rows: the primary judge's first."""
    for section in list_sections(run):
        title = section.task if section.split == "all" else f"{section.task}:{section.split}"
        yield section, one_line(title), tuple(read_rows(section))


def _count_records(row: Row) -> dict[str, Number]:
    """The counts behind a number: included and excluded records."""
    main = row.main
    return {
        "n": row.n,
        "records": row.records,
        **({} if row.coverage is None else {"coverage": row.coverage}),
        "blocked": row.blocked,
        "errors": row.outcomes.get("error", 0) + row.outcomes.get("bad_sample", 0),
        **({"unanswered": waiting} if (waiting := row.outcomes.get("unanswered", 0)) else {}),
        "unresolved": 0 if main is None else main.unresolved,
    }


def _encode_json(value: Json) -> bytes:
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()


def render_vlmevalkit(results: Sequence[Results]) -> Mapping[str, bytes]:
    """File name under VLMEvalKit's `outputs` -> bytes."""
    files: dict[str, bytes] = {}
    for _, model, run in _name_runs(results, lambda name: _cut(file_name(name))):
        datasets: dict[str, Json] = {}  # name -> entry for VLMEvalKit's `collect_run_benchmark_report`
        for section, title, rows in _list_splits(run):
            ours = file_name(title.replace(":", "_"))
            own = (file_name(section.split), "none") if section.task == "vlmeval" else None
            name, part = own or SETS.get(title) or (ours, "none")
            name = ours if name in datasets else name
            for row in rows:
                # the file name holds any other judge, as VLMEvalKit's does
                judge = "" if row.primary else f"_{file_name(row.judge.id)}"
                stem = f"{model}/{_cut(f'{model}_{name}{judge}')}"
                scores = _list_scores(row)
                about = {"judge": row.judge.label, "complete": row.complete, "subset": row.subset}
                files[f"{stem}_score.json"] = _encode_json({**scores, **about, "flags": row.caution_kinds})
                files[f"{stem}_score.csv"] = _write_line(scores)
            first = rows[0]
            if first.main is not None and first.main.name == _ACCURACY:
                files[f"{model}/{_cut(f'{model}_{name}')}_acc.csv"] = _write_line(_list_accuracies(part, first))
            error = f"incomplete: {first.coverage} of the records have a result"
            datasets[name] = {
                "status": "done",
                "judge_model": first.judge.label,
                **({} if first.complete else {"error_message": error}),
                "primary_metric": "Overall",
                "metrics": {key: value for key, value in _list_scores(first).items() if value is not None},
                "updated_at": run["finished"],
            }
        times = {"created_at": run["started"], "updated_at": run["finished"]}
        status = {"schema_version": "1.0", "eval_id": model, "model_name": model, **times, "datasets": datasets}
        files[f"{model}/status.json"] = _encode_json(status)
    return files


def _cut(name: str) -> str:
    """A name that leaves room for a file suffix."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 9]}-{short(name)}"


def _list_scores(row: Row) -> dict[str, Number | None]:
    """`Overall` (the main metric's value), each metric, and their counts."""
    overall = None if row.main is None else row.main.value
    return {"Overall": overall, **{each.name: each.value for each in row.measures}, **_count_records(row)}


def _list_accuracies(part: str, row: Row) -> dict[str, Json]:
    """One line of the table of a multiple-choice set: the part, the whole, each group, and the counts."""

    def share(measures: Sequence[Measure]) -> float | None:
        value = next((each.value for each in measures if each.name == _ACCURACY), None)
        return None if value is None else value / 100

    groups = [row.by.get(by, {}) for by in ("l2-category", "category")]
    shares = {name: share(measures) for every in groups for name, (_, measures) in every.items()}
    return {"split": part, "Overall": share(row.measures), **shares, **_count_records(row)}


def _write_line(line: Mapping[str, Json]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([escape_cell(one_line(name)) for name in line])
    writer.writerow(line.values())
    return out.getvalue().encode()


def render_lm_eval(results: Sequence[Results]) -> Mapping[str, bytes]:
    """File name under lm-eval's output path -> bytes."""
    files: dict[str, bytes] = {}
    for ref, folder, run in _name_runs(results, _make_folder):
        time = re.sub(r"[^0-9A-Za-z.+-]", "-", run["started"])[:40]
        # an lm-eval task keeps its name
        tasks = {
            section.split if section.task == "lm-eval" else title: (section, rows)
            for section, title, rows in _list_splits(run)
        }
        numbers: dict[str, dict[str, Json]] = {}
        for name, (_, rows) in tasks.items():
            found = numbers[name] = {"name": name, "alias": name, "sample_len": rows[0].n}
            for row in rows:
                chosen = "none" if row.primary else row.judge.id
                for each in row.measures:
                    found[f"{each.name},{chosen}"] = "N/A" if each.value is None else _scale(each.value, each)
                    found[f"{each.name}_stderr,{chosen}"] = "N/A"
                found.update({f"{what},{chosen}": value for what, value in _count_records(row).items()})
        parts = {name: [f"{section.task}:{part}" for part in section.parts] for name, (section, _) in tasks.items()}
        first = {name: rows[0] for name, (_, rows) in tasks.items()}
        document: dict[str, Json] = {
            "results": numbers,
            "groups": {name: numbers[name] for name, given in parts.items() if given},
            "group_subtasks": parts,
            "configs": {name: _build_config(name, section, first[name]) for name, (section, _) in tasks.items()},
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
            "harness": {name: [_describe_row(row) for row in rows] for name, (_, rows) in tasks.items()},
        }
        files[f"{folder}/results_{time}.json"] = _encode_json(document)
    return files


def _make_folder(model: str) -> str:
    """lm-eval's folder for a model; never hidden or outside."""
    name = re.sub(r"[\"<>:/|\\?*\[\]]+", "__", model)
    return name.encode()[:_LONGEST].decode(errors="ignore").strip(". ") or "model"


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
    """lm-eval's facts about the whole run.

    Args:
        ref: the model.
        run: its results.
        first: each split's row of the primary judge.
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
        "model_name_sanitized": _make_folder(ref),
        "system_instruction": system or None,
        "system_instruction_sha": text_hash(system) if system else None,
        **dict.fromkeys(("fewshot_as_multiturn", "chat_template", "chat_template_sha")),
        "task_hashes": {},
        "total_evaluation_time_seconds": str(run["wall_s"]),
    }


def _describe_row(row: Row) -> dict[str, Json]:
    """Facts without a place in lm-eval's format, in its unit: intervals and bounds, verdicts and outcomes."""
    metrics: dict[str, Json] = {}
    for measure in row.measures:
        pairs = {"ci95": measure.ci95, "ci95_worst": measure.ci95_worst, "bounds": measure.bounds}
        metrics[measure.name] = {
            **{key: [None if end is None else _scale(end, measure) for end in ends] for key, ends in pairs.items()},
            "unresolved": measure.unresolved,
            "main": measure.main,
        }
    return {
        "judge": row.judge.label,
        "judge_id": row.judge.id,
        "primary": row.primary,
        "complete": row.complete,
        "subset": row.subset,
        "outcomes": dict(row.outcomes),
        "verdicts": dict(row.verdicts),
        "metrics": metrics,
    }

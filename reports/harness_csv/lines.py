"""Boards as long-form CSV: one line per row, metric and breakdown group; full precision, empty where there is none."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence

from harness import sheets
from harness.board.values import Board, Measure, Row
from harness.summary.split import FLAGS
from harness.terminal import plain
from harness.types import OUTCOMES, UNSCORED

Cell = str | int | float | bool | None

_VERDICTS = ("scored", *UNSCORED, "unjudged")
_COLUMNS = (
    *("model", "ref", "strategy", "task", "split", "part_of", "by", "group"),
    *("metric", "main", "unit", "better", "value", "ci95_low", "ci95_high", "ci95_worst_low", "ci95_worst_high"),
    *("bounds_low", "bounds_high", "numerator", "denominator", "unresolved", "clusters"),
    *("n", "n_expected", "subset", "epochs", "records", "coverage", "complete", "rank_group", "rank", "unranked"),
    *("judge", "rubric", "judge_model", "primary", "rubric_fidelity", "input_fidelity"),
    *OUTCOMES,
    *FLAGS,
    *_VERDICTS,
)


def document(boards: Sequence[Board]) -> str:
    """The file's text; lines end with a line feed, the first names the columns."""
    lines = [line for board in boards for row in board.rows for line in _lines(board, row)]
    out = io.StringIO()
    writer = csv.DictWriter(out, _COLUMNS, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows({name: defused(cell) for name, cell in line.items()} for line in lines)
    return out.getvalue()


def defused(cell: Cell) -> Cell:
    """A cell that no spreadsheet takes for a formula: text that begins like one gets an apostrophe in front."""
    if not isinstance(cell, str):
        return cell
    return sheets.defused(" ".join(plain(cell).split()))


def _lines(board: Board, row: Row) -> Iterator[dict[str, Cell]]:
    about = _about(board, row)
    for measure in row.measures:
        yield {**about, "n": row.n, **_numbers(measure)}
        for stratum, body in measure.strata.items():
            yield {**about, "by": "stratum", "group": stratum, **_numbers(measure), **_stratum(body)}
    for by, groups in row.by.items():
        for group, (n, measures) in groups.items():
            for measure in measures:
                yield {**about, "by": by, "group": group, "n": n, **_numbers(measure)}


def _about(board: Board, row: Row) -> dict[str, Cell]:
    return {
        "model": row.model,
        "ref": row.ref,
        "strategy": row.strategy,
        "task": board.task,
        "split": board.split,
        "part_of": board.part_of,
        "judge": row.judge.id,
        "rubric": row.judge.rubric,
        "judge_model": row.judge.model,
        "primary": row.primary,
        "rubric_fidelity": row.judge.fidelity,
        "input_fidelity": row.fidelity,
        "rank_group": board.group,
        "rank": row.rank,
        "unranked": row.unranked,
        "n_expected": row.n_expected,
        "subset": json.dumps(row.subset) if row.subset is not None else None,
        "epochs": row.epochs,
        "records": row.records,
        "coverage": row.coverage,
        "complete": row.complete,
        **{name: row.outcomes.get(name, 0) for name in OUTCOMES},
        **{name: row.flags.get(name, 0) for name in FLAGS},
        **{name: row.verdicts.get(name, 0) for name in _VERDICTS},
    }


def _numbers(measure: Measure) -> dict[str, Cell]:
    ends = {"ci95": measure.ci95, "ci95_worst": measure.ci95_worst, "bounds": measure.bounds}
    return {
        "metric": measure.name,
        "main": measure.main,
        "unit": measure.unit,
        "better": measure.better,
        "value": measure.value,
        **{f"{name}_{end}": pair[place] for name, pair in ends.items() for place, end in enumerate(("low", "high"))},
        "numerator": measure.numerator,
        "denominator": measure.denominator,
        "unresolved": measure.unresolved,
        "clusters": measure.clusters,
    }


def _stratum(body: Mapping[str, Cell]) -> dict[str, Cell]:
    """A stratum has a value and what it was divided by; the intervals belong to the whole metric."""
    ends = {f"{name}_{end}": None for name in ("ci95", "ci95_worst", "bounds") for end in ("low", "high")}
    own = {name: body.get(name) for name in ("value", "numerator", "denominator", "unresolved")}
    return {**ends, "clusters": None, **own}

"""Boards and means in long form: one line per row, metric and breakdown group, and one per mean of a suite.

Full precision, None where there is nothing. What a sheet of numbers is made of, in whatever file it is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from harness.board.leaderboard import Board, Mean
from harness.board.rows import Ends, Measure, Row
from harness.stats.summary import FLAGS, STATES
from harness.types import OUTCOMES

Cell = str | int | float | bool | None

COLUMNS: Final[tuple[str, ...]] = (
    *("model", "ref", "strategy", "kind", "task", "split", "part_of", "suite", "by", "group"),
    *("metric", "main", "unit", "better", "value", "why", "ci95_low", "ci95_high", "ci95_worst_low", "ci95_worst_high"),
    *("bounds_low", "bounds_high", "numerator", "denominator", "unresolved", "clusters", "judged", "estimated_for"),
    *("n", "n_expected", "subset", "epochs", "records", "coverage", "complete", "drawn"),
    *("rank_group", "rank", "unranked", "flags", "missing"),
    *("judge", "rubric", "judge_model", "primary", "rubric_fidelity", "input_fidelity"),
    *("source", "revision", "licence", "resolved", "model_revision", "finished"),
    *OUTCOMES,
    *FLAGS,
    *STATES,
)


def list_lines(boards: Sequence[Board], means: Sequence[Mean] = ()) -> Iterator[Mapping[str, Cell]]:
    """Every number of the boards, then the means, by the columns they have something in."""
    for board in boards:
        for row in board.rows:
            yield from _row_lines(board, row)
    for mean in means:
        yield {
            "kind": "suite",
            "model": mean.model,
            "ref": mean.ref,
            "strategy": mean.strategy,
            "suite": mean.suite,
            "metric": "mean",
            "unit": mean.unit,
            "better": mean.better,
            "value": mean.value,
            **_ends(mean.ci95, mean.ci95_worst, mean.bounds),
            "complete": mean.complete,
            "missing": ", ".join(mean.missing),
        }


def _row_lines(board: Board, row: Row) -> Iterator[dict[str, Cell]]:
    about = _row_cells(board, row)
    for measure in row.measures:
        yield {**about, "n": row.n, **_measure_cells(measure)}
        for stratum, body in measure.strata.items():
            yield {**about, "by": "stratum", "group": stratum, **_measure_cells(measure), **_stratum_cells(body)}
    for by, groups in row.by.items():
        for group, (n, measures) in groups.items():
            for measure in measures:
                yield {**about, "by": by, "group": group, "n": n, **_measure_cells(measure)}


def _row_cells(board: Board, row: Row) -> dict[str, Cell]:
    return {
        "kind": "split",
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
        "source": row.source,
        "revision": row.revision,
        "licence": row.licence,
        "resolved": ", ".join(row.resolved),
        "model_revision": row.model_revision,
        "finished": row.finished,
        "rank_group": board.group,
        "rank": row.rank,
        "unranked": row.unranked,
        "flags": row.caution_kinds,
        "n_expected": row.n_expected,
        "subset": json.dumps(row.subset) if row.subset is not None else None,
        "epochs": row.epochs,
        "records": row.records,
        "coverage": row.coverage,
        "complete": row.complete,
        "drawn": row.drawn,
        **{name: row.outcomes.get(name, 0) for name in OUTCOMES},
        **{name: row.flags.get(name, 0) for name in FLAGS},
        **{name: row.verdicts.get(name, 0) for name in STATES},
    }


def _ends(ci95: Ends, ci95_worst: Ends, bounds: Ends) -> dict[str, Cell]:
    pairs = {"ci95": ci95, "ci95_worst": ci95_worst, "bounds": bounds}
    return {f"{name}_{end}": pair[place] for name, pair in pairs.items() for place, end in enumerate(("low", "high"))}


def _measure_cells(measure: Measure) -> dict[str, Cell]:
    return {
        "metric": measure.name,
        "main": measure.main,
        "unit": measure.unit,
        "better": measure.better,
        "value": measure.value,
        "why": measure.why,
        **_ends(measure.ci95, measure.ci95_worst, measure.bounds),
        "numerator": measure.numerator,
        "denominator": measure.denominator,
        "unresolved": measure.unresolved,
        "clusters": measure.clusters,
        "judged": None if measure.estimated is None else measure.estimated[0],
        "estimated_for": None if measure.estimated is None else measure.estimated[1],
    }


def _stratum_cells(body: Mapping[str, Cell]) -> dict[str, Cell]:
    """A stratum has a value and what it was divided by; the intervals belong to the whole metric."""
    none: Ends = (None, None)
    own = {name: body.get(name) for name in ("value", "numerator", "denominator", "unresolved")}
    return {**_ends(none, none, none), "clusters": None, "why": "", "judged": None, "estimated_for": None, **own}

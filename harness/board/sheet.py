"""The leaderboard as a sheet of numbers, in full precision: a line for each row, metric, group and mean."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from harness.board.leaderboard import Board
from harness.board.rows import Ends, Measure, Row
from harness.board.suites import Mean
from harness.stats.summary import FLAGS, STATES
from harness.text import escape_cell, plain
from harness.types import OUTCOMES

_NO_ENDS: Final[Ends] = (None, None)

Cell = str | int | float | bool | None

#: columns of what people's labels say of a number
CORRECTED: Final[tuple[str, ...]] = ("corrected", "corrected_low", "corrected_high", "labels", "corrected_why")
#: columns of how much a main number depends on its judge
JUDGING: Final[tuple[str, ...]] = (
    *("judges", "judges_low", "judges_high"),
    *("repeats", "repeats_agree", "repeats_sd", "repeats_low", "repeats_high"),
)
COLUMNS: Final[tuple[str, ...]] = (
    *("model", "ref", "strategy", "attack", "seed", "kind", "task", "split", "part_of", "suite", "by", "group"),
    *("metric", "main", "unit", "better", "value", "why", "ci95_low", "ci95_high", "ci95_worst_low", "ci95_worst_high"),
    *("bounds_low", "bounds_high", "numerator", "denominator", "unresolved", "clusters", "judged", "estimated_for"),
    *CORRECTED,
    *("seeds", "seed_sd"),
    *JUDGING,
    *("n", "n_expected", "subset", "epochs", "records", "coverage", "complete", "drawn"),
    *("rank_group", "apart", "rank", "unranked", "flags", "missing"),
    *("judge", "rubric", "judge_model", "primary", "rubric_fidelity", "input_fidelity"),
    *("source", "revision", "licence", "resolved", "model_revision", "finished"),
    *OUTCOMES,
    "unanswered",
    *FLAGS,
    *STATES,
    *("cost_usd", "usd_per_1000_samples"),
)


def render_csv(columns: Sequence[str], lines: Iterable[Mapping[str, object]]) -> str:
    """Lines as CSV, below the columns' names; a cell is one line of text, and none can act as a formula.

    Args:
        columns: in order.
        lines: column -> its cell; a column that a line lacks is empty.
    """
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n", restval="")
    writer.writeheader()
    for line in lines:
        cells = {
            name: escape_cell(" ".join(plain(cell).split())) if isinstance(cell, str) else cell
            for name, cell in line.items()
        }
        writer.writerow(cells)
    return out.getvalue()


def list_lines(boards: Sequence[Board], means: Sequence[Mean] = ()) -> Iterator[Mapping[str, Cell]]:
    """Every number of the boards, then the means; each line holds the columns that it has a value for."""
    for board in boards:
        for row in board.rows:
            about = _list_row_cells(board, row)
            # how much the main number depends on its judge
            spread, repeats = row.over_judges, row.repeats
            found: tuple[Cell, ...] = (None, None, None) if spread is None else (spread.judges, spread.low, spread.high)
            again: tuple[Cell, ...] = (None,) * 5
            if repeats is not None:
                again = (repeats.count, repeats.agree, repeats.sd, repeats.low, repeats.high)
            judging: dict[str, Cell] = dict(zip(JUDGING, (*found, *again), strict=True))
            for measure in row.measures:
                yield {
                    **about,
                    "n": row.n,
                    **_list_measure_cells(measure),
                    **(judging if measure.main else {}),
                }
                for stratum, body in measure.strata.items():  # the intervals belong to the whole metric
                    own = {key: body.get(key) for key in ("value", "numerator", "denominator", "unresolved")}
                    none = {
                        **_ends(_NO_ENDS, _NO_ENDS, _NO_ENDS),
                        **dict.fromkeys(("clusters", "judged", "estimated_for", *CORRECTED, "seeds", "seed_sd")),
                    }
                    whole = {**about, "by": "stratum", "group": stratum, **_list_measure_cells(measure)}
                    yield {**whole, **none, "why": "", **own}
            for by, groups in row.by.items():
                for group, (n, measures) in groups.items():
                    for measure in measures:
                        yield {**about, "by": by, "group": group, "n": n, **_list_measure_cells(measure)}
    for mean in means:
        yield {
            "kind": "suite",
            "model": mean.model,
            "ref": mean.ref,
            "strategy": mean.strategy,
            "attack": mean.attack,
            "suite": mean.suite,
            "metric": "mean",
            "unit": mean.unit,
            "better": mean.better,
            "value": mean.value,
            **_ends(mean.ci95, mean.ci95_worst, mean.bounds),
            "complete": mean.complete,
            "missing": ", ".join(mean.missing),
        }


def _list_row_cells(board: Board, row: Row) -> dict[str, Cell]:
    return {
        "kind": "split",
        "model": row.model,
        "ref": row.ref,
        "strategy": row.strategy,
        "attack": row.attack,
        "seed": ", ".join(seed for _, seed in row.seeds) or row.seed,
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
        "apart": board.apart,
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
        **{name: row.outcomes.get(name, 0) for name in (*OUTCOMES, "unanswered")},
        **{name: row.flags.get(name, 0) for name in FLAGS},
        **{name: row.verdicts.get(name, 0) for name in STATES},
        "cost_usd": row.cost_usd,
        "usd_per_1000_samples": row.usd_per_1000,
    }


def _ends(ci95: Ends, ci95_worst: Ends, bounds: Ends) -> dict[str, Cell]:
    pairs = {"ci95": ci95, "ci95_worst": ci95_worst, "bounds": bounds}
    return {f"{name}_{end}": pair[place] for name, pair in pairs.items() for place, end in enumerate(("low", "high"))}


def _list_measure_cells(measure: Measure) -> dict[str, Cell]:
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
        **list_corrected_cells(measure),
        "seeds": len(measure.by_seed) or None,
        "seed_sd": measure.spread,
    }


def list_corrected_cells(measure: Measure) -> dict[str, Cell]:
    """What people's labels say of a number, by column; nothing where it has no labels and no draw."""
    found = measure.corrected
    if found is None:
        return {}
    return dict(zip(CORRECTED, (found.value, *found.ci95, found.labels, found.why), strict=True))

"""results.json as a table for notebooks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from harness.contracts import Results

if TYPE_CHECKING:
    import pandas as pd


def frame(every: Sequence[Results]) -> pd.DataFrame:
    """One row for each model, task, split, judge and metric; percent values are 0 to 100.

    Columns: model, task, split, judge, metric, value, unit, better, ci_low, ci_high, numerator, denominator,
    unresolved, n, coverage, complete, why.
    """
    import pandas as pd

    return pd.DataFrame([row for results in every for row in _rows(results)])


def _rows(results: Results) -> Iterator[dict[str, Any]]:
    for task, about in results["tasks"].items():
        for name, split in about["splits"].items():
            views = {split["judge"]: split, **split["other_judges"]}
            for judge, view in views.items():
                for metric, figures in view["metrics"].items():
                    low, high = figures["ci95"] or (None, None)
                    yield {
                        "model": results["model"]["ref"],
                        "task": task,
                        "split": name,
                        "judge": judge,
                        "metric": metric,
                        **{key: figures[key] for key in ("value", "unit", "better")},
                        "ci_low": low,
                        "ci_high": high,
                        **{key: figures[key] for key in ("numerator", "denominator", "unresolved")},
                        "n": split["n"],
                        "coverage": view["coverage"],
                        "complete": view["complete"],
                        "why": figures.get("why", ""),
                    }

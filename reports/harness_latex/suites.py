"""The means over suites as one table."""

from __future__ import annotations

from collections.abc import Sequence

from harness.board.display import figure
from harness.board.means import Mean
from harness.tex import escape

from .tables import ARROWS, Column, interval, number, table

_CAPTION = "Unweighted means over suites, with their 95% interval. There is none while a part is missing."


def suite_table(means: Sequence[Mean], label: str) -> str:
    """One row for each run and suite; what each mean is of stands below."""
    columns: list[Column[Mean]] = [
        Column(head="Model", cell=lambda mean: escape(mean.model), left=True),
        Column(head="Suite", cell=lambda mean: escape(mean.suite), left=True),
        Column(head="Mean", cell=_mean),
        Column(head="Parts", cell=lambda mean: str(mean.parts)),
    ]
    return table(columns, means, caption=escape(_CAPTION), label=label, notes=[escape(_of(mean)) for mean in means])


def _mean(mean: Mean) -> str:
    if mean.value is None:
        return number(None, mean.unit)
    arrow = f" {ARROWS[mean.better]}" if mean.better else ""
    return f"{number(mean.value, mean.unit)}{arrow}{interval(mean.ci95, mean.unit)}"


def _of(mean: Mean) -> str:
    of = ", ".join(f"{title} {figure(value, mean.unit)}" for title, (_, value) in mean.of.items())
    missing = f"; missing: {', '.join(mean.missing)}" if mean.missing else ""
    partial = "" if mean.complete or mean.missing else "; a part is a subset or incomplete"
    return f"{mean.model}, {mean.suite}: {of or 'nothing'}{missing}{partial}."

"""A comparison as a table for notebooks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from harness.runs.comparing.plain import change_json

if TYPE_CHECKING:
    import pandas as pd

    from harness.runs.comparing.values import Change, Compared, Comparison


def frame(found: Comparison) -> pd.DataFrame:
    """One row for each run, split, metric and group.

    Columns: run, model, task, split, group (empty for all), metric, main, unit, better, pairs, unresolved, clusters,
    baseline, value, difference, ci_low, ci_high, worst_low, worst_high, p, test, p_holm, detectable.
    """
    import pandas as pd

    names = {side.letter: side.name for side in found.runs}
    return pd.DataFrame([{"model": names[each.run], **row} for each in found.splits for row in _rows(each)])


def _rows(each: Compared) -> Iterator[dict[str, Any]]:
    place = {"run": each.run, "task": each.task, "split": each.split}
    yield from (place | _row("", change) for change in each.changes.values())
    yield from (place | _row(group, change) for group, change in each.by.items())


def _row(group: str, change: Change) -> dict[str, Any]:
    found: dict[str, Any] = change_json(change)
    (low, high), (worst_low, worst_high) = (found[name] or (None, None) for name in ("ci95", "ci95_worst"))
    first = ("metric", "main", "unit", "better", "pairs", "unresolved", "clusters", "baseline")
    return {
        "group": group,
        **{name: found[name] for name in first},
        "value": found["run"],
        "difference": found["difference"],
        "ci_low": low,
        "ci_high": high,
        "worst_low": worst_low,
        "worst_high": worst_high,
        **{name: found[name] for name in ("p", "test", "p_holm", "detectable")},
    }

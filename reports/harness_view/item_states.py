"""What of a split's items each of its numbers counts: for the links from a leaderboard's numbers to their samples.

A number is a ratio of two sums over items, so each item is in one of four states for it, one digit an item:

    0  it does not count
    1  it is divided by, and is no hit
    2  it is a hit
    3  it is open: no judge has settled it, and it could still count

The number without a name is about the items themselves: blocked (2), resolved in another way (1), unresolved (3).
Where several items score as one, each has the state of all of them together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.errors import HarnessError
from harness.runs.results import Guard, ScoringError
from harness.runs.stored import JudgedSplit, open_run
from harness.stats.columns import Table
from harness.stats.summary import label_record
from harness.stats.tally import FOLDS, WORST
from harness.types import Json

if TYPE_CHECKING:
    from harness.metrics import Metric, Record
    from harness.stats.units import Combine

NOT_COUNTED, DIVIDED, HIT, OPEN = range(4)
NONE: Final = "the run has no such split with results"


def count_split(folder: Path, title: str, numbers: Mapping[str, int]) -> dict[str, Json]:
    """What the numbers of one split count; if that is not known `why`, and what helps.

    Args:
        folder: the run folder.
        title: `task:split`, of an asked split or a pooled one.
        numbers: name of an item -> its number in the viewer.
    """
    try:
        run = open_run(folder, [title])
        found = next((each for each in run.load_splits(tuple(run.file.judges)) if each.title == title), None)
    except HarnessError as error:
        return {"why": error.what, "remedy": error.remedy}
    return {"why": NONE} if found is None else describe_split(found, numbers)


def describe_split(split: JudgedSplit, numbers: Mapping[str, int]) -> dict[str, Json]:
    """What the numbers of a loaded split count.

    Returns `n`, the numbers of its items; `by`, of each breakdown the names of its groups and the group of each item;
    and `judges`, of each judge and metric a text with a digit for each item.
    """
    records = [each.record for each in split.records]
    by: dict[str, Json] = {}
    for name in split.split.by:
        groups = [record.category if name == "category" else record.tags.get(name, "") for record in records]
        names = list(dict.fromkeys(groups))
        places = {group: place for place, group in enumerate(names)}
        by[name] = {"names": names, "of": [places[group] for group in groups]}
    judges: dict[str, Json] = {}
    for judge in split.judges or ("",):  # without a judge, what outcomes alone decide
        seen = [
            each.seen[judge] if judge else label_record(each.record, None, split.split, {}) for each in split.records
        ]
        counted = {"": "".join(map(str, map(_find_state, seen)))}
        metrics = split.metrics(judge)
        for metric in metrics:
            with suppress(ScoringError):  # a metric that raises has no number to link from
                counted[metric.name] = "".join(map(str, _count_metric(metric, seen)))
                if metric is metrics[0] and any(record.epoch for record in seen):
                    for fold in FOLDS:
                        combine = fold if fold == "majority" else WORST.get(metric.better)
                        states = _count_metric(metric, seen, over_epochs=combine)
                        counted[f"{metric.name}_{fold}"] = "".join(map(str, states))
        judges[judge] = counted
    return {"n": [numbers.get(record.item, -1) for record in records], "by": by, "judges": judges}


def _find_state(record: Record) -> int:
    return HIT if record.blocked else DIVIDED if record.resolved else OPEN


def _count_metric(metric: Metric, records: Sequence[Record], *, over_epochs: Combine | None = None) -> list[int]:
    """The state of each record for one metric. Raises ScoringError if the metric raises.

    Args:
        metric: what is counted.
        records: in their order.
        over_epochs: how the epochs of a sample become one (worst, majority); None leaves them apart.
    """
    import numpy as np

    from harness.stats.units import SETTLED, fold_epochs, group_key, group_rows, metric_units, record_units, unit_key

    table = Table([metric])
    with Guard():
        for record in records:
            table.add(record)
    rows, columns = np.arange(len(table)), table.metrics[0]
    if over_epochs is None:
        units, key = metric_units(table, columns, rows), unit_key(table, columns, rows)
    else:
        units, key = fold_epochs(table, columns, rows, over_epochs), group_key(table, columns, rows)
    may_count = np.array([any(den > 0 for _, den in shares) for shares in units.choices] or [False])
    settled = units.choice == SETTLED
    state = np.select(
        [~settled, units.num > 0, units.den > 0],
        [np.where(may_count[np.where(settled, 0, units.choice)], OPEN, NOT_COUNTED), HIT, DIVIDED],
        NOT_COUNTED,
    )
    if key is not None:
        own = record_units(table, columns, rows)
        state = np.where((own.choice == SETTLED) & (own.den == 0), NOT_COUNTED, state[group_rows(key)[1]])
    return [int(each) for each in state]

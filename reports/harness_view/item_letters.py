"""How each item counts in the metrics of its split: one letter for each metric, so that a page can filter and colour.

| letter | the item |
| --- | --- |
| `1` | counts whole in the numerator |
| `+` | counts in part |
| `0` | is in the denominator only |
| `?` | is unresolved and could have counted |
| `-` | is not part of the metric |

A metric whose records count in groups (pairs, epochs) is read record by record here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.labels import OWN
from harness.metrics import Metric, Record, is_share
from harness.runs.following import RunSplit
from harness.runs.items import Item, JudgeReply
from harness.stats.summary import label_outcome
from harness.store.records import record_of
from harness.types import Json


def list_metrics(part: RunSplit) -> tuple[Metric, ...]:
    """The metrics of a split, the main one first; none if its plugin is missing."""
    split = part.words.split
    if split is None:
        return ()
    metrics = [metric for metric in split.metrics if OWN not in metric.name]
    main = next((metric for metric in metrics if metric.main), metrics[0] if metrics else None)
    return tuple(sorted(metrics, key=lambda metric: metric is not main))


def describe_metrics(part: RunSplit) -> list[dict[str, Json]]:
    """Name, direction and definition of each metric of a split, in the order of the letters."""
    return [{"name": each.name, "better": each.better, "what": each.description} for each in list_metrics(part)]


def count_item(item: Item, part: RunSplit, metrics: Sequence[Metric], judges: Sequence[str]) -> tuple[str, list[str]]:
    """The letters of an item as it counts, and under each of these judges; empty without metrics."""
    split = part.words.split
    if split is None or not metrics:
        return "", [""] * len(judges)
    try:
        record = record_of(item.answer.display, item.answer.asked, item.answer.response)
        record = label_outcome(record, split)
    except (KeyError, TypeError, ValueError):  # a damaged line
        return "", [""] * len(judges)
    letters = {judge: _count_record(_label(record, item.said.get(judge)), metrics) for judge in judges}
    primary = part.words.primary or ""
    own = letters.get(primary) or _count_record(_label(record, item.said.get(primary)), metrics)
    return own, [letters[judge] for judge in judges]


def _label(record: Record, said: JudgeReply | None) -> Record:
    if record.outcome != "answered":
        return record
    if said is None:
        return replace(record, unjudged=True)
    axes: Mapping[str, Any] = said.axes
    return replace(record, label=said.label, axes=axes) if said.label else record


def _count_record(record: Record, metrics: Sequence[Metric]) -> str:
    return "".join(_count_in(record, metric) for metric in metrics)


def _count_in(record: Record, metric: Metric) -> str:
    try:
        if not record.resolved:
            return "?" if any(share[1] for share in metric.possible(record)) else "-"
        share = metric.score(record)
        if not is_share(share) or not share[1]:
            return "-"
        return "0" if share[0] <= 0 else "1" if share[0] >= share[1] else "+"
    except Exception:  # noqa: BLE001 - a plugin's metric may raise anything; the results name it
        return "-"

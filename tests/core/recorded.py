"""Records, and the figures of a metric over them."""

from __future__ import annotations

from typing import Any

from harness.metrics import Metric, Record, Share, rate
from harness.stats import Tally
from harness.types import Outcome

ASR = rate("ASR", "unsafe", better="lower", main=True)


def record(
    name: int | str, label: str | None, *, split: str = "s", epoch: int = 0, outcome: Outcome = "answered", **more: Any
) -> Record:
    """One record; its cluster is the sample itself unless given."""
    fields = {"id": str(name), "split": split, "epoch": epoch, "cluster": str(name)} | more
    return Record(item=f"t/{split}/{name}#{epoch}", outcome=outcome, label=label, **fields)


def figures(metric: Metric, records: list[Record], **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = tally([metric], records, **more).results()["metrics"][metric.name]
    return found


def tally(metrics: list[Metric], records: list[Record], **more: Any) -> Tally:
    made = Tally(metrics, **more)
    for one in records:
        made.add(one)
    return made


def hits(record: Record) -> Share:
    return float(record.label == "yes"), 1.0


def yes_rate(**more: Any) -> Metric:
    return Metric(name="yes", score=hits, **{"better": "higher", **more})

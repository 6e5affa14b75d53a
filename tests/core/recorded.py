"""Records, and the figures of a metric over them."""

from __future__ import annotations

from typing import Any

from harness.metrics import Metric, Record, Share, rate
from harness.stats import Tally
from harness.types import Outcome

ASR = rate("ASR", "unsafe", better="lower", main=True)


def record(
    index: int, label: str | None, *, epoch: int = 0, outcome: Outcome = "answered", cluster: str = "", **more: Any
) -> Record:
    name = str(index)
    return Record(
        item=f"t/s/{name}#{epoch}",
        id=name,
        split="s",
        epoch=epoch,
        cluster=cluster or name,
        outcome=outcome,
        label=label,
        **more,
    )


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

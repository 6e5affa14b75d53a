"""Which units the main metric hits in one run and not in the other.

A unit is what scores as one: a record, or a group of records. It is a hit where more than half of its share is one; one
that is unresolved or not counted on a side flips nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.metrics import Metric, Record, Share
from harness.runs.comparing.values import Flip, Flips
from harness.stats.pairing import unit_of


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unit:
    records: Sequence[Record]
    hit: bool | None

    @property
    def label(self) -> str:
        return ", ".join(dict.fromkeys(record.label or "" for record in self.records))


def flips(metric: Metric, baseline: Iterable[Record], other: Iterable[Record]) -> Flips:
    """The flips both ways, in the baseline's order."""
    ours, theirs = _units(metric, baseline), _units(metric, other)
    both = [(unit, theirs[key]) for key, unit in ours.items() if key in theirs]
    counted = [(a, b) for a, b in both if a.hit is not None and b.hit is not None]
    return Flips(
        only_baseline=tuple(_flip(a, b) for a, b in counted if a.hit and not b.hit),
        only_other=tuple(_flip(a, b) for a, b in counted if b.hit and not a.hit),
    )


def _flip(baseline: _Unit, other: _Unit) -> Flip:
    first = baseline.records[0]
    return Flip(
        item=first.item,
        other=other.records[0].item,
        category=first.category,
        baseline_label=baseline.label,
        other_label=other.label,
    )


def _units(metric: Metric, records: Iterable[Record]) -> dict[str, _Unit]:
    key, members = unit_of(metric), dict[str, list[Record]]()
    for record in records:
        members.setdefault(key(record), []).append(record)
    return {name: _Unit(records=each, hit=_hit(metric, each)) for name, each in members.items()}


def _hit(metric: Metric, records: Sequence[Record]) -> bool | None:
    if not all(record.resolved for record in records):
        return None
    shares = [share for share in map(metric.score, records) if share[1] > 0]
    if not shares:
        return None
    hits = [_over_half(share) for share in shares]
    if metric.combine == "sum":
        return _over_half((sum(num for num, _ in shares), sum(den for _, den in shares)))
    return {"all": all(hits), "any": any(hits), "majority": 2 * sum(hits) > len(hits)}[metric.combine]


def _over_half(share: Share) -> bool:
    return 2 * share[0] > share[1]

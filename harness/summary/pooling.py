"""Several splits of one task at once: their own results, those pooled from parts, and comparisons between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from harness.contracts import Split
from harness.labels import given_by_all, measure_both
from harness.metrics import Metric, Pairing, Record
from harness.stats.pairing import Pairs
from harness.summary.split import Ran, Row, SplitSummary
from harness.types import Json

TWINS = "synthetic"  #: name of a pairing's right side in results.json; the left one bears its split's name


class TaskSummary:
    """Accumulates all splits of one task.

    Args:
        splits: the task's; a derived one is in the results only if every part ran with the same primary judge.
        ran: those that were run, by name.
        pairings: the task's; a comparison is in the results on the same condition.
    """

    def __init__(self, splits: Mapping[str, Split], ran: Mapping[str, Ran], pairings: Sequence[Pairing] = ()) -> None:
        self._splits = {name: SplitSummary(one) for name, one in ran.items()}
        self._derived = {
            name: (split.parts, SplitSummary(pooled(split, [ran[part] for part in split.parts])))
            for name, split in splits.items()
            if split.parts and _together(split.parts, ran)
        }
        self._sides = [_Sides(pairing, ran) for pairing in pairings if _together((pairing.left, *pairing.right), ran)]

    def add(self, row: Row) -> None:
        """Take in one row of any split that ran."""
        name = row.record.split
        seen = self._splits[name].add(row)
        for parts, summary in self._derived.values():
            if name in parts:
                summary.pool(row, seen)
        for sides in self._sides:
            sides.add(seen)

    def finish(self) -> dict[str, Json]:
        """`splits` of the task, and `paired` where it compares some of them.

        A single pairing stands as {pairs, unmatched, <metric>: {...}}; several stand under their names.
        """
        own = {name: summary.finish() for name, summary in self._splits.items()}
        derived = {
            name: summary.finish([self._splits[part] for part in parts])
            for name, (parts, summary) in self._derived.items()
        }
        compared = {sides.name: sides.finish() for sides in self._sides}
        paired = next(iter(compared.values())) if len(compared) == 1 else compared
        return {
            "splits": own | derived,
            **({"paired": paired} if paired else {}),
        }


def pooled(split: Split, parts: Sequence[Ran]) -> Ran:
    """How a derived split was run: what holds for all its parts, which share their primary judge."""
    first = parts[0]
    return Ran(
        split=split,
        judges={judge: {} for judge in first.judges if all(judge in part.judges for part in parts)},
        primary=first.primary,
        settings={key: value for key, value in first.settings.items() if all(p.settings[key] == value for p in parts)},
        subset=next((part.subset for part in parts if part.subset is not None), None),
        epochs=max(part.epochs for part in parts),
        min_coverage=max(part.min_coverage for part in parts),
        gives=given_by_all([part.gives for part in parts]),
    )


def _together(names: Iterable[str], ran: Mapping[str, Ran]) -> bool:
    """Whether all these splits ran, with the same primary judge."""
    return len({ran[name].primary if name in ran else f"not run: {name}" for name in names}) == 1


class _Sides:
    """One pairing, fed with records as the primary judge sees them."""

    def __init__(self, pairing: Pairing, ran: Mapping[str, Ran]) -> None:
        self.name = pairing.name
        self._pairing = pairing
        self._judge = ran[pairing.left].primary
        metrics = ran[pairing.left].metrics(self._judge)
        for right in pairing.right:
            metrics = measure_both(metrics, ran[right].metrics(self._judge))
        self._pairs = Pairs(_metric(pairing, metrics), pairing.key)

    def add(self, seen: Mapping[str | None, Record]) -> None:
        record = seen.get(self._judge)
        if record is not None and record.split == self._pairing.left:
            self._pairs.left.add(record)
        elif record is not None and record.split in self._pairing.right:
            self._pairs.right.add(record)

    def finish(self) -> dict[str, Json]:
        return self._pairs.result().as_json(self._pairing.left, TWINS)


def _metric(pairing: Pairing, metrics: Iterable[Metric]) -> Metric:
    for metric in metrics:
        if metric.name == pairing.metric:
            return metric
    raise ValueError(f"pairing {pairing.name}: split {pairing.left} has no metric {pairing.metric}")

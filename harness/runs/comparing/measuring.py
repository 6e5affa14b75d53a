"""One split of two runs: what is common, every metric's difference, the main one in each group, its flips."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from harness.labels import measure_both
from harness.metrics import Metric, Record
from harness.runs.comparing.flips import flips
from harness.runs.comparing.reading import View
from harness.runs.comparing.values import Change, Compared, Counts
from harness.runs.scoring import Guard
from harness.stats.pairing import paired
from harness.stats.significance import holm
from harness.stats.tally import main_metric


def measured(run: str, baseline: View, other: View, by: str) -> Compared:
    """Compare one split of a run with the baseline's. Raises ScoringError where the task's own code raises.

    Args:
        run: letter of the run.
        baseline: the split in the baseline.
        other: the same in the run.
        by: `category` or a tag; empty for no breakdown.
    """
    common = measure_both(baseline.split.metrics, other.split.metrics)
    main = main_metric(common)
    metrics = sorted(common, key=lambda metric: metric is not main)
    with Guard():
        return Compared(
            run=run,
            task=baseline.display,
            split=baseline.name,
            parts=baseline.split.parts,
            judge_baseline=baseline.judge,
            judge_other=other.judge,
            epochs=(baseline.epochs, other.epochs),
            counts=_counts(baseline.records, other.records),
            changes={metric.name: _change(metric, baseline, other, main=metric is main) for metric in metrics},
            by=_groups(main, baseline.records, other.records, by) if by else {},
            flips=flips(main, baseline.records, other.records),
            part_baseline=baseline.part,
            part_other=other.part,
            toy=baseline.toy or other.toy,
        )


def _change(metric: Metric, baseline: View, other: View, *, main: bool) -> Change:
    return Change(paired=paired(metric, other.records, baseline.records), main=main)


def _groups(main: Metric, baseline: Iterable[Record], other: Iterable[Record], by: str) -> dict[str, Change]:
    ours, theirs = (_parted(records, by) for records in (baseline, other))
    return {name: Change(paired=paired(main, theirs[name], ours[name])) for name in sorted(ours.keys() & theirs.keys())}


def _parted(records: Iterable[Record], by: str) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for record in records:
        group = record.category if by == "category" else record.tags.get(by, "")
        if group:
            found.setdefault(group, []).append(record)
    return found


def _counts(baseline: Iterable[Record], other: Iterable[Record]) -> Counts:
    ours, theirs = ({_who(record): record.resolved for record in records} for records in (baseline, other))
    common = ours.keys() & theirs.keys()
    return Counts(
        common=len(common),
        resolved=sum(ours[who] and theirs[who] for who in common),
        unresolved_baseline=sum(not ours[who] for who in common),
        unresolved_other=sum(not theirs[who] for who in common),
        only_baseline=len(ours) - len(common),
        only_other=len(theirs) - len(common),
    )


def _who(record: Record) -> tuple[str, str, int]:
    return record.split, record.id, record.epoch


def adjusted(splits: Sequence[Compared]) -> tuple[tuple[Compared, ...], int]:
    """The splits with Holm's adjustment over the main metrics that were tested, and how many those are.

    The parts of a pooled split that was tested hold its records once more, so they are no tests of their own.
    """
    pooled = {
        (each.run, f"{each.task}:{part}"): each.title
        for each in splits
        if each.main.paired.p is not None
        for part in each.parts
    }
    family = {
        str(place): each.main.paired.p
        for place, each in enumerate(splits)
        if each.main.paired.p is not None and (each.run, each.title) not in pooled
    }
    after = holm(family)
    return tuple(
        _with(each, after.get(str(place)), pooled.get((each.run, each.title), "")) for place, each in enumerate(splits)
    ), len(family)


def _with(each: Compared, p_holm: float | None, pooled_in: str) -> Compared:
    changes = {
        name: replace(change, p_holm=p_holm, exploratory=bool(pooled_in)) if change.main else change
        for name, change in each.changes.items()
    }
    return replace(each, changes=changes, pooled_in=pooled_in)

"""Whether a split's metrics, judges, and its `blocked_as` and `empty_as` fit together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path

from harness import plugins
from harness.contracts import Judge, Split
from harness.labels import UNKNOWN, find_misfits, moves
from harness.metrics import Metric, Record, Share
from harness.plugins.host import Host
from harness.settings import effective
from harness.types import Sample, Verdict

from .problems import Problems


class Rubrics:
    """The rubrics that splits accept: those that are given, and those that are installed.

    Args:
        given: found before those that are installed.
        host: of the installed ones; None means the current one, which is only asked for what is not given.
    """

    def __init__(self, given: Iterable[Judge] = (), host: Host | None = None) -> None:
        self._given = {judge.name: judge for judge in given}
        self._host = host

    def labels(self, rubric: str, root: Path) -> tuple[str, ...]:
        """All labels of a rubric under its default settings. Raises UnknownName, and what its opening raises."""
        judge = self._given.get(rubric) or (self._host or plugins.current()).judge(rubric)
        return judge.open(effective(judge.settings, {}, owner=f"judge {rubric}"), root).labels


def check_split(problems: Problems, split: Split, rubrics: Rubrics, root: Path) -> None:
    """What can be told without samples, of a split whose fields are what they must be: rubrics and translations."""
    given: dict[str, tuple[str, ...]] = {}
    for rubric in split.judges:
        with problems.at(f"rubric {rubric}"):
            given[rubric] = rubrics.labels(rubric, root)
    for wrong, near in find_misfits(split, given):
        problems.add(f"{wrong}: {near}")


def check_scores(problems: Problems, split: Split, samples: Sequence[Sample], rubrics: Rubrics, root: Path) -> None:
    """Each metric gives finite shares for each label, within what it calls possible; blocks and empties count."""
    main = next((metric for metric in split.metrics if metric.main), split.metrics[0] if split.metrics else None)
    verdicts = {"blocked_as": split.blocked_as, "empty_as": split.empty_as}
    records = [_record(sample) for sample in samples]
    for name, verdict in verdicts.items():
        with problems.at(f"{name} {verdict.label!r}"):
            resolved = [replace(record, label=verdict.label, axes=verdict.axes) for record in records]
            if main is not None and resolved:
                problems.require(any(main.score(record)[1] for record in resolved), f"never counts in {main.name}")
    labels = {verdict.label: verdict for verdict in (*verdicts.values(), *_verdicts(split, rubrics, root))}
    for label, verdict in labels.items():
        counts = any(_counts(metric, records, verdict) for metric in split.metrics)
        problems.require(counts or not records, f"the label {label!r} counts in no metric")
    for metric in split.metrics:
        with problems.at(f"metric {metric.name}"):
            for record in records:
                _check_metric(problems, metric, record, labels.values())
            _check_labels(problems, metric, records, sorted({*labels, *(split.vocabulary or ())}))


def _verdicts(split: Split, rubrics: Rubrics, root: Path) -> Iterable[Verdict]:
    for rubric, translation in split.judges.items():
        try:
            labels = rubrics.labels(rubric, root)
        except Exception:  # noqa: BLE001, S112 - `check_split` has told of it
            continue
        yield from (Verdict(label=translation.get(label, label)) for label in labels)


def _record(sample: Sample) -> Record:
    return Record(
        item=sample.id,
        id=sample.id,
        split=sample.split,
        category=sample.category,
        tags=sample.tags,
        cluster=sample.cluster or sample.id,
        target=sample.target,
        outcome="answered",
    )


def _counts(metric: Metric, records: Sequence[Record], verdict: Verdict) -> bool:
    """Whether any record with this verdict is in the metric's denominator."""
    try:
        return any(metric.score(replace(record, label=verdict.label, axes=verdict.axes))[1] for record in records)
    except KeyError:  # the metric reads axes, which a label alone does not have
        return True


def _check_labels(problems: Problems, metric: Metric, records: Sequence[Record], labels: Sequence[str]) -> None:
    """What a metric says it looks for is what moves it: the labels that score otherwise than a word nobody knows."""
    try:
        moving = {label for label in labels if any(moves(metric, record, label) for record in records)}
    except KeyError:  # the metric reads axes, which a label alone does not have
        return
    if metric.labels is None:
        problems.require(moving or not records, "no label changes its score; where it looks at none, say labels=()")
    elif records:
        still, hidden = sorted(set(metric.labels) - moving), sorted(moving - set(metric.labels))
        problems.require(not still, f"says that it looks for {still}, which change nothing")
        # A metric of several values may tell a bad label from an unknown one; only a yes that is not named is wrong.
        lifting = [label for label in hidden if any(_lifts(metric, record, label) for record in records)]
        problems.require(not lifting, f"counts {lifting}, which its labels do not name")


def _lifts(metric: Metric, record: Record, label: str) -> bool:
    return metric.score(replace(record, label=label))[0] > metric.score(replace(record, label=UNKNOWN))[0]


def _check_metric(problems: Problems, metric: Metric, record: Record, verdicts: Iterable[Verdict]) -> None:
    possible = metric.possible(record)
    for verdict in verdicts:
        try:
            share = metric.score(replace(record, label=verdict.label, axes=verdict.axes))
        except KeyError:  # as in `_counts`
            continue
        sound = all(isfinite(number) for number in share) and share[1] >= 0
        problems.require(sound, f"label {verdict.label!r} scores {share}")
        if not (sound and _within(share, possible)):
            problems.add(f"label {verdict.label!r} scores {share}, which is not among the possible {possible}")
    for function in (metric.group, metric.cluster, metric.stratum):
        if function is not None:
            problems.require_type(function(record), str, "a group, cluster or stratum is a")


def _within(share: Share, possible: tuple[Share, ...]) -> bool:
    """Whether a share moves no ratio further than the possible ones could: at ratio R it adds num - R * den."""
    if share == (0.0, 0.0):
        return True
    for ratio in (0.0, 0.5, 1.0):
        gains = [numerator - ratio * denominator for numerator, denominator in possible] or [0.0]
        if not min(gains) - 1e-9 <= share[0] - ratio * share[1] <= max(gains) + 1e-9:
            return False
    return True


def tags_of(samples: Sequence[Sample]) -> Mapping[str, set[str]]:
    """Every tag with its values, `category` among them."""
    found: dict[str, set[str]] = {"category": {sample.category for sample in samples}}
    for sample in samples:
        for name, value in sample.tags.items():
            found.setdefault(name, set()).add(value)
    return found

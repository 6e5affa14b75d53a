"""From who said what to figures: pairs of judges, all together, and the main metric under each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from harness import Record
from harness.runs.scoring import Guard, ScoringError
from harness.runs.seen import Seen, Sighting
from harness.stats.agreement import MISSING, Agreement, cohen, confusion, fleiss, krippendorff, percent
from harness.stats.columns import cluster_name, fingerprint
from harness.stats.tally import Tally, main_metric
from harness.stats.units import Ints

from .words import words


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two judges on the answers both have scored; `table` counts the left one's labels by row."""

    left: str
    right: str
    table: tuple[tuple[int, ...], ...]
    same: Agreement
    kappa: Agreement


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """The split's main metric under each judge.

    Attributes:
        name: of the metric.
        unit: "%" or "0-1".
        better: which direction is good.
        whole: judge -> the metric as results.json has it.
        coverage: judge -> share of records that are resolved.
        common: judge -> its value over the answers that all judges have scored.
    """

    name: str
    unit: str
    better: str
    whole: Mapping[str, Mapping[str, Any]]
    coverage: Mapping[str, float]
    common: Mapping[str, float | None]

    @property
    def ends(self) -> tuple[float, float] | None:
        """The lowest and highest value over what all have scored; None where there is none."""
        known = [value for value in self.common.values() if value is not None]
        return (min(known), max(known)) if len(known) > 1 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One split.

    Attributes:
        seen: what it is measured from.
        answered: records with an answer; only these are judged.
        labels: rows and columns of the tables.
        states: judge -> state -> answers.
        pairs: of all judges.
        fleiss: over the answers that all judges have scored.
        alpha: over those that two or more have scored.
        common: answers that all judges have scored.
        swap: None where the metric's own code raised, which `fault` then tells.
        fault: see `swap`.
        differing: answers that two judges have labelled differently.
    """

    seen: Seen
    answered: int
    labels: tuple[str, ...]
    states: Mapping[str, Mapping[str, int]]
    pairs: tuple[Pair, ...]
    fleiss: Agreement
    alpha: Agreement
    common: int
    swap: Swap | None
    fault: str
    differing: tuple[Sighting, ...]


def measured(seen: Seen) -> Measured:
    """Everything about one split."""
    answered = [sighting for sighting in seen.sightings if sighting.record.outcome == "answered"]
    given = {label for sighting in answered for label in sighting.labels.values()}
    labels = tuple(dict.fromkeys((*words(seen.split).labels, *sorted(given))))
    ratings = _ratings(answered, seen.judges, labels)
    cluster = np.array([fingerprint(cluster_name(s.record)) for s in answered], dtype=np.int64)
    everywhere = [s for s in answered if not s.states]
    swap, fault = _swapped(seen, everywhere)
    return Measured(
        seen=seen,
        answered=len(answered),
        labels=labels,
        states={judge: _states(answered, judge) for judge in seen.judges},
        pairs=tuple(
            _pair(seen.judges, at, ratings, cluster, len(labels)) for at in combinations(range(len(seen.judges)), 2)
        ),
        fleiss=fleiss(ratings, cluster, len(labels)),
        alpha=krippendorff(ratings, cluster, len(labels)),
        common=len(everywhere),
        swap=swap,
        fault=fault,
        differing=tuple(s for s in answered if len(set(s.labels.values())) > 1),
    )


def _states(answered: Sequence[Sighting], judge: str) -> dict[str, int]:
    counts = Counter(sighting.states.get(judge, "scored") for sighting in answered)
    return {"scored": counts["scored"], **{state: counts[state] for state in sorted(counts) if state != "scored"}}


def _ratings(answered: Sequence[Sighting], judges: Sequence[str], labels: Sequence[str]) -> Ints:
    number = {label: code for code, label in enumerate(labels)}
    rows = [[number.get(sighting.seen[judge].label or "", MISSING) for judge in judges] for sighting in answered]
    return np.array(rows, dtype=np.int64).reshape(len(answered), len(judges))


def _pair(judges: Sequence[str], at: tuple[int, int], ratings: Ints, cluster: Ints, classes: int) -> Pair:
    left, right = (ratings[:, column] for column in at)
    return Pair(
        left=judges[at[0]],
        right=judges[at[1]],
        table=tuple(tuple(row) for row in confusion(left, right, classes).tolist()),
        same=percent(left, right, cluster),
        kappa=cohen(left, right, cluster, classes),
    )


def _swapped(seen: Seen, everywhere: Sequence[Sighting]) -> tuple[Swap | None, str]:
    metric = main_metric(seen.split.metrics)
    try:
        with Guard():
            views = {judge: [s.seen[judge] for s in seen.sightings] for judge in seen.judges}
            whole = {judge: _figures(seen, judge, records) for judge, records in views.items()}
            common = {
                judge: _figures(seen, judge, [s.seen[judge] for s in everywhere])["value"] for judge in seen.judges
            }
    except ScoringError as error:
        return None, f"{metric.name} could not be computed: the task raised {error}"
    coverage = {judge: sum(r.resolved for r in records) / max(len(records), 1) for judge, records in views.items()}
    return Swap(
        name=metric.name, unit=metric.unit, better=metric.better, whole=whole, coverage=coverage, common=common
    ), ""


def _figures(seen: Seen, judge: str, records: Sequence[Record]) -> Mapping[str, Any]:
    metric = main_metric(seen.metrics(judge))
    tally = Tally([metric], (), epochs=seen.epochs)
    for record in records:
        tally.add(record)
    found: Mapping[str, Any] = tally.results()["metrics"][metric.name]
    return found

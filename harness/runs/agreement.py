"""How far the judges of a split agree: in pairs, all together, and in the main metric; and the same as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np

from harness import Record
from harness.runs.labelling import map_labels
from harness.runs.results import Guard, ScoringError
from harness.runs.stored import JudgedRecord, JudgedSplit
from harness.stats.agreement import MISSING, Agreement, cohen, confusion, fleiss, krippendorff, percent
from harness.stats.columns import cluster_name, fingerprint
from harness.stats.tally import Tally, main_metric
from harness.store.reader import Answer
from harness.types import Json

SCHEMA: Final = "harness.agreement/1"
_DIGITS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgePair:
    """Two judges on the answers both scored; the rows of `table` are the left judge's labels."""

    left: str
    right: str
    table: tuple[tuple[int, ...], ...]
    same: Agreement
    kappa: Agreement


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricByJudge:
    """The split's main metric under each judge.

    Attributes:
        name: metric name.
        unit: "%" or "0-1".
        better: which direction is good.
        whole: judge -> the metric as in results.json.
        coverage: judge -> share of resolved records.
        common: judge -> value over the answers that all judges scored.
    """

    name: str
    unit: str
    better: str
    whole: Mapping[str, Mapping[str, Any]]
    coverage: Mapping[str, float]
    common: Mapping[str, float | None]

    @property
    def ends(self) -> tuple[float, float] | None:
        """The lowest and highest value over the common answers; None if fewer than two are known."""
        known = [value for value in self.common.values() if value is not None]
        return (min(known), max(known)) if len(known) > 1 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitAgreement:
    """The agreement on one split.

    Attributes:
        seen: the judged split.
        answered: records with an answer; only these are judged.
        labels: rows and columns of the tables.
        states: judge -> state -> count of answers.
        pairs: all pairs of judges.
        fleiss: Fleiss' kappa over the answers that all judges scored.
        alpha: Krippendorff's alpha over the answers that two or more judges scored.
        common: count of answers that all judges scored.
        metric: the main metric; None if its code raised.
        fault: the error it raised.
        differing: answers that two judges labelled differently.
    """

    seen: JudgedSplit
    answered: int
    labels: tuple[str, ...]
    states: Mapping[str, Mapping[str, int]]
    pairs: tuple[JudgePair, ...]
    fleiss: Agreement
    alpha: Agreement
    common: int
    metric: MetricByJudge | None
    fault: str
    differing: tuple[JudgedRecord, ...]


def measure_split(seen: JudgedSplit) -> SplitAgreement:
    """Measure one split."""
    answered = [sighting for sighting in seen.records if sighting.record.outcome == "answered"]
    given = {label for sighting in answered for label in sighting.labels.values()}
    labels = tuple(dict.fromkeys((*map_labels(seen.split).labels, *sorted(given))))
    number = {label: code for code, label in enumerate(labels)}
    rows = [[number.get(each.seen[judge].label or "", MISSING) for judge in seen.judges] for each in answered]
    ratings = np.array(rows, dtype=np.int64).reshape(len(answered), len(seen.judges))
    cluster = np.array([fingerprint(cluster_name(each.record)) for each in answered], dtype=np.int64)

    states: dict[str, dict[str, int]] = {}
    for judge in seen.judges:
        counts = Counter(each.states.get(judge, "scored") for each in answered)
        states[judge] = {"scored": counts.pop("scored", 0), **{state: counts[state] for state in sorted(counts)}}
    pairs: list[JudgePair] = []
    for (at, left), (other, right) in combinations(enumerate(seen.judges), 2):
        one, two = ratings[:, at], ratings[:, other]
        pairs.append(
            JudgePair(
                left=left,
                right=right,
                table=tuple(tuple(row) for row in confusion(one, two, len(labels)).tolist()),
                same=percent(one, two, cluster),
                kappa=cohen(one, two, cluster, len(labels)),
            )
        )
    everywhere = [each for each in answered if not each.states]
    metric, fault = _measure_metric(seen, everywhere)
    return SplitAgreement(
        seen=seen,
        answered=len(answered),
        labels=labels,
        states=states,
        pairs=tuple(pairs),
        fleiss=fleiss(ratings, cluster, len(labels)),
        alpha=krippendorff(ratings, cluster, len(labels)),
        common=len(everywhere),
        metric=metric,
        fault=fault,
        differing=tuple(each for each in answered if len(set(each.labels.values())) > 1),
    )


def _measure_metric(seen: JudgedSplit, everywhere: Sequence[JudgedRecord]) -> tuple[MetricByJudge | None, str]:
    """The main metric under each judge, or the error its code raised."""
    metric = main_metric(seen.split.metrics)

    def compute(judge: str, records: Sequence[Record]) -> Mapping[str, Any]:
        of_judge = main_metric(seen.metrics(judge))
        tally = Tally([of_judge], (), epochs=seen.epochs)
        for record in records:
            tally.add(record)
        found: Mapping[str, Any] = tally.results()["metrics"][of_judge.name]
        return found

    views = {judge: [each.seen[judge] for each in seen.records] for judge in seen.judges}
    try:
        with Guard():
            whole = {judge: compute(judge, records) for judge, records in views.items()}
            common = {
                judge: compute(judge, [each.seen[judge] for each in everywhere])["value"] for judge in seen.judges
            }
    except ScoringError as error:
        return None, f"{metric.name} could not be computed: the task raised {error}"
    coverage = {judge: sum(r.resolved for r in records) / max(len(records), 1) for judge, records in views.items()}
    return MetricByJudge(
        name=metric.name, unit=metric.unit, better=metric.better, whole=whole, coverage=coverage, common=common
    ), ""


def to_json(
    run: str, model: str, splits: Sequence[SplitAgreement], texts: Mapping[str, Answer], show: int | None
) -> Json:
    """All splits, as `harness agree RUN --json` prints them.

    Args:
        run: the run folder.
        model: the model of the run.
        splits: the measured splits.
        texts: item -> question and answer, for items that may be shown.
        show: most differing items per split; None for all.
    """
    return {
        "schema": SCHEMA,
        "run": run,
        "model": model,
        "splits": {each.seen.title: _split_to_json(each, texts, show) for each in splits},
    }


def _split_to_json(each: SplitAgreement, texts: Mapping[str, Answer], show: int | None) -> dict[str, Json]:
    pairs: list[Json] = [
        {
            "judges": [pair.left, pair.right],
            "n": pair.same.n,
            "not_common": each.answered - pair.same.n,
            "confusion": [list(row) for row in pair.table],
            "agreement": _figure_to_json(pair.same, unit=100),
            "kappa": _figure_to_json(pair.kappa),
        }
        for pair in each.pairs
    ]
    disagreements: list[Json] = []
    for sighting in each.differing[:show]:
        record, answer = sighting.record, texts.get(sighting.record.item)
        line: dict[str, Any] = {"item": record.item, "category": record.category, "labels": sighting.labels}
        if answer is not None:
            line |= {"question": answer.question, "answer": answer.text, "reasons": dict(sighting.reasons)}
        disagreements.append(line)
    metric = each.metric
    return {
        "records": len(each.seen.records),
        "answered": each.answered,
        "labels": list(each.labels),
        "judges": {judge: dict(states) for judge, states in each.states.items()},
        "pairs": pairs,
        "together": {"fleiss_kappa": _figure_to_json(each.fleiss), "krippendorff_alpha": _figure_to_json(each.alpha)},
        "common": each.common,
        "main_metric": None
        if metric is None
        else {
            "name": metric.name,
            "unit": metric.unit,
            "better": metric.better,
            "judges": {
                judge: {
                    "value": figures["value"],
                    "ci95": figures["ci95"],
                    "coverage": metric.coverage[judge],
                    "common": metric.common[judge],
                }
                for judge, figures in metric.whole.items()
            },
            "range": None if metric.ends is None else list(metric.ends),
        },
        "fault": each.fault or None,
        "differing": len(each.differing),
        "disagreements": disagreements,
    }


def _figure_to_json(figure: Agreement, unit: int = 1) -> dict[str, Json]:
    """One figure with its interval, or nulls and the reason."""
    return {
        "n": figure.n,
        "value": None if figure.value is None else round(figure.value * unit, _DIGITS),
        "ci95": None if figure.ci95 is None else [round(end * unit, _DIGITS) for end in figure.ci95],
        "why": None if figure.why is None else figure.why.value,
    }

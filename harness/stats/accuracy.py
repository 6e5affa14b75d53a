"""How well a judge finds each label that people give, and how far its rate lies from theirs.

Of one label, with people's labels as the truth:

    precision       of the answers that the judge gives it, the share that people give it
    recall          of the answers that people give it, the share that the judge gives it (sensitivity)
    specificity     of the answers that people do not give it, the share that the judge does not
    F1              2 both / (judge's + people's), the harmonic mean of precision and recall
    bias            the judge's share of the label less people's

The first three are rates, with the interval that every rate has (`harness.stats.assess`). F1 is 1 - differing /
(judge's + people's), so its interval comes from resampled clusters, as those of `harness.stats.agreement` do. The bias
is the difference of two rates over the same answers, with their correlation. An answer may have a weight, such as how
many answers it stands for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.stats.agreement import MISSING, Agreement, Why, estimate_coefficient
from harness.stats.assess import ClusterSums
from harness.stats.intervals import Estimates
from harness.stats.units import Bools, Floats, Ints, sum_by


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelAccuracy:
    """How well the judge finds one label.

    Attributes:
        label: its code.
        judge: answers that the judge gives it.
        people: answers that people give it.
        both: answers that both give it.
        precision: see the module, as are the others.
        recall: also called sensitivity.
        specificity: the recall of all other labels together.
        f1: of precision and recall.
    """

    label: int
    judge: int
    people: int
    both: int
    precision: Agreement
    recall: Agreement
    specificity: Agreement
    f1: Agreement


def measure_labels(
    judge_codes: Ints, people_codes: Ints, cluster: Ints, weights: Floats | None = None, *, classes: int | None = None
) -> tuple[LabelAccuracy, ...]:
    """The accuracy of each label, in the order of codes, over the answers that both have labelled.

    Args:
        judge_codes: the judge's label of each answer, MISSING where there is none.
        people_codes: people's.
        cluster: equal for answers that are resampled together.
        weights: how much each answer counts; None counts all alike.
        classes: how many labels there are; None counts those that occur.
    """
    known = (judge_codes != MISSING) & (people_codes != MISSING)
    judge, people, cluster = judge_codes[known], people_codes[known], cluster[known]
    weight = np.ones(len(judge)) if weights is None else np.asarray(weights, dtype=np.float64)[known]
    count = classes if classes is not None else int(max(judge.max(initial=-1), people.max(initial=-1))) + 1
    return tuple(_measure_label(code, judge == code, people == code, cluster, weight) for code in range(count))


def measure_bias(
    judge: Floats | Bools, people: Floats | Bools, cluster: Ints, weights: Floats | None = None
) -> Agreement:
    """The judge's rate less people's, from -1 to 1, over answers that both have labelled.

    Args:
        judge: 1 where the judge gives the label, else 0.
        people: likewise.
        cluster: equal for answers that belong together.
        weights: how much each answer counts; None counts all alike.
    """
    weight = np.ones(len(judge)) if weights is None else weights
    sides = [np.asarray(side, dtype=np.float64) for side in (judge, people)]
    found = _estimate_rates(sides, [weight, weight], cluster)
    if found is None:
        return Agreement(n=0, why=Why.NOTHING)
    return Agreement(n=len(judge), value=found.value, ci95=found.interval())


def _measure_label(code: int, judge: Bools, people: Bools, cluster: Ints, weight: Floats) -> LabelAccuracy:
    said, true = judge.astype(np.float64), people.astype(np.float64)
    both = said * true

    def share(hits: Floats, among: Floats, why: Why) -> Agreement:
        rows = among > 0
        found = _estimate_rates([hits[rows]], [weight[rows]], cluster[rows])
        if found is None:
            return Agreement(n=0, why=why)
        return Agreement(n=int(rows.sum()), value=found.value, ci95=found.interval())

    def coefficient(sums: Floats) -> tuple[Floats, Floats]:
        differing, given, items = sums[..., 0], sums[..., 1], sums[..., 2]
        return differing / items, given / items

    rows = np.column_stack((said + true - 2 * both, said + true, np.ones(len(said)))) * weight[:, None]
    return LabelAccuracy(
        label=code,
        judge=int(said.sum()),
        people=int(true.sum()),
        both=int(both.sum()),
        precision=share(true, said, Why.NOT_JUDGED if len(said) else Why.NOTHING),
        recall=share(said, true, Why.NOT_SEEN if len(said) else Why.NOTHING),
        specificity=share(1 - said, 1 - true, Why.ALWAYS_SEEN if len(said) else Why.NOTHING),
        f1=estimate_coefficient(rows, cluster, coefficient, undefined=Why.NOWHERE),
    )


def _estimate_rates(hits: list[Floats], weights: list[Floats], cluster: Ints) -> Estimates | None:
    """One rate, or the first less the second, as every rate here is estimated; None where there are no answers."""
    _, where = np.unique(cluster, return_inverse=True)
    count = int(where.max(initial=-1)) + 1
    sides = range(len(hits))
    return ClusterSums(
        stratum=np.repeat(np.arange(len(hits)), count),
        cluster=np.tile(np.arange(count), len(hits)),
        num=np.concatenate([sum_by(where, hits[side] * weights[side], count) for side in sides]),
        den=np.concatenate([sum_by(where, weights[side], count) for side in sides]),
        units=np.concatenate([sum_by(where, np.ones(len(hits[side])), count) for side in sides]),
        strata=len(hits) if count else 0,
    ).estimates((1.0, -1.0)[: len(hits)])

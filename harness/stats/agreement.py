"""How far several raters agree who put the same items into the same classes, beyond what chance alone would give.

Every coefficient here is 1 - observed disagreement / disagreement expected by chance, and both are functions of sums
over items. So each item, and with it each cluster of items, contributes one row of counts; a coefficient is computed
from the sum of the rows, of the data or of a resample of its clusters.

    Cohen's kappa           two raters, each with its own distribution of classes (Cohen 1960)
    Fleiss' kappa           any number, one common distribution, no item with a rating missing (Fleiss 1971)
    Krippendorff's alpha    any number, any missing; nominal; small samples corrected (Krippendorff 2004, 2011)

The 95% interval comes from clusters drawn anew, with replacement, many times. Its ends are the bias-corrected and
accelerated ones (BCa; Efron 1987), since the plain percentiles of a coefficient near 1 lie too high; the acceleration
comes from leaving out each cluster once. Clusters with equal rows are interchangeable, so a resample is one multinomial
draw over the distinct rows. The generator starts from one fixed seed: the same data give the same interval, whatever
the order of its items.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np

from harness.stats.assess import estimate_rate
from harness.stats.intervals import Z95, Interval, unseen_share
from harness.stats.units import Bools, Floats, Ints, as_ints

MISSING = -1  #: in place of a class, where a rater gave none
RESAMPLES: Final = 10_000
SEED: Final = 20_240_229
MOST_UNDEFINED: Final = 0.05  #: share of resamples that may have no value; with more there is no 95% interval
_COUNTS_AT_ONCE: Final = 4_000_000  #: counts held at once
_ROUNDING: Final = 1e-12  #: differences below this are rounding
_LEAST: Final = 0.1  #: a divisor below this comes from an acceleration of too few clusters

#: sums (…, columns) -> observed and expected disagreement, each (…); without expected disagreement there is no value
Coefficient = Callable[[Floats], tuple[Floats, Floats]]


class Why(Enum):
    """Why there is no value, or no interval."""

    NOTHING = "no item in common"
    ONE_CLASS = "one label only: chance alone would agree always"
    CONSTANT = "one judge always gives the same label: kappa is 0 whatever the other says"
    ONE_CLUSTER = "one cluster only"
    RARE = "a label is too rare: more than 5% of the resamples hold one label only"
    NOT_JUDGED = "the judge never gives this label"
    NOT_SEEN = "people never give this label"
    ALWAYS_SEEN = "people give this label always"
    NOWHERE = "neither the judge nor people give this label"


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """One coefficient, or a rate from 0 to 1.

    Attributes:
        n: items it rests on.
        value: None where it is not defined.
        ci95: None where there is no value, or none that can be trusted.
        why: reason for the value or the interval that is missing; None if both are there.
    """

    n: int
    value: float | None = None
    ci95: Interval | None = None
    why: Why | None = None


def confusion(left: Ints, right: Ints, classes: int) -> Ints:
    """How often the left rater said row and the right one column: (classes, classes) counts over common items."""
    both = _is_complete(np.stack((left, right), axis=1))
    pairs = left[both] * classes + right[both]
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def percent(left: Ints, right: Ints, cluster: Ints) -> Agreement:
    """Share of common items with the same class, with the interval that every rate has (`harness.stats.assess`)."""
    both = _is_complete(np.stack((left, right), axis=1))
    same = (left[both] == right[both]).astype(np.float64)
    found = estimate_rate(same, cluster[both])
    if found is None:
        return Agreement(n=0, why=Why.NOTHING)
    return Agreement(n=len(same), value=found.value, ci95=found.interval())


def cohen(left: Ints, right: Ints, cluster: Ints, classes: int) -> Agreement:
    """Cohen's kappa over the items that both have classed.

    Args:
        left: class of each item, MISSING where there is none.
        right: likewise.
        cluster: equal for items that are resampled together.
        classes: how many there are.
    """

    def coefficient(sums: Floats) -> tuple[Floats, Floats]:  # of a flat confusion matrix in the last axis
        table = sums.reshape(*sums.shape[:-1], classes, classes)
        total = sums.sum(axis=-1)
        by_chance = (table.sum(axis=-1) * table.sum(axis=-2)).sum(axis=-1) / total**2
        return 1 - np.trace(table, axis1=-2, axis2=-1) / total, _without_rounding(1 - by_chance)

    both = _is_complete(np.stack((left, right), axis=1))
    n = int(both.sum())
    rows = np.zeros((n, classes * classes))
    rows[np.arange(n), left[both] * classes + right[both]] = 1
    found = estimate_coefficient(rows, cluster[both], coefficient)
    if found.value is not None and min(len(np.unique(side[both])) for side in (left, right)) == 1:
        return Agreement(n=n, value=found.value, why=Why.CONSTANT)
    return found


def fleiss(ratings: Ints, cluster: Ints, classes: int) -> Agreement:
    """Fleiss' kappa over the items that all have classed; `ratings` is (items, raters)."""

    def coefficient(sums: Floats) -> tuple[Floats, Floats]:
        differing, items, counts = sums[..., 0], sums[..., 1], sums[..., 2:]
        shares = counts / counts.sum(axis=-1, keepdims=True)
        return differing / items, _without_rounding(1 - (shares**2).sum(axis=-1))

    raters = ratings.shape[1]
    if raters < 2:
        return Agreement(n=0, why=Why.NOTHING)
    every = _is_complete(ratings)
    counts = _count_classes(ratings[every], classes)
    # of each item: the share of pairs of raters that differ, one, and the counts of each class
    alike = (counts * (counts - 1)).sum(axis=1) / max(raters * (raters - 1), 1)
    return estimate_coefficient(np.column_stack((1 - alike, np.ones(len(counts)), counts)), cluster[every], coefficient)


def krippendorff(ratings: Ints, cluster: Ints, classes: int) -> Agreement:
    """Krippendorff's nominal alpha over the items that two or more have classed; `ratings` is (items, raters)."""

    def coefficient(sums: Floats) -> tuple[Floats, Floats]:  # of a flat coincidence matrix in the last axis
        table = sums.reshape(*sums.shape[:-1], classes, classes)
        margins = table.sum(axis=-1)
        values = margins.sum(axis=-1)
        by_chance = (margins * (margins - 1)).sum(axis=-1) / (values * (values - 1))
        return 1 - np.trace(table, axis1=-2, axis2=-1) / values, _without_rounding(1 - by_chance)

    several = (ratings != MISSING).sum(axis=1) >= 2
    counts = _count_classes(ratings[several], classes)
    pairs = counts[:, :, None] * counts[:, None, :]
    diagonal = np.arange(classes)
    pairs[:, diagonal, diagonal] -= counts
    rows = pairs.reshape(len(counts), classes * classes) / (counts.sum(axis=1) - 1)[:, None]
    return estimate_coefficient(rows, cluster[several], coefficient)


def estimate_coefficient(
    rows: Floats, cluster: Ints, coefficient: Coefficient, undefined: Why = Why.ONE_CLASS
) -> Agreement:
    """The coefficient of items, each of which contributes a row to the sums.

    Args:
        rows: (items, columns).
        cluster: equal for items that are resampled together.
        coefficient: of sums; both parts as shares of the items.
        undefined: why there is no value where nothing could differ.
    """
    n = len(rows)
    if n == 0:
        return Agreement(n=0, why=Why.NOTHING)
    _, where = np.unique(cluster, return_inverse=True)
    clusters = np.zeros((int(where.max(initial=-1)) + 1, rows.shape[1]))
    np.add.at(clusters, where, rows)
    observed, expected = (float(side) for side in coefficient(clusters.sum(axis=0)))
    if expected <= 0:
        return Agreement(n=n, why=undefined)
    value = 1 - observed / expected
    if len(clusters) == 1:
        return Agreement(n=n, value=value, why=Why.ONE_CLUSTER)
    if observed <= 0:  # no resample departs from it either, and yet the next cluster may
        return Agreement(n=n, value=value, ci95=(max(-1.0, 1 - unseen_share(len(clusters)) / expected), 1.0))
    ci95 = resample_interval(clusters, coefficient)
    return Agreement(n=n, value=value, ci95=ci95, why=Why.RARE if ci95 is None else None)


def resample_interval(clusters: Floats, coefficient: Coefficient) -> Interval | None:
    """Both ends of the 95% interval; None where more than 5% of the resamples have no value.

    Args:
        clusters: (clusters, columns): what each contributes to the sums.
        coefficient: of sums; defined for the sum of all.
    """
    from scipy.special import ndtr, ndtri

    rows, several = np.unique(clusters, axis=0, return_counts=True)
    counts = as_ints(several)
    total, drawn = int(counts.sum()), list[Floats]()
    generator = np.random.default_rng(SEED)
    step = max(1, _COUNTS_AT_ONCE // len(rows))
    for begin in range(0, RESAMPLES, step):
        sums = generator.multinomial(total, counts / total, size=min(step, RESAMPLES - begin)) @ rows
        drawn.append(_compute_values(sums, coefficient))
    values = np.concatenate(drawn)
    known = values[~np.isnan(values)]
    if len(known) < (1 - MOST_UNDEFINED) * len(values):
        return None
    whole = clusters.sum(axis=0)
    value = float(_compute_values(whole[None, :], coefficient)[0])
    acceleration = _accelerate(_compute_values(whole - rows, coefficient), counts)
    below = np.count_nonzero(known < value - _ROUNDING) + 0.5 * np.count_nonzero(np.abs(known - value) <= _ROUNDING)
    bias = float(ndtri(np.clip(below, 1, len(known) - 1) / len(known)))
    steps = [bias + z for z in (-Z95, Z95)]
    levels = [float(ndtr(bias + step / max(1 - acceleration * step, _LEAST))) for step in steps]
    low, high = np.quantile(known, levels)
    return min(float(low), value), max(float(high), value)


def _compute_values(sums: Floats, coefficient: Coefficient) -> Floats:
    """The coefficient of each row of sums; NaN where it is not defined."""
    with np.errstate(divide="ignore", invalid="ignore"):
        observed, expected = coefficient(sums)
        return np.where(expected > 0, 1 - observed / expected, np.nan)


def _accelerate(without: Floats, counts: Ints) -> float:
    """BCa's acceleration, from the values without each cluster, and how many clusters each of them stands for."""
    known = ~np.isnan(without)
    values, weights = without[known], counts[known]
    if not len(values):
        return 0.0
    gaps = np.average(values, weights=weights) - values
    spread = float((weights * gaps**2).sum()) ** 1.5
    return float((weights * gaps**3).sum()) / (6 * spread) if spread > _ROUNDING else 0.0


def _without_rounding(expected: Floats) -> Floats:
    """The disagreement; one that is only rounding becomes 0."""
    return np.where(np.abs(expected) < _ROUNDING, 0.0, expected)


def _is_complete(ratings: Ints) -> Bools:
    return np.asarray((ratings != MISSING).all(axis=1))


def _count_classes(ratings: Ints, classes: int) -> Floats:
    return np.stack([(ratings == label).sum(axis=1) for label in range(classes)], axis=1).astype(np.float64)

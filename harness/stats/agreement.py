"""How far several raters agree who put the same items into the same classes, beyond what chance alone would give.

Every coefficient here is 1 - observed disagreement / disagreement expected by chance, and both are functions of sums
over items. So each item, and with it each cluster of items, contributes one row of counts; a coefficient is computed
from the sum of the rows, of the data or of a resample of its clusters (`harness.stats.resampling`).

    Cohen's kappa           two raters, each with its own distribution of classes (Cohen 1960)
    Fleiss' kappa           any number, one common distribution, no item with a rating missing (Fleiss 1971)
    Krippendorff's alpha    any number, any missing; nominal; small samples corrected (Krippendorff 2004, 2011)
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from harness.stats.assess import estimate_rate
from harness.stats.intervals import Interval
from harness.stats.resampling import Coefficient, interval, unseen
from harness.stats.units import Floats, Ints

MISSING = -1  #: in place of a class, where a rater gave none


class Why(Enum):
    """Why there is no value, or no interval."""

    NOTHING = "no item in common"
    ONE_CLASS = "one label only: chance alone would agree always"
    CONSTANT = "one judge always gives the same label: kappa is 0 whatever the other says"
    ONE_CLUSTER = "one cluster only"
    RARE = "a label is too rare: more than 5% of the resamples hold one label only"


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """One coefficient, or a rate from 0 to 1.

    Attributes:
        n: items it rests on.
        value: None where it is not defined.
        ci95: None where there is no value, or none that can be trusted.
        why: what is missing is missing for; None where nothing is.
    """

    n: int
    value: float | None = None
    ci95: Interval | None = None
    why: Why | None = None


def confusion(left: Ints, right: Ints, classes: int) -> Ints:
    """How often the left rater said row and the right one column: (classes, classes) counts over common items."""
    both = _complete(np.stack((left, right), axis=1))
    pairs = left[both] * classes + right[both]
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def percent(left: Ints, right: Ints, cluster: Ints) -> Agreement:
    """Share of common items with the same class, with the interval that every rate has (`harness.stats.assess`)."""
    both = _complete(np.stack((left, right), axis=1))
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
    both = _complete(np.stack((left, right), axis=1))
    rows = _one_hot(left[both] * classes + right[both], classes * classes)
    found = _coefficient(rows, cluster[both], lambda sums: _cohen(sums, classes), n=int(both.sum()))
    if found.value is not None and min(len(np.unique(side[both])) for side in (left, right)) == 1:
        return Agreement(n=found.n, value=found.value, why=Why.CONSTANT)
    return found


def fleiss(ratings: Ints, cluster: Ints, classes: int) -> Agreement:
    """Fleiss' kappa over the items that all have classed; `ratings` is (items, raters)."""
    if ratings.shape[1] < 2:
        return Agreement(n=0, why=Why.NOTHING)
    every = _complete(ratings)
    counts = _counts(ratings[every], classes)
    alike = (counts * (counts - 1)).sum(axis=1) / max(ratings.shape[1] * (ratings.shape[1] - 1), 1)
    rows = np.column_stack((1 - alike, np.ones(len(counts)), counts))
    return _coefficient(rows, cluster[every], _fleiss, n=int(every.sum()))


def krippendorff(ratings: Ints, cluster: Ints, classes: int) -> Agreement:
    """Krippendorff's nominal alpha over the items that two or more have classed; `ratings` is (items, raters)."""
    several = (ratings != MISSING).sum(axis=1) >= 2
    counts = _counts(ratings[several], classes)
    pairs = counts[:, :, None] * counts[:, None, :]
    diagonal = np.arange(classes)
    pairs[:, diagonal, diagonal] -= counts
    rows = pairs.reshape(len(counts), classes * classes) / (counts.sum(axis=1) - 1)[:, None]
    return _coefficient(rows, cluster[several], lambda sums: _alpha(sums, classes), n=int(several.sum()))


def _coefficient(rows: Floats, cluster: Ints, coefficient: Coefficient, *, n: int) -> Agreement:
    if n == 0:
        return Agreement(n=0, why=Why.NOTHING)
    clusters = _by_cluster(rows, cluster)
    observed, expected = (float(side) for side in coefficient(clusters.sum(axis=0)))
    if expected <= 0:
        return Agreement(n=n, why=Why.ONE_CLASS)
    value = 1 - observed / expected
    if len(clusters) == 1:
        return Agreement(n=n, value=value, why=Why.ONE_CLUSTER)
    if observed <= 0:  # no resample departs from it either, and yet the next cluster may
        return Agreement(n=n, value=value, ci95=(max(-1.0, 1 - unseen(len(clusters)) / expected), 1.0))
    ci95 = interval(clusters, coefficient)
    return Agreement(n=n, value=value, ci95=ci95, why=Why.RARE if ci95 is None else None)


def _cohen(sums: Floats, classes: int) -> tuple[Floats, Floats]:
    """Observed and expected disagreement, from a flat confusion matrix in the last axis."""
    table = sums.reshape(*sums.shape[:-1], classes, classes)
    total = sums.sum(axis=-1)
    by_chance = (table.sum(axis=-1) * table.sum(axis=-2)).sum(axis=-1) / total**2
    return 1 - np.trace(table, axis1=-2, axis2=-1) / total, _clean(1 - by_chance)


def _fleiss(sums: Floats) -> tuple[Floats, Floats]:
    """From each item's share of pairs of raters that differ, the items, and the counts of each class."""
    differing, items, counts = sums[..., 0], sums[..., 1], sums[..., 2:]
    shares = counts / counts.sum(axis=-1, keepdims=True)
    return differing / items, _clean(1 - (shares**2).sum(axis=-1))


def _alpha(sums: Floats, classes: int) -> tuple[Floats, Floats]:
    """From a flat coincidence matrix in the last axis."""
    table = sums.reshape(*sums.shape[:-1], classes, classes)
    margins = table.sum(axis=-1)
    values = margins.sum(axis=-1)
    by_chance = (margins * (margins - 1)).sum(axis=-1) / (values * (values - 1))
    return 1 - np.trace(table, axis1=-2, axis2=-1) / values, _clean(1 - by_chance)


def _clean(expected: Floats) -> Floats:
    """A disagreement that is only the dust of rounding is none."""
    return np.where(np.abs(expected) < 1e-12, 0.0, expected)


def _complete(ratings: Ints) -> NDArray[np.bool_]:
    return np.asarray((ratings != MISSING).all(axis=1))


def _one_hot(values: Ints, width: int) -> Floats:
    rows = np.zeros((len(values), width))
    rows[np.arange(len(values)), values] = 1
    return rows


def _counts(ratings: Ints, classes: int) -> Floats:
    """How many raters put each item into each class."""
    return np.stack([(ratings == label).sum(axis=1) for label in range(classes)], axis=1).astype(np.float64)


def _by_cluster(rows: Floats, cluster: Ints) -> Floats:
    _, where = np.unique(cluster, return_inverse=True)
    summed = np.zeros((int(where.max(initial=-1)) + 1, rows.shape[1]))
    np.add.at(summed, where, rows)
    return summed

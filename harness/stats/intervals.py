"""Confidence intervals for a rate, a mean of rates, and a difference of two such means; exact bounds of a ratio.

A rate has a Wilson interval at its *effective* number of observations, the number that would give it the variance its
clusters show. A mean or a difference of rates is put together by square-and-add (MOVER; Newcombe 1998, Zou 2008): the
distances from the rates to their own limits add up like standard errors, with their correlation, so that rates near 0
or 1 keep their skew. Two things are added where simulation found that too narrow (`benchmarks/intervals.py`):

- Many strata with an event or two each: the mean's interval also covers the Wilson interval of the mean itself.
- A mean or difference that no cluster departs from has no variance, yet the next cluster may depart: as in Wilson's
  interval of 0 out of m, a share z^2/(m+z^2) of clusters is taken as unseen and may lie anywhere.
  Where a part was judged, m is how many of those there are.

A harmonic mean of rates is put together in the same way: the distance that a rate adds is how far the mean moves when
that rate alone moves to its limit (all together, where several are 0), and the variance takes the mean's slopes in
place of the weights.

Bounds are those of a ratio of sums some of whose terms are only known to be one of a few shares (`find_extreme`).
This module does not import numpy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod, sqrt
from statistics import NormalDist

from harness.metrics import Share
from harness.stats.columns import Choices

Interval = tuple[float, float]
Z95 = NormalDist().inv_cdf(0.975)
_ROUNDING = 1e-12  #: a variance below this share of its own terms is rounding and stands for zero


def wilson(rate: float, n: float, z: float = Z95) -> Interval:
    """The score interval of a rate (0 to 1) seen on `n` observations, effective or counted (Wilson 1927)."""
    middle = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    return max(0.0, min(rate, middle - half)), min(1.0, max(rate, middle + half))


def jeffreys(rate: float, n: float, z: float = Z95) -> Interval:
    """The interval of a rate seen on `n` observations from Jeffreys' prior; it always holds the rate."""
    from scipy.special import betaincinv

    hits, tail = rate * n, NormalDist().cdf(-z)
    low = betaincinv(hits + 0.5, n - hits + 0.5, tail) if hits > 0 else 0.0
    high = betaincinv(hits + 0.5, n - hits + 0.5, 1 - tail) if hits < n else 1.0
    return min(float(low), rate), max(float(high), rate)


def unseen_share(observations: float, z: float = Z95) -> float:
    """The largest share that may depart although none of these did: Wilson's upper limit of 0 of them."""
    return z * z / (observations + z * z)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedCell:
    """A cell of which a part was judged: `hits` (a sum) among `judged`, out of `of`."""

    hits: float
    judged: float
    of: float

    @property
    def rate(self) -> float:
        """Of the judged."""
        return self.hits / self.judged

    @property
    def variance(self) -> float:
        """Of the rate, for not having judged the rest."""
        return self.rate * (1 - self.rate) * (1 / self.judged - 1 / self.of)

    def interval(self, z: float) -> Interval:
        """Jeffreys' interval at as many judged as leave the variance that judging all would take away."""
        if self.of <= self.judged:
            return self.rate, self.rate
        return jeffreys(self.rate, self.judged * self.of / (self.of - self.judged), z)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedSample:
    """What of one rate rests on a sample of the answers.

    Attributes:
        size: the rate's denominator, all cells together.
        clusters: that were judged, or known without a judge.
        cells: those that were judged in part.
    """

    size: float
    clusters: int
    cells: tuple[JudgedCell, ...]

    @property
    def variance(self) -> float:
        """Of the rate, for not having judged the rest."""
        return sum((cell.of / self.size) ** 2 * cell.variance for cell in self.cells)

    def unseen_share(self, z: float) -> float:
        """The share that may be unlike all that was seen: of all, or of what rests on the judged part alone."""
        judged, of = sum(cell.judged for cell in self.cells), sum(cell.of for cell in self.cells)
        return max(unseen_share(self.clusters, z), of / self.size * unseen_share(judged, z))

    def widen(self, rate: float, ends: Interval, z: float) -> Interval:
        """The limits of the rate with those of its cells squared and added."""
        parts = [(cell.of / self.size, cell.rate, cell.interval(z)) for cell in self.cells]
        down = sqrt((rate - ends[0]) ** 2 + sum((share * (mid - low)) ** 2 for share, mid, (low, _) in parts))
        up = sqrt((ends[1] - rate) ** 2 + sum((share * (high - mid)) ** 2 for share, mid, (_, high) in parts))
        return max(0.0, rate - down), min(1.0, rate + up)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimates:
    """Rates and how their errors hang together.

    Attributes:
        rates: 0 to 1 each.
        clusters: that each rate rests on; its effective number where it has no variance.
        covariance: of the rates' errors, a symmetric matrix.
        weights: of the rates; the positive ones sum to 1, the negative ones, of what is taken off, to -1.
        samples: of each rate, where a part of the answers was judged; none where all were.
        block: so many rates in a row, of equal weight, count by their harmonic mean; 1: each by itself.
    """

    rates: tuple[float, ...]
    clusters: tuple[int, ...]
    covariance: tuple[tuple[float, ...], ...]
    weights: tuple[float, ...]
    samples: tuple[JudgedSample, ...] = ()
    block: int = 1

    @property
    def value(self) -> float:
        """The mean, or the difference of the two means."""
        if self.block > 1:
            return self.side(1) - self.side(-1)
        return sum(w * rate for w, rate in zip(self.weights, self.rates, strict=True))

    @property
    def error(self) -> float:
        """Standard error of the value."""
        every = range(len(self.rates))
        return sqrt(max(0.0, self._variance(every, every)))

    def side(self, sign: int) -> float:
        """The mean of the rates with weights of one sign."""
        return self.mean_of(self._rows(sign))

    def mean_of(self, rows: Sequence[int], moved: Mapping[int, float] | None = None) -> float:
        """The mean of some of the rates by their weights' size, whole blocks together.

        Args:
            rows: their places.
            moved: rates that take the place of those at some of them.
        """
        moved = moved or {}
        if self.block == 1:
            return abs(sum(self.weights[i] * moved.get(i, self.rates[i]) for i in rows))
        total = 0.0
        for start in range(0, len(rows), self.block):
            part = rows[start : start + self.block]
            rates = [moved.get(i, self.rates[i]) for i in part]
            harmonic = len(rates) / sum(1 / rate for rate in rates) if min(rates) > 0 else 0.0
            total += sum(abs(self.weights[i]) for i in part) * harmonic
        return total

    def interval(self, z: float = Z95) -> Interval:
        """Lower and upper limit of the value, z standard errors away."""
        left, right = self._rows(1), self._rows(-1)
        if not right:
            return self._interval_of_mean(left, z)
        value, ends = self.value, (self._interval_of_mean(left, z), self._interval_of_mean(right, z))
        a, b = self.side(1), self.side(-1)
        spread = self._variance(left, left) * self._variance(right, right)
        r = -self._variance(left, right) / sqrt(spread) if spread > 0 else 0.0
        down = _add_distances([a - ends[0][0], ends[1][1] - b], [[1.0, -r], [-r, 1.0]])
        up = _add_distances([ends[0][1] - a, b - ends[1][0]], [[1.0, -r], [-r, 1.0]])
        if self._has_no_variance(left + right):
            unseen = self._unseen_share(left, z)
            down, up = max(down, unseen * (1 + value)), max(up, unseen * (1 - value))
        return value - down, value + up

    def _interval_of_mean(self, rows: Sequence[int], z: float) -> Interval:
        limits = [self._interval_of_rate(i, z) for i in rows]
        if len(rows) == 1:
            return limits[0]
        mean = self.mean_of(rows)
        correlation = [[self._correlation(i, j) for j in rows] for i in rows]
        if self.block == 1:
            down = [abs(self.weights[i]) * (self.rates[i] - low) for i, (low, _) in zip(rows, limits, strict=True)]
            up = [abs(self.weights[i]) * (high - self.rates[i]) for i, (_, high) in zip(rows, limits, strict=True)]
        else:
            down = [mean - self.mean_of(rows, {i: low}) for i, (low, _) in zip(rows, limits, strict=True)]
            up = [self.mean_of(rows, {i: high}) - mean for i, (_, high) in zip(rows, limits, strict=True)]
            for start in range(0, len(rows), self.block):
                if not any(up[start : start + self.block]):  # several are 0, so that no rate alone moves the mean
                    moved = {rows[at]: limits[at][1] for at in range(start, start + self.block)}
                    up[start] = self.mean_of(rows, moved) - mean
        if self._has_no_variance(rows):
            unseen = self._unseen_share(rows, z)
            low, high = mean - unseen * mean, mean + unseen * (1 - mean)
        else:  # the interval of the mean as if it were one rate
            low, high = wilson(mean, mean * (1 - mean) / self._variance(rows, rows), z)
        return min(low, mean - _add_distances(down, correlation)), max(high, mean + _add_distances(up, correlation))

    def _interval_of_rate(self, i: int, z: float) -> Interval:
        rate, variance = self.rates[i], self.covariance[i][i]
        sample = self.samples[i] if self.samples and self.samples[i].cells else None
        if sample is not None:
            # never less than records of their own would give: the part that is open is itself only measured
            variance = max(variance - sample.variance, rate * (1 - rate) / sample.size)
        ends = wilson(rate, rate * (1 - rate) / variance if variance > 0 else self.clusters[i], z)
        return ends if sample is None else sample.widen(rate, ends, z)

    def _correlation(self, i: int, j: int) -> float:
        spread = self.covariance[i][i] * self.covariance[j][j]
        return 1.0 if i == j else self.covariance[i][j] / sqrt(spread) if spread > 0 else 0.0

    def _variance(self, rows: Sequence[int], columns: Sequence[int]) -> float:
        slopes = self._slopes
        return sum(slopes[i] * slopes[j] * self.covariance[i][j] for i in rows for j in columns)

    @property
    def _slopes(self) -> Sequence[float]:
        """How fast the value moves with each rate: its weight, or that of a harmonic mean near the rates."""
        if self.block == 1:
            return self.weights
        slopes = list[float]()
        for start in range(0, len(self.rates), self.block):
            part = self.rates[start : start + self.block]
            weight = sum(self.weights[start : start + self.block])
            for i in range(len(part)):
                # n / r^2 / (sum of 1/r)^2, written with products, so that a rate of 0 needs no division
                others = prod(each for j, each in enumerate(part) if j != i)
                below = sum(prod(each for j, each in enumerate(part) if j != k) for k in range(len(part)))
                slopes.append(weight * len(part) * (others / below) ** 2 if below > 0 else 0.0)
        return slopes

    def _has_no_variance(self, rows: Sequence[int]) -> bool:
        slopes = self._slopes
        return self._variance(rows, rows) <= _ROUNDING * sum(slopes[i] ** 2 * self.covariance[i][i] for i in rows)

    def _unseen_share(self, rows: Sequence[int], z: float) -> float:
        """The share of clusters that may depart although none of these was seen to."""
        samples = [self.samples[i] for i in rows if self.samples and self.samples[i].cells]
        if not samples:
            return unseen_share(max(self.clusters[i] for i in rows), z)
        return min(sample.unseen_share(z) for sample in samples)

    def _rows(self, sign: int) -> list[int]:
        return [i for i, weight in enumerate(self.weights) if sign * weight > 0]


def _add_distances(distances: Sequence[float], correlation: Sequence[Sequence[float]]) -> float:
    """Distances squared and added, with their correlation."""
    pairs = (
        (a * b, r) for a, row in zip(distances, correlation, strict=True) for b, r in zip(distances, row, strict=True)
    )
    return sqrt(max(0.0, sum(product * r for product, r in pairs)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Extreme:
    """The extreme ratio, and the share that the open terms of each kind take to give it."""

    ratio: float
    picks: tuple[Share, ...]


def find_extreme(known: Share, choices: Sequence[Choices], counts: Sequence[int], *, lowest: bool) -> Extreme | None:
    """The lowest or highest ratio any completion gives; None where every completion has denominator 0.

    Denominators may differ between the choices (F1, "of the answered"), so the extreme is not found choice by choice:
    it is a fractional program. For a trial ratio every open term takes the share with the extreme `num - ratio * den`;
    the ratio of the sums that follow is the next trial. The trials move one way only and stop at the exact extreme
    (Dinkelbach 1967).

    Args:
        known: sums over the resolved terms.
        choices: what open terms may take; terms with the same choices take the same share, since the trial is linear.
        counts: open terms of each of the choices.
        lowest: the minimum, else the maximum.
    """

    def complete(picks: Sequence[Share]) -> float | None:
        num = known[0] + sum(count * pick[0] for count, pick in zip(counts, picks, strict=True))
        den = known[1] + sum(count * pick[1] for count, pick in zip(counts, picks, strict=True))
        return num / den if den > 0 else None

    sign = 1 if lowest else -1
    picks = tuple(max(shares, key=lambda share: share[1]) for shares in choices)
    ratio = complete(picks)
    while ratio is not None:
        trial = tuple(_pick_share(shares, ratio, sign) for shares in choices)
        better = complete(trial)
        if better is None or sign * better >= sign * ratio:
            return Extreme(ratio=ratio, picks=picks)
        ratio, picks = better, trial
    return None


def _pick_share(shares: Choices, ratio: float, sign: int) -> Share:
    return min(shares, key=lambda share: (sign * (share[0] - ratio * share[1]), -share[1]))

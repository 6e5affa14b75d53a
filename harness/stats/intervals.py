"""Confidence intervals for a rate, a mean of rates, and a difference of two such means.

A rate has a Wilson interval at its *effective* number of observations, the number that would give it the variance its
clusters show. A mean or a difference of rates is put together by square-and-add (MOVER; Newcombe 1998, Zou 2008): the
distances from the rates to their own limits add up like standard errors, with their correlation, so that rates near 0
or 1 keep their skew. Two things are added where simulation found that too narrow (`benchmarks/intervals.py`):

- Many strata with an event or two each: the mean's interval also covers the Wilson interval of the mean itself.
- A mean or difference that no cluster departs from has no variance, yet the next cluster may depart: as in Wilson's
  interval of 0 out of m, a share z^2/(m+z^2) of clusters is taken as unseen and may lie anywhere.
  Where a part was judged, m is how many of those there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

Interval = tuple[float, float]
Z95 = NormalDist().inv_cdf(0.975)
_DUST = 1e-12  #: a variance below this share of its own terms is rounding and stands for zero


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
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
        from scipy.special import betaincinv

        n = self.judged * self.of / (self.of - self.judged)
        hits, tail = self.rate * n, NormalDist().cdf(-z)
        low = betaincinv(hits + 0.5, n - hits + 0.5, tail) if hits > 0 else 0.0
        high = betaincinv(hits + 0.5, n - hits + 0.5, 1 - tail) if hits < n else 1.0
        return min(float(low), self.rate), max(float(high), self.rate)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What of one rate rests on a part of the answers.

    Attributes:
        size: the rate's denominator, all cells together.
        clusters: that were judged, or known without a judge.
        cells: those that were judged in part.
    """

    size: float
    clusters: int
    cells: tuple[Sampled, ...]

    @property
    def variance(self) -> float:
        """Of the rate, for not having judged the rest."""
        return sum((cell.of / self.size) ** 2 * cell.variance for cell in self.cells)

    def unseen_share(self, z: float) -> float:
        """The share that may be unlike all that was seen: of all, or of what rests on the judged part alone."""
        judged, of = sum(cell.judged for cell in self.cells), sum(cell.of for cell in self.cells)
        return max(_unseen(self.clusters, z), of / self.size * _unseen(judged, z))

    def stretched(self, rate: float, ends: Interval, z: float) -> Interval:
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
        openings: of each rate, where a part of the answers was judged; none where all were.
    """

    rates: tuple[float, ...]
    clusters: tuple[int, ...]
    covariance: tuple[tuple[float, ...], ...]
    weights: tuple[float, ...]
    openings: tuple[Opening, ...] = ()

    @property
    def value(self) -> float:
        """The mean, or the difference of the two means."""
        return sum(w * rate for w, rate in zip(self.weights, self.rates, strict=True))

    @property
    def error(self) -> float:
        """Standard error of the value."""
        every = range(len(self.rates))
        return sqrt(max(0.0, self._variance(every, every)))

    def side(self, sign: int) -> float:
        """The mean of the rates with weights of one sign."""
        return abs(self._sum(self._rows(sign)))

    def interval(self, z: float = Z95) -> Interval:
        """Lower and upper limit of the value, z standard errors away."""
        left, right = (self._rows(sign) for sign in (1, -1))
        return self._difference(left, right, z) if right else self._mean(left, z)

    def _difference(self, left: list[int], right: list[int], z: float) -> Interval:
        value, ends = self.value, (self._mean(left, z), self._mean(right, z))
        a, b = self.side(1), self.side(-1)
        spread = self._variance(left, left) * self._variance(right, right)
        r = -self._variance(left, right) / sqrt(spread) if spread > 0 else 0.0
        down = _length([a - ends[0][0], ends[1][1] - b], [[1.0, -r], [-r, 1.0]])
        up = _length([ends[0][1] - a, b - ends[1][0]], [[1.0, -r], [-r, 1.0]])
        if self._is_flat(left + right):
            unseen = self._unseen_share(left, z)
            down, up = max(down, unseen * (1 + value)), max(up, unseen * (1 - value))
        return value - down, value + up

    def _mean(self, rows: Sequence[int], z: float) -> Interval:
        limits = [self._limits(i, z) for i in rows]
        if len(rows) == 1:
            return limits[0]
        mean = abs(self._sum(rows))
        together = [[self._correlation(i, j) for j in rows] for i in rows]
        down = [abs(self.weights[i]) * (self.rates[i] - low) for i, (low, _) in zip(rows, limits, strict=True)]
        up = [abs(self.weights[i]) * (high - self.rates[i]) for i, (_, high) in zip(rows, limits, strict=True)]
        low, high = self._whole(mean, rows, z)
        return min(low, mean - _length(down, together)), max(high, mean + _length(up, together))

    def _whole(self, mean: float, rows: Sequence[int], z: float) -> Interval:
        """The mean's interval as if it were one rate."""
        if self._is_flat(rows):
            unseen = self._unseen_share(rows, z)
            return mean - unseen * mean, mean + unseen * (1 - mean)
        return wilson(mean, mean * (1 - mean) / self._variance(rows, rows), z)

    def _limits(self, i: int, z: float) -> Interval:
        rate = self.rates[i]
        if not self.openings or not self.openings[i].cells:
            return wilson(rate, self._effective(i), z)
        opening = self.openings[i]
        # never less than records of their own would give: the part that is open is itself only measured
        variance = max(self.covariance[i][i] - opening.variance, rate * (1 - rate) / opening.size)
        ends = wilson(rate, rate * (1 - rate) / variance if variance > 0 else self.clusters[i], z)
        return opening.stretched(rate, ends, z)

    def _effective(self, i: int) -> float:
        variance = self.covariance[i][i]
        return self.rates[i] * (1 - self.rates[i]) / variance if variance > 0 else self.clusters[i]

    def _correlation(self, i: int, j: int) -> float:
        spread = self.covariance[i][i] * self.covariance[j][j]
        return 1.0 if i == j else self.covariance[i][j] / sqrt(spread) if spread > 0 else 0.0

    def _variance(self, rows: Sequence[int], columns: Sequence[int]) -> float:
        return sum(self.weights[i] * self.weights[j] * self.covariance[i][j] for i in rows for j in columns)

    def _is_flat(self, rows: Sequence[int]) -> bool:
        return self._variance(rows, rows) <= _DUST * sum(self.weights[i] ** 2 * self.covariance[i][i] for i in rows)

    def _unseen_share(self, rows: Sequence[int], z: float) -> float:
        """The share of clusters that may depart although none of these was seen to."""
        openings = [self.openings[i] for i in rows if self.openings and self.openings[i].cells]
        if not openings:
            return _unseen(max(self.clusters[i] for i in rows), z)
        return min(opening.unseen_share(z) for opening in openings)

    def _sum(self, rows: Sequence[int]) -> float:
        return sum(self.weights[i] * self.rates[i] for i in rows)

    def _rows(self, sign: int) -> list[int]:
        return [i for i, weight in enumerate(self.weights) if sign * weight > 0]


def wilson(rate: float, n: float, z: float = Z95) -> Interval:
    """The score interval of a rate (0 to 1) seen on `n` observations, effective or counted (Wilson 1927)."""
    middle = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    return max(0.0, min(rate, middle - half)), min(1.0, max(rate, middle + half))


def _unseen(clusters: float, z: float) -> float:
    return z * z / (clusters + z * z)


def _length(distances: Sequence[float], correlation: Sequence[Sequence[float]]) -> float:
    pairs = (
        (a * b, r) for a, row in zip(distances, correlation, strict=True) for b, r in zip(distances, row, strict=True)
    )
    return sqrt(max(0.0, sum(product * r for product, r in pairs)))

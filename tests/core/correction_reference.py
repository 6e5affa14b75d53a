"""The corrected number once more, from the formulas alone: plain loops, scipy's Beta, nothing of the harness."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from math import sqrt

from scipy.stats import beta, t

Z = 1.959963984540054


def correct_by_hand(
    cells: Sequence[int], clusters: Sequence[int], labels: Sequence[float | None]
) -> tuple[float, float, float]:
    """Value and limits: post-stratified by cell, square-and-add with Jeffreys' cells.

    Args:
        cells: of each answer.
        clusters: likewise.
        labels: 0 or 1 where people labelled, else None.
    """
    total = len(cells)
    of: dict[int, int] = defaultdict(int)
    seen: dict[int, list[float]] = defaultdict(list)
    for cell, label in zip(cells, labels, strict=True):
        of[cell] += 1
        if label is not None:
            seen[cell].append(label)
    rate = {cell: sum(seen[cell]) / len(seen[cell]) for cell in of}
    value = sum(of[cell] / total * rate[cell] for cell in of)
    residuals: dict[int, float] = defaultdict(float)
    for cell, cluster, label in zip(cells, clusters, labels, strict=True):
        weighted = 0.0 if label is None else of[cell] / len(seen[cell]) * (label - rate[cell])
        residuals[cluster] += rate[cell] - value + weighted
    variance = sum(each**2 for each in residuals.values()) / total**2
    if len(residuals) < total:  # few clusters: Korn and Graubard 1998
        m = len(residuals)
        factor = (t.ppf(0.975, total - 1) / t.ppf(0.975, m - 1)) ** 2 * (1 - 1 / m) / (1 - 1 / total)
        variance /= factor
    open_part = sum((of[c] / total) ** 2 * rate[c] * (1 - rate[c]) * (1 / len(seen[c]) - 1 / of[c]) for c in of)
    if any(len(seen[cell]) < of[cell] for cell in of):
        variance = max(variance - open_part, value * (1 - value) / total)
    n = value * (1 - value) / variance
    middle = (value + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * sqrt(value * (1 - value) / n + Z * Z / (4 * n * n))
    down, up = (value - middle + half) ** 2, (middle + half - value) ** 2
    for cell in of:
        labelled = len(seen[cell])
        if labelled == of[cell]:
            continue
        left = labelled * of[cell] / (of[cell] - labelled)
        hits = rate[cell] * left
        low = beta.ppf(0.025, hits + 0.5, left - hits + 0.5) if hits > 0 else 0.0
        high = beta.ppf(0.975, hits + 0.5, left - hits + 0.5) if hits < left else 1.0
        share = of[cell] / total
        down += (share * (rate[cell] - min(low, rate[cell]))) ** 2
        up += (share * (max(high, rate[cell]) - rate[cell])) ** 2
    return value, max(0.0, value - sqrt(down)), min(1.0, value + sqrt(up))

"""A difference under common errors once more: plain loops, numeric derivatives by the weight of each cluster.

Nothing of the harness is used, and no influence function is written down: the estimator takes a weight for each cluster
and a shift for each cell's rate, and its variance comes from how it moves with them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import erfc, sqrt

from scipy.stats import t as student

Z = 1.959963984540054
STEP = 1e-5

#: of each answer: cell, cluster, what the judge's label counts as (None for none), what people say (None for nothing)
Answer = tuple[int, int, float | None, float | None]
Shifts = Mapping[tuple[int, int], float]  #: (arm, cell) -> what is added to the cell's rate
Weights = Mapping[int, float]  #: cluster -> its weight


def sum_up(arms: Sequence[Sequence[Answer]], weights: Weights, shifts: Shifts) -> dict[str, float]:
    """The weighted sums that everything follows from."""
    sums: dict[str, float] = {"hits": 0.0, "found": 0.0, "others": 0.0, "alone": 0.0}
    for arm, answers in enumerate(arms):
        rates: dict[int, float] = {}
        for cell in {answer[0] for answer in answers}:
            labelled = [(weights[c], said) for own, c, _, said in answers if own == cell and said is not None]
            total = sum(weight for weight, _ in labelled)
            rates[cell] = sum(w * said for w, said in labelled) / total + shifts.get((arm, cell), 0.0)
        own = {"n": 0.0, "plain": 0.0, "judged": 0.0, "scored": 0.0, "hits": 0.0, "found": 0.0, "alone": 0.0}
        for cell, cluster, judged, _ in answers:
            weight, rate = weights[cluster], rates[cell]
            own["n"] += weight
            if judged is None:
                own["plain"] += weight * rate
                continue
            own["scored"] += weight
            own["judged"] += weight * judged
            own["hits"] += weight * rate
            own["found"] += weight * judged * rate
            own["alone"] += weight * (1 - judged) * (1 - rate)
        own["others"] = own["scored"] - own["hits"]
        for name in ("hits", "found", "others", "alone"):
            sums[name] += own[name]
        sums |= {f"{name}{arm}": value for name, value in own.items()}
    return sums


def ratio(arms: Sequence[Sequence[Answer]], weights: Weights, shifts: Shifts) -> tuple[float, float]:
    """Numerator and divisor of the difference."""
    s = sum_up(arms, weights, shifts)
    se, sp = s["found"] / s["hits"], s["alone"] / s["others"]
    slope = se + sp - 1
    top = sum(
        sign * (s[f"judged{arm}"] - (1 - sp) * s[f"scored{arm}"] + slope * s[f"plain{arm}"]) / s[f"n{arm}"]
        for arm, sign in ((0, 1), (1, -1))
    )
    return top, slope


def errors(arms: Sequence[Sequence[Answer]], weights: Weights, shifts: Shifts, name: str) -> list[float]:
    """Sensitivity (`hit`) or specificity of each arm."""
    s = sum_up(arms, weights, shifts)
    over, under = ("found", "hits") if name == "hit" else ("alone", "others")
    return [s[f"{over}{arm}"] / s[f"{under}{arm}"] for arm in (0, 1)]


def move(
    function: Callable[[Weights, Shifts], Sequence[float]], arms: Sequence[Sequence[Answer]]
) -> tuple[list[list[float]], dict[tuple[int, int], list[float]]]:
    """How the values of a function move with each cluster's weight, and with each cell's rate."""
    clusters = sorted({answer[1] for answers in arms for answer in answers})
    even = dict.fromkeys(clusters, 1.0)

    def slope(up: Sequence[float], down: Sequence[float]) -> list[float]:
        return [(a - b) / (2 * STEP) for a, b in zip(up, down, strict=True)]

    by_cluster = [slope(function({**even, c: 1 + STEP}, {}), function({**even, c: 1 - STEP}, {})) for c in clusters]
    cells = sorted({(arm, answer[0]) for arm, answers in enumerate(arms) for answer in answers})
    by_cell = {cell: slope(function(even, {cell: STEP}), function(even, {cell: -STEP})) for cell in cells}
    return by_cluster, by_cell


def excess(answers: Sequence[Answer], cell: int) -> float:
    """The variance that a cell's rate has above what its labels show."""
    of = sum(own == cell for own, *_ in answers)
    said = [each for own, _, _, each in answers if own == cell and each is not None]
    n, hits = len(said), sum(said)
    smooth, plain = (hits + 0.5) / (n + 1), hits / n
    return max(0.0, smooth * (1 - smooth) - plain * (1 - plain)) * (1 / n - 1 / of)


def few(arms: Sequence[Sequence[Answer]]) -> float:
    m = len({answer[1] for answers in arms for answer in answers})
    n = max(len(answers) for answers in arms)
    if m >= n:
        return 1.0
    return float((student.ppf(0.975, m - 1) / student.ppf(0.975, n - 1)) ** 2 * (1 - 1 / n) / (1 - 1 / m))


def by_hand(arms: Sequence[Sequence[Answer]]) -> tuple[float, float, float]:
    """Value and limits."""
    even = {answer[1]: 1.0 for answers in arms for answer in answers}
    top, slope = ratio(arms, even, {})
    by_cluster, by_cell = move(lambda weights, shifts: ratio(arms, weights, shifts), arms)

    def fits(r: float) -> float:
        """Below 0 inside of the interval."""
        variance = few(arms) * sum((u - r * v) ** 2 for u, v in by_cluster)
        variance += sum(excess(arms[arm], cell) * (u - r * v) ** 2 for (arm, cell), (u, v) in by_cell.items())
        return (top - r * slope) ** 2 - Z * Z * variance

    value = top / slope
    ends: list[float] = []
    for sign in (-1, 1):
        inside, outside = value, value + sign
        for _ in range(80):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if fits(middle) < 0 else (inside, middle)
        ends.append(inside)
    return value, ends[0], ends[1]


def p_by_hand(arms: Sequence[Sequence[Answer]], name: str) -> float:
    """The test that both arms have the same sensitivity (`hit`) or specificity.

    The variance is that at the pooled rate: of sums of `weight of the answer x (says - pooled)` over what they divide.
    """
    even = {answer[1]: 1.0 for answers in arms for answer in answers}
    s = sum_up(arms, even, {})
    over, under = ("found", "hits") if name == "hit" else ("alone", "others")
    pooled = s[over] / s[under]
    first, second = errors(arms, even, {}, name)

    def score(weights: Weights, shifts: Shifts) -> list[float]:
        t = sum_up(arms, weights, shifts)
        parts = [(t[f"{over}{arm}"] - pooled * t[f"{under}{arm}"]) / s[f"{under}{arm}"] for arm in (0, 1)]
        return [parts[0] - parts[1]]

    by_cluster, by_cell = move(score, arms)
    variance = few(arms) * sum(u * u for (u,) in by_cluster)
    variance += sum(excess(arms[arm], cell) * u * u for (arm, cell), (u,) in by_cell.items())
    return erfc(abs(first - second) / sqrt(variance) / sqrt(2))

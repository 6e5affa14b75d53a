"""How many samples and seeds an evaluation needs, and what an evaluation of a given size could show.

Four goals, each reached with a wanted chance (80% unless said otherwise):

    width       the 95% interval of a rate is at most so wide
    limit       the interval lies wholly within a limit (`harness.stats.gates`), at the true rate that is expected
    detect      a test at 5%, two-sided, finds a true difference of two runs over the same questions
    margin      the interval of a difference whose truth is 0 lies within a margin

For one run, or one pair of runs, the chance is added up over what may be seen: exactly, over the binomial distribution,
for width and limit; for detect over the number of pairs that differ and McNemar's exact test of them (Connor 1987,
Biometrics 43); for margin over 4,000 drawn tables, with the interval that a comparison shows. No normal approximation
is in these, so they hold at 10 samples as well. A power of exact tests goes up and down in steps as samples are added;
the number given is the one from which on the chance stays.

Records in clusters count as fewer: a design effect divides them. Where each side is several runs that differ in a seed
alone (`harness.stats.seeds`), the variance is

    V  = (1/n) [ sum over sides of s^2 ((1 - w) / M + w) - 2 c s s' ] + sum over sides of (t^2 + (1 - w) s^2 / n) / M

with s^2 = p (1 - p), w the correlation of a model's answers over seeds, c that between the models, t the standard
deviation between seeds, which grows from one rate to another as s does. The noncentral t distribution at
Satterthwaite's degrees of freedom takes the place of exact sums there.
This module does not import numpy before it is asked for something.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil, floor, inf, sqrt
from typing import TYPE_CHECKING, Final, Literal

from harness.stats.intervals import Z95, unseen_share

if TYPE_CHECKING:
    import numpy as np

    from harness.stats.units import Floats

Goal = Literal["width", "limit", "detect", "margin"]
POWER: Final = 0.8
MOST: Final = 1_000_000  #: samples; what needs more is out of reach
_ALPHA: Final = 0.05
_DRAWS: Final = 4000
_SEED: Final = 20261201
_HALVINGS: Final = 40
_SPREADS: Final = 9.0  #: standard deviations of a binomial that are added up
_NEARLY: Final = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerModel:
    """What is known, or assumed, of an evaluation before it is made; rates are 0 to 1.

    Attributes:
        rate: the true rate of the run, or of the baseline.
        design_effect: by how much clusters multiply the variance.
        correlation: between the answers of two models to one question.
        seeds: runs on each side that differ in a seed alone.
        seed_sd: standard deviation of the true rate between seeds.
        within: correlation between the answers of one model under two seeds.
    """

    rate: float
    design_effect: float = 1.0
    correlation: float = 0.0
    seeds: int = 1
    seed_sd: float = 0.0
    within: float = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerPlan:
    """The size of an evaluation for one goal.

    Attributes:
        records: of one run; None where no number of them reaches the goal.
        power: the chance that so many have; of `None` that of the most that was tried.
        other_rate: the second rate of a difference, in the direction that needs more; None for other goals.
    """

    records: int | None
    power: float
    other_rate: float | None = None


def plan_records(
    model: PowerModel, goal: Goal, size: float, *, power: float = POWER, lower_is_better: bool = True
) -> PowerPlan:
    """The least number of records from which on the chance stays at `power` or above.

    Args:
        model: what is assumed.
        goal: what is wanted.
        size: the width, the limit, the difference, or the margin; 0 to 1.
        power: the wanted chance.
        lower_is_better: a limit is the most that the rate may be; else the least.
    """
    found: PowerPlan | None = None
    for other in _list_other_rates(model.rate, goal, size):

        def chance(records: int, other: float | None = other) -> float:
            return find_power(model, goal, size, records, other_rate=other, lower_is_better=lower_is_better)

        tries = 0 if goal == "margin" or model.seeds > 1 else 100 if goal == "detect" else 1_000
        records = _find_least(chance, power, tries)
        reached = chance(MOST if records is None else records)
        plan = PowerPlan(records=records, power=reached, other_rate=other)
        if found is None or (plan.records or inf) > (found.records or inf):
            found = plan
    return found or PowerPlan(records=None, power=0.0)


def _list_other_rates(rate: float, goal: Goal, size: float) -> list[float | None]:
    if goal == "margin":
        return [rate]
    if goal != "detect":
        return [None]
    return [min(1.0, max(0.0, other)) for other in (rate + size, rate - size) if -_NEARLY <= other <= 1 + _NEARLY]


def find_power(
    model: PowerModel,
    goal: Goal,
    size: float,
    records: int,
    *,
    other_rate: float | None = None,
    lower_is_better: bool = True,
) -> float:
    """The chance that an evaluation of this many records reaches a goal; other arguments as in `plan_records`.

    Args:
        model: what is assumed.
        goal: what is wanted.
        size: of it.
        records: of one run.
        other_rate: of the second run, for a difference; by default above the first by `size`, for a margin the same.
        lower_is_better: as there.
    """
    if records < 2:
        return 0.0
    if model.seeds > 1:
        return _find_power_of_seeds(model, goal, size, records, other_rate=other_rate, lower_is_better=lower_is_better)
    n = max(1, floor(records / model.design_effect + _NEARLY))
    if goal == "width":
        chance = _find_power_of_width(n, model.rate, size)
    elif goal == "limit":
        chance = _find_power_of_limit(n, model.rate, size, most=lower_is_better)
    else:
        other = other_rate if other_rate is not None else model.rate + (size if goal == "detect" else 0.0)
        cells = split_pairs(model.rate, min(1.0, max(0.0, other)), model.correlation)
        if goal == "detect":
            chance = find_mcnemar_power(n, cells[1] + cells[2], abs(cells[1] - cells[2]))
        else:
            chance = _find_power_of_margin(n, cells, size)
    return min(1.0, chance)  # a sum of many parts may exceed 1 by the last digit


def find_reach(
    model: PowerModel, goal: Goal, records: int, *, power: float = POWER, lower_is_better: bool = True
) -> float | None:
    """The smallest width, difference or margin that so many records reach with the wanted chance; None for none.

    For a limit: the strictest one.
    """

    def chance(size: float) -> float:
        limit = size if goal != "limit" or lower_is_better else 1 - size
        others = _list_other_rates(model.rate, goal, limit)
        chances = (
            find_power(model, goal, limit, records, other_rate=other, lower_is_better=lower_is_better)
            for other in others
        )
        return min(chances, default=0.0)

    most = max(model.rate, 1 - model.rate) if goal == "detect" else 1.0
    if chance(most) < power:
        return None
    low, high = 0.0, most
    for _ in range(_HALVINGS // 2):
        middle = (low + high) / 2
        low, high = (low, middle) if chance(middle) >= power else (middle, high)
    return high if goal != "limit" or lower_is_better else 1 - high


def split_pairs(left: float, right: float, correlation: float) -> tuple[float, float, float, float]:
    """The shares of pairs that hit in both, on the left alone, on the right alone, and in neither."""
    both = left * right + correlation * sqrt(left * (1 - left) * right * (1 - right))
    both = min(max(both, 0.0, left + right - 1), left, right)
    return both, left - both, right - both, max(0.0, 1 - left - right + both)


def correlate_pairs(left: float, right: float, discordant: float) -> float:
    """The correlation of pairs of which this share differs; 0 where a side never varies."""
    spread = sqrt(left * (1 - left) * right * (1 - right))
    if spread <= 0:
        return 0.0
    return min(1.0, max(-1.0, ((left + right - discordant) / 2 - left * right) / spread))


def find_mcnemar_power(pairs: int, discordant: float, difference: float) -> float:
    """The chance that McNemar's exact test at 5%, two-sided, finds a difference.

    Args:
        pairs: how many.
        discordant: share of pairs that differ.
        difference: of the two rates; not above `discordant`.
    """
    import numpy as np
    from scipy.special import bdtr

    if discordant <= 0:
        return 0.0
    discordant = min(discordant, 1.0)
    counts, weights = _list_binomial(pairs, discordant)
    limits = _list_critical_counts(pairs)[counts]
    few = limits < 0
    up = min(1.0, max(0.0, (1 + min(difference / discordant, 1.0)) / 2))
    trimmed = np.where(few, 0, limits).astype(np.float64)
    found = bdtr(trimmed, counts, 1 - up) + bdtr(trimmed, counts, up)
    return float(np.sum(weights * np.where(few, 0.0, found)))


def find_detectable(pairs: int, discordant: float, power: float = POWER) -> float | None:
    """The smallest difference that McNemar's exact test of so many pairs finds; None where it finds none.

    As many pairs differ as are given, or as the difference itself needs.

    Args:
        pairs: how many.
        discordant: share of pairs that differ.
        power: the wanted chance.
    """

    def chance(difference: float) -> float:
        return find_mcnemar_power(pairs, max(discordant, difference), difference)

    if pairs < 1 or chance(1.0) < power:
        return None
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS // 2):
        middle = (low + high) / 2
        low, high = (low, middle) if chance(middle) >= power else (middle, high)
    return high


@lru_cache(maxsize=8)
def _list_critical_counts_upto(pairs: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """For each number of differing pairs, the most on the rarer side with which p is still below 5%; -1 for none."""
    import numpy as np
    from scipy.special import bdtr, bdtrik

    counts = np.arange(pairs + 1)
    guess = np.zeros(pairs + 1)
    guess[1:] = np.floor(np.nan_to_num(bdtrik(_ALPHA / 2, counts[1:], 0.5), nan=-1.0))
    limits = np.clip(guess, -1, None).astype(np.int64)
    for _ in range(2):  # the inverse is rounded: one step up or down makes it exact
        higher = np.minimum(limits + 1, counts)
        up = (2 * bdtr(higher.astype(np.float64), counts, 0.5) < _ALPHA) & (higher > limits)
        limits = np.where(up, higher, limits)
        down = (limits >= 0) & (2 * bdtr(np.maximum(limits, 0).astype(np.float64), counts, 0.5) >= _ALPHA)
        limits = np.where(down, limits - 1, limits)
    limits[0] = -1
    return limits


def _list_critical_counts(pairs: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return _list_critical_counts_upto(1 << max(10, (pairs + 1).bit_length()))  # few tables serve all sizes


def _list_binomial(n: int, rate: float) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], Floats]:
    """The counts of a binomial that matter, and their chances."""
    import numpy as np
    from scipy.stats import binom

    spread = _SPREADS * sqrt(n * rate * (1 - rate)) + _SPREADS
    counts = np.arange(max(0, floor(n * rate - spread)), min(n, ceil(n * rate + spread)) + 1)
    return counts, np.asarray(binom.pmf(counts, n, rate), dtype=np.float64)


def _wilson(rate: Floats, n: int, z: float = Z95) -> tuple[Floats, Floats]:
    """`intervals.wilson` of many rates at once."""
    import numpy as np

    middle = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    return np.maximum(0.0, np.minimum(rate, middle - half)), np.minimum(1.0, np.maximum(rate, middle + half))


def _find_power_of_width(n: int, rate: float, width: float) -> float:
    counts, chances = _list_binomial(n, rate)
    low, high = _wilson(counts / n, n)
    return float(chances[high - low <= width + _NEARLY].sum())


def _find_power_of_limit(n: int, rate: float, limit: float, *, most: bool) -> float:
    counts, chances = _list_binomial(n, rate)
    low, high = _wilson(counts / n, n)
    return float(chances[(high <= limit) if most else (low >= limit)].sum())


def _find_power_of_margin(n: int, cells: tuple[float, float, float, float], margin: float) -> float:
    """Over drawn tables, the chance that the upper end of the paired interval is within the margin."""
    import numpy as np

    drawn = np.random.default_rng(_SEED).multinomial(n, np.array(cells) / sum(cells), _DRAWS)
    both, only_left, only_right = (drawn[:, place] / n for place in range(3))
    a, b = both + only_left, both + only_right
    ends_a, ends_b = _wilson(a, n), _wilson(b, n)
    spread = np.sqrt(a * (1 - a) * b * (1 - b))
    r = np.divide(both - a * b, spread, out=np.zeros_like(a), where=spread > 0)
    above, below = ends_a[1] - a, b - ends_b[0]
    up = np.sqrt(np.maximum(0.0, above**2 + below**2 - 2 * r * above * below))
    flat = only_left + only_right == 0
    up = np.where(flat, np.maximum(up, unseen_share(n)), up)
    return float(np.mean(a - b + up <= margin + _NEARLY))


def _find_power_of_seeds(
    model: PowerModel, goal: Goal, size: float, records: int, *, other_rate: float | None, lower_is_better: bool
) -> float:
    """By the variance of the means over seeds, and Student's distribution."""
    from scipy.special import nctdtr, stdtrit

    n, m, p = records / model.design_effect, model.seeds, model.rate
    rates = [p]
    if goal in ("detect", "margin"):
        other = other_rate if other_rate is not None else p + (size if goal == "detect" else 0.0)
        rates.append(min(1.0, max(0.0, other)))
    own = [rate * (1 - rate) for rate in rates]
    between = [model.seed_sd**2 * (each / own[0] if own[0] > 0 else 1.0) for each in own]
    items = sum(own) * ((1 - model.within) / m + model.within) / n
    if len(own) > 1:
        items -= 2 * min(model.correlation, model.within) * sqrt(own[0] * own[1]) / n
    seeds = [(sd2 + (1 - model.within) * each / n) / m for sd2, each in zip(between, own, strict=True)]
    variance = items + sum(seeds)
    if variance <= 0:
        return 1.0
    freedom = variance**2 / (items**2 / max(n - 1, 1) + sum(each**2 for each in seeds) / (m - 1))
    quantile, error = float(stdtrit(freedom, 0.975)), sqrt(variance)
    if goal == "width":
        return float(2 * quantile * error <= size)
    room = {"detect": size, "margin": size, "limit": size - p if lower_is_better else p - size}[goal]
    return float(1 - nctdtr(freedom, room / error, quantile)) if room > 0 else 0.0


def _find_least(chance: Callable[[int], float], power: float, tries: int) -> int | None:
    """The least number from which on the chance stays at `power`; None where none does.

    Args:
        chance: of a number of records.
        power: the wanted chance.
        tries: numbers to try around the first that is found, since an exact chance goes up and down; 0 where it does
            not.
    """
    low, high = 1, 8
    while chance(high) < power:
        low, high = high, 2 * high
        if low >= MOST:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if chance(middle) >= power else (middle, high)
    if not tries:
        return high
    stride = max(1, high // (4 * tries))
    tried = range(max(2, int(0.9 * high)), int(1.15 * high) + 12, stride)
    short = max((n for n in tried if chance(n) < power), default=tried[0] - stride)
    if stride > 1:  # what lies between two that were tried
        short = max((n for n in range(short + 1, short + 20 * stride) if chance(n) < power), default=short)
    return short + 1


def count_observations(value: float, interval: tuple[float, float]) -> float | None:
    """The effective number of observations that an interval of a rate shows; None where it shows none. All 0 to 1."""
    for end in (interval[1], interval[0]):
        distance = abs(end - value)
        if distance > _NEARLY and 0 < end < 1:
            return Z95**2 * end * (1 - end) / distance**2
    return None


def with_seeds(model: PowerModel, seeds: int) -> PowerModel:
    """The model with so many runs on each side."""
    return replace(model, seeds=seeds)

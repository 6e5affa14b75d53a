"""Exact bounds of a ratio of sums when some of its terms are only known to be one of a few shares.

Denominators may differ between the choices (F1, "of the answered"), so the extreme is not found choice by choice: it is
a fractional program. For a trial ratio every open term takes the share with the extreme `num - ratio * den`; the ratio
of the sums that follow is the next trial. The trials move one way only and stop at the exact extreme (Dinkelbach 1967).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.metrics import Share
from harness.stats.columns import Menu


@dataclass(frozen=True, slots=True, kw_only=True)
class Extreme:
    """The extreme ratio, and what each menu's terms take to give it."""

    ratio: float
    picks: tuple[Share, ...]


def extreme(known: Share, menus: Sequence[Menu], counts: Sequence[int], *, lowest: bool) -> Extreme | None:
    """The lowest or highest ratio any completion gives; None where every completion has denominator 0.

    Args:
        known: sums over the resolved terms.
        menus: what an open term may take; terms with one menu take the same share, since the trial is linear.
        counts: open terms of each menu.
        lowest: the minimum, else the maximum.
    """
    sign = 1 if lowest else -1
    picks = tuple(max(menu, key=lambda share: share[1]) for menu in menus)
    ratio = _ratio(known, picks, counts)
    while ratio is not None:
        trial = tuple(_pick(menu, ratio, sign) for menu in menus)
        better = _ratio(known, trial, counts)
        if better is None or sign * better >= sign * ratio:
            return Extreme(ratio=ratio, picks=picks)
        ratio, picks = better, trial
    return None


def _pick(menu: Menu, ratio: float, sign: int) -> Share:
    return min(menu, key=lambda share: (sign * (share[0] - ratio * share[1]), -share[1]))


def _ratio(known: Share, picks: Sequence[Share], counts: Sequence[int]) -> float | None:
    num = known[0] + sum(count * pick[0] for count, pick in zip(counts, picks, strict=True))
    den = known[1] + sum(count * pick[1] for count, pick in zip(counts, picks, strict=True))
    return num / den if den > 0 else None

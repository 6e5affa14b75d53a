"""Balance by category as a target: as many of each as asked for, chosen alike on every machine."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness import HarnessError


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """Which items stay.

    Attributes:
        kept: their keys, in the order the items came.
        dropped: the others'.
        missing: category -> how many there are too few.
    """

    kept: tuple[str, ...]
    dropped: tuple[str, ...]
    missing: Mapping[str, int]


def select_balanced(
    items: Iterable[tuple[str, str]],
    target: int | Mapping[str, int],
    seed: int = 0,
    *,
    categories: Iterable[str] = (),
) -> Balance:
    """Choose by a hash of seed and key: neither the order of the items nor the other categories change the choice.

    Args:
        items: key and category of each; keys are unique.
        target: how many of each category; by category where they differ, and all of one that is not named.
        seed: another one makes another choice.
        categories: that are wanted where one number holds for all, even where there is no item of them.

    Raises:
        HarnessError: a number is below 0.
    """
    found = list(items)
    by_category: defaultdict[str, list[str]] = defaultdict(list)
    for key, category in found:
        by_category[category].append(key)
    wanted = _wanted(target, (*categories, *by_category))
    chosen = {
        key
        for category, keys in by_category.items()
        for key in sorted(keys, key=lambda key: _rank(key, seed))[: wanted.get(category)]
    }
    missing = {category: number - len(by_category.get(category, ())) for category, number in wanted.items()}
    return Balance(
        kept=tuple(key for key, _ in found if key in chosen),
        dropped=tuple(key for key, _ in found if key not in chosen),
        missing={category: number for category, number in missing.items() if number > 0},
    )


def _wanted(target: int | Mapping[str, int], every: Iterable[str]) -> Mapping[str, int]:
    wanted = dict.fromkeys(every, target) if isinstance(target, int) else target
    if bad := [category for category, number in wanted.items() if number < 0]:
        raise HarnessError(f"{wanted[bad[0]]} items of {bad[0]!r} cannot be kept", remedy="give 0 or more")
    return wanted


def _rank(key: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}/{key}".encode("utf-8", "surrogatepass")).digest()

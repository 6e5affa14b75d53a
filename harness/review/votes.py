"""What more than half of several reviewers say, and how far they agree beyond chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

import numpy as np

from harness.stats.agreement import MISSING, Agreement, cohen, krippendorff, percent
from harness.stats.columns import fingerprint
from harness.stats.units import Ints

T = TypeVar("T", bound=Hashable)


def vote(given: Sequence[T], *, otherwise: T) -> tuple[T, bool]:
    """The value that more than half choose, and False; else `otherwise`, and True for a tie."""
    value, count = Counter(given).most_common(1)[0]
    return (value, False) if 2 * count > len(given) else (otherwise, True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two reviewers on the keys that both have decided."""

    left: str
    right: str
    same: Agreement
    kappa: Agreement


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """How far reviewers agree on one question.

    Attributes:
        about: the question.
        reviewers: who answered it at least once.
        candidates: on how many keys two or more of them answered it.
        pairs: Cohen's kappa of each two of them, and their share of equal answers.
        alpha: Krippendorff's, of all of them.
    """

    about: str
    reviewers: tuple[str, ...]
    candidates: int
    pairs: tuple[Pair, ...]
    alpha: Agreement


def measure_agreement(
    about: str, given: Mapping[tuple[str, str], T], values: Sequence[T], cluster: Callable[[str], str]
) -> Agreed:
    """Agreement on one question.

    Args:
        about: the question.
        given: (key, reviewer) -> the answer.
        values: all possible answers.
        cluster: of a key: intervals resample keys of one cluster together.
    """
    classes = {at: values.index(said) for at, said in given.items()}
    keys, reviewers = sorted({key for key, _ in classes}), sorted({name for _, name in classes})
    rows = [[classes.get((key, name), MISSING) for name in reviewers] for key in keys]
    ratings: Ints = np.array(rows, dtype=np.int64).reshape(len(keys), len(reviewers))
    clusters: Ints = np.array([fingerprint(cluster(key)) for key in keys], dtype=np.int64)
    pairs = tuple(
        Pair(
            left=reviewers[left],
            right=reviewers[right],
            same=percent(ratings[:, left], ratings[:, right], clusters),
            kappa=cohen(ratings[:, left], ratings[:, right], clusters, len(values)),
        )
        for left, right in combinations(range(len(reviewers)), 2)
    )
    return Agreed(
        about=about,
        reviewers=tuple(reviewers),
        candidates=int(((ratings != MISSING).sum(axis=1) >= 2).sum()),
        pairs=pairs,
        alpha=krippendorff(ratings, clusters, len(values)),
    )

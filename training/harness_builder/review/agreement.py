"""How far reviewers agree beyond chance, with intervals; candidates of one seed are resampled together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np

from harness.stats.agreement import MISSING, Agreement, cohen, krippendorff, percent
from harness.stats.columns import fingerprint
from harness.stats.units import Ints
from harness_builder.values import Review

Reading = Callable[[Review], "str | bool | None"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two reviewers on the candidates that both have decided."""

    left: str
    right: str
    same: Agreement
    kappa: Agreement


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """One question that reviewers answer.

    Attributes:
        about: `kept` (keep and fix against drop), `decision`, `text_unsafe` or `image_harmful`.
        reviewers: who has answered it at least once.
        candidates: that two or more of them have answered it of.
        pairs: Cohen's kappa of each two of them, and their share of equal answers.
        alpha: Krippendorff's, of all of them.
    """

    about: str
    reviewers: tuple[str, ...]
    candidates: int
    pairs: tuple[Pair, ...]
    alpha: Agreement


_ABOUT: Final[Mapping[str, tuple[Reading, tuple[str | bool, ...]]]] = {
    "kept": (lambda review: review.decision != "drop", (True, False)),
    "decision": (lambda review: review.decision, ("keep", "fix", "drop")),
    "text_unsafe": (lambda review: review.text_unsafe, (True, False)),
    "image_harmful": (lambda review: review.image_harmful, (True, False)),
}


def agreed(reviews: Iterable[Review]) -> tuple[Agreed, ...]:
    """Agreement on each question; of two reviews of a candidate by one reviewer the later one counts.

    `Queue.reviews(first=True)` gives the answers from before the reviewers saw what the model thinks.
    """
    latest = {(review.key, review.reviewer): review for review in reviews}
    return tuple(_agreed(about, latest, read, values) for about, (read, values) in _ABOUT.items())


def _agreed(
    about: str, latest: Mapping[tuple[str, str], Review], read: Reading, values: Sequence[str | bool]
) -> Agreed:
    classes = {at: values.index(said) for at, review in latest.items() if (said := read(review)) is not None}
    keys, reviewers = sorted({key for key, _ in classes}), sorted({name for _, name in classes})
    rows = [[classes.get((key, name), MISSING) for name in reviewers] for key in keys]
    ratings: Ints = np.array(rows, dtype=np.int64).reshape(len(keys), len(reviewers))
    cluster: Ints = np.array([fingerprint(_seed(key)) for key in keys], dtype=np.int64)
    return Agreed(
        about=about,
        reviewers=tuple(reviewers),
        candidates=int(((ratings != MISSING).sum(axis=1) >= 2).sum()),
        pairs=tuple(
            Pair(
                left=reviewers[left],
                right=reviewers[right],
                same=percent(ratings[:, left], ratings[:, right], cluster),
                kappa=cohen(ratings[:, left], ratings[:, right], cluster, len(values)),
            )
            for left, right in combinations(range(len(reviewers)), 2)
        ),
        alpha=krippendorff(ratings, cluster, len(values)),
    )


def _seed(key: str) -> str:
    """Of an element's key, `<seed key>#<number>`."""
    return key.rpartition("#")[0] or key

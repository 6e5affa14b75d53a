"""How far reviewers agree, for each thing they were asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np

from harness.stats.agreement import MISSING, Agreement, krippendorff, percent
from harness_builder.values import Review

#: what is asked -> what a review says of it; None where it says nothing
_ASKED: Final[Mapping[str, Callable[[Review], str | None]]] = {
    "decision": lambda review: "drop" if review.decision == "drop" else "keep",
    "text_unsafe": lambda review: _said(review.text_unsafe),
    "image_harmful": lambda review: _said(review.image_harmful),
    "category": lambda review: review.category.strip().casefold() or None,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """Of one thing that was asked.

    Attributes:
        alpha: Krippendorff's, over all reviewers and the candidates that two or more answered.
        pairs: reviewers, by name -> the share of their common candidates with the same answer.
    """

    alpha: Agreement
    pairs: Mapping[tuple[str, str], Agreement]


def agreement(reviews: Iterable[Review]) -> Mapping[str, Agreed]:
    """Agreement on `decision` (to fix is to keep), `text_unsafe`, `image_harmful` and `category`.

    Of several reviews of a candidate by one person the last counts. Each candidate stands for itself.
    """
    last = {(review.key, review.reviewer): review for review in reviews}
    keys = sorted({key for key, _ in last})
    people = sorted({person for _, person in last})
    return {asked: _agreed(last, keys, people, say) for asked, say in _ASKED.items()}


def _agreed(
    last: Mapping[tuple[str, str], Review], keys: list[str], people: list[str], say: Callable[[Review], str | None]
) -> Agreed:
    said = {place: answer for place, review in last.items() if (answer := say(review)) is not None}
    labels = {label: number for number, label in enumerate(sorted(set(said.values())))}
    ratings = np.full((len(keys), len(people)), MISSING, dtype=np.int64)
    for (key, person), answer in said.items():
        ratings[keys.index(key), people.index(person)] = labels[answer]
    cluster = np.arange(len(keys), dtype=np.int64)
    pairs = {
        (people[left], people[right]): percent(ratings[:, left], ratings[:, right], cluster)
        for left, right in combinations(range(len(people)), 2)
    }
    return Agreed(alpha=krippendorff(ratings, cluster, max(len(labels), 1)), pairs=pairs)


def _said(answer: bool | None) -> str | None:
    return None if answer is None else str(answer)

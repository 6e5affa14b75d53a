"""The joint decision of several reviewers, and how far they agree beyond chance.

The majority counts, and a tie stays open. Intervals of agreement resample candidates of one seed together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, Literal, TypeVar

import numpy as np

from harness.stats.agreement import MISSING, Agreement, cohen, krippendorff, percent
from harness.stats.columns import fingerprint
from harness.stats.units import Ints
from harness_builder.values import Review

T = TypeVar("T", bound=Hashable)
About = Literal["decision", "category", "question", "text_unsafe", "image_harmful"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """The reviewers' joint decision on one candidate.

    Attributes:
        key: of the candidate.
        decision: fix if `category` or `question` differ from the candidate's.
        category: empty if unchanged.
        question: empty if unchanged.
        text_unsafe: None if no reviewer who kept it answered.
        image_harmful: None if no reviewer who kept it answered.
        reviewers: who took part.
    """

    key: str
    decision: Literal["keep", "drop", "fix"]
    category: str = ""
    question: str = ""
    text_unsafe: bool | None = None
    image_harmful: bool | None = None
    reviewers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Undecided:
    """A candidate on which no side has more than half.

    Attributes:
        key: of the candidate.
        about: what they differ in: whether to keep it; else, among those who keep it, how.
        reviews: by all.
    """

    key: str
    about: tuple[About, ...]
    reviews: tuple[Review, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """All candidates that somebody has reviewed."""

    decided: tuple[Decided, ...]
    open: tuple[Undecided, ...]


def merge(reviews: Iterable[Review]) -> Merged:
    """One decision for each candidate, in the order of first appearance.

    A fix is a keep: first the majority decides whether to keep it. Then, among those who keep it, the majority of those
    who answered decides each of category, question, unsafe text and harmful image; on unsafe text only reviewers with
    the chosen question count. The later one of a reviewer's two reviews counts.
    """
    latest: dict[str, dict[str, Review]] = {}
    for review in reviews:
        latest.setdefault(review.key, {})[review.reviewer] = review
    every = [merge_one(key, tuple(by_reviewer.values())) for key, by_reviewer in latest.items()]
    return Merged(
        decided=tuple(each for each in every if isinstance(each, Decided)),
        open=tuple(each for each in every if isinstance(each, Undecided)),
    )


def merge_one(key: str, reviews: tuple[Review, ...]) -> Decided | Undecided:
    """The decision on one candidate, from a review by each reviewer."""
    reviewers = tuple(review.reviewer for review in reviews)
    kept, tied = _vote([review.decision != "drop" for review in reviews], otherwise=False)
    if tied:
        return Undecided(key=key, about=("decision",), reviews=reviews)
    if not kept:
        return Decided(key=key, decision="drop", reviewers=reviewers)
    keepers = [review for review in reviews if review.decision != "drop"]
    ties: dict[About, bool] = {}
    category, ties["category"] = _vote([review.category for review in keepers], otherwise="")
    question, ties["question"] = _vote([review.question for review in keepers], otherwise="")
    of_it = [each for each in keepers if ties["question"] or each.question == question]
    unsafe, ties["text_unsafe"] = _vote_answers([each.text_unsafe for each in of_it])
    harmful, ties["image_harmful"] = _vote_answers([each.image_harmful for each in keepers])
    about: tuple[About, ...] = tuple(name for name, tied in ties.items() if tied)
    if about:
        return Undecided(key=key, about=about, reviews=reviews)
    return Decided(
        key=key,
        decision="fix" if category or question else "keep",
        category=category,
        question=question,
        text_unsafe=unsafe,
        image_harmful=harmful,
        reviewers=reviewers,
    )


def _vote(given: Sequence[T], *, otherwise: T) -> tuple[T, bool]:
    """The value that more than half choose, and False; else `otherwise`, and True for a tie."""
    value, count = Counter(given).most_common(1)[0]
    return (value, False) if 2 * count > len(given) else (otherwise, True)


def _vote_answers(given: Sequence[bool | None]) -> tuple[bool | None, bool]:
    """The majority of those who answered; no answer at all is not a tie."""
    answers = [each for each in given if each is not None]
    return _vote(answers, otherwise=None) if answers else (None, False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two reviewers on the candidates that both have decided."""

    left: str
    right: str
    same: Agreement
    kappa: Agreement


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """How far reviewers agree on one question.

    Attributes:
        about: `kept` (keep and fix against drop), `decision`, `text_unsafe` or `image_harmful`.
        reviewers: who answered it at least once.
        candidates: on which two or more of them answered it.
        pairs: Cohen's kappa of each two of them, and their share of equal answers.
        alpha: Krippendorff's, of all of them.
    """

    about: str
    reviewers: tuple[str, ...]
    candidates: int
    pairs: tuple[Pair, ...]
    alpha: Agreement


#: question -> how a review answers it, and the possible answers
_QUESTIONS: Final[Mapping[str, tuple[Callable[[Review], str | bool | None], tuple[str | bool, ...]]]] = {
    "kept": (lambda review: review.decision != "drop", (True, False)),
    "decision": (lambda review: review.decision, ("keep", "fix", "drop")),
    "text_unsafe": (lambda review: review.text_unsafe, (True, False)),
    "image_harmful": (lambda review: review.image_harmful, (True, False)),
}


def agreed(reviews: Iterable[Review]) -> tuple[Agreed, ...]:
    """Agreement on each question; the later one of a reviewer's two reviews of a candidate counts.

    `Queue.reviews(first=True)` returns the answers given before the reviewers saw the model's opinion.
    """
    latest = {(review.key, review.reviewer): review for review in reviews}
    found: list[Agreed] = []
    for about, (read, values) in _QUESTIONS.items():
        classes = {at: values.index(said) for at, review in latest.items() if (said := read(review)) is not None}
        keys, reviewers = sorted({key for key, _ in classes}), sorted({name for _, name in classes})
        rows = [[classes.get((key, name), MISSING) for name in reviewers] for key in keys]
        ratings: Ints = np.array(rows, dtype=np.int64).reshape(len(keys), len(reviewers))
        # The key of an element is `<seed key>#<number>`.
        seeds = (key.rpartition("#")[0] or key for key in keys)
        cluster: Ints = np.array([fingerprint(seed) for seed in seeds], dtype=np.int64)
        pairs = tuple(
            Pair(
                left=reviewers[left],
                right=reviewers[right],
                same=percent(ratings[:, left], ratings[:, right], cluster),
                kappa=cohen(ratings[:, left], ratings[:, right], cluster, len(values)),
            )
            for left, right in combinations(range(len(reviewers)), 2)
        )
        found.append(
            Agreed(
                about=about,
                reviewers=tuple(reviewers),
                candidates=int(((ratings != MISSING).sum(axis=1) >= 2).sum()),
                pairs=pairs,
                alpha=krippendorff(ratings, cluster, len(values)),
            )
        )
    return tuple(found)

"""The joint decision of several reviewers, and how far they agree beyond chance.

The majority counts, and a tie stays open. Intervals of agreement resample candidates of one seed together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from harness.review.votes import Agreed, measure_agreement, vote
from harness_builder.values import Review

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
    kept, tied = vote([review.decision != "drop" for review in reviews], otherwise=False)
    if tied:
        return Undecided(key=key, about=("decision",), reviews=reviews)
    if not kept:
        return Decided(key=key, decision="drop", reviewers=reviewers)
    keepers = [review for review in reviews if review.decision != "drop"]
    ties: dict[About, bool] = {}
    category, ties["category"] = vote([review.category for review in keepers], otherwise="")
    question, ties["question"] = vote([review.question for review in keepers], otherwise="")
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


def _vote_answers(given: Sequence[bool | None]) -> tuple[bool | None, bool]:
    """The majority of those who answered; no answer at all is not a tie."""
    answers = [each for each in given if each is not None]
    return vote(answers, otherwise=None) if answers else (None, False)


#: what reviewers may agree on -> how a review answers it, and the possible answers
_QUESTIONS: Final[Mapping[str, tuple[Callable[[Review], str | bool | None], tuple[str | bool, ...]]]] = {
    "kept": (lambda review: review.decision != "drop", (True, False)),
    "decision": (lambda review: review.decision, ("keep", "fix", "drop")),
    "text_unsafe": (lambda review: review.text_unsafe, (True, False)),
    "image_harmful": (lambda review: review.image_harmful, (True, False)),
    "combination_risky": (lambda review: review.combination_risky, (True, False)),
}


def agreed(reviews: Iterable[Review]) -> tuple[Agreed, ...]:
    """Agreement on each question; the later one of a reviewer's two reviews of a candidate counts.

    `Queue.reviews(first=True)` returns the answers given before the reviewers saw the model's opinion.
    """
    latest = {(review.key, review.reviewer): review for review in reviews}
    found: list[Agreed] = []
    for about, (read, values) in _QUESTIONS.items():
        given = {at: said for at, review in latest.items() if (said := read(review)) is not None}
        found.append(measure_agreement(about, given, values, _find_seed))
    return tuple(found)


def _find_seed(key: str) -> str:
    """The seed's key; that of an element is `<seed key>#<number>`."""
    return key.rpartition("#")[0] or key

"""From what each reviewer said to one decision: what more than half say counts, and a tie stays open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from harness_builder.values import Review

T = TypeVar("T", bound=Hashable)
About = Literal["decision", "category", "question", "text_unsafe", "image_harmful"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What reviewers together decided of one candidate.

    Attributes:
        key: of the candidate.
        decision: fix where `category` or `question` say something else than the candidate.
        category: empty for as it is.
        question: likewise.
        text_unsafe: None where no reviewer who kept it answered.
        image_harmful: likewise.
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
        about: what they differ in: whether to keep it; else, of those who keep it, how.
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


@dataclass(frozen=True, slots=True)
class _Vote(Generic[T]):
    """What more than half say; `tied` where nothing is, and `value` is then what to go on with."""

    value: T
    tied: bool


def merge(reviews: Iterable[Review]) -> Merged:
    """One decision for each candidate, in the order in which they first come.

    A fix is a keep: first it is asked whether more than half keep it. Then, among those who do, each of category,
    question, unsafe text and harmful image is what more than half of those who answered say; whether the text is unsafe
    only those say who have the question that counts. Of two reviews by one reviewer the later one counts.
    """
    latest: dict[str, dict[str, Review]] = {}
    for review in reviews:
        latest.setdefault(review.key, {})[review.reviewer] = review
    every = [_merged(key, tuple(said.values())) for key, said in latest.items()]
    return Merged(
        decided=tuple(each for each in every if isinstance(each, Decided)),
        open=tuple(each for each in every if isinstance(each, Undecided)),
    )


def _merged(key: str, reviews: tuple[Review, ...]) -> Decided | Undecided:
    reviewers = tuple(review.reviewer for review in reviews)
    kept = _vote([review.decision != "drop" for review in reviews], otherwise=False)
    if kept.tied:
        return Undecided(key=key, about=("decision",), reviews=reviews)
    if not kept.value:
        return Decided(key=key, decision="drop", reviewers=reviewers)
    keepers = [review for review in reviews if review.decision != "drop"]
    category = _vote([review.category for review in keepers], otherwise="")
    question = _vote([review.question for review in keepers], otherwise="")
    of_it = [each for each in keepers if question.tied or each.question == question.value]
    unsafe = _answer([each.text_unsafe for each in of_it])
    harmful = _answer([each.image_harmful for each in keepers])
    votes: dict[About, bool] = {
        "category": category.tied,
        "question": question.tied,
        "text_unsafe": unsafe.tied,
        "image_harmful": harmful.tied,
    }
    if any(votes.values()):
        return Undecided(key=key, about=tuple(name for name, tied in votes.items() if tied), reviews=reviews)
    return Decided(
        key=key,
        decision="fix" if category.value or question.value else "keep",
        category=category.value,
        question=question.value,
        text_unsafe=unsafe.value,
        image_harmful=harmful.value,
        reviewers=reviewers,
    )


def _answer(given: Sequence[bool | None]) -> _Vote[bool | None]:
    """Of those who answered; nobody's is no tie."""
    answers = [each for each in given if each is not None]
    return _vote(answers, otherwise=None) if answers else _Vote(None, tied=False)


def _vote(given: Sequence[T], *, otherwise: T) -> _Vote[T]:
    value, count = Counter(given).most_common(1)[0]
    return _Vote(value, tied=False) if 2 * count > len(given) else _Vote(otherwise, tied=True)

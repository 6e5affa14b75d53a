"""Where a candidate goes: by what a model thinks of it, and where people decide, by what they decided."""

from __future__ import annotations

from typing import Final

from harness_builder.calls.values import Ended
from harness_builder.review import Decided, Undecided
from harness_builder.stops import stop_text
from harness_builder.values import Candidate, Opinion, Sorted, subset

WAITING: Final = Ended(end="waiting", why="people have not decided yet")


def by_model(candidate: Candidate, opinion: Opinion) -> Sorted:
    """By the model alone."""
    return Sorted(
        key=candidate.key,
        subset=subset(text_unsafe=opinion.text_unsafe, image_harmful=opinion.image_harmful),
        text_unsafe=opinion.text_unsafe,
        image_harmful=opinion.image_harmful,
        category=candidate.category,
        sub_category=opinion.sub_category,
        question=candidate.question,
        by="model",
    )


def by_people(candidate: Candidate, opinion: Opinion, decided: Decided | Undecided | None) -> Sorted | Ended:
    """By people; what they did not say is as the model has it. A question that they mended meets the hard stops again.

    Args:
        candidate: as it was shown to them.
        opinion: the model's.
        decided: None where not enough of them have looked at it.
    """
    if decided is None:
        return WAITING
    if isinstance(decided, Undecided):
        return Ended(end="waiting", why=f"people disagree on its {' and '.join(decided.about)}")
    if decided.decision == "drop":
        return Ended(end="dropped", why="people dropped it")
    question = decided.question or candidate.question
    if stop := stop_text(question):
        return Ended(end="stopped", why=stop.kind)
    unsafe = opinion.text_unsafe if decided.text_unsafe is None else decided.text_unsafe
    harmful = opinion.image_harmful if decided.image_harmful is None else decided.image_harmful
    moved = bool(decided.category) and decided.category != candidate.category
    return Sorted(
        key=candidate.key,
        subset=subset(text_unsafe=unsafe, image_harmful=harmful),
        text_unsafe=unsafe,
        image_harmful=harmful,
        category=decided.category or candidate.category,
        sub_category="" if moved else opinion.sub_category,
        question=question,
        by="people",
        reviewers=decided.reviewers,
    )

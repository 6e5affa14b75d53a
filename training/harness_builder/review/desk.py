"""Where one reviewer works: the candidate in front of them, what is behind them, and what may be said of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from harness import HarnessError
from harness_builder.steps.wording import find_question_fault
from harness_builder.values import REAL, Candidate, Review

from .entries import Answered, LeftOut, Skipped, Undone
from .log import Past, ReviewLog

if TYPE_CHECKING:
    from .queue import Queue


class Overtaken(HarnessError):
    """What was said is of a state that is gone: another page of the same reviewer was quicker."""


class Misworded(HarnessError):
    """The question that a reviewer wrote breaks a rule that the writer's had to keep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far one reviewer is.

    Attributes:
        decided: candidates, by key.
        skipped: passed over one by one.
        left_out: undecided ones of categories that the reviewer does not want to see.
        open: what is still to come, in order; the first one is in front of the reviewer.
        categories: that are left out.
        last: what was said last and can be taken back; None at the beginning.
    """

    decided: dict[str, Review]
    skipped: tuple[str, ...]
    left_out: tuple[str, ...]
    open: tuple[str, ...]
    categories: tuple[str, ...]
    last: Answered | Skipped | None


class Desk:
    """One reviewer's place at a queue, see `Queue.desk`."""

    def __init__(self, queue: Queue, log: ReviewLog) -> None:
        self._queue = queue
        self._log = log
        self.reviewer = log.reviewer

    def standing(self) -> Standing:
        """How far the reviewer is. Raises BadData where their file holds a line that is none of ours."""
        return self._of(self._log.past())

    def answer(self, review: Review) -> None:
        """Write down a decision on a candidate that is still open.

        Raises:
            Overtaken: it is not open any more.
            Misworded: its question names an object, or does not refer to both images.
            HarnessError: it says what cannot be, or cannot be written.
        """
        candidate = self.checked(review)

        def allowed(past: Past) -> None:
            self._still_open(past, review.key)

        made = _dated(review, self.reviewer)
        self._log.append(Answered(review=made, shown=self._queue.shown(candidate)), allowed)

    def take(self, review: Review) -> Literal["new", "changed", "same"]:
        """Write down a decision that was made elsewhere, whatever stood here before. Raises as `answer` does."""
        candidate = self.checked(review)
        before = self.standing().decided.get(review.key)
        made = _dated(review, self.reviewer)
        if before is not None and _said(before) == _said(made):
            return "same"
        self._log.append(Answered(review=made, shown=self._queue.shown(candidate)), lambda _: None)
        return "new" if before is None else "changed"

    def skip(self, key: str) -> None:
        """Pass over one candidate. Raises Overtaken where it is not open any more."""

        def allowed(past: Past) -> None:
            self._still_open(past, key)

        self._log.append(Skipped(key=key, at=_now()), allowed)

    def undo(self, key: str) -> Review | None:
        """Take back what was said last, which is of this candidate; the decision it was.

        Raises:
            Overtaken: something else was said last.
        """
        taken: list[Answered | Skipped] = []

        def allowed(past: Past) -> None:
            last = self._of(past).last
            if last is None or last.key != key:
                raise Overtaken("something else was said last")
            taken.append(last)

        self._log.append(Undone(key=key, at=_now()), allowed)
        return taken[0].review if isinstance(taken[0], Answered) else None

    def leave_out(self, categories: Sequence[str]) -> None:
        """Show no candidate of these categories from now on. Raises HarnessError for one that nobody knows."""
        strange = sorted(set(categories) - set(self._queue.categories))
        if strange:
            raise HarnessError(f"{strange[0]!r} is no category here")
        self._log.append(LeftOut(categories=tuple(dict.fromkeys(categories)), at=_now()), lambda _: None)

    def checked(self, review: Review) -> Candidate:
        """The candidate that a review is of. Raises HarnessError where the review says what cannot be, and Misworded
        where its question is none that the writer could have written."""
        candidate = self._queue.candidates.get(review.key)
        if candidate is None:
            raise HarnessError(f"{review.key!r} is no candidate here")
        if review.decision == "fix" and candidate.key.endswith(REAL):
            raise HarnessError("its question and category are those of its drawings: keep, drop or skip this one")
        if review.category and review.category not in self._queue.categories:
            raise HarnessError(f"{review.category!r} is no category here")
        changes = (review.category or candidate.category, review.question.strip() or candidate.question)
        if review.decision != "fix" and (review.category or review.question):
            raise HarnessError(f"{review.decision} changes nothing: another category or question is a fix")
        if review.decision == "fix" and changes == (candidate.category, candidate.question):
            raise HarnessError("a fix says what else the question or the category is")
        if changes[1] != candidate.question and (
            wrong := find_question_fault(changes[1], candidate.objects, self._queue.language)
        ):
            raise Misworded(wrong.told)
        if review.decision != "drop" and (gone := [p.why for p in self._queue.pictures.of(candidate) if p.why]):
            raise HarnessError(f"an image cannot be seen ({gone[0]}): drop or skip this one")
        return candidate

    def _of(self, past: Past) -> Standing:
        known = self._queue.candidates
        current = {key: each for key, each in past.current.items() if self._stands(each)}
        rest = [key for key in self._queue.order(self.reviewer) if key not in current]
        hidden = {key for key in rest if known[key].category in past.left_out}
        return Standing(
            decided={key: each.review for key, each in current.items() if isinstance(each, Answered)},
            skipped=tuple(key for key, each in current.items() if isinstance(each, Skipped)),
            left_out=tuple(key for key in rest if key in hidden),
            open=tuple(self._reopened(past, [key for key in rest if key not in hidden])),
            categories=past.left_out,
            last=next(reversed(current.values()), None),
        )

    def _stands(self, each: Answered | Skipped) -> bool:
        return self._queue.stands(each) if isinstance(each, Answered) else each.key in self._queue.candidates

    def _reopened(self, past: Past, rest: Sequence[str]) -> list[str]:
        """What was taken back comes first."""
        return sorted(rest, key=lambda key: key != past.undone)

    def _still_open(self, past: Past, key: str) -> None:
        if key not in self._of(past).open:
            raise Overtaken("this is not to be decided any more")


def _dated(review: Review, reviewer: str) -> Review:
    return replace(review, reviewer=reviewer, at=review.at or _now())


def _said(review: Review) -> Review:
    """What a review says, whenever and however quickly it was said."""
    return replace(review, seconds=0.0, at="")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

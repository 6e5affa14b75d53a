"""What people have decided of a candidate as it is, and how far they agreed.

Reviews lie in `review/` beside `work/`: what people did is not made anew, whatever becomes of the calls. An answer
counts where question, category and images are those that the reviewer saw.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness_builder.review import Agreed, Decided, Queue, Undecided, agreed, merge
from harness_builder.review.entries import Answered
from harness_builder.values import REAL, Candidate, Review

if TYPE_CHECKING:
    from harness_builder.plan import Plan

REVIEWS: Final = "review"


class People:
    """What stands in the reviewers' files. Safe to ask from several threads, of another candidate in each.

    Args:
        folder: of those files.
        reviewers: how many must have decided.

    Raises:
        BadData: a file holds a line that is none of ours.
    """

    def __init__(self, folder: Path, reviewers: int = 1) -> None:
        self._least = reviewers
        self._queue = Queue(folder, ())
        self._now: defaultdict[str, list[Answered]] = defaultdict(list)
        self._first: defaultdict[str, list[Answered]] = defaultdict(list)
        self._said: defaultdict[str, set[str]] = defaultdict(set)
        self._compared: dict[str, tuple[Review, ...]] = {}
        for name in self._queue.reviewers:
            past = self._queue.log(name).past()
            for key, each in past.current.items():
                if isinstance(each, Answered):
                    self._now[key].append(each)
            for (key, _), answer in past.first.items():
                self._first[key].append(answer)
                self._said[key].add(name)

    @classmethod
    def load(cls, out: Path, plan: Plan) -> People:
        """Those of a build's folder, where as many must decide as its plan says. Raises as the class."""
        return cls(out / REVIEWS, plan.reviewers)

    def decided(self, candidate: Candidate) -> Decided | Undecided | None:
        """What they say together of a candidate as it is.

        Returns:
            Undecided where no side has more than half; None where fewer than must have decided yet.
        """
        reviews = self._standing(self._now, candidate)
        self._compared[candidate.key] = self._standing(self._first, candidate)
        if len(reviews) < self._least:
            return None
        merged = merge(reviews)
        return merged.decided[0] if merged.decided else merged.open[0]

    def strike(self, key: str) -> None:
        """Of an element that is stopped nothing stays that people wrote, of its photographs neither: all is taken back.

        Raises:
            HarnessError: a reviewer's file cannot be written.
        """
        for each in (key, f"{key}{REAL}"):
            for name in sorted(self._said.pop(each, ())):
                self._queue.log(name).strike(each)
            for known in (self._now, self._first, self._compared):
                known.pop(each, None)

    def agreement(self) -> tuple[Agreed, ...]:
        """On the candidates that were asked for, by the answers given before the model's opinion was shown."""
        return agreed(review for reviews in self._compared.values() for review in reviews)

    def _standing(self, answers: defaultdict[str, list[Answered]], candidate: Candidate) -> tuple[Review, ...]:
        if candidate.key not in answers:  # nobody has seen it, and its images need not be read
            return ()
        shown = self._queue.shown(candidate)
        return tuple(each.review for each in answers[candidate.key] if each.shown == shown)

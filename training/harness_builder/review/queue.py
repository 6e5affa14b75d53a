"""The candidates that people review, see `harness.review.queue`: what a decision may be, and on what it was made.

An answer counts while the candidate is unchanged: with another question, category or image it is asked again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from harness import HarnessError
from harness.keys import short, text_hash
from harness.review import BadField, ImageState, Place, ReviewQueue, ReviewSession, ShownImages
from harness_builder.steps.wording import find_question_fault
from harness_builder.values import REAL, Candidate, Review

from .log import FORMAT


class BadQuestion(BadField):
    """A reviewer's question breaks a rule for the writer's questions."""

    field = "question"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportCounts:
    """Counts of imported reviews.

    Attributes:
        new: on candidates that this reviewer had not decided.
        changed: replacing another one.
        same: equal to the stored one.
    """

    new: int
    changed: int
    same: int


class Queue(ReviewQueue[Review]):
    """Candidates to review.

    Args:
        folder: for the reviewers' files, `reviews-<name>.jsonl`; created if missing.
        candidates: with unique keys.
        categories: that a reviewer may choose, in order; those of the candidates come after them.
        language: of the questions, in words; empty if unknown.
        then: the command that uses the decisions; empty for none.

    Raises:
        ValueError: two candidates have one key.
    """

    noun = "candidate"

    def __init__(
        self,
        folder: Path,
        candidates: Iterable[Candidate],
        categories: Sequence[str] = (),
        *,
        language: str = "English",
        then: str = "",
    ) -> None:
        self.language = language
        self.then = then
        self.candidates: dict[str, Candidate] = {}
        for each in candidates:
            if each.key in self.candidates:
                raise ValueError(f"two candidates have the key {each.key}")
            self.candidates[each.key] = each
        places = {key: Place(folder=folder, key=key) for key in sorted(self.candidates, key=text_hash)}
        super().__init__(FORMAT, places, (folder,))
        own = dict.fromkeys(each.category for each in self.candidates.values())
        self.categories = tuple(dict.fromkeys((*categories, *own)))
        self.images = ShownImages()
        self._hashes: dict[str, str] = {}

    def session(self, reviewer: str) -> CandidateSession:
        """The session of one reviewer. Raises HarnessError for a bad name."""
        return CandidateSession(self, reviewer)

    def reviews(self, *, first: bool = False) -> tuple[Review, ...]:
        """All reviewers' decisions on these candidates in their present form; for `first` see `answers`.

        Raises:
            BadData: a file holds a line that is not a review.
        """
        return tuple(each for name in self.reviewers for each in self.answers(name, first=first).values())

    def import_reviews(self, reviews: Iterable[Review]) -> ImportCounts:
        """Write reviews made elsewhere, such as on a sheet, each into its reviewer's file. Raises HarnessError if one
        has an unknown candidate or an impossible value; those before it are written."""
        counts = {"new": 0, "changed": 0, "same": 0}
        for review in reviews:
            counts[self.session(review.reviewer).import_review(review)] += 1
        return ImportCounts(**counts)

    def find_shown_hash(self, key: str) -> str:
        """See `hash_shown`."""
        return self.hash_shown(self.candidates[key])

    def find_category(self, key: str) -> str:
        """The candidate's category."""
        return self.candidates[key].category

    def hash_shown(self, candidate: Candidate) -> str:
        """A hash of a candidate's content: question, category and the bytes of both images."""
        if candidate.key not in self._hashes:
            images = [each.sha256 for each in self.images_of(candidate)]
            shown = {"question": candidate.question, "category": candidate.category, "images": images}
            self._hashes[candidate.key] = short(shown, 16)
        return self._hashes[candidate.key]

    def images_of(self, candidate: Candidate) -> tuple[ImageState, ...]:
        """Both images of a candidate; each file is read once."""
        return self.images.open(candidate.key, candidate.images)


class CandidateSession(ReviewSession[Review]):
    """One reviewer's work on a queue, see `Queue.session`."""

    def __init__(self, queue: Queue, reviewer: str) -> None:
        super().__init__(queue, reviewer)
        self._candidates = queue

    def answer(self, review: Review) -> None:
        """Write down a decision on a candidate that is still open.

        Raises:
            OutdatedReview: it is no longer open.
            BadQuestion: its question names an object, or does not refer to both images.
            HarnessError: a value is impossible, or it cannot be written.
        """
        self._write(review)

    def import_review(self, review: Review) -> Literal["new", "changed", "same"]:
        """Write down a decision made elsewhere, in place of any other. Raises like `answer`."""
        self.check(review)
        before = self.progress().decided.get(review.key)
        said = replace(review, reviewer=self.reviewer, seconds=0.0, at="")  # time and duration do not matter
        if before is not None and replace(before, seconds=0.0, at="") == said:
            return "same"
        self._write(review, anyway=True)
        return "new" if before is None else "changed"

    def leave_out(self, categories: Sequence[str]) -> None:
        """Hide candidates of these categories from now on. Raises HarnessError for an unknown one."""
        unknown = sorted(set(categories) - set(self._candidates.categories))
        if unknown:
            raise HarnessError(
                f"{unknown[0]!r} is not a category here", remedy=f"one of: {', '.join(self._candidates.categories)}"
            )
        super().leave_out(categories)

    def check(self, review: Review) -> Candidate:
        """The candidate of a review. Raises HarnessError if the review has an impossible value, and BadQuestion if its
        question breaks a rule for the writer's questions."""
        queue, candidate = self._candidates, self._candidates.candidates.get(review.key)
        if candidate is None:
            raise HarnessError(
                f"{review.key!r} is not a candidate here",
                remedy="the build has other candidates now: reload the page, or export the sheet again",
            )
        if review.decision == "fix" and candidate.key.endswith(REAL):
            raise HarnessError(
                "question and category are those of the drawing that this photograph replaces: keep, drop or skip it"
            )
        if review.category and review.category not in queue.categories:
            raise HarnessError(
                f"{review.category!r} is not a category here", remedy=f"one of: {', '.join(queue.categories)}"
            )
        changes = (review.category or candidate.category, review.question.strip() or candidate.question)
        if review.decision != "fix" and (review.category or review.question):
            raise HarnessError(f"{review.decision} changes nothing: to change category or question, choose fix")
        if review.decision == "fix" and changes == (candidate.category, candidate.question):
            raise HarnessError(
                "a fix must change the question or the category", remedy="change one of them, or keep it"
            )
        wrong = find_question_fault(changes[1], candidate.objects, queue.language)
        if changes[1] != candidate.question and wrong:
            raise BadQuestion(wrong.told)
        if review.decision != "drop" and (gone := [each.why for each in queue.images_of(candidate) if each.why]):
            raise HarnessError(f"an image cannot be shown ({gone[0]}): drop or skip this one")
        return candidate

    def _write(self, review: Review, *, anyway: bool = False) -> None:
        self.check(review)
        at = review.at or self._candidates.form.now()
        self.write_answer(review.key, replace(review, reviewer=self.reviewer, at=at), at=at, anyway=anyway)

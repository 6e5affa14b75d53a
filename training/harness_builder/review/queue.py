"""The review queue: candidates, and a folder in which each reviewer has a file.

Reviewers do not see each other's answers. All get the candidates block by block in one order, drawn by hash, so that
reviews that end early overlap; within a block each reviewer has another order. An answer counts while the candidate is
unchanged: with another question, category or image it is asked again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from harness import HarnessError, Image
from harness.errors import BadImage
from harness.images import open_image
from harness.keys import short, text_hash
from harness.types import ImageContent
from harness_builder.steps.wording import find_question_fault
from harness_builder.values import REAL, Candidate, Review

from .log import Answer, OptOut, ReviewLog, ReviewState, Skip, Undo

_BLOCK: Final = 20  # candidates that each reviewer gets in another order
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
#: why an image is not shown, in a reviewer's words
_IMAGE_FAULTS: Final = {
    "missing": "the file is missing",
    "outside_root": "its path leads outside the folder",
    "too_many_pixels": "it has too many pixels",
    "too_many_bytes": "it is too large",
}


class OutdatedReview(HarnessError):
    """The candidate is no longer open: another page of the same reviewer was faster."""


class BadQuestion(HarnessError):
    """A reviewer's question breaks a rule for the writer's questions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageState:
    """An image's hash, or why it cannot be shown."""

    sha256: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewProgress:
    """One reviewer's progress.

    Attributes:
        decided: candidates, by key.
        skipped: skipped candidates.
        left_out: undecided candidates of hidden categories.
        open: candidates still to decide, in order; the page shows the first one.
        categories: hidden by the reviewer.
        last: the last answer, which can be revoked; None at the beginning.
    """

    decided: dict[str, Review]
    skipped: tuple[str, ...]
    left_out: tuple[str, ...]
    open: tuple[str, ...]
    categories: tuple[str, ...]
    last: Answer | Skip | None


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


class Queue:
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

    def __init__(
        self,
        folder: Path,
        candidates: Iterable[Candidate],
        categories: Sequence[str] = (),
        *,
        language: str = "English",
        then: str = "",
    ) -> None:
        self.folder = folder
        self.language = language
        self.then = then
        self.candidates: dict[str, Candidate] = {}
        for each in candidates:
            if each.key in self.candidates:
                raise ValueError(f"two candidates have the key {each.key}")
            self.candidates[each.key] = each
        own = dict.fromkeys(each.category for each in self.candidates.values())
        self.categories = tuple(dict.fromkeys((*categories, *own)))
        self._logs: dict[str, ReviewLog] = {}
        self._orders: dict[str, list[str]] = {}
        self._hashes: dict[str, str] = {}
        self._states: dict[str, tuple[ImageState, ImageState]] = {}
        self._images: dict[str, Image] = {}
        self._common = sorted(self.candidates, key=text_hash)

    @property
    def reviewers(self) -> tuple[str, ...]:
        """Who has a file here."""
        names = (path.stem.removeprefix("reviews-") for path in self.folder.glob("reviews-*.jsonl"))
        return tuple(sorted(name for name in names if _NAME.fullmatch(name)))

    def session(self, reviewer: str) -> ReviewSession:
        """The session of one reviewer. Raises HarnessError for a bad name."""
        return ReviewSession(self, self.log(normalize_reviewer(reviewer)))

    def log(self, name: str) -> ReviewLog:
        """The file of a reviewer, whose name `normalize_reviewer` returned."""
        if name not in self._logs:
            self._logs[name] = ReviewLog(self.folder / f"reviews-{name}.jsonl", name)
        return self._logs[name]

    def order(self, reviewer: str) -> list[str]:
        """The keys in one reviewer's order; always the same."""
        if reviewer not in self._orders:
            blocks = (self._common[start : start + _BLOCK] for start in range(0, len(self._common), _BLOCK))
            mixed = (sorted(block, key=lambda key: text_hash(f"{reviewer}/{key}")) for block in blocks)
            self._orders[reviewer] = [key for block in mixed for key in block]
        return self._orders[reviewer]

    def reviews(self, *, first: bool = False) -> tuple[Review, ...]:
        """All reviewers' decisions on these candidates in their present form.

        Args:
            first: the first answer on each candidate, given before the reviewer saw the model's opinion: for agreement.
                Otherwise the answer that counts now.

        Raises:
            BadData: a file holds a line that is not a review.
        """
        found: list[Review] = []
        for name in self.reviewers:
            state = self.log(name).state()
            every = state.first.values() if first else state.current.values()
            answers = {each.key: each for each in every if isinstance(each, Answer) and self.is_current(each)}
            found.extend(answers[key].review for key in self.order(name) if key in answers)
        return tuple(found)

    def import_reviews(self, reviews: Iterable[Review]) -> ImportCounts:
        """Write reviews made elsewhere, such as on a sheet, each into its reviewer's file. Raises HarnessError if one
        has an unknown candidate or an impossible value; those before it are written."""
        counts = {"new": 0, "changed": 0, "same": 0}
        for review in reviews:
            counts[self.session(review.reviewer).import_review(review)] += 1
        return ImportCounts(**counts)

    def is_current(self, answer: Answer) -> bool:
        """Whether an answer is on a candidate's present form."""
        candidate = self.candidates.get(answer.key)
        return candidate is not None and answer.shown == self.shown_hash(candidate)

    def shown_hash(self, candidate: Candidate) -> str:
        """A hash of a candidate's content: question, category and the bytes of both images."""
        if candidate.key not in self._hashes:
            images = [each.sha256 for each in self.images_of(candidate)]
            shown = {"question": candidate.question, "category": candidate.category, "images": images}
            self._hashes[candidate.key] = short(shown, 16)
        return self._hashes[candidate.key]

    def images_of(self, candidate: Candidate) -> tuple[ImageState, ImageState]:
        """Both images of a candidate; each file is read once."""
        if candidate.key not in self._states:
            states: list[ImageState] = []
            for image in candidate.images:
                try:
                    sha256 = open_image(image).opened.sha256
                except BadImage as fault:
                    states.append(ImageState(why=_image_fault(fault)))
                else:
                    self._images[sha256] = image
                    states.append(ImageState(sha256=sha256))
            self._states[candidate.key] = (states[0], states[1])
        return self._states[candidate.key]

    def find_image(self, sha256: str) -> ImageContent | ImageState:
        """An image of `images_of` by its hash, so no other file can be requested; or why it can no longer be shown.
        Raises KeyError if no shown candidate has it."""
        try:
            content = open_image(self._images[sha256]).opened
        except BadImage as fault:
            return ImageState(why=_image_fault(fault))
        return content if content.sha256 == sha256 else ImageState(why="the file has changed")


class ReviewSession:
    """One reviewer's work on a queue, see `Queue.session`."""

    def __init__(self, queue: Queue, log: ReviewLog) -> None:
        self._queue = queue
        self._log = log
        self.reviewer = log.reviewer

    def progress(self) -> ReviewProgress:
        """The reviewer's progress. Raises BadData if their file holds a line that is not a review."""
        return self._progress(self._log.state())

    def answer(self, review: Review) -> None:
        """Write down a decision on a candidate that is still open.

        Raises:
            OutdatedReview: it is no longer open.
            BadQuestion: its question names an object, or does not refer to both images.
            HarnessError: a value is impossible, or it cannot be written.
        """
        self._log.append(self._entry(review), lambda state: self._check_open(state, review.key))

    def import_review(self, review: Review) -> Literal["new", "changed", "same"]:
        """Write down a decision made elsewhere, in place of any other. Raises like `answer`."""
        entry = self._entry(review)
        before = self.progress().decided.get(review.key)
        # time and duration do not matter
        if before is not None and replace(before, seconds=0.0, at="") == replace(entry.review, seconds=0.0, at=""):
            return "same"
        self._log.append(entry, lambda _: None)
        return "new" if before is None else "changed"

    def skip(self, key: str) -> None:
        """Skip one candidate. Raises OutdatedReview if it is no longer open."""
        self._log.append(Skip(key=key, at=_now()), lambda state: self._check_open(state, key))

    def undo(self, key: str) -> Review | None:
        """Revoke the last answer, which must be on this candidate, and return its decision. Raises OutdatedReview if
        there is a later answer."""
        undone: list[Answer | Skip] = []

        def check(state: ReviewState) -> None:
            last = self._progress(state).last
            if last is None or last.key != key:
                raise OutdatedReview("there is a later answer")
            undone.append(last)

        self._log.append(Undo(key=key, at=_now()), check)
        return undone[0].review if isinstance(undone[0], Answer) else None

    def leave_out(self, categories: Sequence[str]) -> None:
        """Hide candidates of these categories from now on. Raises HarnessError for an unknown one."""
        unknown = sorted(set(categories) - set(self._queue.categories))
        if unknown:
            raise HarnessError(f"{unknown[0]!r} is not a category here")
        self._log.append(OptOut(categories=tuple(dict.fromkeys(categories)), at=_now()), lambda _: None)

    def check(self, review: Review) -> Candidate:
        """The candidate of a review. Raises HarnessError if the review has an impossible value, and BadQuestion if its
        question breaks a rule for the writer's questions."""
        queue, candidate = self._queue, self._queue.candidates.get(review.key)
        if candidate is None:
            raise HarnessError(f"{review.key!r} is not a candidate here")
        if review.decision == "fix" and candidate.key.endswith(REAL):
            raise HarnessError("question and category belong to its drawn twin: keep, drop or skip this one")
        if review.category and review.category not in queue.categories:
            raise HarnessError(f"{review.category!r} is not a category here")
        changes = (review.category or candidate.category, review.question.strip() or candidate.question)
        if review.decision != "fix" and (review.category or review.question):
            raise HarnessError(f"{review.decision} changes nothing: to change category or question, choose fix")
        if review.decision == "fix" and changes == (candidate.category, candidate.question):
            raise HarnessError("a fix must change the question or the category")
        wrong = find_question_fault(changes[1], candidate.objects, queue.language)
        if changes[1] != candidate.question and wrong:
            raise BadQuestion(wrong.told)
        if review.decision != "drop" and (gone := [each.why for each in queue.images_of(candidate) if each.why]):
            raise HarnessError(f"an image cannot be seen ({gone[0]}): drop or skip this one")
        return candidate

    def _entry(self, review: Review) -> Answer:
        """The entry to write for a review. Raises like `check`."""
        shown = self._queue.shown_hash(self.check(review))
        return Answer(review=replace(review, reviewer=self.reviewer, at=review.at or _now()), shown=shown)

    def _progress(self, state: ReviewState) -> ReviewProgress:
        known = self._queue.candidates
        current = {
            key: each
            for key, each in state.current.items()
            if (self._queue.is_current(each) if isinstance(each, Answer) else key in known)
        }
        rest = [key for key in self._queue.order(self.reviewer) if key not in current]
        hidden = {key for key in rest if known[key].category in state.left_out}
        shown = [key for key in rest if key not in hidden]
        return ReviewProgress(
            decided={key: each.review for key, each in current.items() if isinstance(each, Answer)},
            skipped=tuple(key for key, each in current.items() if isinstance(each, Skip)),
            left_out=tuple(key for key in rest if key in hidden),
            open=tuple(sorted(shown, key=lambda key: key != state.undone)),  # a revoked candidate comes first
            categories=state.left_out,
            last=next(reversed(current.values()), None),
        )

    def _check_open(self, state: ReviewState, key: str) -> None:
        if key not in self._progress(state).open:
            raise OutdatedReview("this candidate is no longer open")


def normalize_reviewer(reviewer: str) -> str:
    """A reviewer's stored name: in small letters, so that no two files differ by capitals alone. Raises HarnessError if
    it is not a valid file name on every system."""
    name = reviewer.strip().lower()
    if not _NAME.fullmatch(name):
        remedy = "use up to 40 letters a-z, digits, dots, hyphens and underscores, a letter or digit first"
        raise HarnessError(f"{reviewer!r} cannot be a reviewer's name", remedy=remedy)
    return name


def _image_fault(fault: BadImage) -> str:
    return _IMAGE_FAULTS.get(fault.reason, "it cannot be read")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

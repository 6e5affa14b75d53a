"""What is to be reviewed: candidates, and a folder in which each reviewer has a file.

Reviewers know nothing of each other. All meet the candidates block by block in one order, which is drawn by hash, so
that reviews that end early overlap; within a block each has an order of their own. An answer counts as long as the
candidate is what was shown: with another question, category or image it is asked again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness import HarnessError
from harness.keys import short, text_hash
from harness_builder.values import Candidate, Review

from .desk import Desk
from .entries import Answered
from .log import ReviewLog
from .pictures import Pictures

_BLOCK: Final = 20  # candidates whose order is a reviewer's own
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of reviews that were taken in from elsewhere.

    Attributes:
        new: of candidates that this reviewer had not decided.
        changed: in place of another one.
        same: stood there already.
    """

    new: int
    changed: int
    same: int


class Queue:
    """Candidates to review.

    Args:
        folder: for the reviewers' files, `reviews-<name>.jsonl`; made when it is missing.
        candidates: each under a key of its own.
        categories: that a reviewer may choose, in order; those of the candidates come after them.
        language: of the questions, in words; empty where nobody knows it.
        then: the command that goes on with what was decided; empty where there is none to name.

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
                raise ValueError(f"two candidates are called {each.key}")
            self.candidates[each.key] = each
        own = dict.fromkeys(each.category for each in self.candidates.values())
        self.categories = tuple(dict.fromkeys((*categories, *own)))
        self.pictures = Pictures()
        self._logs: dict[str, ReviewLog] = {}
        self._orders: dict[str, list[str]] = {}
        self._shown: dict[str, str] = {}
        self._common = sorted(self.candidates, key=text_hash)

    def order(self, reviewer: str) -> list[str]:
        """The keys as one reviewer meets them; the same each time."""
        if reviewer not in self._orders:
            blocks = (self._common[start : start + _BLOCK] for start in range(0, len(self._common), _BLOCK))
            mixed = (sorted(block, key=lambda key: text_hash(f"{reviewer}/{key}")) for block in blocks)
            self._orders[reviewer] = [key for block in mixed for key in block]
        return self._orders[reviewer]

    def shown(self, candidate: Candidate) -> str:
        """A hash of what a reviewer decides on: question, category and the bytes of both images."""
        if candidate.key not in self._shown:
            images = [each.sha256 for each in self.pictures.of(candidate)]
            said = {"question": candidate.question, "category": candidate.category, "images": images}
            self._shown[candidate.key] = short(said, 16)
        return self._shown[candidate.key]

    def desk(self, reviewer: str) -> Desk:
        """Where one reviewer works. Raises HarnessError for a name that can be none."""
        return Desk(self, self.log(named(reviewer)))

    @property
    def reviewers(self) -> tuple[str, ...]:
        """Who has a file here."""
        names = (path.stem.removeprefix("reviews-") for path in self.folder.glob("reviews-*.jsonl"))
        return tuple(sorted(name for name in names if _NAME.fullmatch(name)))

    def reviews(self, *, first: bool = False) -> tuple[Review, ...]:
        """What all reviewers have decided of these candidates as they are.

        Args:
            first: as each candidate was answered first, when nobody had yet seen what the model thinks of it: for
                agreement. Else as it stands now, after what was taken back and answered anew.

        Raises:
            BadData: a file holds a line that is none of ours.
        """
        found: list[Review] = []
        for name in self.reviewers:
            past = self.log(name).past()
            every = past.first.values() if first else past.current.values()
            answers = {each.key: each for each in every if isinstance(each, Answered) and self.stands(each)}
            found.extend(answers[key].review for key in self.order(name) if key in answers)
        return tuple(found)

    def stands(self, answer: Answered) -> bool:
        """Whether an answer is of a candidate as it is."""
        candidate = self.candidates.get(answer.key)
        return candidate is not None and answer.shown == self.shown(candidate)

    def take(self, reviews: Iterable[Review]) -> Taken:
        """Take in reviews that were made elsewhere, such as on a sheet, each into its reviewer's file.

        Raises:
            HarnessError: one is of no candidate here or says what cannot be; those before it are kept.
        """
        counts = {"new": 0, "changed": 0, "same": 0}
        for review in reviews:
            counts[self.desk(review.reviewer).take(review)] += 1
        return Taken(**counts)

    def log(self, name: str) -> ReviewLog:
        """The file of a reviewer, by a name as it is kept."""
        if name not in self._logs:
            self._logs[name] = ReviewLog(self.folder / f"reviews-{name}.jsonl", name)
        return self._logs[name]


def named(reviewer: str) -> str:
    """A reviewer's name as it is kept: in small letters, so that no two files differ by capitals alone.

    Raises:
        HarnessError: it cannot be the name of a file everywhere.
    """
    name = reviewer.strip().lower()
    if not _NAME.fullmatch(name):
        remedy = "take up to 40 letters a-z, digits, dots, hyphens and underscores, a letter or digit first"
        raise HarnessError(f"{reviewer!r} cannot be a reviewer's name", remedy=remedy)
    return name

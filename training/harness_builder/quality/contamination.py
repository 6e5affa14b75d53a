"""What of a built set a public test already holds. Such an item is dropped, and listed with what it nearly equals.

A question is compared in the words that name its objects: with "the object in the first image" in their place, two
questions of one form are alike whatever they ask about.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from harness_builder.values import Candidate, Question

from .images import ImageIndex, ImageMark
from .likeness import Near
from .texts import TextIndex

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contaminated:
    """A candidate that nearly equals an item of a test.

    Attributes:
        key: of the candidate.
        of: the item, as `<test>/<id>`.
        by: its text, or one of its images.
        likeness: from 0 to 1.
    """

    key: str
    of: str
    by: Literal["text", "image"]
    likeness: float


class References:
    """The items of the tests that a set must not hold."""

    def __init__(self) -> None:
        self._texts = TextIndex()
        self._images = ImageIndex()

    def add(self, test: str, item: str, texts: Sequence[str] = (), images: Sequence[ImageMark] = ()) -> None:
        """Take an item in. A text of fewer than three words says too little to be held against anything."""
        for number, text in enumerate(text for text in texts if len(text.split()) >= 3):
            self._texts.add(f"{test}/{item}\n{number}", text)
        for number, image in enumerate(images):
            self._images.add(f"{test}/{item}\n{number}", image)

    def find(self, key: str, texts: Sequence[str], images: Sequence[ImageMark]) -> Contaminated | None:
        """What these texts and images nearly equal; a text counts before an image."""
        for text in texts:
            if near := self._texts.find(key, text):
                return _found(near, "text")
        for image in images:
            if near := self._images.find(key, image):
                return _found(near, "image")
        return None


def contaminated(
    items: Iterable[tuple[Candidate, Question, Sequence[ImageMark]]], references: References
) -> list[Contaminated]:
    """The contamination report: every candidate that nearly equals an item of a test, in order.

    Args:
        items: each candidate with its question and what its images look like (`mark`).
        references: of all tests; a candidate is listed once, for the first likeness found.
    """
    found = (references.find(each.key, (question.explicit,), marks) for each, question, marks in items)
    return [each for each in found if each is not None]


def clean(items: Iterable[T], keys: Iterable[str], *listed: Iterable[Contaminated | Near]) -> list[T]:
    """The items without those that a report lists; `keys` are theirs, in the same order."""
    dropped = {each.key for report in listed for each in report}
    return [item for item, key in zip(items, keys, strict=True) if key not in dropped]


def _found(near: Near, by: Literal["text", "image"]) -> Contaminated:
    return Contaminated(key=near.key, of=near.of.partition("\n")[0], by=by, likeness=near.likeness)

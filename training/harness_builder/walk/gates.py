"""The two gates: does a text, or an image, nearly equal an earlier one of this set or one of a test?

Each seed passes each gate once, in order. What is turned away says what it nearly equals; what goes on is remembered.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness_builder.calls.values import Ended
from harness_builder.quality import ImageIndex, ImageMark, References, TextIndex
from harness_builder.values import Question

from .turnstile import Turnstile


class Gates:
    """See the module.

    Args:
        likeness, bits: from which on two texts, and up to which two images, are near-duplicates.
        references: items of the tests.
    """

    def __init__(self, likeness: float, bits: int, references: References) -> None:
        self.texts = Turnstile()
        self.images = Turnstile()
        self._text_index = TextIndex(likeness)
        self._image_index = ImageIndex(bits)
        self._references = references

    def shut(self) -> None:
        """Let nobody through any more."""
        self.texts.shut()
        self.images.shut()

    def text(self, question: Question) -> Ended | None:
        """None lets it through. Compared in the words that name its objects: the others are alike in every question."""
        if found := self._references.find(question.key, (question.explicit, question.text), ()):
            return _dropped(f"its text nearly equals {found.of} of a test")
        near = self._text_index.take(question.key, question.explicit)
        return None if near is None else _dropped(f"its text nearly equals that of {near.of}")

    def pair(self, key: str, marks: Sequence[ImageMark]) -> Ended | None:
        """None lets it through. A pair is a duplicate where both of its images are, of one and the same other pair:
        many risks take a kitchen knife."""
        if found := self._references.find(key, (), marks):
            return _dropped(f"an image nearly equals one of {found.of} of a test")
        nears = [self._image_index.find(f"{key}/{place}", mark) for place, mark in enumerate(marks)]
        owners = {near.of.rpartition("/")[0] for near in nears if near is not None}
        if all(nears) and len(owners) == 1:
            return _dropped(f"its images nearly equal those of {owners.pop()}")
        for place, mark in enumerate(marks):
            self._image_index.add(f"{key}/{place}", mark)
        return None


def _dropped(why: str) -> Ended:
    return Ended(end="dropped", why=why)

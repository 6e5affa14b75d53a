"""The gates: does a text, or an image, nearly equal an earlier one of this set or one of a test?

Each seed passes each gate once, in order. What is turned away says what it nearly equals; what goes on is remembered.
Where people decide there is a third: a question that they mended is held against all that go on before it, and those
that come later against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness_builder.calls.values import Ended
from harness_builder.quality import Contaminated, ImageIndex, ImageMark, Near, References, TextIndex
from harness_builder.values import Question

from .turnstile import Turnstile


class Gates:
    """See the module.

    Args:
        likeness, bits: from which on two texts, and up to which two images, are near-duplicates.
        references: items of the tests.

    Attributes:
        texts, images, settled: where each seed passes in its turn; the last one where people decide.
        near, contaminated: what was turned away, in order.
        references: items of the tests.
    """

    def __init__(self, likeness: float, bits: int, references: References) -> None:
        self.texts = Turnstile()
        self.images = Turnstile()
        self.settled = Turnstile()
        self.near: list[Near] = []
        self.contaminated: list[Contaminated] = []
        self._text_index = TextIndex(likeness)
        self._settled_index = TextIndex(likeness)
        self._image_index = ImageIndex(bits)
        self.references = references

    def shut(self) -> None:
        """Let nobody through any more."""
        self.texts.shut()
        self.images.shut()
        self.settled.shut()

    def near_to(self, key: str) -> str:
        """Key of what the one that was turned away last nearly equals; empty where that was another, or of a test."""
        return next((near.of for near in self.near[-1:] if near.key == key), "")

    def forget(self, key: str) -> None:
        """One that was turned away is told of no more: it was stopped."""
        self.near = [near for near in self.near if near.key != key]

    def text(self, question: Question) -> Ended | None:
        """None lets it through. Compared in the words that name its objects: the others are alike in every question."""
        return self._compared(question, self._text_index)

    def decided(self, question: Question) -> Ended | None:
        """None lets it through, as people left or mended it."""
        return self._compared(question, self._settled_index)

    def pair(self, key: str, marks: Sequence[ImageMark]) -> Ended | None:
        """None lets it through. A pair is a duplicate where both of its images are, of one and the same other pair:
        many risks take a kitchen knife."""
        if found := self.references.find(key, (), marks):
            return self._of_test(found)
        nears = [self._image_index.find(f"{key}/{place}", mark) for place, mark in enumerate(marks)]
        alike = [replace(near, key=key, of=near.of.rpartition("/")[0]) for near in nears if near is not None]
        if len(alike) == len(marks) and len({near.of for near in alike}) == 1:
            return self._again(min(alike, key=lambda near: near.likeness), "pair of images")
        for place, mark in enumerate(marks):
            self._image_index.add(f"{key}/{place}", mark)
        return None

    def _compared(self, question: Question, earlier: TextIndex) -> Ended | None:
        if found := self.references.find(question.key, (question.explicit, question.text), ()):
            return self._of_test(found)
        near = earlier.take(question.key, question.explicit)
        return None if near is None else self._again(near, "text")

    def _of_test(self, found: Contaminated) -> Ended:
        self.contaminated.append(found)
        return Ended(
            end="dropped", why=f"its {found.by} nearly equals that of a test", note=f"nearly equals {found.of}"
        )

    def _again(self, near: Near, by: str) -> Ended:
        self.near.append(near)
        return Ended(end="dropped", why=f"its {by} nearly equals an earlier one's", note=f"nearly equals {near.of}")

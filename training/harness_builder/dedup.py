"""The gates: does a text, or an image, nearly equal an earlier one of this set or one of a test?

Each seed passes each gate once, in order. What is turned away says what it nearly equals; what goes on is remembered.
Where people decide there is a third: a question that they mended is held against all that go on before it, and those
that come later against it.

A place that all pass one by one and in order, whatever overtakes what elsewhere.

What is decided there by what came before (does this nearly equal an earlier one?) is the same however fast each call
was answered, and the same in a build that was killed and went on.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import anyio.to_thread

from harness_builder.calls.results import Halted
from harness_builder.quality import Contamination, ImageMark, NearDuplicate, PairIndex, References, TextIndex, Wording
from harness_builder.values import Element, Question


class DedupFilter:
    """See the module.

    Args:
        likeness, bits: from which on two texts, and up to which two images, are near-duplicates.
        references: items of the tests.

    Attributes:
        texts, images, settled: where each seed passes in its turn; the last one where people decide.
        near, contaminated: what was turned away, in order.
        worded: key -> what went on and asks, in words of a test, of objects that the test does not name.
        references: items of the tests.
    """

    def __init__(self, likeness: float, bits: int, references: References) -> None:
        self.texts = SeedQueue()
        self.images = SeedQueue()
        self.settled = SeedQueue()
        self.near: list[NearDuplicate] = []
        self.contaminated: list[Contamination] = []
        self.worded: dict[str, Contamination] = {}
        self._text_index = TextIndex(likeness)
        self._settled_index = TextIndex(likeness)
        self._pairs = PairIndex(bits)
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

    def text(self, question: Question, element: Element) -> Halted | None:
        """None lets it through. Compared in the words that name its objects: the others are alike in every question."""
        return self._compared(question, element, self._text_index)

    def decided(self, question: Question, element: Element) -> Halted | None:
        """None lets it through, as people left or mended it."""
        return self._compared(question, element, self._settled_index)

    async def pair(self, key: str, marks: tuple[ImageMark, ImageMark]) -> Halted | None:
        """None lets it through. An image of a test is turned away even alone; of this set, a whole pair. They are
        compared in a thread, one pair at a time, since there may be many."""

        def found() -> Contamination | NearDuplicate | None:
            return self.references.find_image(key, marks) or self._pairs.take(key, marks)

        near = await anyio.to_thread.run_sync(found)
        if isinstance(near, Contamination):
            return self._of_test(near)
        return None if near is None else self._again(near, "pair of images")

    def _compared(self, question: Question, element: Element, earlier: TextIndex) -> Halted | None:
        explicit = (question.explicit, element.question)
        wording = Wording(reference=question.text, explicit=explicit, objects=element.objects)
        found = self.references.find_text(question.key, wording)
        self.worded.pop(question.key, None)
        if found is not None and found.by != "words alone":
            return self._of_test(found)
        near = earlier.take(question.key, question.explicit)
        if near is not None:
            return self._again(near, "text")
        if found is not None:
            self.worded[question.key] = found
        return None

    def _of_test(self, found: Contamination) -> Halted:
        self.contaminated.append(found)
        several = found.by == "text and objects"
        why = f"its {found.by} nearly {'equal those' if several else 'equals that'} of a test"
        return Halted(end="dropped", why=why, note=f"nearly equals {found.of}")

    def _again(self, near: NearDuplicate, by: str) -> Halted:
        self.near.append(near)
        return Halted(end="dropped", why=f"its {by} nearly equals an earlier one's", note=f"nearly equals {near.of}")


class QueueClosed(Exception):
    """The turnstile lets nobody through any more: the build is ending."""


class SeedQueue:
    """Lets in number 0, then number 1, and so on; each number comes exactly once."""

    def __init__(self) -> None:
        self._next = 0
        self._shut = False
        self._waiting: dict[int, anyio.Event] = {}

    @asynccontextmanager
    async def turn(self, number: int) -> AsyncGenerator[None]:
        """Hold the place while all before have left it and none after has come.

        Raises:
            Shut: before it was this one's turn.
        """
        if number != self._next and not self._shut:
            await self._wait(number)
        if self._shut:
            raise QueueClosed
        try:
            yield
        finally:
            self._next += 1
            if following := self._waiting.get(self._next):
                following.set()

    async def _wait(self, number: int) -> None:
        came = self._waiting[number] = anyio.Event()
        try:
            await came.wait()
        finally:
            del self._waiting[number]

    def shut(self) -> None:
        """Let nobody through any more, and wake all who wait."""
        self._shut = True
        for waiting in self._waiting.values():
            waiting.set()

"""Drops elements that nearly equal an earlier text or pair of images of this set, or an item of a test.

Each seed passes each of the three checks once, in the order of the seeds, however fast its calls were answered. So
every build drops the same, also one that was killed and continued. The third check is for sets that people review: it
compares a question that they changed with all earlier kept ones, and later ones with it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import anyio.to_thread

from harness_builder.calls.results import Halted
from harness_builder.quality import Contamination, ImageMark, NearDuplicate, PairIndex, References, TextIndex, Wording
from harness_builder.values import Element, Question


class QueueClosed(Exception):
    """The queue is closed: the build is ending."""


class SeedQueue:
    """Lets seed 0 through, then seed 1, and so on; each number comes exactly once."""

    def __init__(self) -> None:
        self._next = 0
        self._closed = False
        self._waiting: dict[int, anyio.Event] = {}

    @asynccontextmanager
    async def turn(self, number: int) -> AsyncGenerator[None]:
        """Run the body after all earlier seeds and before all later ones. Raises QueueClosed if the queue closes before
        this seed's turn."""
        if number != self._next and not self._closed:
            its_turn = self._waiting[number] = anyio.Event()
            try:
                await its_turn.wait()
            finally:
                del self._waiting[number]
        if self._closed:
            raise QueueClosed
        try:
            yield
        finally:
            self._next += 1
            if following := self._waiting.get(self._next):
                following.set()

    def close(self) -> None:
        """Close the queue, and wake all that wait."""
        self._closed = True
        for waiting in self._waiting.values():
            waiting.set()


class DedupFilter:
    """The checks of one walk. Each returns None for what passes.

    Args:
        likeness: least likeness of near-duplicate texts.
        bits: most bits in which the hashes of near-duplicate images differ.
        references: items of the tests.

    Attributes:
        texts, images, decided: the queues in which seeds pass the checks; the last is for sets that people review.
        near, contaminated: what was dropped, in order.
        worded: key -> a kept question in the words of a test, whose item does not name its objects.
        references: items of the tests.
    """

    def __init__(self, likeness: float, bits: int, references: References) -> None:
        self.texts = SeedQueue()
        self.images = SeedQueue()
        self.decided = SeedQueue()
        self.near: list[NearDuplicate] = []
        self.contaminated: list[Contamination] = []
        self.worded: dict[str, Contamination] = {}
        self.references = references
        self._written = TextIndex(likeness)
        self._decided = TextIndex(likeness)
        self._pairs = PairIndex(bits)

    def close(self) -> None:
        """Close all queues."""
        for queue in (self.texts, self.images, self.decided):
            queue.close()

    def check_written(self, question: Question, element: Element) -> Halted | None:
        """Check a question as the writer put it."""
        return self._check_text(question, element, self._written)

    def check_decided(self, question: Question, element: Element) -> Halted | None:
        """Check a question as people left it or changed it."""
        return self._check_text(question, element, self._decided)

    async def check_pair(self, key: str, marks: tuple[ImageMark, ImageMark]) -> Halted | None:
        """Check two images, in a thread since there may be many to compare with. One image that nearly equals a test's
        is enough to drop the pair; within this set both must."""

        def find() -> Contamination | NearDuplicate | None:
            return self.references.find_image(key, marks) or self._pairs.take(key, marks)

        found = await anyio.to_thread.run_sync(find)
        if isinstance(found, Contamination):
            return self._drop_of_test(found)
        return None if found is None else self._drop_near(found, "pair of images")

    def find_original(self, key: str) -> str:
        """The key of the earlier element that this one was dropped for, if it was dropped last; else empty."""
        return next((near.of for near in self.near[-1:] if near.key == key), "")

    def forget(self, key: str) -> None:
        """Take an element that was stopped off the list of near-duplicates."""
        self.near = [near for near in self.near if near.key != key]

    def _check_text(self, question: Question, element: Element, earlier: TextIndex) -> Halted | None:
        """Questions are compared with their objects named: without the names they are all alike."""
        explicit = (question.explicit, element.question)
        wording = Wording(reference=question.text, explicit=explicit, objects=element.objects)
        of_test = self.references.find_text(question.key, wording)
        self.worded.pop(question.key, None)
        if of_test is not None and of_test.by != "words alone":
            return self._drop_of_test(of_test)
        near = earlier.take(question.key, question.explicit)
        if near is not None:
            return self._drop_near(near, "text")
        if of_test is not None:
            self.worded[question.key] = of_test
        return None

    def _drop_of_test(self, found: Contamination) -> Halted:
        self.contaminated.append(found)
        equals = "equal those" if found.by == "text and objects" else "equals that"
        why = f"its {found.by} nearly {equals} of a test"
        return Halted(end="dropped", why=why, note=f"nearly equals {found.of}")

    def _drop_near(self, near: NearDuplicate, what: str) -> Halted:
        self.near.append(near)
        why = f"its {what} nearly equals an earlier one's"
        return Halted(end="dropped", why=why, note=f"nearly equals {near.of}")

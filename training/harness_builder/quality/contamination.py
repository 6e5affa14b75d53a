"""What of a built set a public test already holds. Such an item is dropped, and listed with what it nearly equals.

Like is compared with like. A question that speaks of the first and the second image says nothing of what they show, so
two of this form are one only where their objects are alike too: by name where the test names them, else by image. A
question that names its objects is compared with those that name theirs, both as a model first put it and with names in
place of the images; articles do not count, since whoever puts names in has to choose one.

The items of tests that a set must not hold, read by the harness's own tasks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar

from harness import BadImage, Request, Sample, Task, Text, UnknownName, plugins
from harness.data.places import data_folder, samples, splits_of
from harness.http.status import as_mapping
from harness.readers import normalised
from harness.settings import effective, nearest
from harness_builder.plan import Plan, ReferenceTest, config_key
from harness_builder.quality.duplicates import ImageIndex, ImageMark, MarkStore, NearDuplicate, TextIndex
from harness_builder.steps.wording import alike_names, spell_out
from harness_builder.values import Candidate, Question

T = TypeVar("T")
By = Literal["text", "text and objects", "image", "words alone"]
_ARTICLES: Final = re.compile(r"\b(?:an?|the|some)\s+")
_LEAST: Final = 3  # words that say enough to be held against anything


@dataclass(frozen=True, slots=True, kw_only=True)
class Contamination:
    """A candidate that nearly equals an item of a test.

    Attributes:
        key: of the candidate.
        of: the item, as `<test>/<id>`.
        by: a text that names its objects; a text that speaks of images, and the objects; one of its images; or such a
            text alone, of an item whose objects nobody names.
        likeness: from 0 to 1.
    """

    key: str
    of: str
    by: By
    likeness: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """A question as it is compared.

    Attributes:
        reference: as it is asked, speaking of images.
        explicit: in words that name its objects.
        objects: what its images show.
    """

    reference: str
    explicit: tuple[str, ...]
    objects: tuple[str, str]


@dataclass(slots=True, kw_only=True)
class ComparedTest:
    """What of a test there was to compare with.

    Attributes:
        test: its name.
        items: of it.
        questions: their texts, but for those too short to say anything.
        named: items whose objects it names.
        images: of its items.
        broken: images that could not be opened.
    """

    test: str
    items: int = 0
    questions: int = 0
    named: int = 0
    images: int = 0
    broken: int = 0


@dataclass(slots=True)
class _Text:
    """A text of tests.

    Attributes:
        unnamed: the first item that has it and does not name its objects; empty for none.
        named: of the others, objects -> the first item.
    """

    unnamed: str = ""
    named: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])

    def of(self, objects: tuple[str, str]) -> str:
        """The first item that has it and whose objects are like these, in either order; empty for none."""
        there = (item for named, item in self.named.items() if _alike(named, objects) or _alike(named[::-1], objects))
        return next(there, "")


class References:
    """The items of the tests that a set must not hold.

    Attributes:
        compared: test -> what of it there is.
    """

    def __init__(self) -> None:
        self.compared: dict[str, ComparedTest] = {}
        self._index = TextIndex()
        self._texts: dict[str, _Text] = {}
        self._images = ImageIndex()

    def add(
        self,
        test: str,
        item: str,
        texts: Sequence[str] = (),
        images: Sequence[ImageMark] = (),
        *,
        objects: tuple[str, str] | None = None,
        explicit: str = "",
        broken: int = 0,
    ) -> None:
        """Take an item in.

        Args:
            test: its name.
            item: its id there.
            texts: as they are asked; one of fewer than three words says too little to be held against anything.
            images: what they look like.
            objects: what they show, where the test says so.
            explicit: the question with the names of these; empty where there are none.
            broken: images that could not be opened.
        """
        name, said = f"{test}/{item}", [text for text in texts if len(text.split()) >= _LEAST]
        for text in (*said, *([explicit] if explicit else [])):
            self._add_text(_bare(text), name, objects)
        for number, image in enumerate(images):
            self._images.add(f"{name}\n{number}", image)
        counts = self.compared.setdefault(test, ComparedTest(test=test))
        counts.items += 1
        counts.questions += len(said)
        counts.named += objects is not None
        counts.images += len(images)
        counts.broken += broken

    def find_text(self, key: str, wording: Wording) -> Contamination | None:
        """The item whose question this one nearly equals. Found by its words alone it may be another question."""
        found = self._index.every(key, _bare(wording.reference))
        as_asked = {near.of: near.likeness for near in found}
        words: Contamination | None = None
        for text in wording.explicit:
            for near in self._index.every(key, _bare(text)):
                at = self._texts[near.of]
                # a text that is as much like the reference as like the names speaks of images itself
                if near.likeness <= as_asked.get(near.of, 0.0):
                    continue
                if item := at.unnamed or at.of(wording.objects):
                    return Contamination(key=key, of=item, by="text", likeness=near.likeness)
        for near in found:
            at = self._texts[near.of]
            if item := at.of(wording.objects):
                return Contamination(key=key, of=item, by="text and objects", likeness=near.likeness)
            if at.unnamed and words is None:
                words = Contamination(key=key, of=at.unnamed, by="words alone", likeness=near.likeness)
        return words

    def find_image(self, key: str, images: Iterable[ImageMark]) -> Contamination | None:
        """The item one of whose images one of these nearly equals."""
        for image in images:
            if near := self._images.find(key, image):
                return Contamination(key=key, of=near.of.partition("\n")[0], by="image", likeness=near.likeness)
        return None

    def _add_text(self, text: str, item: str, objects: tuple[str, str] | None) -> None:
        if text not in self._texts:
            self._texts[text] = _Text()
            self._index.add(text, text)
        at = self._texts[text]
        if objects is None:
            at.unnamed = at.unnamed or item
        else:
            at.named.setdefault(objects, item)


def contaminated(
    items: Iterable[tuple[Candidate, Question, Sequence[ImageMark]]], references: References
) -> list[Contamination]:
    """The contamination report: every candidate that nearly equals an item of a test, in order.

    Args:
        items: each candidate with its question and what its images look like (`mark`).
        references: of all tests; a candidate is listed once, for its text before its images.
    """
    report: list[Contamination] = []
    for each, question, marks in items:
        wording = Wording(reference=question.text, explicit=(question.explicit,), objects=each.objects)
        found = references.find_text(each.key, wording)
        if found is None or found.by == "words alone":
            found = references.find_image(each.key, marks)
        report += [found] if found else []
    return report


def clean(items: Iterable[T], keys: Iterable[str], *listed: Iterable[Contamination | NearDuplicate]) -> list[T]:
    """The items without those that a report lists; `keys` are theirs, in the same order."""
    dropped = {each.key for report in listed for each in report}
    return [item for item, key in zip(items, keys, strict=True) if key not in dropped]


def _bare(text: str) -> str:
    """As it is compared: without articles."""
    return _ARTICLES.sub("", normalised(text))


def _alike(some: tuple[str, ...], others: tuple[str, ...]) -> bool:
    return all(alike_names(one, other) for one, other in zip(some, others, strict=True))


def read_references(plan: Plan, marks: MarkStore, tell: Callable[[str], None]) -> References:
    """All items of a plan's tests: their questions, what their images look like, and what these show where they say so.

    An image that cannot be opened is left out, and counted.

    Raises:
        UnknownName: nobody offers the task, or it has no such split.
        MissingData: its data is not there.
        BadData: as the task raises it.
    """
    references = References()
    for number, test in enumerate(plan.against, start=1):
        with config_key(plan, f"quality.against.#{number}"):
            _add(test, references, marks, tell)
    return references


def _add(test: ReferenceTest, references: References, marks: MarkStore, tell: Callable[[str], None]) -> None:
    items = broken = 0
    name, _, split = test.task.partition(":")
    for item, sample in _samples(plugins.current().task(name), split, test):
        found, texts, objects = list[ImageMark](), _texts(sample.request), _objects(sample)
        for image in sample.request.images:
            with suppress(BadImage):
                found.append(marks.of(image))
        lost = len(sample.request.images) - len(found)
        named = spell_out(texts[-1], objects) if objects and texts else ""
        references.add(name, item, texts, found, objects=objects, explicit=named, broken=lost)
        items, broken = items + 1, broken + lost
    left = f"; {broken} images could not be opened" if broken else ""
    tell(f"compared with {items:,} items of {test.task}{left}")


def _samples(task: Task, split: str, test: ReferenceTest) -> Iterator[tuple[str, Sample]]:
    settings: dict[str, Any] = effective(task.settings, {}, owner=f"task {task.name}")
    root = test.data or data_folder() / task.name
    offered = splits_of(task, settings, root)
    if split and split not in offered:
        raise UnknownName(f"task {task.name} has no split {split!r}", remedy=nearest(split, offered))
    names = [split] if split else [name for name, each in offered.items() if each.selected and each.data is None]
    for name in names:
        here = offered[name].data or root
        for sample in samples(task, here, name, settings):
            yield f"{name}/{sample.id}", sample


def _texts(request: Request) -> list[str]:
    """The last turn's texts: what was asked, without what every item begins with."""
    return [part.text for part in request.messages[-1].content if isinstance(part, Text)]


def _objects(sample: Sample) -> tuple[str, str] | None:
    """What both images show, where the task says so."""
    said = as_mapping(sample.target)
    first, second = said.get("object1"), said.get("object2")
    return (first, second) if isinstance(first, str) and isinstance(second, str) else None

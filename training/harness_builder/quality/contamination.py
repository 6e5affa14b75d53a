"""Finds items of a set that a public test already holds. Such an item is dropped, and listed with the test item that it
nearly equals.

Questions of one form are compared. A question about "the first and the second image" does not say what they show, so
two of this form are alike only if their objects are alike too: by name if the test names them, else by image. A
question that names its objects is compared with others that do, both in the model's first wording and with names in
place of the images. Articles are ignored, since inserting a name means choosing one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from harness import BadImage, Text, UnknownName, plugins
from harness.data.places import find_own_splits, find_root, read_samples
from harness.http.status import as_mapping
from harness.readers import normalize_question
from harness.settings import effective, nearest
from harness.task_files import split_name
from harness_builder.plan import Plan, ReferenceTest, config_key
from harness_builder.steps.wording import alike_names, spell_out

from .duplicates import ImageIndex, ImageMark, MarkStore, TextIndex

By = Literal["text", "text and objects", "image", "words alone"]
_ARTICLES: Final = re.compile(r"\b(?:an?|the|some)\s+")
_LEAST: Final = 3  # the fewest words worth comparing


@dataclass(frozen=True, slots=True, kw_only=True)
class Contamination:
    """A candidate nearly equals an item of a test.

    Attributes:
        key: of the candidate.
        of: the item, as `<test>/<id>`.
        by: a text that names its objects; a text that refers to images, and the objects; one of its images; or such a
            text alone, if the item does not name its objects.
        likeness: from 0 to 1.
    """

    key: str
    of: str
    by: By
    likeness: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """A question for comparison.

    Attributes:
        reference: as asked, referring to images.
        explicit: in words that name its objects.
        objects: shown in its images.
    """

    reference: str
    explicit: tuple[str, ...]
    objects: tuple[str, str]


@dataclass(slots=True, kw_only=True)
class ComparedTest:
    """The data of a test for comparisons.

    Attributes:
        test: its name.
        items: of it.
        questions: their texts, without too short ones.
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
class _TestText:
    """A text of tests.

    Attributes:
        unnamed: the first item with it that does not name its objects; empty for none.
        named: objects -> the first item with it that names these.
    """

    unnamed: str = ""
    named: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])

    def find_item(self, objects: tuple[str, str]) -> str:
        """The first item whose objects are like these, in either order; empty for none."""
        for (first, second), item in self.named.items():
            for one, other in (objects, objects[::-1]):
                if alike_names(first, one) and alike_names(second, other):
                    return item
        return ""


class References:
    """The items of the tests that a set must not hold.

    Attributes:
        compared: test -> its data.
    """

    def __init__(self) -> None:
        self.compared: dict[str, ComparedTest] = {}
        self._index = TextIndex()
        self._texts: dict[str, _TestText] = {}
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
        """Add an item.

        Args:
            test: its name.
            item: its id there.
            texts: as asked; texts of fewer than three words are not compared.
            images: what they look like.
            objects: in the images, if the test names them.
            explicit: the question with their names; empty without names.
            broken: images that could not be opened.
        """
        name, said = f"{test}/{item}", [text for text in texts if len(text.split()) >= _LEAST]
        for text in map(_without_articles, (*said, *([explicit] if explicit else []))):
            if text not in self._texts:
                self._texts[text] = _TestText()
                self._index.add(text, text)
            at = self._texts[text]
            if objects is None:
                at.unnamed = at.unnamed or name
            else:
                at.named.setdefault(objects, name)
        for image in images:  # an item comes again if the config names its test twice, with other data or a split
            self._images.add(f"{name}\n{len(self._images)}", image)
        counts = self.compared.setdefault(test, ComparedTest(test=test))
        counts.items += 1
        counts.questions += len(said)
        counts.named += objects is not None
        counts.images += len(images)
        counts.broken += broken

    def find_text(self, key: str, wording: Wording) -> Contamination | None:
        """The item whose question this one nearly equals; a match by words alone may be another question."""
        found = self._index.find_all(key, _without_articles(wording.reference))
        as_asked = {near.of: near.likeness for near in found}
        for text in wording.explicit:
            for near in self._index.find_all(key, _without_articles(text)):
                at = self._texts[near.of]
                # a text equally like both forms of the question refers to images
                if near.likeness <= as_asked.get(near.of, 0.0):
                    continue
                if item := at.unnamed or at.find_item(wording.objects):
                    return Contamination(key=key, of=item, by="text", likeness=near.likeness)
        words_alone: Contamination | None = None
        for near in found:
            at = self._texts[near.of]
            if item := at.find_item(wording.objects):
                return Contamination(key=key, of=item, by="text and objects", likeness=near.likeness)
            if at.unnamed and words_alone is None:
                words_alone = Contamination(key=key, of=at.unnamed, by="words alone", likeness=near.likeness)
        return words_alone

    def find_image(self, key: str, images: Iterable[ImageMark]) -> Contamination | None:
        """The first item with an image that one of these nearly equals."""
        for image in images:
            if near := self._images.find(key, image):
                return Contamination(key=key, of=near.of.partition("\n")[0], by="image", likeness=near.likeness)
        return None


def _without_articles(text: str) -> str:
    return _ARTICLES.sub("", normalize_question(text))


def read_references(plan: Plan, marks: MarkStore, tell: Callable[[str], None]) -> References:
    """All items of a plan's tests: their questions, the marks of their images, and their objects if named.

    The harness's own tasks read them. An image that cannot be opened is left out, and counted.

    Raises:
        UnknownName: no plugin offers the task, or it has no such split.
        MissingData: its data are missing.
        BadData: raised by the task.
    """
    references = References()
    for number, test in enumerate(plan.against, start=1):
        with config_key(plan, f"quality.against.#{number}"):
            _add_test(test, references, marks, tell)
    return references


def _add_test(test: ReferenceTest, references: References, marks: MarkStore, tell: Callable[[str], None]) -> None:
    name, wanted = split_name(test.task)
    task = plugins.current().task(name)
    settings: dict[str, Any] = effective(task.settings, {}, owner=f"task {task.name}")
    root = test.data or find_root(task)
    offered = find_own_splits(task, settings, root)
    if wanted and wanted not in offered:
        raise UnknownName(f"task {task.name} has no split {wanted!r}", remedy=nearest(wanted, offered))
    splits = [wanted] if wanted else [each for each, split in offered.items() if split.selected and split.data is None]
    items = broken = 0
    for split in splits:
        for sample in read_samples(task, offered[split].data or root, split, settings):
            found = list[ImageMark]()
            for image in sample.images:
                with suppress(BadImage):
                    found.append(marks.get(image))
            # the last turn holds the question, without the common beginning of all items
            said = (sample.request.messages[-1], *(each for each in sample.turns if each.role == "user"))
            texts = [part.text for message in said for part in message.content if isinstance(part, Text)]
            target = as_mapping(sample.target)
            first, second = target.get("object1"), target.get("object2")
            objects = (first, second) if isinstance(first, str) and isinstance(second, str) else None
            explicit = spell_out(texts[-1], objects) if objects and texts else ""
            lost = len(sample.images) - len(found)
            item = f"{split}/{sample.id}"
            references.add(name, item, texts, found, objects=objects, explicit=explicit, broken=lost)
            items, broken = items + 1, broken + lost
    left = f"; {broken} images could not be opened" if broken else ""
    tell(f"compared with {items:,} items of {test.task}{left}")

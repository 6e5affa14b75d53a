"""The items of tests that a set must not hold, read by the harness's own tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from harness import BadImage, Request, Sample, Task, Text, UnknownName, plugins
from harness.data.places import data_folder, samples, splits_of
from harness.http.status import as_mapping
from harness.settings import effective, nearest
from harness_builder.config.keys import at
from harness_builder.config.plan import Plan, Test
from harness_builder.quality import ImageMark, References
from harness_builder.quality.marking import Marks
from harness_builder.steps.references import explicit


def read_references(plan: Plan, marks: Marks, tell: Callable[[str], None]) -> References:
    """All items of a plan's tests: their questions, what their images look like, and what these show where they say so.

    An image that cannot be opened is left out, and counted.

    Raises:
        UnknownName: nobody offers the task, or it has no such split.
        MissingData: its data is not there.
        BadData: as the task raises it.
    """
    references = References()
    for number, test in enumerate(plan.against, start=1):
        with at(plan, f"quality.against.#{number}"):
            _add(test, references, marks, tell)
    return references


def _add(test: Test, references: References, marks: Marks, tell: Callable[[str], None]) -> None:
    items = broken = 0
    name, _, split = test.task.partition(":")
    for item, sample in _samples(plugins.current().task(name), split, test):
        found, texts, objects = list[ImageMark](), _texts(sample.request), _objects(sample)
        for image in sample.request.images:
            with suppress(BadImage):
                found.append(marks.of(image))
        lost = len(sample.request.images) - len(found)
        named = explicit(texts[-1], objects) if objects and texts else ""
        references.add(name, item, texts, found, objects=objects, explicit=named, broken=lost)
        items, broken = items + 1, broken + lost
    left = f"; {broken} images could not be opened" if broken else ""
    tell(f"compared with {items:,} items of {test.task}{left}")


def _samples(task: Task, split: str, test: Test) -> Iterator[tuple[str, Sample]]:
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

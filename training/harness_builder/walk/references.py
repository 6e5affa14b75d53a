"""The items of tests that a set must not hold, read by the harness's own tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from harness import BadImage, Request, Task, Text, UnknownName, plugins
from harness.data.places import data_folder, samples, splits_of
from harness.settings import effective, nearest
from harness_builder.config.keys import at
from harness_builder.config.plan import Plan, Test
from harness_builder.quality import ImageMark, References
from harness_builder.quality.marking import Marks


def read_references(plan: Plan, marks: Marks, tell: Callable[[str], None]) -> References:
    """All items of a plan's tests: their questions, and what their images look like.

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
    for item, request in _requests(plugins.current().task(name), split, test):
        found = list[ImageMark]()
        for image in request.images:
            try:
                found.append(marks.of(image))
            except BadImage:
                broken += 1
        references.add(name, item, _texts(request), found)
        items += 1
    left = f"; {broken} images could not be opened" if broken else ""
    tell(f"compared with {items:,} items of {test.task}{left}")


def _requests(task: Task, split: str, test: Test) -> Iterator[tuple[str, Request]]:
    settings: dict[str, Any] = effective(task.settings, {}, owner=f"task {task.name}")
    root = test.data or data_folder() / task.name
    offered = splits_of(task, settings, root)
    if split and split not in offered:
        raise UnknownName(f"task {task.name} has no split {split!r}", remedy=nearest(split, offered))
    names = [split] if split else [name for name, each in offered.items() if each.selected and each.data is None]
    for name in names:
        here = offered[name].data or root
        for sample in samples(task, here, name, settings):
            yield f"{name}/{sample.id}", sample.request


def _texts(request: Request) -> list[str]:
    """The last turn's texts: what was asked, without what every item begins with."""
    return [part.text for part in request.messages[-1].content if isinstance(part, Text)]

"""The contract of tasks, over their packaged splits and over data that is given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from harness.contracts import Judge, Split, Task
from harness.errors import BadImage
from harness.images.opening import open_image
from harness.keys import asked, canonical
from harness.plugins.host import Host
from harness.plugins.shapes import find_split_faults
from harness.settings import effective
from harness.types import Image, Sample, Setting, Settings

from .problems import Problems
from .scoring_suite import Rubrics, check_scores, check_split, tags_of

MOST_OPENED = 500  #: samples whose images are opened


def check_task(
    task: Task,
    data: Path | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    judges: Iterable[Judge] = (),
    host: Host | None = None,
) -> None:
    """Whether a task keeps its contract; raises NotConforming with everything that is wrong.

    Args:
        task: the descriptor.
        data: its data root; without it only splits with packaged data are listed.
        settings: of the task, by name.
        judges: rubrics that its splits accept and that are not installed, such as its plugin's own.
        host: finds the other rubrics that its splits accept; None means the current one.
    """
    problems = Problems(f"task {task.name!r}")
    rubrics = Rubrics(judges, host)
    check_described(problems, task.version, task.description, task.settings)
    values = effective(task.settings, settings or {}, owner=f"task {task.name}")
    splits: Mapping[str, Split] = {}
    with problems.at("splits"):
        splits = task.splits(values, data or Path(task.name)) if callable(task.splits) else task.splits
        problems.require(splits or not isinstance(splits, dict), "there are none")  # an open set need list none
    for name in splits:
        with problems.at(f"split {name}"):
            split = splits[name]
            if faults := list(find_split_faults(split)):
                for fault in faults:
                    problems.add(fault)
                continue
            root = split.data or data
            problems.require(not (name.startswith("mini") and split.selected), "a mini split runs only by name")
            problems.require(all(part in splits for part in split.parts), f"parts {split.parts} are not all splits")
            check_split(problems, split, rubrics, root or Path(task.name))
            if root is not None and not split.parts:
                _check_samples(problems, _Listing(task, name, split, values, root), rubrics)
    problems.settle()


def check_described(problems: Problems, version: str, description: str, settings: Sequence[Setting]) -> None:
    """A version, one line of description, and settings that say what they are and what another value changes."""
    problems.require(version, "has no version")
    problems.require(description and "\n" not in description, "the description is not one line")
    for setting in settings:
        with problems.at(f"setting {setting.name}"):
            problems.require_type(setting.identity, bool, "identity is a")
            problems.require(setting.help and "\n" not in setting.help, "the help is not one line")
            given = {} if setting.default in (None, "") else {setting.name: setting.default}
            effective((setting,), given, owner="default")


class _Listing:
    """One split's samples, to be listed again and again."""

    def __init__(self, task: Task, name: str, split: Split, settings: Settings, root: Path) -> None:
        self.name, self.split, self.root = name, split, root
        self._task, self._settings = task, settings

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.again())

    def again(self) -> Iterable[Sample]:
        return self._task.samples(self.root, self.name, self._settings)


def _check_samples(problems: Problems, listing: _Listing, rubrics: Rubrics) -> None:
    again = listing.again()
    problems.require(not isinstance(again, list | tuple | dict | set), "samples are listed at once, not lazily")
    samples = list(again)
    split = listing.split
    problems.require(samples, "there are no samples")
    problems.require(split.n in (None, len(samples)), f"n is {split.n}, but there are {len(samples)} samples")
    ids = [sample.id for sample in samples]
    problems.require(len(set(ids)) == len(ids), "ids are not unique")
    problems.require(all(name == name.strip() and name.isprintable() and name for name in ids), "an id is not plain")
    second = [(sample.id, canonical(asked(sample.request))) for sample in listing]
    first = [(sample.id, canonical(asked(sample.request))) for sample in samples]
    problems.require(first == second, "a second listing gives other ids or other requests")
    runs = [name for name, _ in groupby(sample.cluster or sample.id for sample in samples)]
    problems.require(len(set(runs)) == len(runs), "a cluster's samples are not together")
    absent = sorted(set(split.by) - set(tags_of(samples)))
    problems.require(not absent, f"breaks down by {absent}, which no sample has")
    for sample in samples:
        with problems.at(f"sample {sample.id}"):
            _check_sample(problems, sample, listing)
    for sample in samples[:MOST_OPENED]:
        with problems.at(f"sample {sample.id}"):
            _open(problems, sample.request.images)
    check_scores(problems, split, samples, rubrics, listing.root)


def _check_sample(problems: Problems, sample: Sample, listing: _Listing) -> None:
    images = len(sample.request.images)
    problems.require(sample.split == listing.name, f"says it is of split {sample.split!r}")
    most = listing.split.images
    problems.require(most is None or images <= most, f"holds {images} images, the split says {most}")
    problems.require(sample.request.messages, "asks nothing")
    canonical(sample.target)
    for value in (*sample.tags, *sample.tags.values(), sample.category, sample.cluster):
        problems.require_type(value, str, "a tag, category or cluster is a")


def _open(problems: Problems, images: Iterable[Image]) -> None:
    for image in images:
        try:
            open_image(image)
        except BadImage as error:
            problems.add(f"its image cannot be opened: {error}")

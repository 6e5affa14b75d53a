"""Where data lies, and how to get what is missing.

A task's data lies in DIR/<task>: DIR is `--data`, else `HARNESS_DATA`, else the user's data folder. Mini splits are
packaged and lie nowhere else.
"""

from __future__ import annotations

import os
import shlex
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.contracts import DataSource, Split, Task
from harness.data.built import built, unpublished
from harness.errors import BadData, HarnessError, MissingData
from harness.types import Sample, Settings


def data_folder(given: Path | None = None) -> Path:
    """The folder that holds each task's data: what was given, else HARNESS_DATA, else the user's data folder."""
    if given is not None:
        return given.expanduser()
    if named := os.environ.get("HARNESS_DATA"):
        return Path(named).expanduser()
    from platformdirs import user_data_path

    return user_data_path("harness")


def offered(task: Task, settings: Settings, root: Path) -> Mapping[str, Split]:
    """A task's splits under some settings; of an open set the mapping that answers any name."""
    found = task.splits(settings, root) if callable(task.splits) else task.splits
    return found if built(root) is None else unpublished(found)


def splits_of(task: Task, settings: Settings, root: Path) -> dict[str, Split]:
    """A task's splits under some settings, without derived ones, which have no data of their own."""
    return {name: split for name, split in offered(task, settings, root).items() if not split.parts}


def samples(task: Task, root: Path, split: str, settings: Settings) -> Iterator[Sample]:
    """A task's samples, each once and each of this split; data that is not there is answered with how to get it.

    A run, a dry run and `harness data verify` all list a split here. What a run keeps is found by split and id, so two
    samples of one id would share one answer, and a sample of another split would be counted by neither.

    Args:
        task: whose `samples` is asked.
        root: the task's data root, or the folder of a packaged split.
        split: name.
        settings: of the task, complete.

    Raises:
        MissingData: with the command that gets the data, its size and its licence.
        BadData: as the task raises it; two samples have one id, or one says that it is of another split.
    """
    known = _Ids()
    try:
        for sample in task.samples(root, split, settings):
            _check_name(sample, split, task, root, is_new=known.add(sample.id))
            yield sample
    except MissingData as error:
        raise _completed(error, task, root) from None


class _Ids:
    """Ids that were seen, each by the 64 bits of its hash: 100,000 take 2 MB, while a set of them takes 10.

    That two of 100,000 share their 64 bits has a chance of 1 in 3,000 million.
    """

    def __init__(self) -> None:
        self._slots = array("Q", [0]) * 1024  # 0 is a free one
        self._count = 0

    def add(self, name: str) -> bool:
        """Whether it is new."""
        if 2 * self._count >= len(self._slots):
            self._grow()
        return self._put(hash(name) % 2**64 or 1)

    def _grow(self) -> None:
        before, self._count = self._slots, 0
        self._slots = array("Q", [0]) * (2 * len(before))
        for value in filter(None, before):
            self._put(value)

    def _put(self, value: int) -> bool:
        slots, last = self._slots, len(self._slots) - 1
        at = value & last
        while slots[at]:
            if slots[at] == value:
                return False
            at = (at + 1) & last
        slots[at] = value
        self._count += 1
        return True


def _check_name(sample: Sample, split: str, task: Task, root: Path, *, is_new: bool) -> None:
    """Refuse a sample that would be taken for another one, or for one of another split."""
    if sample.split != split:
        what = f"sample {sample.id!r} of {task.name}:{split} says that it is of split {sample.split!r}"
        remedy = f"mend the plugin: a sample that is listed for {split!r} has split={split!r}"
    elif not is_new:
        what = f"two samples of {task.name}:{split} have the id {sample.id!r}"
        remedy = "give each record an id of its own; a task may number repeated ones with harness.readers.distinct"
    else:
        return
    raise BadData(what, where=str(root), remedy=remedy)


def fetchable(source: DataSource) -> bool:
    """Whether `harness data fetch` gets any of it."""
    return bool(source.hub or source.archive or source.urls)


def unpinned(source: DataSource) -> list[str]:
    """The hub's set and the repository, each where no commit of it was checked against this harness."""
    repository, commit, _ = source.archive or ("", "", ())
    return [name for name, pin in ((source.hub, source.revision), (repository, commit)) if name and not pin]


def how_to_get(task: str, source: DataSource, root: Path) -> str:
    """The command that puts a task's data into its root, with size and licence and what else must be done."""
    how = f"see {source.url}" if source.by_hand else f"take it from {source.url} and put it into {root}"
    if fetchable(source):
        how = f"harness data fetch {task}{flag_for(task, root)}"
    about = [f"size: {source.size}" if source.size else "", f"licence: {source.licence}" if source.licence else ""]
    gate = f"access must be asked for first: {source.url}" if source.gated else ""
    by_hand = (f"to be put there by hand: {what}" for what in source.by_hand)
    return "\n  ".join([how, *filter(None, ["; ".join(filter(None, about)), gate]), *by_hand])


def flag_for(task: str, root: Path) -> str:
    """The flag that names the root; none where it is found without."""
    if root == data_folder() / task:
        return ""
    if root.name == task:
        return f" --data {shlex.quote(str(root.parent))}"
    return f" -T {shlex.quote(f'{task}.data={root}')}"


def _completed(error: MissingData, task: Task, root: Path) -> HarnessError:
    if error.remedy or task.source is None:
        return error
    what = f"the data of {task.name} is not on this machine: {error.what}"
    return MissingData(what, where=error.where or str(root), remedy=how_to_get(task.name, task.source, root))

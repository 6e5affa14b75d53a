"""Where data lies, how to read it, and how to get what is missing.

A task's data lies in DIR/<task>: DIR is `--data`, else `HARNESS_DATA`, else the user's data folder. Mini splits are
packaged and lie nowhere else.
"""

from __future__ import annotations

import os
import shlex
from array import array
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from harness.contracts import DataSource, Split, Task
from harness.data.built import drop_published_sizes, find_built_set
from harness.errors import BadData, HarnessError, MissingData
from harness.files import find_user_folder, lock_file, report_write_errors
from harness.types import Json, Sample, Settings

LOCK: Final = ".fetch.lock"  #: in a folder that one command at a time writes into


def data_folder(given: Path | None = None) -> Path:
    """The folder that holds each task's data: the one given, else HARNESS_DATA, else the user's data folder."""
    if given is not None:
        return given.expanduser()
    if named := os.environ.get("HARNESS_DATA"):
        return Path(named).expanduser()
    return find_user_folder("data")


@contextmanager
def lock_folder(folder: Path, *, wait: float = 0.0) -> Generator[None]:
    """Lock a folder for this command; makes it if missing.

    Args:
        folder: the folder to write into.
        wait: seconds to wait for another command to release it.

    Raises:
        HarnessError: another command holds it, or it cannot be written.
    """
    busy = HarnessError(
        "another command is fetching into this folder", where=str(folder), remedy="run this one when it has ended"
    )
    remedy = "name another folder with --data DIR"
    reported = report_write_errors(folder, what="cannot be written", remedy=remedy)
    with reported, lock_file(folder / LOCK, busy=busy, wait=wait):
        yield


def find_splits(task: Task, settings: Settings, root: Path) -> Mapping[str, Split]:
    """A task's splits under some settings; of an open set the mapping that answers any name."""
    found = task.splits(settings, root) if callable(task.splits) else task.splits
    return found if find_built_set(root) is None else drop_published_sizes(found)


def find_own_splits(task: Task, settings: Settings, root: Path) -> dict[str, Split]:
    """A task's splits under some settings, without derived ones, which have no data of their own."""
    return {name: split for name, split in find_splits(task, settings, root).items() if not split.parts}


def read_samples(task: Task, root: Path, split: str, settings: Settings) -> Iterator[Sample]:
    """A task's samples: no two with one id, and none of another split.

    A run, a dry run and `harness data verify` all list a split here. A run finds its answers by split and id, so two
    samples of one id would share one answer, and a sample of another split would be counted in neither split.

    Args:
        task: whose `samples` is asked.
        root: the task's data root, or the folder of a packaged split.
        split: name.
        settings: of the task, complete.

    Raises:
        MissingData: the data is not there; the remedy is the command that gets it, with size and licence.
        BadData: as the task raises it; two samples have one id, or one says that it is of another split.
    """
    known = _SeenIds()
    try:
        for sample in task.samples(root, split, settings):
            if sample.split != split:
                raise BadData(
                    f"sample {sample.id!r} of {task.name}:{split} says that it is of split {sample.split!r}",
                    where=str(root),
                    remedy=f"fix the plugin: a sample that is listed for {split!r} has split={split!r}",
                )
            if not known.add(sample.id):
                raise BadData(
                    f"two samples of {task.name}:{split} have the id {sample.id!r}",
                    where=str(root),
                    remedy="give each record an id of its own; a task may number repeated ones with "
                    "harness.readers.distinct",
                )
            yield sample
    except MissingData as error:
        if error.remedy or task.source is None:
            raise
        what = f"the data of {task.name} is not on this machine: {error.what}"
        remedy = explain_fetch(task, task.source, root)
        raise MissingData(what, where=error.where or str(root), remedy=remedy) from None


class _SeenIds:
    """A set of ids, each kept as the 64 bits of its hash: 100,000 take 2 MB, and 10 in a set of texts.

    Two of 100,000 ids share their 64 bits with a chance of 1 in 3,000 million.
    """

    def __init__(self) -> None:
        self._slots = array("Q", [0]) * 1024  # 0 is a free one
        self._count = 0

    def add(self, name: str) -> bool:
        """Whether it is new."""
        if 2 * self._count >= len(self._slots):
            before, self._count = self._slots, 0
            self._slots = array("Q", [0]) * (2 * len(before))
            for value in filter(None, before):
                self._put(value)
        return self._put(hash(name) % 2**64 or 1)

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


def find_root(task: Task, folder: Path | None = None) -> Path:
    """A task's data root, where the user names none: its own folder, else DIR/<name>."""
    return data_folder(folder) / task.name if task.folder is None else task.folder


def is_fetchable(source: DataSource) -> bool:
    """Whether `harness data fetch` gets any of it."""
    return bool(source.hub or source.archive or source.urls)


def list_unpinned(source: DataSource) -> list[str]:
    """The hub's set and the repository, each where no commit of it was checked with this harness."""
    repository, commit, _ = source.archive or ("", "", ())
    return [name for name, pin in ((source.hub, source.revision), (repository, commit)) if name and not pin]


def explain_fetch(task: Task, source: DataSource, root: Path) -> str:
    """The command that puts a task's data into its root, with size, licence and what else must be done."""
    how = f"see {source.url}" if source.by_hand else f"take it from {source.url} and put it into {root}"
    if is_fetchable(source):
        how = f"harness data fetch {format_task(task.name, task.file)}{format_root_flag(task, root)}"
    about = [f"size: {source.size}" if source.size else "", f"licence: {source.licence}" if source.licence else ""]
    gate = f"access must be asked for first: {source.url}" if source.gated else ""
    by_hand = (f"to be put there by hand: {what}" for what in source.by_hand)
    return "\n  ".join([how, *filter(None, ["; ".join(filter(None, about)), gate]), *by_hand])


def format_task(name: str, file: Mapping[str, Json], split: str = "") -> str:
    """A task, or a split of it, as a command line names it: by its name, or by its task file (`Task.file`)."""
    if file:
        path = Path(str(file["path"]))
        name = str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
    return shlex.quote(f"{name}:{split}" if split else name)


def format_root_flag(task: Task, root: Path) -> str:
    """The flag that names a task's root, with a space in front; empty for the default root."""
    if root == find_root(task):
        return ""
    if root.name == task.name and task.folder is None:
        return f" --data {shlex.quote(str(root.parent))}"
    return f" -T {shlex.quote(f'{task.name}.data={root}')}"

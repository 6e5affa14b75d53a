"""Reads a run that may still be going: its items as they arrive, then each change.

    run = RunFollower(Path("runs/mini-base"))
    while True:
        for number, item in run.advance(1000):
            print(number, item.item, item.label)

The items are those of `StoredRun.items`. During a run they include answers that no listing names yet, because a task's
listings replace the old ones together, after all its splits have been asked. Such an answer counts as asked, by its
latest line; once a listing exists, it alone says which line of an item counts.

Before a run has ended, run.json does not hold its tasks and judges. Then the installed plugins say what labels mean and
where the data is, as for a new run.

Numbers count from 0 and stay with their items until `generation` changes: when the folder, a listing, a judge or
run.json was replaced. Then all items are returned again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

from harness.contracts import BUILT
from harness.data.places import data_folder
from harness.errors import HarnessError
from harness.evaluation.options import JudgeOptions
from harness.evaluation.splits import rebuild_split_plan
from harness.models import ModelSpec
from harness.runs.items import Item, LabelMap, build_item
from harness.runs.stored import StoredRun, open_run
from harness.store.folder import TaskFolder
from harness.store.journal import Journal, load_lines, stat_file
from harness.store.reader import Answer, AnswerReader

ItemId = tuple[str, str, int]  #: split, sample id, epoch
_LINES: Final = 2000  #: lines of each file to index before items are returned


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSplit:
    """One split of a run.

    Attributes:
        title: `task:split`.
        display: the task's displayed name.
        words: how to read its labels.
        root: the folder to which its image paths are relative; None if unknown.
    """

    title: str
    display: str
    words: LabelMap
    root: Path | None


class _TaskFollower:
    """One task's files, read as they grow."""

    def __init__(self, folder: TaskFolder) -> None:
        self.folder = folder
        self.judges = folder.judges()
        self.behind = False
        self._listing_path = folder.path / "asked.jsonl"
        self._listing = stat_file(self._listing_path)
        self.asked: dict[ItemId, Mapping[str, Any]] = {}  # items in the listings, in order
        with suppress(KeyError, TypeError, ValueError):  # an edited listing ends here
            for line in load_lines(self._listing_path):
                self.asked[line["split"], line["id"], line["epoch"]] = line
        self._splits = {split for split, _, _ in self.asked}
        self._unlisted: dict[ItemId, str] = {}  # key of each answer that no listing names
        self._verdicts = {judge: folder.verdicts(judge, write=False, load=False) for judge in self.judges}
        self._reader = AnswerReader(folder.display, None, self._verdicts, self._list_asked)
        self._inodes = {journal.path: stat_file(journal.path)[0] for journal in self._verdicts.values()}

    def close(self) -> None:
        for journal in self._list_journals():
            journal.close()

    def is_replaced(self) -> bool:
        """Whether the files that were read have been replaced: a listing, a judge's file, or a shorter journal."""
        if self.judges != self.folder.judges() or self._listing != stat_file(self._listing_path):
            return True
        for journal in self._list_journals():
            inode, size, _ = stat_file(journal.path)
            if inode != self._inodes[journal.path] or size < journal.end:
                return True
        return False

    def index_new_lines(self, most: int) -> Iterator[ItemId]:
        """Each item with new lines; an item may occur more than once.

        Args:
            most: most lines to read of each file; `behind` then says whether more may follow.
        """
        self.behind = False
        path = self.folder.path / "responses.jsonl"
        if self._reader.responses is None and path.exists():
            self._reader.responses = self.folder.responses(write=False, load=False)
            self._inodes[path] = stat_file(path)[0]
        for journal in self._list_journals():
            taken = 0
            for head in islice(journal.index_new_lines(), most):
                taken += 1
                who = (head[0], head[1], int(head[2]))
                if journal is self._reader.responses:
                    self._reader.forget_answers()
                    if who not in self.asked:
                        self._unlisted[who] = head[3]
                yield who
            self.behind = self.behind or taken == most

    def has_answer(self, who: ItemId) -> bool:
        """Whether a listed item has an answer in the indexed lines."""
        asked, responses = self.asked.get(who), self._reader.responses
        return asked is None or (responses is not None and responses.find(*who, asked["key"]) is not None)

    def read_item(self, who: ItemId, words: LabelMap) -> Item | None:
        """One item in its current state; None for an old answer that the listing does not name.

        Raises HarnessError, KeyError, TypeError or ValueError for a damaged line.
        """
        if asked := self.asked.get(who):
            return build_item(self._reader.read(asked, words.judges), words)
        split, sample, epoch = who
        stub = {"split": split, "id": sample, "epoch": epoch, "key": self._unlisted.get(who, "")}
        answer = self._reader.read(stub, words.judges)
        if answer.response is None:
            return None
        listed = datetime.fromtimestamp(self._listing[2] / 1e9, UTC).isoformat(timespec="milliseconds")
        is_newer = str(answer.response["at"]) > listed or split not in self._splits
        return build_item(replace(answer, asked=answer.response), words) if is_newer else None

    def describe_unread(self, who: ItemId) -> Item:
        """A placeholder for an item that could not be read."""
        split, sample, epoch = who
        asked = self.asked.get(who) or {"id": sample, "split": split, "epoch": epoch, "category": "", "key": ""}
        return Item(
            answer=Answer(display=self.folder.display, asked=asked, response=None), said={}, label="", damaged=True
        )

    def _list_asked(self, split: str) -> Iterable[Mapping[str, Any]]:
        return [asked for (name, _, _), asked in self.asked.items() if name == split]

    def _list_journals(self) -> list[Journal]:
        responses = self._reader.responses
        return [*([] if responses is None else [responses]), *self._verdicts.values()]


class RunFollower:
    """Reads a run while it grows; not safe for two threads at once.

    Args:
        folder: the run folder. Raises HarnessError if there is no run.
        data: the folder that holds each task's data now; None for the run's data folder.

    Attributes:
        generation: how often the run was read from the start.
        unreadable: items with a damaged line.
        stored: the run as described by run.json.
    """

    def __init__(self, folder: Path, data: Path | None = None) -> None:
        self.folder = folder
        self._data = data
        self.generation = 0
        self._tasks: dict[str, _TaskFollower] = {}
        self._start(open_run(folder))

    def close(self) -> None:
        """Close the files."""
        for task in self._tasks.values():
            task.close()

    @property
    def settled(self) -> bool:
        """Whether all written items have been returned."""
        return not self._queue and not self._behind

    @property
    def parts(self) -> tuple[RunSplit, ...]:
        """The splits with items so far."""
        return tuple(self._parts.values())

    def advance(self, most: int) -> list[tuple[int, Item]]:
        """Up to `most` new or changed items, each with its number; none if nothing is new."""
        changed = self._stamp != stat_file(self.folder / "run.json")
        if changed or any(t.is_replaced() for t in self._tasks.values()) or self._list_displays() != [*self._tasks]:
            with suppress(HarnessError):  # being replaced: keep the old state until the new one exists
                self._start(open_run(self.folder))
                self.generation += 1
        while True:
            # read some lines at a time, so that the first items of a long run do not wait for the last
            for display, task in self._tasks.items():
                self._enqueue((display, who) for who in task.index_new_lines(_LINES))
            self._behind = any(task.behind for task in self._tasks.values())
            found: list[tuple[int, Item]] = []
            while self._queue and len(found) < most:
                display, who = place = self._queue[0]
                if self._behind and not self._tasks[display].has_answer(who):
                    break  # its line may still come
                self._queue.popleft()
                self._queued.discard(place)
                item = self._read(display, who)
                if item is None:
                    continue
                if place not in self._numbers:
                    self._numbers[place] = len(self._places)
                    self._places.append(place)
                found.append((self._numbers[place], item))
            if found or not self._behind:
                return found

    def item(self, number: int) -> Item:
        """An item in its current state. Raises IndexError for an unknown number."""
        display, who = self._places[number]
        return self._read(display, who) or self._tasks[display].describe_unread(who)

    def part(self, number: int) -> RunSplit:
        """The split of an item. Raises as `item`."""
        display, who = self._places[number]
        return self._find_part(display, who[0])

    def _start(self, stored: StoredRun) -> None:
        self.close()
        self.stored, self._stamp = stored, stat_file(self.folder / "run.json")
        self._numbers: dict[tuple[str, ItemId], int] = {}
        self._places: list[tuple[str, ItemId]] = []
        self._parts: dict[tuple[str, str], RunSplit] = {}
        self._queue: deque[tuple[str, ItemId]] = deque()
        self._queued: set[tuple[str, ItemId]] = set()
        self._behind = True
        self.unreadable = 0
        self._tasks = {display: _TaskFollower(stored.folder.task(display)) for display in self._list_displays()}
        for display, task in self._tasks.items():
            self._enqueue((display, who) for who in task.asked)

    def _list_displays(self) -> list[str]:
        """The tasks in run.json, then the folders of tasks not yet in it."""
        known = {self.stored.folder.task(display).path: display for display in self.stored.file.tasks}
        folders = sorted(path.parent for path in self.folder.glob("*/responses.jsonl"))
        return [*known.values(), *(path.name for path in folders if path not in known)]

    def _enqueue(self, places: Iterable[tuple[str, ItemId]]) -> None:
        for place in places:
            if place not in self._queued:
                self._queued.add(place)
                self._queue.append(place)

    def _read(self, display: str, who: ItemId) -> Item | None:
        task = self._tasks[display]
        try:
            return task.read_item(who, self._find_part(display, who[0]).words)
        except (HarnessError, KeyError, TypeError, ValueError):
            self.unreadable += 1
            return task.describe_unread(who)

    def _find_part(self, display: str, split: str) -> RunSplit:
        key = (display, split)
        if key not in self._parts:
            self._parts[key] = find_split(self.stored, self._tasks[display].judges, display, split, self._data)
        return self._parts[key]


Following = RunFollower  #: the old name


def find_split(run: StoredRun, judges: Sequence[str], display: str, split: str, data: Path | None = None) -> RunSplit:
    """One split of a run, even if it is not in run.json yet.

    Args:
        run: the run.
        judges: the judges with a file in the task's folder.
        display: the task's displayed name, or its folder's if it is not in run.json.
        split: the split's name.
        data: the folder that holds each task's data now; None for the run's data folder.
    """
    title = f"{display}:{split}"
    task = run.file.tasks.get(display)
    if task is not None and split in task.splits:
        root = run.root(title)
        if root is not None and not task.splits[split].packaged:
            # the given folder, else the run's, else a new run's
            places = [*([data_folder(data) / task.task] if data else []), root, data_folder() / task.task]
            root = next((place for place in places if place.is_dir()), places[0])
        return RunSplit(title=title, display=display, words=run.words(title), root=root)
    name, *settings = display.partition(BUILT)[0].split("+")
    given = {f"{name}.{key}": value for key, _, value in (each.partition("=") for each in settings)}
    file = run.file
    options = JudgeOptions().of(ModelSpec(ref=file.model.ref), file.overrides.generation, file.overrides.system)
    try:
        plan = rebuild_split_plan(display, f"{name}:{split}", replace(options, task_settings=given, data=data))
    except (HarnessError, ValueError):  # ValueError: a pooled split, which has no answers itself
        words = LabelMap(primary=next(iter(judges), None), judges={judge: {} for judge in judges}, split=None)
        return RunSplit(title=title, display=display, words=words, root=None)
    own = next(iter(plan.split.judges), None)
    rubrics: dict[str, str] = {}  # a judge's id begins with its rubric, which may begin with another one's name
    for rubric in sorted(plan.split.judges, key=len):
        rubrics |= {judge: rubric for judge in judges if judge.startswith(f"{rubric}-")}
    first = sorted(rubrics, key=lambda judge: (rubrics[judge] != own, -len(rubrics[judge])))
    known = {judge: plan.split.judges[rubrics[judge]] for judge in first}
    words = LabelMap(primary=next(iter(known), None), judges=known, split=plan.split)
    root = None if BUILT in display and data is None else plan.root  # only `data` says where a built set is
    return RunSplit(title=title, display=display, words=words, root=root)

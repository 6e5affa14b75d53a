"""A run that is read while it may go on: its items as they come, then whatever changes.

    run = Following(Path("runs/mini-base"))
    while True:
        for number, item in run.advance(1000):
            print(number, item.item, item.label)

The items are those of `harness.runs.items`, and, while a run goes on, those that its listings do not name yet: the
listings of a task are put in place together, when all its splits have been asked. Such an answer counts as asked, by
its latest line; where there is a listing, it alone says which line of an item counts. Numbers count from 0 and stay
with their items until `generation` changes: the folder was replaced, or a listing, a judge or run.json; then all items
come anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

from harness.errors import HarnessError
from harness.runs.items import Answer, Item, LabelMap, RunItems, RunSplit, build_item, find_split, open_items
from harness.store.folder import TaskFolder
from harness.store.journal import Journal, lines
from harness.store.together import Present

Who = tuple[str, str, int]  #: split, sample id, epoch
_Stamp = tuple[int, int, int]


class TaskFiles:
    """One task's files, read as they grow.

    Args:
        folder: of the task.
    """

    def __init__(self, folder: TaskFolder) -> None:
        self.folder = folder
        self.judges = folder.judges()
        self.behind = False
        self._listing = stat_file(folder.path / "asked.jsonl")
        self._asked: dict[Who, Mapping[str, Any]] = dict(_read_listing(folder.path / "asked.jsonl"))
        self._splits = {split for split, _, _ in self._asked}
        self._unlisted: dict[Who, str] = {}
        self._present: dict[str, Present] = {}
        self._responses: Journal | None = None
        self._verdicts = {judge: folder.verdicts(judge, write=False, load=False) for judge in self.judges}
        self._inodes = {journal.path: stat_file(journal.path) for journal in self._verdicts.values()}

    def close(self) -> None:
        """Let the files go."""
        for journal in self._journals():
            journal.close()

    def asked(self) -> Iterator[Who]:
        """What the listings name, in order."""
        yield from self._asked

    def replaced(self) -> bool:
        """Whether what was read is no longer what stands there: another listing, another judge, another file."""
        if self.judges != self.folder.judges() or self._listing != stat_file(self.folder.path / "asked.jsonl"):
            return True
        return any(self._cut(journal) for journal in self._journals())

    def read_new(self, most: int) -> Iterator[Who]:
        """Each item of which something new was written; an item may come more than once.

        Args:
            most: lines of each file that are looked at; `behind` then says whether there may be more.
        """
        self.behind = False
        if self._responses is None and (self.folder.path / "responses.jsonl").exists():
            self._responses = self.folder.responses(write=False, load=False)
            self._inodes[self._responses.path] = stat_file(self._responses.path)
        for head in self._heads(self._responses, most):
            who = (head[0], head[1], int(head[2]))
            self._present.clear()
            if who not in self._asked:
                self._unlisted[who] = head[3]
            yield who
        for journal in self._verdicts.values():
            for head in self._heads(journal, most):
                yield head[0], head[1], int(head[2])

    def answered(self, who: Who) -> bool:
        """Whether an item that a listing names has an answer among the lines that were looked at."""
        asked = self._asked.get(who)
        return asked is None or (self._responses is not None and self._responses.find(*who, asked["key"]) is not None)

    def item(self, who: Who, words: LabelMap) -> Item | None:
        """One item as it stands now.

        Returns:
            None for an answer that is no longer asked: it is older than the listing, which does not name it.

        Raises:
            HarnessError, KeyError, TypeError, ValueError: a line was changed by another hand.
        """
        asked = self._asked.get(who)
        response = self._response(who, self._unlisted.get(who, "") if asked is None else asked["key"])
        if asked is None:
            if response is None or not self._later(response):
                return None
            asked = response
        journals = {judge: self._verdicts[judge] for judge in words.judges if judge in self._verdicts}
        answer = Answer(display=self.folder.display, asked=asked, response=response)
        return build_item(answer, words, journals, self._counting(who[0]))

    def bare(self, who: Who) -> Item:
        """An item of which nothing could be read."""
        split, sample, epoch = who
        asked = self._asked.get(who) or {"id": sample, "split": split, "epoch": epoch, "category": "", "key": ""}
        answer = Answer(display=self.folder.display, asked=asked, response=None)
        return Item(answer=answer, said={}, label="")

    def _counting(self, split: str) -> Present:
        """The answers of a split that stand now, for verdicts that were given on all of them."""
        if split not in self._present:
            responses = self._responses or self.folder.responses(write=False)
            listed = [asked for (name, _, _), asked in self._asked.items() if name == split]
            self._present[split] = Present(lambda: listed, responses)
        return self._present[split]

    def _heads(self, journal: Journal | None, most: int) -> Iterator[tuple[str, ...]]:
        taken = 0
        for head in () if journal is None else islice(journal.grow(), most):
            taken += 1
            yield head
        self.behind = self.behind or taken == most

    def _journals(self) -> list[Journal]:
        return [*self._verdicts.values(), *([] if self._responses is None else [self._responses])]

    def _response(self, who: Who, key: str) -> Mapping[str, Any] | None:
        found = None if self._responses is None else self._responses.find(*who, key)
        return None if found is None or self._responses is None else self._responses.read(found[0])

    def _later(self, response: Mapping[str, Any]) -> bool:
        """Whether an answer that no listing names was written since, so that it belongs to what goes on."""
        written = datetime.fromtimestamp(self._listing[2] / 1e9, UTC).isoformat(timespec="milliseconds")
        return str(response["at"]) > written or response["split"] not in self._splits

    def _cut(self, journal: Journal) -> bool:
        inode, size, _ = stat_file(journal.path)
        return inode != self._inodes[journal.path][0] or size < journal.end


def stat_file(path: Path) -> _Stamp:
    """Inode, bytes and time of the last change in ns; zeros for no file."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0, 0
    return found.st_ino, found.st_size, found.st_mtime_ns


def _read_listing(path: Path) -> Iterator[tuple[Who, dict[str, Any]]]:
    """The lines of a listing; one that was changed by another hand ends there."""
    try:
        for line in lines(path):
            yield (line["split"], line["id"], line["epoch"]), line
    except (KeyError, TypeError, ValueError, HarnessError):
        return


_LINES: Final = 2000  #: lines of each file between two looks at what can be given


class Following:
    """A run, read as it grows; not to be used from two threads at once.

    Args:
        folder: of the run. Raises HarnessError where there is none.
        data: the folder that holds each task's data now; None for where the run had it.
    """

    def __init__(self, folder: Path, data: Path | None = None) -> None:
        self.folder = folder
        self._data = data
        self.generation = 0
        self.unreadable = 0  #: items of which a line was changed by another hand
        self._tasks: dict[str, TaskFiles] = {}
        self._open(open_items(folder))

    def close(self) -> None:
        """Let the files go."""
        for task in self._tasks.values():
            task.close()

    @property
    def settled(self) -> bool:
        """Whether all that was written has been given."""
        return not self._queue and not self._behind

    @property
    def items(self) -> RunItems:
        """The run as run.json tells it."""
        return self._items

    @property
    def parts(self) -> tuple[RunSplit, ...]:
        """The splits of which items were found."""
        return tuple(self._parts.values())

    def advance(self, most: int) -> list[tuple[int, Item]]:
        """Up to `most` items that are new or have changed, each with its number; none where nothing is new."""
        self._renew()
        while True:
            self._look()
            found = self._take(most)
            if found or not self._behind:
                return found

    def item(self, number: int) -> Item:
        """An item as it stands now. Raises IndexError for a number that was not given."""
        place = self._places[number]
        return self._read(*place) or self._tasks[place[0]].bare(place[1])

    def part(self, number: int) -> RunSplit:
        """The split of an item. Raises as `item`."""
        display, who = self._places[number]
        return self._part(display, who[0])

    def _open(self, items: RunItems) -> None:
        self.close()
        self._items, self._stamp = items, stat_file(self.folder / "run.json")
        self._numbers: dict[tuple[str, Who], int] = {}
        self._places: list[tuple[str, Who]] = []
        self._parts: dict[tuple[str, str], RunSplit] = {}
        self._queue: deque[tuple[str, Who]] = deque()
        self._waiting: set[tuple[str, Who]] = set()
        self._behind = True
        self.unreadable = 0
        self._tasks = {display: TaskFiles(items.folder.task(display)) for display in self._displays()}
        for display, task in self._tasks.items():
            self._put((display, who) for who in task.asked())

    def _displays(self) -> Iterator[str]:
        """The tasks of run.json, then those that it does not know yet, by their folders."""
        known = {self._items.folder.task(display).path: display for display in self._items.file.tasks}
        yield from known.values()
        for path in sorted(path.parent for path in self.folder.glob("*/responses.jsonl")):
            if path not in known:
                yield path.name

    def _renew(self) -> None:
        """What was replaced is read anew."""
        if self._replaced():
            with suppress(HarnessError):  # it is being replaced; the old state stands until it is there
                self._open(open_items(self.folder))
                self.generation += 1

    def _look(self) -> None:
        """Take in some of what was written since, so that the first items of a long run need not wait for its last."""
        for display, task in self._tasks.items():
            self._put((display, who) for who in task.read_new(_LINES))
        self._behind = any(task.behind for task in self._tasks.values())

    def _take(self, most: int) -> list[tuple[int, Item]]:
        """Items from the head of the queue, whose order is that of the listings: one whose line may come yet waits."""
        found: list[tuple[int, Item]] = []
        while self._queue and len(found) < most:
            place = self._queue[0]
            if self._behind and not self._tasks[place[0]].answered(place[1]):
                break
            self._queue.popleft()
            self._waiting.discard(place)
            item = self._read(*place)
            if item is not None:
                if place not in self._numbers:
                    self._numbers[place] = len(self._places)
                    self._places.append(place)
                found.append((self._numbers[place], item))
        return found

    def _replaced(self) -> bool:
        changed = self._stamp != stat_file(self.folder / "run.json") or any(t.replaced() for t in self._tasks.values())
        return changed or set(self._displays()) != set(self._tasks)

    def _put(self, places: Iterator[tuple[str, Who]]) -> None:
        for place in places:
            if place not in self._waiting:
                self._waiting.add(place)
                self._queue.append(place)

    def _read(self, display: str, who: Who) -> Item | None:
        task = self._tasks[display]
        try:
            return task.item(who, self._part(display, who[0]).words)
        except (HarnessError, KeyError, TypeError, ValueError):
            self.unreadable += 1
            return task.bare(who)

    def _part(self, display: str, split: str) -> RunSplit:
        found = self._parts.get((display, split))
        if found is None:
            found = self._parts[display, split] = find_split(
                self._items, self._tasks[display].judges, display, split, self._data
            )
        return found

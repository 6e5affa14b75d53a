"""A run that is read while it may go on: its items as they come, then whatever changes.

    run = Following(Path("runs/mini-base"))
    while True:
        for number, item in run.advance(1000):
            print(number, item.item, item.label)

The items are those of `harness.runs.items`, and, while a run goes on, those that its listings do not name yet. Numbers
count from 0 and stay with their items until `generation` changes: the folder was replaced, or a listing, a judge or
run.json; all items then come anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from harness.errors import HarnessError
from harness.runs.growing import Growing, Who, stamp
from harness.runs.items import Item, Items, open_items
from harness.runs.parts import Part, part_of

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
        self._tasks: dict[str, Growing] = {}
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
    def items(self) -> Items:
        """The run as run.json tells it."""
        return self._items

    @property
    def parts(self) -> tuple[Part, ...]:
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

    def part(self, number: int) -> Part:
        """The split of an item. Raises as `item`."""
        display, who = self._places[number]
        return self._part(display, who[0])

    def _open(self, items: Items) -> None:
        self.close()
        self._items, self._stamp = items, stamp(self.folder / "run.json")
        self._numbers: dict[tuple[str, Who], int] = {}
        self._places: list[tuple[str, Who]] = []
        self._parts: dict[tuple[str, str], Part] = {}
        self._queue: deque[tuple[str, Who]] = deque()
        self._waiting: set[tuple[str, Who]] = set()
        self._behind = True
        self.unreadable = 0
        self._tasks = {display: Growing(items.folder.task(display)) for display in self._displays()}
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
            self._put((display, who) for who in task.grown(_LINES))
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
        changed = self._stamp != stamp(self.folder / "run.json") or any(t.replaced() for t in self._tasks.values())
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

    def _part(self, display: str, split: str) -> Part:
        found = self._parts.get((display, split))
        if found is None:
            found = self._parts[display, split] = part_of(
                self._items, self._tasks[display].judges, display, split, self._data
            )
        return found

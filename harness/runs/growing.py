"""The files of one task of a run that may be going on: what was asked, what came back, what each judge said.

The listings of a task are put in place together, when all its splits have been asked, so a run that goes on has answers
that no listing names yet. They count here as asked, each by its latest line; where there is a listing it alone says
what an item's line is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.runs.answers import Answer
from harness.runs.items import Item, Words, item_of
from harness.store.folder import TaskFolder
from harness.store.journal import Journal, lines
from harness.store.together import Present

Who = tuple[str, str, int]  #: split, sample id, epoch
_Stamp = tuple[int, int, int]


class Growing:
    """One task's files, read as they grow.

    Args:
        folder: of the task.
    """

    def __init__(self, folder: TaskFolder) -> None:
        self.folder = folder
        self.judges = folder.judges()
        self.behind = False
        self._listing = stamp(folder.path / "asked.jsonl")
        self._asked: dict[Who, Mapping[str, Any]] = dict(_listed(folder.path / "asked.jsonl"))
        self._splits = {split for split, _, _ in self._asked}
        self._unlisted: dict[Who, str] = {}
        self._present: dict[str, Present] = {}
        self._responses: Journal | None = None
        self._verdicts = {judge: folder.verdicts(judge, write=False, load=False) for judge in self.judges}
        self._inodes = {journal.path: stamp(journal.path) for journal in self._verdicts.values()}

    def close(self) -> None:
        """Let the files go."""
        for journal in self._journals():
            journal.close()

    def asked(self) -> Iterator[Who]:
        """What the listings name, in order."""
        yield from self._asked

    def replaced(self) -> bool:
        """Whether what was read is no longer what stands there: another listing, another judge, another file."""
        if self.judges != self.folder.judges() or self._listing != stamp(self.folder.path / "asked.jsonl"):
            return True
        return any(self._cut(journal) for journal in self._journals())

    def grown(self, most: int) -> Iterator[Who]:
        """Each item of which something new was written; an item may come more than once.

        Args:
            most: lines of each file that are looked at; `behind` then says whether there may be more.
        """
        self.behind = False
        if self._responses is None and (self.folder.path / "responses.jsonl").exists():
            self._responses = self.folder.responses(write=False, load=False)
            self._inodes[self._responses.path] = stamp(self._responses.path)
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

    def item(self, who: Who, words: Words) -> Item | None:
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
        return item_of(answer, words, journals, self._counting(who[0]))

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
        inode, size, _ = stamp(journal.path)
        return inode != self._inodes[journal.path][0] or size < journal.end


def stamp(path: Path) -> _Stamp:
    """Inode, bytes and time of the last change in ns; zeros for no file."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0, 0
    return found.st_ino, found.st_size, found.st_mtime_ns


def _listed(path: Path) -> Iterator[tuple[Who, dict[str, Any]]]:
    """The lines of a listing; one that was changed by another hand ends there."""
    try:
        for line in lines(path):
            yield (line["split"], line["id"], line["epoch"]), line
    except (KeyError, TypeError, ValueError, HarnessError):
        return

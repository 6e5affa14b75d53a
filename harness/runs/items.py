"""The items of a stored run, whole: what was asked and answered, and what each judge said of it.

    run = open_items(Path("runs/mini-base"))
    for title in run.titles:
        for item in run.items(title):
            print(item.item, item.outcome, item.label)

No data set is opened: an image is a path under its task's data root and a hash. A task whose plugin is gone is read all
the same; its labels are then its rubrics' own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.contracts import Split
from harness.errors import HarnessError
from harness.runs.answers import Answer, answers
from harness.runs.conclude import ran
from harness.runs.past import stored_split
from harness.store.folder import RunFolder
from harness.store.journal import Journal
from harness.store.records import record_of
from harness.store.run_file import RunFile, SplitEntry
from harness.store.together import Present
from harness.summary.split import settled
from harness.types import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What one judge said of one answer.

    Attributes:
        judge: its id.
        state: `scored`, or why there is no label.
        label: in the words of the split's metrics; empty where there is none.
        axes: the scores beside the label.
        reason: why, as the judge put it.
        raw: its replies as they came; empty for a rule.
        models: names its provider reported.
        usage: tokens it took.
        at: when, ISO 8601.
        flags: what it flagged the answer for.
    """

    judge: str
    state: str
    label: str = ""
    axes: Mapping[str, Json] = field(default_factory=dict[str, Json])
    reason: str = ""
    raw: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    usage: Mapping[str, int] = field(default_factory=dict[str, int])
    at: str = ""
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One asked item.

    Attributes:
        answer: what was asked and how generation ended.
        said: judge id -> what it said; a judge that has not seen the answer is missing. The primary one is first.
        label: what it counts as under the primary judge, blocks and empty answers included; empty while unresolved.
    """

    answer: Answer
    said: Mapping[str, Said]
    label: str

    @property
    def item(self) -> str:
        """Task, split, sample and epoch in one text: stable over models and runs."""
        return self.answer.item

    @property
    def outcome(self) -> str:
        """How generation ended."""
        return self.answer.outcome

    @property
    def flags(self) -> tuple[str, ...]:
        """Of the answer: those of its provider, and those of each judge."""
        own: Mapping[str, Any] = self.answer.response or {}
        return tuple(
            dict.fromkeys((*own.get("flags", ()), *(flag for said in self.said.values() for flag in said.flags)))
        )

    @property
    def disagree(self) -> bool:
        """Whether two judges gave it different labels."""
        return len({said.label for said in self.said.values() if said.label}) > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """How one split is read.

    Attributes:
        primary: the judge whose figures stand first; None for none.
        judges: id -> its labels in the words of the split's metrics, the primary one first.
        split: what the task says of it; None where its plugin is gone.
    """

    primary: str | None
    judges: Mapping[str, Mapping[str, str]]
    split: Split | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """A run whose items can be read.

    Attributes:
        folder: of the run.
        file: its run.json.
        entries: `task:split` -> what run.json says of it.
    """

    folder: RunFolder
    file: RunFile
    entries: Mapping[str, SplitEntry]

    @property
    def titles(self) -> tuple[str, ...]:
        """The splits that were asked, as `task:split`."""
        return tuple(self.entries)

    def root(self, title: str) -> Path | None:
        """What paths of a split's images are relative to; None where they came with a plugin that is gone.

        Nor has a redacted export one, whose paths were taken out.
        """
        if self.file.redacted:
            return None
        if not self.entries[title].packaged:
            return Path(self.file.tasks[title.rpartition(":")[0]].data.root)
        split = self.words(title).split
        return None if split is None else split.data

    def items(self, title: str) -> Iterator[Item]:
        """Each item that was asked of a split, in order."""
        display, _, name = title.rpartition(":")
        words, task = self.words(title), self.folder.task(display)
        with ExitStack() as stack:
            journals = {judge: task.verdicts(judge, write=False) for judge in words.judges}
            responses = task.responses(write=False)
            for journal in (responses, *journals.values()):
                stack.callback(journal.close)
            present = Present(lambda: task.asked(name), responses)
            for answer in answers(self.folder, display, name):
                yield item_of(answer, words, journals, present)

    def find(self, item: str) -> Item:
        """One item by its name. Raises HarnessError where the run has none of that name."""
        for title in self.titles:
            found = next((each for each in self.items(title) if each.item == item), None)
            if found is not None:
                return found
        raise HarnessError(f"the run has no item {item!r}", where=str(self.folder.path))

    def words(self, title: str) -> Words:
        """How one split is read."""
        display, _, name = title.rpartition(":")
        entry = self.entries[title]
        there = [judge for judge in self.folder.task(display).judges() if judge in self.file.judges]
        ordered = sorted(there, key=lambda judge: (judge != entry.judge, judge))
        try:
            plan = stored_split(self.folder, self.file, title).plan
        except HarnessError:  # the plugin is gone, or is another version: its words are unknown, the lines are not
            return Words(primary=entry.judge, judges={judge: {} for judge in ordered}, split=None)
        how = ran(self.file, plan, name, ordered)
        judges = {judge: how.judges[judge] for judge in ordered if judge in how.judges}
        return Words(primary=entry.judge, judges=judges, split=plan.split)


def open_items(folder: Path) -> Items:
    """Read a run back. Raises HarnessError where there is none."""
    place = RunFolder(folder)
    file = place.run
    if file is None:
        raise HarnessError("there is no run here", where=str(folder), remedy="give the folder of a run")
    entries = {f"{task}:{name}": split for task, entry in file.tasks.items() for name, split in entry.splits.items()}
    return Items(folder=place, file=file, entries=entries)


def item_of(answer: Answer, words: Words, journals: Mapping[str, Journal], present: Present) -> Item:
    """An answer with what the judges of these journals said of it, as far as it counts beside the answers present."""
    read = {judge: _line(answer, journal, present) for judge, journal in journals.items()}
    said = {judge: _said(judge, line, words) for judge, line in read.items() if line is not None}
    return Item(answer=answer, said=said, label=_label(answer, words, said))


def _line(answer: Answer, journal: Journal, present: Present) -> Mapping[str, Any] | None:
    found = journal.find(*answer.place) if answer.outcome == "answered" else None
    line = None if found is None else journal.read(found[0])
    return line if line is None or present.counts(line) else None


def _said(judge: str, line: Mapping[str, Any], words: Words) -> Said:
    label = line["label"] or ""
    return Said(
        judge=judge,
        state=line["state"],
        label=words.judges[judge].get(label, label),
        axes=line["axes"],
        reason=line["reason"],
        raw=tuple(line["raw"]),
        models=tuple(line["models"]),
        usage=line["usage"],
        at=line["at"],
        flags=tuple(line.get("flags", ())),  # lines of older versions have none
    )


def _label(answer: Answer, words: Words, said: Mapping[str, Said]) -> str:
    """What the item counts as: the primary judge's label, or what a block or an empty answer stands for."""
    if answer.outcome == "answered":
        first = said.get(words.primary or "")
        return "" if first is None else first.label
    if words.split is None:
        return ""
    return settled(record_of(answer.display, answer.asked, answer.response), words.split).label or ""

"""The items of a stored run, whole: what was asked and answered, and what each judge said of it.

    run = open_items(Path("runs/mini-base"))
    for title in run.titles:
        for item in run.items(title):
            print(item.item, item.outcome, item.label)

No data set is opened: an image is a path under the data root of its task, and a hash. A task whose plugin is gone
is read all the same; its labels are then those of its rubrics. Before a run has ended, run.json does not know its tasks
and judges: then the installed plugins say what labels mean and where data lies, as for a run that begins now.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.contracts import BUILT, Split
from harness.data.places import data_folder
from harness.errors import HarnessError
from harness.evaluation.options import JudgeOptions
from harness.evaluation.splits import SplitPlan, rebuild_split_plan
from harness.keys import item, text_hash
from harness.models import ModelSpec
from harness.runs.results import describe_split_run
from harness.runs.stored import load_split_job
from harness.stats.summary import label_outcome
from harness.store.folder import RunFolder
from harness.store.journal import Journal
from harness.store.records import record_of, stored_hash
from harness.store.run_file import RunFile, SplitEntry
from harness.store.together import Present
from harness.types import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One asked item and how its generation ended.

    Attributes:
        display: its task, as results name it.
        asked: its line of asked.jsonl.
        response: its current line of responses.jsonl; None where there is none yet.
    """

    display: str
    asked: Mapping[str, Any]
    response: Mapping[str, Any] | None

    @property
    def item(self) -> str:
        """Who it is: task, split, sample and epoch in one text."""
        return item(self.display, self.asked["split"], self.asked["id"], self.asked["epoch"])

    @property
    def outcome(self) -> str:
        """How generation ended; an item without a line is an error, as in results.json."""
        return "error" if self.response is None else str(self.response["outcome"])

    @property
    def text(self) -> str:
        """What was answered; empty where nothing was."""
        return "" if self.response is None else str(self.response["text"])

    @property
    def question(self) -> str:
        """What was asked, an image by its path in brackets, in order."""
        parts: list[Mapping[str, Any]] = [] if self.response is None else self.response["prompt"]
        return "\n".join(part["text"] if "text" in part else f"[image: {part['image']}]" for part in parts)

    @property
    def hash(self) -> str:
        """What ties a verdict to its text, also where that was taken out of the line."""
        return text_hash("") if self.response is None else stored_hash(self.response)

    @property
    def place(self) -> tuple[object, ...]:
        """What a verdict on it is found by."""
        return (*_key_of(self.asked), self.hash)


def read_answers(folder: RunFolder, display: str, split: str) -> Iterator[Answer]:
    """Every item that was asked of one split, in order."""
    task = folder.task(display)
    with ExitStack() as stack:
        responses = task.responses(write=False)
        stack.callback(responses.close)
        for asked in task.asked(split):
            found = responses.find(*_key_of(asked))
            yield Answer(display=display, asked=asked, response=None if found is None else responses.read(found[0]))


def _key_of(asked: Mapping[str, Any]) -> tuple[object, ...]:
    return asked["split"], asked["id"], asked["epoch"], asked["key"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeReply:
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
    said: Mapping[str, JudgeReply]
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
class LabelMap:
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
class RunItems:
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
            for answer in read_answers(self.folder, display, name):
                yield build_item(answer, words, journals, present)

    def find(self, item: str) -> Item:
        """One item by its name. Raises HarnessError where the run has none of that name."""
        for title in self.titles:
            found = next((each for each in self.items(title) if each.item == item), None)
            if found is not None:
                return found
        raise HarnessError(f"the run has no item {item!r}", where=str(self.folder.path))

    def words(self, title: str) -> LabelMap:
        """How one split is read."""
        display, _, name = title.rpartition(":")
        entry = self.entries[title]
        there = [judge for judge in self.folder.task(display).judges() if judge in self.file.judges]
        ordered = sorted(there, key=lambda judge: (judge != entry.judge, judge))
        try:
            plan = load_split_job(self.folder, self.file, title).plan
        except HarnessError:  # the plugin is gone, or is another version: its words are unknown, the lines are not
            return LabelMap(primary=entry.judge, judges={judge: {} for judge in ordered}, split=None)
        how = describe_split_run(self.file, plan, name, ordered)
        judges = {judge: how.judges[judge] for judge in ordered if judge in how.judges}
        return LabelMap(primary=entry.judge, judges=judges, split=plan.split)


def open_items(folder: Path) -> RunItems:
    """Read a run back. Raises HarnessError where there is none."""
    place = RunFolder(folder)
    file = place.run
    if file is None:
        raise HarnessError("there is no run here", where=str(folder), remedy="give the folder of a run")
    entries = {f"{task}:{name}": split for task, entry in file.tasks.items() for name, split in entry.splits.items()}
    return RunItems(folder=place, file=file, entries=entries)


def build_item(answer: Answer, words: LabelMap, journals: Mapping[str, Journal], present: Present) -> Item:
    """An answer with what the judges of these journals said of it, as far as it counts beside the answers present."""
    read = {judge: _find_line(answer, journal, present) for judge, journal in journals.items()}
    said = {judge: _build_reply(judge, line, words) for judge, line in read.items() if line is not None}
    return Item(answer=answer, said=said, label=_find_label(answer, words, said))


def _find_line(answer: Answer, journal: Journal, present: Present) -> Mapping[str, Any] | None:
    found = journal.find(*answer.place) if answer.outcome == "answered" else None
    line = None if found is None else journal.read(found[0])
    return line if line is None or present.counts(line) else None


def _build_reply(judge: str, line: Mapping[str, Any], words: LabelMap) -> JudgeReply:
    label = line["label"] or ""
    return JudgeReply(
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


def _find_label(answer: Answer, words: LabelMap, said: Mapping[str, JudgeReply]) -> str:
    """What the item counts as: the primary judge's label, or what a block or an empty answer stands for."""
    if answer.outcome == "answered":
        first = said.get(words.primary or "")
        return "" if first is None else first.label
    if words.split is None:
        return ""
    return label_outcome(record_of(answer.display, answer.asked, answer.response), words.split).label or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSplit:
    """One split of a run.

    Attributes:
        title: `task:split`.
        display: its task.
        words: how it is read.
        root: what paths of its images are relative to; None where that is unknown.
    """

    title: str
    display: str
    words: LabelMap
    root: Path | None


def find_split(items: RunItems, judges: Sequence[str], display: str, split: str, data: Path | None = None) -> RunSplit:
    """One split of a run.

    Args:
        items: the run.
        judges: that have a file in the task's folder.
        display: the task's displayed name, or its folder's where run.json does not know it.
        split: its name.
        data: the folder that holds each task's data now; None for where the run had it.
    """
    title = f"{display}:{split}"
    if title in items.entries:
        return RunSplit(title=title, display=display, words=items.words(title), root=_find_root(items, title, data))
    plan = _plan_split(items, display, split, data)
    if plan is None:
        words = LabelMap(primary=next(iter(judges), None), judges={judge: {} for judge in judges}, split=None)
        return RunSplit(title=title, display=display, words=words, root=None)
    known = _guess_rubrics(plan.split, judges)
    words = LabelMap(primary=next(iter(known), None), judges=known, split=plan.split)
    root = None if BUILT in display and data is None else plan.root  # of a set that was built only `data` may say where
    return RunSplit(title=title, display=display, words=words, root=root)


def _find_root(items: RunItems, title: str, data: Path | None) -> Path | None:
    """Where images of a split are looked for: what was given, where the run had them, where a new run would look."""
    noted = items.root(title)
    if noted is None or items.entries[title].packaged:
        return noted
    task = items.file.tasks[title.rpartition(":")[0]].task
    places = [*([data_folder(data) / task] if data else []), noted, data_folder() / task]
    return next((place for place in places if place.is_dir()), places[0])


def _plan_split(items: RunItems, display: str, split: str, data: Path | None) -> SplitPlan | None:
    """What the plugins here make of a split that run.json does not know yet."""
    run = items.file
    name, *settings = display.partition(BUILT)[0].split("+")
    given = {f"{name}.{key}": value for key, _, value in (each.partition("=") for each in settings)}
    options = JudgeOptions().of(ModelSpec(ref=run.model.ref), run.overrides.generation, run.overrides.system)
    try:
        return rebuild_split_plan(display, f"{name}:{split}", replace(options, task_settings=given, data=data))
    except (HarnessError, ValueError):  # ValueError: a split that is pooled, which no folder of answers is of
        return None


def _guess_rubrics(split: Split, judges: Sequence[str]) -> dict[str, Mapping[str, str]]:
    """Judge -> its words, for judges whose rubric only their id tells; those of the default rubric first."""
    found: dict[str, Mapping[str, str]] = {}
    for rubric in sorted(split.judges, key=lambda rubric: (rubric != next(iter(split.judges)), -len(rubric))):
        for judge in judges:
            if judge.startswith(f"{rubric}-"):
                found.setdefault(judge, split.judges[rubric])
    return found

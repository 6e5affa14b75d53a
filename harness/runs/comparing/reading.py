"""A run as a comparison reads it: its splits, each as one judge sees it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from harness.contracts import Split
from harness.errors import HarnessError, UnknownName
from harness.metrics import Record
from harness.runs.comparing.values import Part
from harness.runs.named import judges_named
from harness.runs.seen import Seen, Stored, open_run, seen
from harness.store.folder import RunFolder
from harness.store.run_file import RunFile, SplitEntry, TaskEntry
from harness.summary.split import DrawWatch, judged
from harness.terminal import one_line


class _Unseen(Exception):
    """Nobody's verdicts can be meant on a split."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One split of one run as one judge sees it.

    Attributes:
        display: its task, as results name it.
        task: the task's name without its settings.
        name: of the split.
        split: how it is scored.
        epochs: answers for each sample.
        judge: id; empty where none has judged.
        part: what it has read, where that is a part of the answers.
        toy: its data, or a part of it, was drawn to show the tool.
        records: in the order they were asked.
    """

    display: str
    task: str
    name: str
    split: Split
    epochs: int
    judge: str
    part: Part | None
    toy: bool
    records: Sequence[Record]

    @property
    def title(self) -> str:
        """Task and split, as `--tasks` takes them."""
        return f"{self.display}:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One run.

    Attributes:
        letter: `A` is the baseline.
        folder: of the run.
        file: its run.json.
        results: its results.json; empty where no run has ended there.
        views: its splits, those that are pooled from others too.
        left_out: splits without a view, and why.
    """

    letter: str
    folder: RunFolder
    file: RunFile
    results: Mapping[str, Any]
    views: Sequence[View]
    left_out: Sequence[str]

    def task(self, view: View) -> TaskEntry:
        """What run.json says of a view's task."""
        return self.file.tasks[view.display]

    def asked(self, view: View) -> list[SplitEntry]:
        """What run.json says of a view's split, or of its parts."""
        splits = self.task(view).splits
        return [splits[name] for name in view.split.parts or (view.name,)]

    def told(self, view: View) -> Mapping[str, Any]:
        """What results.json says of a view's split; empty where it says nothing."""
        task = mapping(mapping(self.results.get("tasks")).get(view.display))
        return mapping(mapping(task.get("splits")).get(view.name))

    def judge(self, view: View) -> Mapping[str, Any]:
        """What is known of a view's judge; empty where there is none."""
        card = mapping(mapping(self.results.get("judges")).get(view.judge))
        return card or self.file.judges.get(view.judge, {})


def run_file(folder: RunFolder) -> RunFile:
    """A run's file. Raises HarnessError where there is none."""
    found = folder.run
    if found is None:
        raise HarnessError("there is no run here", where=str(folder.path), remedy="harness run … makes one")
    return found


def titles(file: RunFile) -> set[tuple[str, str]]:
    """(task's name without settings, split) of all that was asked."""
    return {(task.task, name) for task in file.tasks.values() for name in task.splits}


def reading(letter: str, path: Path, tasks: Sequence[str], common: Collection[tuple[str, str]], judge: str) -> Reading:
    """Read a run back.

    Args:
        letter: of the run.
        path: its folder.
        tasks: as `--tasks` names them; none for those in `common`.
        common: what all runs have asked, as `titles` has it.
        judge: id, or what it begins with; empty for the primary one of each split.

    Raises:
        UnknownName: the run has no such task or judge.
    """
    folder = RunFolder(path)
    file = run_file(folder)
    wanted = [
        f"{display}:{name}"
        for display, task in file.tasks.items()
        for name in task.splits
        if (task.task, name) in common
    ]
    try:
        stored = open_run(path, tasks or wanted)
        views, left_out = _views(stored, judge)
    except UnknownName as error:
        raise UnknownName(error.what, where=error.where or str(path), remedy=error.remedy) from None
    return Reading(letter=letter, folder=folder, file=file, results=folder.results, views=views, left_out=left_out)


def _views(stored: Stored, judge: str) -> tuple[list[View], list[str]]:
    views, left_out = list[View](), list[str]()
    meant = _wanted(stored, judge)
    for each in seen(stored, meant):
        try:
            views.append(_view(stored, each, _judge(stored, each, judge, meant)))
        except _Unseen as error:
            left_out.append(f"{each.title}: {error}")
    return views, left_out


def _wanted(stored: Stored, judge: str) -> Sequence[str]:
    """Judges to read; ensembles are among them where they are the primary ones."""
    if judge:
        try:
            return judges_named("--judge", (judge,), stored.file.judges)
        except UnknownName as error:
            known = ", ".join(stored.file.judges) or "none"
            raise UnknownName(error.what, remedy=f"its judges: {known}") from None
    primary = {entry.judge or "" for task in stored.file.tasks.values() for entry in task.splits.values()}
    return sorted(primary & stored.file.judges.keys())


def _judge(stored: Stored, each: Seen, wanted: str, meant: Collection[str]) -> str:
    """Whose verdicts count on a split; empty for nobody's. Raises _Unseen where that cannot be said."""
    primary = _primary(stored, each)
    if not wanted:
        return primary
    found = [judge for judge in each.judges if judge in meant]
    if wanted in found:
        return wanted
    if primary in found or len(found) == 1:
        return primary if primary in found else found[0]
    if found:
        raise HarnessError(f"--judge {wanted}: {', '.join(found)} are meant", remedy="give the whole id of one")
    raise _Unseen(f"{wanted} has not judged it")


def _primary(stored: Stored, each: Seen) -> str:
    splits = stored.file.tasks[each.display].splits
    found = {splits[name].judge for name in each.split.parts or (each.name,)}
    if len(found) > 1:
        raise _Unseen("its parts have different primary judges")
    return found.pop() or ""


def _view(stored: Stored, each: Seen, judge: str) -> View:
    task = stored.file.tasks[each.display]
    records = [s.seen[judge] if judge in s.seen else judged(s.record, None, each.split, {}) for s in each.sightings]
    entries = {name: task.splits[name] for name in each.split.parts or (each.name,)}
    drawn = {name: entry.drawn.get(judge) for name, entry in entries.items()}
    return View(
        display=each.display,
        task=task.task,
        name=each.name,
        split=replace(each.split, metrics=each.metrics(judge)),
        epochs=each.epochs,
        judge=judge,
        part=_part(records, drawn),
        toy=any(bool(entry.data.get("toy")) for entry in entries.values()),
        records=records,
    )


def _part(records: Sequence[Record], drawn: Mapping[str, str | None]) -> Part | None:
    """What a judge has read of some splits, each with the last place of its draw; None for all or nothing."""
    watches = {name: DrawWatch(last) for name, last in drawn.items()}
    for record in records:
        watches[record.split].add(record)
    answers = sum(record.outcome == "answered" for record in records)
    read = answers - sum(record.unjudged for record in records)
    if not 0 < read < answers:
        return None
    return Part(answers=answers, read=read, drawn=all(watch.drawn is not False for watch in watches.values()))


def model_name(file: RunFile) -> str:
    """The model and what the user put around it, as leaderboards name it."""
    strategy = file.model.strategy
    around = strategy if isinstance(strategy, str) else str(mapping(strategy).get("name", ""))
    return " + ".join(
        part for part in (file.model.ref, around, "system prompt" if file.overrides.system else "") if part
    )


def letters() -> Iterator[str]:
    """A, B, … Z, then R27 and on."""
    yield from "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    number = 27
    while True:
        yield f"R{number}"
        number += 1


def mapping(value: object) -> Mapping[str, Any]:
    """A JSON object as it is; an empty one for anything else."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def shown(value: object, width: int = 60) -> str:
    """A value in few characters; empty for none."""
    if value is None or value == "" or value == []:
        return ""
    return one_line(f"{value:g}" if isinstance(value, float) else str(value), width)

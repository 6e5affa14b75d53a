"""How one split of a run is read, also while run.json does not know it yet.

A run tells run.json of its tasks and judges at its end. Until then the plugins that are here say what a split's labels
mean and where its data lies, as they would for a run that began now. Data that is no longer where the run had it is
looked for where the caller says, or where a new run would look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.contracts import Split
from harness.data.places import data_folder
from harness.errors import HarnessError
from harness.evaluation.options import JudgeOptions
from harness.evaluation.splits import SplitPlan, rebuild_split_plan
from harness.models import ModelSpec
from harness.runs.items import Items, Words
from harness.sources import BUILT


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One split of a run.

    Attributes:
        title: `task:split`.
        display: its task.
        words: how it is read.
        root: what paths of its images are relative to; None where that is unknown.
    """

    title: str
    display: str
    words: Words
    root: Path | None


def part_of(items: Items, judges: Sequence[str], display: str, split: str, data: Path | None = None) -> Part:
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
        return Part(title=title, display=display, words=items.words(title), root=_root(items, title, data))
    plan = _planned(items, display, split, data)
    if plan is None:
        words = Words(primary=next(iter(judges), None), judges={judge: {} for judge in judges}, split=None)
        return Part(title=title, display=display, words=words, root=None)
    known = _known(plan.split, judges)
    words = Words(primary=next(iter(known), None), judges=known, split=plan.split)
    root = None if BUILT in display and data is None else plan.root  # of a set that was built only `data` may say where
    return Part(title=title, display=display, words=words, root=root)


def _root(items: Items, title: str, data: Path | None) -> Path | None:
    """Where images of a split are looked for: what was given, where the run had them, where a new run would look."""
    noted = items.root(title)
    if noted is None or items.entries[title].packaged:
        return noted
    task = items.file.tasks[title.rpartition(":")[0]].task
    places = [*([data_folder(data) / task] if data else []), noted, data_folder() / task]
    return next((place for place in places if place.is_dir()), places[0])


def _planned(items: Items, display: str, split: str, data: Path | None) -> SplitPlan | None:
    """What the plugins here make of a split that run.json does not know yet."""
    run = items.file
    name, *settings = display.partition(BUILT)[0].split("+")
    given = {f"{name}.{key}": value for key, _, value in (each.partition("=") for each in settings)}
    options = JudgeOptions().of(ModelSpec(ref=run.model.ref), run.overrides.generation, run.overrides.system)
    try:
        return rebuild_split_plan(display, f"{name}:{split}", replace(options, task_settings=given, data=data))
    except (HarnessError, ValueError):  # ValueError: a split that is pooled, which no folder of answers is of
        return None


def _known(split: Split, judges: Sequence[str]) -> dict[str, Mapping[str, str]]:
    """Judge -> its words, for judges whose rubric only their id tells; those of the default rubric first."""
    found: dict[str, Mapping[str, str]] = {}
    for rubric in sorted(split.judges, key=lambda rubric: (rubric != next(iter(split.judges)), -len(rubric))):
        for judge in judges:
            if judge.startswith(f"{rubric}-"):
                found.setdefault(judge, split.judges[rubric])
    return found

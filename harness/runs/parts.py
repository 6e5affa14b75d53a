"""How one split of a run is read, also while run.json does not know it yet.

A run tells run.json of its tasks and judges at its end. Until then the plugins that are here say what a split's labels
mean and where its data lies, as they would for a run that began now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.contracts import Split
from harness.errors import HarnessError
from harness.models import ModelSpec
from harness.options import Judging
from harness.plan.planned import make
from harness.plan.splits import SplitPlan
from harness.runs.items import Items, Words


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


def part_of(items: Items, judges: Sequence[str], display: str, split: str) -> Part:
    """One split of a run.

    Args:
        items: the run.
        judges: that have a file in the task's folder.
        display: the task's displayed name, or its folder's where run.json does not know it.
        split: its name.
    """
    title = f"{display}:{split}"
    if title in items.entries:
        return Part(title=title, display=display, words=items.words(title), root=items.root(title))
    plan = _planned(items, display, split)
    if plan is None:
        words = Words(primary=next(iter(judges), None), judges={judge: {} for judge in judges}, split=None)
        return Part(title=title, display=display, words=words, root=None)
    known = _known(plan.split, judges)
    words = Words(primary=next(iter(known), None), judges=known, split=plan.split)
    return Part(title=title, display=display, words=words, root=plan.split.data or plan.root)


def _planned(items: Items, display: str, split: str) -> SplitPlan | None:
    """What the plugins here make of a split that run.json does not know yet."""
    run = items.file
    name, *settings = display.split("+")
    given = {f"{name}.{key}": value for key, _, value in (each.partition("=") for each in settings)}
    options = Judging().of(ModelSpec(ref=run.model.ref), run.overrides.generation, run.overrides.system)
    try:
        return make(replace(options, tasks=(f"{name}:{split}",), task_settings=given))[0]
    except (HarnessError, IndexError):
        return None


def _known(split: Split, judges: Sequence[str]) -> dict[str, Mapping[str, str]]:
    """Judge -> its words, for judges whose rubric only their id tells; those of the default rubric first."""
    found: dict[str, Mapping[str, str]] = {}
    for rubric in sorted(split.judges, key=lambda rubric: (rubric != next(iter(split.judges)), -len(rubric))):
        for judge in judges:
            if judge.startswith(f"{rubric}-"):
                found.setdefault(judge, split.judges[rubric])
    return found

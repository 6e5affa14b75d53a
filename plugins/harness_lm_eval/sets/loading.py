"""One task of lm-eval: found by name, checked for what can be asked and counted here."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from harness import HarnessError, UnknownName
from harness.settings import nearest
from harness_lm_eval import INSTALL

MEANS: Final = ("mean", "nanmean")
_PAIRS: Final = "acc_mutual_info"  # wants the choices' probabilities without a question too

Untyped: TypeAlias = Any
Better = Literal["higher", "lower"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A task of theirs.

    Attributes:
        name: in lm-eval.
        task: theirs.
        metrics: those that are means over samples: our name -> (theirs, their filter, which direction is good).
    """

    name: str
    task: Untyped
    metrics: Mapping[str, tuple[str, str, Better]]

    @property
    def chooses(self) -> bool:
        """Choices are weighed; else an answer is written."""
        return str(self.task.OUTPUT_TYPE) == "multiple_choice"

    @property
    def shown(self) -> bool:
        """Images may be shown."""
        return bool(self.task.config.doc_to_image)


@lru_cache(maxsize=64)
def load(root: Path, name: str) -> Loaded:
    """Find a task in the user's folder, else among lm-eval's own. Blocking: the second takes seconds.

    Raises:
        UnknownName: there is none of this name.
        HarnessError: lm-eval is not installed, cannot load it, or asks what cannot be asked or counted here.
    """
    manager = _manager(root, name)
    if name not in manager.all_subtasks:
        known = sorted(manager.all_subtasks)
        if name in manager.all_tasks:
            raise HarnessError(f"lm-eval's {name} is a group: name its tasks", where="--tasks lm-eval:NAME")
        raise UnknownName(f"lm-eval has no task {name!r}", remedy=nearest(name, known))
    try:
        task = manager.load([name])["tasks"][name]
    except Exception as error:
        raise HarnessError(f"lm-eval cannot load {name}: {type(error).__name__}: {error}") from error
    _insist(name, task)
    return Loaded(name=name, task=task, metrics=_metrics(name, task))


def module(name: str) -> Untyped:
    """A module of lm-eval; raises HarnessError where it is not installed."""
    try:
        return importlib.import_module(f"lm_eval.{name}")
    except ImportError as error:
        raise HarnessError(f"lm-eval: needs the extra `lm-eval`: {error}", remedy=INSTALL) from error


def _manager(root: Path, name: str) -> Untyped:
    """An index of tasks that holds the name: the user's folder alone is read in no time."""
    tasks = module("tasks")
    if root.is_dir():
        own = tasks.TaskManager(include_path=str(root), include_defaults=False)
        if name in own.all_subtasks:
            return own
    return tasks.TaskManager(include_path=str(root) if root.is_dir() else None)


def _insist(name: str, task: Untyped) -> None:
    """Raise HarnessError for what cannot be asked."""
    kind = str(task.OUTPUT_TYPE)
    if kind not in ("generate_until", "multiple_choice"):
        raise HarnessError(f"lm-eval's {name} is of type {kind}: it wants probabilities of given texts, not answers")
    if getattr(task, "multiple_input", 0):
        raise HarnessError(f"lm-eval's {name} weighs several questions for one answer, which cannot be asked here")
    if int(getattr(task.config, "repeats", 1) or 1) > 1:
        raise HarnessError(
            f"lm-eval's {name} votes over {task.config.repeats} answers to each question, and one is asked here",
            remedy="run it by lm-eval's own command line: harness bridge lm-eval",
        )
    if task.config.doc_to_audio:
        raise HarnessError(f"lm-eval's {name} wants audio")


def _metrics(name: str, task: Untyped) -> dict[str, tuple[str, str, Better]]:
    """Those metrics that are the mean of a number of each sample. Raises HarnessError where there is none."""
    better: Mapping[str, bool] = task.higher_is_better()
    ways: Mapping[str, Untyped] = task.aggregation()
    means = [each for each, way in ways.items() if getattr(way, "__name__", "") in MEANS and each != _PAIRS]
    if not means:
        raise HarnessError(f"lm-eval's {name} is not scored sample by sample: {', '.join(ways) or 'it has no metric'}")
    filters = [str(each.name) for each in task._filters]  # noqa: SLF001 - the only place where their names are
    found: dict[str, tuple[str, str, Better]] = {}
    for metric in means:
        for each in filters:
            ours = metric if len(filters) == 1 else f"{metric},{each}"
            found[ours] = (metric, each, "higher" if better.get(metric, True) else "lower")
    return found

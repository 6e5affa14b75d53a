"""One task of lm-eval: found by name, checked for what can be asked and counted here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from harness import HarnessError, UnknownName
from harness.settings import nearest

from .counting import Counted, metrics_of, own_scoring
from .theirs import Untyped, module


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A task of theirs.

    Attributes:
        name: in lm-eval.
        task: theirs.
        metrics: our name -> those that can be counted here, the main one first.
    """

    name: str
    task: Untyped
    metrics: Mapping[str, Counted]

    @property
    def chooses(self) -> bool:
        """Choices are weighed; else an answer is written."""
        return str(self.task.OUTPUT_TYPE) == "multiple_choice"

    @property
    def own_scoring(self) -> bool:
        """The task brings its own `process_results`."""
        return own_scoring(self.task)

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
    return Loaded(name=name, task=task, metrics=metrics_of(name, task))


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

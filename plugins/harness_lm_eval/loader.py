"""One task of lm-eval: found by name, checked for what can be asked here, and which of its metrics can be counted.

A metric can be counted if it is the mean of a number of each sample, and what a model says here can give that number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

from harness import HarnessError, UnknownName
from harness.extras import Untyped, require_module
from harness.settings import nearest

#: of the rubric
MEANINGS: Final = {
    "right": "lm-eval's first metric of the document is at its best.",
    "wrong": "lm-eval's first metric of the document is at its worst.",
    "partial": "lm-eval's first metric of the document lies between.",
    "uncounted": "lm-eval's first metric leaves the document out.",
}
LABELS: Final = tuple(MEANINGS)
MEANS: Final = {"mean": False, "nanmean": True}  #: their aggregations -> whether a sample may have no number
_PAIRS: Final = "acc_mutual_info"  # wants the choices' probabilities without a question too
_GREEDY: Final = "exact_match"  # of choices: whether the right one is what the model would have written by itself

Better = Literal["higher", "lower"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedMetric:
    """A metric of theirs that is the mean of a number of each sample.

    Attributes:
        name: theirs.
        filter: applied to answers before they are scored.
        better: which direction is good.
        gaps: whether NaN says that a sample does not count.
    """

    name: str
    filter: str
    better: Better
    gaps: bool

    @property
    def worst(self) -> float:
        """The number of an answer that says nothing."""
        return 0.0 if self.better == "higher" else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedTask:
    """A task of theirs.

    Attributes:
        name: in lm-eval.
        task: theirs.
        metrics: our name -> those that can be counted here, the main one first.
    """

    name: str
    task: Untyped
    metrics: Mapping[str, CountedMetric]

    @property
    def chooses(self) -> bool:
        """Choices are weighed; else an answer is written."""
        return str(self.task.OUTPUT_TYPE) == "multiple_choice"

    @property
    def own_scoring(self) -> bool:
        """The task brings its own `process_results`, in its configuration or as a class."""
        return _has_own_scoring(self.task)

    @property
    def shows_images(self) -> bool:
        """Images may be shown."""
        return bool(self.task.config.doc_to_image)


def import_lm_eval(name: str) -> Untyped:
    """A module of lm-eval, imported on use; raises HarnessError if lm-eval is not installed."""
    return require_module(f"lm_eval.{name}", "lm-eval", by="lm-eval:")


@lru_cache(maxsize=64)
def load_task(root: Path, name: str) -> LoadedTask:
    """Find a task in the user's folder, else among lm-eval's own. Blocking: the second takes seconds.

    Raises:
        UnknownName: there is none of this name.
        HarnessError: lm-eval is not installed, cannot load it, or asks what cannot be asked or counted here.
    """
    manager = _open_index(root, name)
    if name not in manager.all_subtasks:
        known = sorted(manager.all_subtasks)
        if name in manager.all_tasks:
            raise HarnessError(f"lm-eval's {name} is a group: name its tasks", where="--tasks lm-eval:NAME")
        raise UnknownName(f"lm-eval has no task {name!r}", remedy=nearest(name, known))
    try:
        task = manager.load([name])["tasks"][name]
    except Exception as error:
        raise HarnessError(f"lm-eval cannot load {name}: {type(error).__name__}: {error}") from error
    _check_askable(name, task)
    return LoadedTask(name=name, task=task, metrics=_find_metrics(name, task))


def _open_index(root: Path, name: str) -> Untyped:
    """An index of tasks that holds the name: of the user's folder alone, which is fast, or of all tasks."""
    tasks = import_lm_eval("tasks")
    if root.is_dir():
        own = tasks.TaskManager(include_path=str(root), include_defaults=False)
        if name in own.all_subtasks:
            return own
    return tasks.TaskManager(include_path=str(root) if root.is_dir() else None)


def _check_askable(name: str, task: Untyped) -> None:
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


def _has_own_scoring(task: Untyped) -> bool:
    usual: Untyped = import_lm_eval("api.task").ConfigurableTask
    return callable(task.config.process_results) or task.__class__.process_results is not usual.process_results


def _find_metrics(name: str, task: Untyped) -> dict[str, CountedMetric]:
    """The metrics that can be counted, under our names. Raises HarnessError if there is none."""
    better: Mapping[str, bool] = task.higher_is_better()
    ways: Mapping[str, str] = {each: getattr(way, "__name__", "") for each, way in task.aggregation().items()}
    weighs = str(task.OUTPUT_TYPE) == "multiple_choice" and not _has_own_scoring(task)
    unknowable = (_PAIRS, _GREEDY) if weighs else (_PAIRS,)  # their number would need what no model says here
    means = [each for each, way in ways.items() if way in MEANS and each not in unknowable]
    if not means:
        raise HarnessError(
            f"lm-eval's {name} has no metric that can be counted sample by sample here: {', '.join(ways) or 'none'}"
        )
    filters = [str(each.name) for each in task._filters]  # noqa: SLF001 - the only place where their names are
    return {
        metric if len(filters) == 1 else f"{metric},{each}": CountedMetric(
            name=metric, filter=each, better="higher" if better.get(metric, True) else "lower", gaps=MEANS[ways[metric]]
        )
        for metric in means
        for each in filters
    }

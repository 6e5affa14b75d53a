"""Loads one task of lm-eval by name, checks that it can be asked here, and selects the metrics that can be counted.

A metric can be counted if it is a mean over samples, and our models' output gives each sample's number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

from harness import HarnessError, Paper, UnknownName
from harness.extras import Untyped, require_module
from harness.settings import nearest

#: label -> meaning
MEANINGS: Final = {
    "right": "lm-eval's first metric of the document is at its best.",
    "wrong": "lm-eval's first metric of the document is at its worst.",
    "partial": "lm-eval's first metric of the document lies between.",
    "uncounted": "lm-eval's first metric leaves the document out.",
}
_ITS_OWN: Final = "run it by lm-eval's own command line: harness bridge lm-eval"
_SEE: Final = "see whether lm-eval itself runs the task: lm_eval --tasks NAME"
PAPER: Final = Paper(
    key="gao2024lmeval",
    title="The Language Model Evaluation Harness",
    authors=(
        "Leo Gao", "Jonathan Tow", "Baber Abbasi", "Stella Biderman", "Sid Black", "Anthony DiPofi", "Charles Foster",
        "Laurence Golding", "Jeffrey Hsu", "Le Noac'h, Alain", "Haonan Li", "Kyle McDonell", "Niklas Muennighoff",
        "Chris Ociepa", "Jason Phang", "Laria Reynolds", "Hailey Schoelkopf", "Aviya Skowron", "Lintang Sutawika",
        "Eric Tang", "Anish Thite", "Ben Wang", "Kevin Wang", "Andy Zou",
    ),
    year=2024,
    url="https://doi.org/10.5281/zenodo.12608602",
)  # fmt: skip
LABELS: Final = tuple(MEANINGS)
MEANS: Final = {"mean": False, "nanmean": True}  #: lm-eval's aggregations -> whether a sample may lack a number
_PAIRS: Final = "acc_mutual_info"  # also needs the choices' probabilities without a question
_GREEDY: Final = "exact_match"  # with choices: whether the right one is the model's greedy answer

Better = Literal["higher", "lower"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedMetric:
    """A metric of lm-eval that is a mean over samples.

    Attributes:
        name: lm-eval's name.
        filter: applied to answers before scoring.
        better: which direction is good.
        gaps: whether NaN means that a sample does not count.
    """

    name: str
    filter: str
    better: Better
    gaps: bool

    @property
    def worst(self) -> float:
        """The score of an empty answer."""
        return 0.0 if self.better == "higher" else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedTask:
    """A task of lm-eval.

    Attributes:
        name: its name in lm-eval.
        task: lm-eval's object.
        metrics: our name -> countable metric, the main one first.
    """

    name: str
    task: Untyped
    metrics: Mapping[str, CountedMetric]

    @property
    def chooses(self) -> bool:
        """Whether the model scores choices; otherwise it writes an answer."""
        return str(self.task.OUTPUT_TYPE) == "multiple_choice"

    @property
    def own_scoring(self) -> bool:
        """Whether the task has its own `process_results`, in its configuration or class."""
        return _has_own_scoring(self.task)

    @property
    def shows_images(self) -> bool:
        """Whether it may show images."""
        return bool(self.task.config.doc_to_image)


def import_lm_eval(name: str) -> Untyped:
    """A module of lm-eval, imported on use; raises HarnessError if lm-eval is not installed."""
    return require_module(f"lm_eval.{name}", "lm-eval", by="lm-eval:")


@lru_cache(maxsize=64)
def load_task(root: Path, name: str) -> LoadedTask:
    """Find a task in the user's folder, else among lm-eval's own. Blocking: the latter takes seconds.

    Raises:
        UnknownName: no task has this name.
        HarnessError: lm-eval is not installed or cannot load it, or it cannot be asked or counted here.
    """
    tasks = import_lm_eval("tasks")
    folder = str(root) if root.is_dir() else None
    # the user's folder alone is read fast; all of lm-eval's own only where it lacks the name
    manager = tasks.TaskManager(include_path=folder, include_defaults=False) if folder else None
    if manager is None or name not in manager.all_subtasks:
        manager = tasks.TaskManager(include_path=folder)
    if name not in manager.all_subtasks:
        known = sorted(manager.all_subtasks)
        if name in manager.all_tasks:
            raise HarnessError(f"lm-eval's {name} is a group: name its tasks", where="--tasks lm-eval:NAME")
        raise UnknownName(f"lm-eval has no task {name!r}", remedy=nearest(name, known))
    try:
        task = manager.load([name])["tasks"][name]
    except Exception as error:
        raise HarnessError(f"lm-eval cannot load {name}: {type(error).__name__}: {error}", remedy=_SEE) from error
    kind = str(task.OUTPUT_TYPE)
    if kind not in ("generate_until", "multiple_choice"):
        raise HarnessError(
            f"lm-eval's {name} is of type {kind}: it needs probabilities of given texts, not answers", remedy=_ITS_OWN
        )
    if getattr(task, "multiple_input", 0):
        raise HarnessError(
            f"lm-eval's {name} scores several questions for one answer, which is not supported here", remedy=_ITS_OWN
        )
    if int(getattr(task.config, "repeats", 1) or 1) > 1:
        raise HarnessError(
            f"lm-eval's {name} votes over {task.config.repeats} answers to each question; here each is asked once",
            remedy=_ITS_OWN,
        )
    if task.config.doc_to_audio:
        raise HarnessError(f"lm-eval's {name} needs audio", remedy="name a task of texts and images")
    return LoadedTask(name=name, task=task, metrics=_find_metrics(name, task))


def _has_own_scoring(task: Untyped) -> bool:
    usual: Untyped = import_lm_eval("api.task").ConfigurableTask
    return callable(task.config.process_results) or task.__class__.process_results is not usual.process_results


def _find_metrics(name: str, task: Untyped) -> dict[str, CountedMetric]:
    """The metrics that can be counted, under our names. Raises HarnessError if there is none."""
    better: Mapping[str, bool] = task.higher_is_better()
    ways: Mapping[str, str] = {each: getattr(way, "__name__", "") for each, way in task.aggregation().items()}
    weighs = str(task.OUTPUT_TYPE) == "multiple_choice" and not _has_own_scoring(task)
    unknowable = (_PAIRS, _GREEDY) if weighs else (_PAIRS,)  # they need output that no model gives here
    means = [each for each, way in ways.items() if way in MEANS and each not in unknowable]
    if not means:
        raise HarnessError(
            f"no metric of lm-eval's {name} can be counted sample by sample here: {', '.join(ways) or 'none'}",
            remedy=_ITS_OWN,
        )
    filters = [str(each.name) for each in task._filters]  # noqa: SLF001 - their names are only here
    return {
        metric if len(filters) == 1 else f"{metric},{each}": CountedMetric(
            name=metric, filter=each, better="higher" if better.get(metric, True) else "lower", gaps=MEANS[ways[metric]]
        )
        for metric in means
        for each in filters
    }

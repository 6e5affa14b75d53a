"""Which of a task's metrics can be counted here: means of a number of each sample that what a model says can give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from harness import HarnessError

from .theirs import Untyped, module

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
class Counted:
    """A metric of theirs that is the mean of a number of each sample.

    Attributes:
        name: theirs.
        filter: what answers go through before they are scored.
        better: which direction is good.
        gaps: whether NaN says that a sample does not count.
    """

    name: str
    filter: str
    better: Better
    gaps: bool

    @property
    def worst(self) -> float:
        """What an answer that says nothing counts as."""
        return 0.0 if self.better == "higher" else 1.0


def own_scoring(task: Untyped) -> bool:
    """Whether a task brings its own `process_results`, in its configuration or as a class."""
    usual: Untyped = module("api.task").ConfigurableTask
    return callable(task.config.process_results) or task.__class__.process_results is not usual.process_results


def metrics_of(name: str, task: Untyped) -> dict[str, Counted]:
    """Those metrics that are the mean of a number of each sample. Raises HarnessError where there is none."""
    better: Mapping[str, bool] = task.higher_is_better()
    ways: Mapping[str, str] = {each: getattr(way, "__name__", "") for each, way in task.aggregation().items()}
    means = [each for each, way in ways.items() if way in MEANS and each not in _unknowable(task)]
    if not means:
        raise HarnessError(
            f"lm-eval's {name} has no metric that can be counted sample by sample here: {', '.join(ways) or 'none'}"
        )
    filters = [str(each.name) for each in task._filters]  # noqa: SLF001 - the only place where their names are
    return {
        metric if len(filters) == 1 else f"{metric},{each}": Counted(
            name=metric,
            filter=each,
            better="higher" if better.get(metric, True) else "lower",
            gaps=MEANS[ways[metric]],
        )
        for metric in means
        for each in filters
    }


def _unknowable(task: Untyped) -> tuple[str, ...]:
    """Metrics whose number would need what no model says here."""
    weighed = str(task.OUTPUT_TYPE) == "multiple_choice" and not own_scoring(task)
    return (_PAIRS, _GREEDY) if weighed else (_PAIRS,)

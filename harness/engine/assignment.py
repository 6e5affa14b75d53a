"""One split of an invocation: what of it is carried, and what an earlier listing still holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.engine.crew import SamplesError
from harness.errors import HarnessError
from harness.options import Options
from harness.plan.sampling import Survey, survey
from harness.plan.splits import SplitPlan
from harness.store.run_file import RunFile
from harness.types import Sample

Failed = tuple[SplitPlan, SamplesError]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """One split of this invocation.

    Attributes:
        plan: what it is.
        epochs: answers for each sample.
        survey: what it holds and which samples are taken; None where only stored answers are judged.
        asked: ids of the samples that were asked, where only stored answers are judged.
        keep: an earlier listing asked for more, and stays.
    """

    plan: SplitPlan
    epochs: int
    survey: Survey | None = None
    asked: frozenset[str] = frozenset()
    keep: bool = False

    @property
    def total(self) -> int:
        """Records to carry."""
        return self.epochs * (len(self.asked) if self.survey is None else self.survey.samples)

    def samples(self) -> Iterator[Sample]:
        """The samples to carry, lazily."""
        for sample in self.plan.samples():
            if sample.id in self.asked if self.survey is None else self.survey.takes(sample):
                yield sample


def surveyed(plan: SplitPlan, options: Options) -> Survey:
    """List a split once, before anything is opened or spent. Raises MissingData or BadData."""
    return survey(plan.samples(), options.limit)


def assign(plans: Sequence[SplitPlan], options: Options, run: RunFile | None) -> tuple[list[Assignment], list[Failed]]:
    """Survey all splits; those whose task raised are not carried, and the others are.

    Args:
        plans: the splits.
        options: as given.
        run: run.json of the folder; None where it is new.

    Raises:
        HarnessError: data is missing or broken, every task raised, or an earlier listing cannot be kept.
    """
    assignments: list[Assignment] = []
    failed: list[Failed] = []
    for plan in plans:
        try:
            found = surveyed(plan, options)
        except HarnessError:
            raise
        except Exception as error:  # noqa: BLE001 - a task is a plugin
            failed.append((plan, SamplesError(f"{type(error).__name__}: {error}")))
        else:
            keep = _asked_more(plan, options, run)
            assignments.append(Assignment(plan=plan, epochs=options.epochs, survey=found, keep=keep))
    if failed and not assignments:
        plan, fault = failed[0]
        raise HarnessError(f"{plan.title} cannot be listed: its task raised {fault}") from fault
    return assignments, failed


def _asked_more(plan: SplitPlan, options: Options, run: RunFile | None) -> bool:
    """Whether the folder's listing of a split has a higher limit: a lower one never shrinks it."""
    task = None if run is None else run.tasks.get(plan.display)
    entry = None if task is None else task.splits.get(plan.name)
    if entry is None or options.limit is None or (entry.limit is not None and entry.limit <= options.limit):
        return False
    if entry.epochs != options.epochs:
        raise HarnessError(
            f"{plan.title} was asked with --epochs {entry.epochs} and a higher --limit, which a lower one keeps",
            remedy=f"give --epochs {entry.epochs}, or the higher --limit, or --fresh",
        )
    return True

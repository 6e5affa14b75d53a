"""One split of an invocation: what of it is carried, and what an earlier listing still holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn

from harness.engine.crew import SamplesError
from harness.errors import HarnessError, PluginError
from harness.options import Options
from harness.plan.sampling import Survey, survey
from harness.plan.splits import SplitPlan
from harness.plan.suites import LeftOut, told
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
        drawn: last place (`harness.keys.draw_order`) of the draw whose answers are to be judged; None where all are.
    """

    plan: SplitPlan
    epochs: int
    survey: Survey | None = None
    asked: frozenset[str] = frozenset()
    keep: bool = False
    drawn: str | None = None

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Surveyed:
    """The splits of an invocation, listed once.

    Attributes:
        assignments: to carry.
        failed: those whose task raised.
        left_out: parts of suites that cannot be listed.
    """

    assignments: list[Assignment]
    failed: list[Failed]
    left_out: list[LeftOut]


def assign(
    plans: Sequence[SplitPlan], options: Options, run: RunFile | None, left_out: Iterable[LeftOut] = ()
) -> Surveyed:
    """Survey all splits; those whose task raised are not carried, and the others are.

    A part of a suite whose data is missing or broken, or which needs what is not installed, is left out as well; so is
    one whose rubric cannot be opened, since upstream's wording has not been fetched.

    Args:
        plans: the splits.
        options: as given.
        run: run.json of the folder; None where it is new.
        left_out: parts of suites whose splits could not be told.

    Raises:
        HarnessError: data is missing or broken, a rubric cannot be opened, nothing can be listed, or an earlier listing
            cannot be kept.
    """
    found = Surveyed(assignments=[], failed=[], left_out=list(left_out))
    for plan in plans:
        try:
            listed = surveyed(plan, options)
        except PluginError as error:
            found.failed.append((plan, SamplesError(error)))
        except HarnessError as error:
            if not plan.suite:
                raise
            found.left_out.append(LeftOut(title=plan.title, error=error))
        except Exception as error:  # noqa: BLE001 - a task is a plugin
            found.failed.append((plan, SamplesError(error)))
        else:
            if _can_be_judged(plan, found):
                keep = _asked_more(plan, options, run)
                found.assignments.append(Assignment(plan=plan, epochs=options.epochs, survey=listed, keep=keep))
    if not found.assignments:
        nothing_listed(found)
    return found


def _can_be_judged(plan: SplitPlan, found: Surveyed) -> bool:
    """Whether all rubrics of a split can be opened; a part of a suite for which they cannot is noted as left out."""
    try:
        for choice in plan.judges:
            choice.judge.open(choice.settings, choice.root)
    except HarnessError as error:
        if not plan.suite:
            raise
        found.left_out.append(LeftOut(title=plan.title, error=error))
        return False
    return True


def nothing_listed(found: Surveyed) -> NoReturn:
    """Say why none of what was asked can be run. Raises HarnessError."""
    if found.failed:
        plan, fault = found.failed[0]
        what, by = f"{plan.title} cannot be listed: its task {fault}", fault.error
        if by is None:
            raise HarnessError(what) from fault
        raise PluginError(what, where=f"plugin {by.plugin}", remedy=by.remedy, story=by.story) from fault
    if len(found.left_out) == 1:
        raise found.left_out[0].error
    raise HarnessError("nothing that was asked can be run", remedy="\n  ".join(told(found.left_out)))


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

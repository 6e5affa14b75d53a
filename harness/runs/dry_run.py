"""`--dry-run`: what a run would ask of whom, before anything is opened or spent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from harness.data.inspection import size_warning
from harness.errors import BadImage
from harness.evaluation.judges import resolve_settings
from harness.evaluation.options import Options
from harness.evaluation.plan import SplitJob
from harness.evaluation.suites import format_left_out
from harness.models import Resolved
from harness.replicas.placement import format_placements
from harness.runs.notes import format_judge_command
from harness.runs.run import PreparedRun, prepare_run
from harness.types import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one model, or one judge's model, would be asked for one split.

    Attributes:
        who: the model's reference.
        role: "model" or the rubric it answers for.
        where: it would be opened: this process, so many processes with their devices, or elsewhere for an API.
        task: task and split.
        samples: questions.
        calls: requests, at least. A strategy may ask several times for one answer.
        most_calls: requests, at most; None where no bound is known: a judge's bad reply is asked for once more. A call
            that is tried again is one.
        images: images sent with the first request of each sample.
        bytes: of their files; those that are missing count as zero.
        missing: image files that are not there.
        note: what is odd about the data: it holds another number of samples than is published; else empty.
        left_out: why it cannot be run, and what mends it; empty where it can.
        incomplete: why the run would end incomplete, whatever is answered; empty where nothing says so.
    """

    who: str
    role: str
    where: str
    task: str
    samples: int = 0
    calls: int = 0
    most_calls: int | None = 0
    images: int = 0
    bytes: int = 0
    missing: int = 0
    note: str = ""
    left_out: str = ""
    incomplete: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """What a run would do.

    Attributes:
        loads: one for each model and split.
        notes: what a person should read before it is asked for.
    """

    loads: tuple[Load, ...]
    notes: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """The run's, if all is answered and judged: 3 where something would be missing all the same."""
        return 3 if any(load.left_out or load.incomplete for load in self.loads) else 0


def dry_run(options: Options) -> DryRun:
    """What a run would do up to where it opens a model, and then what it would ask.

    Raises:
        HarnessError: what `run` would raise before it opens a model; nothing of what is asked can be run.
    """
    found = prepare_run(options)
    loads = [load for each in found.listed.jobs for load in _loads(each, found, options)]
    return DryRun(loads=(*loads, *_list_left_out(found)), notes=found.notes)


def _list_left_out(found: PreparedRun) -> Iterator[Load]:
    """What would be left out, and what a task's fault ends before it begins."""
    parts = [(part.title, format_left_out([part])[0]) for part in found.listed.left_out]
    parts += [(plan.title, f"{plan.title} not run: its task {fault}") for plan, fault in found.listed.failed]
    for title, why in parts:
        yield Load(who=found.resolved.spec.ref, role="model", where="nowhere", task=title, left_out=why)


def _loads(each: SplitJob, found: PreparedRun, options: Options) -> Iterator[Load]:
    plan, survey = each.plan, each.survey
    assert survey is not None  # only who judges what is stored has none
    weight = _weigh(each, found.resolved)
    note = size_warning(plan.title, survey.found, plan.split.n)

    def load(who: Resolved, role: str, *, shown: bool) -> Load:
        return Load(
            who=who.spec.ref,
            role=role,
            where=format_placements(who.places) if who.provider.local else "elsewhere",
            task=plan.title,
            samples=survey.samples,
            calls=(survey.samples - weight.spoiled) * options.epochs,
            most_calls=None,
            images=survey.images * options.epochs if shown else 0,
            bytes=weight.bytes * options.epochs if shown else 0,
            missing=weight.missing if shown else 0,
            note=note,
        )

    yield replace(
        load(found.resolved, "model", shown=True),
        calls=weight.calls * options.epochs,
        most_calls=None if weight.most_calls is None else weight.most_calls * options.epochs,
        incomplete=_find_gap(each, weight, found, options),
    )
    for choice in plan.judges:
        judge = resolve_settings(choice, options).model
        if judge is not None:
            yield load(judge, choice.judge.name, shown="images" in choice.needs())


def _find_gap(each: SplitJob, weight: _Weight, found: PreparedRun, options: Options) -> str:
    """What keeps a split incomplete though all is answered and judged."""
    plan, total = each.plan, each.survey.samples if each.survey else 0
    if not total:
        return f"{plan.title} holds no samples"
    covered = (total - weight.spoiled) / total
    if covered < options.min_coverage and not each.keep:
        return f"{plan.title}: images are missing of {weight.spoiled} samples, and coverage is {covered:.1%} at most"
    if not plan.judges:
        waiting = [each.plan for each in found.listed.jobs if not each.plan.judges]
        return format_judge_command(waiting, options, found.folder.path)
    return ""


@dataclass(slots=True, kw_only=True)
class _Weight:
    """What one listing tells of a split: calls and bytes that are sent, and what is missing; nothing is read."""

    calls: int = 0
    most_calls: int | None = 0
    bytes: int = 0
    missing: int = 0
    spoiled: int = 0

    def count(self, least: int, most: int | None) -> None:
        self.calls += least
        self.most_calls = None if most is None or self.most_calls is None else self.most_calls + most


def _weigh(each: SplitJob, resolved: Resolved) -> _Weight:
    found = _Weight()
    for sample in each.samples():
        before = found.missing
        for image in sample.request.images:
            try:
                found.bytes += image.files.stamp(image.path)[1]
            except BadImage:
                found.missing += 1
        if found.missing > before:
            found.spoiled += 1
        else:
            found.count(*_count_calls(resolved, sample.request))
    return found


def _count_calls(resolved: Resolved, request: Request) -> tuple[int, int | None]:
    """How often the model is asked for one answer, at least and at most. Raises PluginError where that is not said."""
    strategy = resolved.strategy
    if strategy is None:
        return 1, 1
    if strategy.calls is None:
        return 1, None
    return strategy.calls(request, resolved.strategy_settings)

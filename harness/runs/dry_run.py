"""`--dry-run`: what a run would ask of whom, before anything is opened or spent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from harness.data.inspection import size_warning
from harness.errors import BadImage
from harness.evaluation.judges import resolve_settings
from harness.evaluation.options import Options
from harness.evaluation.plan import SplitJob
from harness.evaluation.splits import format_left_out
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
        most_calls: requests, at most; None if no bound is known: a judge's bad reply is asked for once more. A call
            that is tried again is one.
        images: images sent with the first request of each sample.
        bytes: of their files; those that are missing count as zero.
        missing: image files that are not there.
        note: a warning that the data holds another number of samples than is published; else empty.
        left_out: why it cannot be run, and what to do; empty if it can.
        incomplete: why the run would end incomplete, whatever is answered; empty if nothing says so.
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
        """The run's, if all is answered and judged: 3 if something would be missing even then."""
        return 3 if any(load.left_out or load.incomplete for load in self.loads) else 0


def dry_run(options: Options) -> DryRun:
    """What a run would do up to where it opens a model, and then what it would ask.

    Raises:
        HarnessError: what `run` would raise before it opens a model; nothing of what is asked can be run.
    """
    found = prepare_run(options)
    loads = [load for job in found.listed.jobs for load in _list_loads(job, found, options)]
    left_out = [(part.title, format_left_out([part])[0]) for part in found.listed.left_out]
    left_out += [(plan.title, f"{plan.title} not run: its task {fault}") for plan, fault in found.listed.failed]
    who = found.resolved.spec.ref
    loads += [Load(who=who, role="model", where="nowhere", task=title, left_out=why) for title, why in left_out]
    return DryRun(loads=tuple(loads), notes=found.notes)


def _list_loads(job: SplitJob, found: PreparedRun, options: Options) -> Iterator[Load]:
    """What the model, and each judge's model, would be asked for one split. Images are not read, only looked up."""
    plan, survey = job.plan, job.survey
    assert survey is not None  # only a job of stored answers has none
    calls, size, missing, spoiled = 0, 0, 0, 0
    most_calls: int | None = 0
    for sample in job.samples():
        missing_before = missing
        for image in sample.request.images:
            try:
                size += image.files.stamp(image.path)[1]
            except BadImage:
                missing += 1
        if missing > missing_before:
            spoiled += 1
            continue
        least, most = _count_calls(found.resolved, sample.request)
        calls += least
        most_calls = None if most is None or most_calls is None else most_calls + most

    def load(who: Resolved, role: str, *, shown: bool) -> Load:
        return Load(
            who=who.spec.ref,
            role=role,
            where=format_placements(who.places) if who.provider.local else "elsewhere",
            task=plan.title,
            samples=survey.samples,
            calls=(survey.samples - spoiled) * options.epochs,
            most_calls=None,
            images=survey.images * options.epochs if shown else 0,
            bytes=size * options.epochs if shown else 0,
            missing=missing if shown else 0,
            note=size_warning(plan.title, survey.found, plan.split.n),
        )

    yield replace(
        load(found.resolved, "model", shown=True),
        calls=calls * options.epochs,
        most_calls=None if most_calls is None else most_calls * options.epochs,
        incomplete=_find_gap(job, spoiled, found, options),
    )
    for choice in plan.judges:
        judge = resolve_settings(choice, options).model
        if judge is not None:
            yield load(judge, choice.judge.name, shown="images" in choice.needs())


def _count_calls(resolved: Resolved, request: Request) -> tuple[int, int | None]:
    """Calls for one answer, at least and at most. Raises PluginError if the strategy cannot tell."""
    strategy = resolved.strategy
    if strategy is None:
        return 1, 1
    return (1, None) if strategy.calls is None else strategy.calls(request, resolved.strategy_settings)


def _find_gap(job: SplitJob, spoiled: int, found: PreparedRun, options: Options) -> str:
    """What keeps a split incomplete even if all is answered and judged; `spoiled` samples miss an image."""
    plan, total = job.plan, job.survey.samples if job.survey else 0
    if not total:
        return f"{plan.title} holds no samples"
    covered = (total - spoiled) / total
    if covered < options.min_coverage and not job.keep:
        return f"{plan.title}: images are missing of {spoiled} samples, and coverage is {covered:.1%} at most"
    if not plan.judges:
        waiting = [each.plan for each in found.listed.jobs if not each.plan.judges]
        return format_judge_command(waiting, options, found.folder.path)
    return ""

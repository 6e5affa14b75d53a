"""`--dry-run`: lists the calls that a run would make to each model, without opening one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from harness.board.costs import format_usd
from harness.data.inspection import size_warning
from harness.dialogues import list_requests
from harness.errors import BadImage
from harness.evaluation.judges import explain_live, resolve_settings
from harness.evaluation.options import Options
from harness.evaluation.plan import SplitJob
from harness.evaluation.splits import format_left_out
from harness.models import Resolved
from harness.prices import PriceBook
from harness.prices.forecast import CallSize, Forecast, forecast_calls
from harness.replicas.placement import format_placements
from harness.runs.costs import count_spent
from harness.runs.foresight import count_stored, count_verdicts, measure_pace, size_answers, size_verdicts
from harness.runs.notes import format_judge_command
from harness.runs.run import PreparedRun, prepare_run
from harness.types import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCalls:
    """The calls that a run would make to one model, or one judge's model, for one split.

    Attributes:
        who: the model's reference.
        role: "model", or the rubric that the model judges by.
        where: where it would run: this process, several processes with their devices, or elsewhere for an API.
        task: task and split.
        samples: number of questions.
        calls: fewest requests; a strategy may send several for one answer.
        most_calls: most requests, None if unbounded; a judge is asked again after a bad reply. Retries do not count.
        images: images sent with the first request of each sample.
        bytes: size of these image files; missing ones count as zero.
        missing: number of missing image files.
        note: a warning if the number of samples differs from the published one; else empty.
        left_out: why it cannot run, and what to do; empty if it can.
        incomplete: why the run would end incomplete, whatever the answers; empty if it would not.
        stored: answers in the run folder, which are not asked again.
        forecast: tokens, dollars and time of the calls that are left; None if they cannot be foreseen.
        unforeseen: why they cannot; else empty.
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
    stored: int = 0
    forecast: Forecast | None = None
    unforeseen: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """What a run would do.

    Attributes:
        loads: one for each model and split.
        notes: what the user should read before the run.
        over_limit: why `--max-usd` would stop the run; empty if it may suffice.
        refused: whether no run would begin, since the data of a task that the user names is missing.
    """

    loads: tuple[PlannedCalls, ...]
    notes: tuple[str, ...]
    over_limit: str = ""
    refused: bool = False

    @property
    def exit_code(self) -> int:
        """The run's exit code if all is answered and judged: 3 if it would still be incomplete, or stop before."""
        if self.refused:
            return 2
        return 3 if self.over_limit or any(load.left_out or load.incomplete for load in self.loads) else 0


def dry_run(options: Options) -> DryRun:
    """Do all that a run does before it opens a model, and list the calls it would make.

    A task whose data is missing is left out and named; then the run itself would not begin.

    Raises:
        HarnessError: what `run` would raise before it opens a model, or if nothing can be run.
    """
    found = prepare_run(options, rehearse=True)
    loads = [load for job in found.listed.jobs for load in _list_loads(job, found, options)]
    missing = found.listed.left_out
    lines = {each.why: format_left_out(part for part in missing if part.why == each.why)[0] for each in missing}
    left_out = [(part.title, lines[part.why]) for part in missing]
    left_out += [(plan.title, f"{plan.title} not run: its task {fault}") for plan, fault in found.listed.failed]
    who = found.resolved.spec.ref
    loads += [PlannedCalls(who=who, role="model", where="nowhere", task=title, left_out=why) for title, why in left_out]
    over_limit, limit = "", options.limit_usd
    if limit is not None:
        spent = float(count_spent(found.folder, None if options.fresh else found.folder.run, found.book))
        least = spent + sum(load.forecast.usd[0] for load in loads if load.forecast is not None and load.forecast.usd)
        if least > limit:
            part = f", of which this shard has {limit:g}," if options.shard else ""
            before = f", with {format_usd(spent)} that it has cost already" if spent else ""
            over_limit = (
                f"--max-usd {options.max_usd:g}{part} is below the least that this can cost"
                f" ({format_usd(least)}{before}): the run would stop"
            )
    return DryRun(
        loads=tuple(loads), notes=found.notes, over_limit=over_limit, refused=any(part.named for part in missing)
    )


def _list_loads(job: SplitJob, found: PreparedRun, options: Options) -> Iterator[PlannedCalls]:
    """The calls to the model, and to each judge's model, for one split. Images are looked up, not read."""
    plan, survey = job.plan, job.survey
    assert survey is not None  # None only for a job of stored answers
    calls, weight, missing, spoiled, originals = 0, 0, 0, 0, 0
    most_calls: int | None = 0
    for sample in job.samples():
        missing_before = missing
        originals += len(sample.images)
        for image in sample.images:
            try:
                weight += image.files.stamp(image.path)[1]
            except BadImage:
                missing += 1
        if missing > missing_before:
            spoiled += 1
            continue
        requests = [(request, 1) for request in list_requests(sample)]
        if found.attack is not None:
            if found.attack.check(sample):
                spoiled += 1
                continue
            requests.append((sample.request, found.attack.count_first_calls(sample)))
        for request, times in requests:
            least, most = _count_calls(found.resolved, request)
            calls += least * times
            most_calls = None if most is None or most_calls is None else most_calls + most * times

    def load(who: Resolved, role: str, *, shown: bool) -> PlannedCalls:
        return PlannedCalls(
            who=who.spec.ref,
            role=role,
            where=format_placements(who.places) if who.provider.local else "elsewhere",
            task=plan.title,
            samples=survey.samples,
            calls=(survey.samples - spoiled) * options.epochs,
            most_calls=None,
            images=(survey.images if role == "model" else originals) * options.epochs if shown else 0,
            bytes=weight * options.epochs if shown and (role != "model" or survey.images) else 0,
            missing=missing if shown else 0,
            note=size_warning(plan.title, survey.found, plan.split.n),
        )

    asked = (survey.samples - spoiled) * options.epochs
    stored = 0 if options.fresh or "answered" in options.retry else min(asked, count_stored(found.folder, job))
    local = found.resolved.provider.local
    size = size_answers(found.folder, job, found.resolved.spec.ref, options.system, local=local)
    of_model = replace(
        load(found.resolved, "model", shown=True),
        calls=calls * options.epochs,
        most_calls=None if most_calls is None else most_calls * options.epochs,
        incomplete=_find_gap(job, spoiled, found, options),
        stored=stored,
    )
    yield _forecast(
        of_model,
        size,
        found.resolved,
        found.book,
        options,
        left=asked - stored,
        each=asked,
        live=bool(found.resolved.find_batch_fault()),
        pace=measure_pace(found.folder) if local else None,
    )
    for choice in plan.judges:
        judge = resolve_settings(choice, options).model
        if judge is not None:
            once = load(judge, choice.judge.name, shown="images" in choice.needs())
            times = options.judge_repeat
            sized = size_verdicts(found.folder, job, choice, judge.spec.ref, local=judge.provider.local)
            made = replace(once, calls=once.calls * times, images=once.images * times, bytes=once.bytes * times)
            judged = 0
            if not (options.fresh or "scored" in options.retry):
                judged = count_verdicts(found.folder, job, choice, judge.spec.ref)
            left = max(0, made.calls - judged)
            live = bool(explain_live(choice, judge))
            yield _forecast(made, sized, judge, found.book, options, left=left, each=made.calls, live=live)


def _forecast(
    load: PlannedCalls,
    size: CallSize | str,
    model: Resolved,
    book: PriceBook,
    options: Options,
    *,
    left: int,
    each: int,
    live: bool,
    pace: float | None = None,
) -> PlannedCalls:
    """The load with what its calls will take.

    Args:
        load: with all its calls.
        size: of one call, or why it is unknown.
        model: that is asked.
        book: finds the price.
        options: the run's.
        left: answers or verdicts that are still to be made.
        each: all of them.
        live: whether they are asked live in a run with batches, too.
        pace: as of `forecast_calls`.
    """
    if isinstance(size, str):
        return replace(load, unforeseen=size)
    share = left / each if each else 0.0
    most = load.calls if load.most_calls is None else load.most_calls
    calls = (math.floor(load.calls * share), math.ceil(most * share))
    forecast = forecast_calls(
        size,
        calls,
        book=book,
        ref=model.spec.ref,
        seller=model.seller,
        policy=options.shared_policy,
        batch=options.batch and not live,
        local=model.provider.local,
        pace=pace,
    )
    return replace(load, forecast=forecast)


def _count_calls(resolved: Resolved, request: Request) -> tuple[int, int | None]:
    """The fewest and most calls for an answer or a turn. Raises PluginError if the strategy gives no valid numbers."""
    strategy = resolved.strategy
    if strategy is None:
        return 1, 1
    return (1, None) if strategy.calls is None else strategy.calls(request, resolved.strategy_settings)


def _find_gap(job: SplitJob, spoiled: int, found: PreparedRun, options: Options) -> str:
    """Why a split would be incomplete even if all is answered and judged; `spoiled` samples lack an image."""
    plan, total = job.plan, job.survey.samples if job.survey else 0
    if not total:
        return "" if job.survey and job.survey.whole else f"{plan.title} holds no samples"
    covered = (total - spoiled) / total
    if covered < options.min_coverage and not job.keep:
        what = "lack images" if found.attack is None else "lack images or cannot be attacked"
        return f"{plan.title}: {spoiled} samples {what}, so coverage is {covered:.1%} at most"
    if not plan.judges and not job.deferred:
        waiting = [each.plan for each in found.listed.jobs if not (each.plan.judges or each.deferred)]
        return format_judge_command(waiting, options, found.folder.path)
    return ""

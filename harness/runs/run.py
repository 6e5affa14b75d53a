"""Turns options into a finished run folder: `run_async`, and `judge_async` for stored answers."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Generator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness import plugins
from harness.attacks import ResolvedAttack, resolve_attack
from harness.batches import BatchedModel, BatchesPending, BatchQueue, list_batches
from harness.batches.log import LOG
from harness.board.costs import format_usd
from harness.contracts import Model, Results, RunInfo
from harness.deprecation import warn_deprecated
from harness.errors import HarnessError, unwrap_groups
from harness.evaluation.context import RunContext
from harness.evaluation.judges import check_judges, explain_live, find_unrepeated, resolve_settings
from harness.evaluation.options import JudgeOptions, Options
from harness.evaluation.plan import (
    ListedSplits,
    RunPlan,
    SplitJob,
    check_plan,
    list_refusals,
    list_splits,
    make_plan,
)
from harness.evaluation.probe import probe_model
from harness.evaluation.samples import Stop
from harness.evaluation.splits import JudgeChoice, find_overrides, find_unused_models
from harness.files import resolve_name
from harness.keys import digest, short
from harness.limits.endpoints import Endpoints
from harness.limits.metered import Metered
from harness.models import Resolved, describe_lacks, resolve
from harness.plugins.boundary import PluginErrors, listen, watch_loop
from harness.prices import PriceBook
from harness.progress.lines import Progress, SilentProgress
from harness.runs.costs import check_limit, open_book, open_spending
from harness.runs.notes import build_notes
from harness.runs.results import to_frame
from harness.runs.selection import plan_judging
from harness.runs.state import StateName, find_state
from harness.runs.task_entries import check_task_files
from harness.runs.writer import RunWriter, claim_folder
from harness.store.folder import RunFolder, file_name
from harness.store.shards import check_count, shard_folder
from harness.text import one_line

if TYPE_CHECKING:
    import pandas as pd

RUNS = Path("runs")
_SHOWN: Final = 3  #: main numbers in a run's repr
_ROWS: Final = 20  #: and in its table
_NAME: Final = 80  #: letters of a name in them


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Run:
    """A run: what `harness.run` made, or what `harness.load_run` read from a folder.

    Attributes:
        folder: the run folder.
        results: the dict of results.json; empty if the run has written none.
        exit_code: 0 if complete; 3 if incomplete, or if batches have not ended yet.
        notes: what the user should read.
        pending: the batches that the run waits for, in words; until they end, the results are old or empty.
    """

    folder: Path
    results: Results
    exit_code: int = 0
    notes: tuple[str, ...] = ()
    pending: str = ""

    def __repr__(self) -> str:
        """Folder, model, state and the first main numbers: never the whole results."""
        state, numbers = self._list_main_numbers()
        shown = [f"{title} {value}" for title, value in numbers[:_SHOWN]]
        shown += ["…"] if len(numbers) > _SHOWN else []
        about = [self._format_folder(), *([self._format_model()] if self.results else []), state]
        return f"Run({', '.join(about)}{': ' if shown else ''}{', '.join(shown)})"

    def _repr_html_(self) -> str:
        """The same as a small table, for a notebook."""
        from html import escape

        state, numbers = self._list_main_numbers()
        head = " · ".join(filter(None, (self._format_folder(), self._format_model(), state)))
        more = f"<div>and {len(numbers) - _ROWS} more: run.metrics()</div>" if len(numbers) > _ROWS else ""
        rows = (f"<tr><td>{escape(title)}</td><td>{escape(value)}</td></tr>" for title, value in numbers[:_ROWS])
        return f"<div><div>Run {escape(head)}</div><table>{''.join(rows)}</table>{more}</div>"

    def _format_folder(self) -> str:
        return one_line(str(self.folder), _NAME)

    def _format_model(self) -> str:
        return one_line(str(self.results["model"]["ref"]), _NAME) if self.results else ""

    def _list_main_numbers(self) -> tuple[str, list[tuple[str, str]]]:
        """The state as this object knows it, and what and how much each main number is; the folder is not read."""
        from harness.board.display import format_estimate
        from harness.runs.catalog import list_main_numbers

        whole = "complete" if self.exit_code == 0 else "incomplete"
        state = "pending" if self.pending else whole if self.results else "no results"
        every = [each for each in list_main_numbers(self.results) if not each.part] if self.results else []
        return state, [
            (
                one_line(f"{each.task}:{each.split} {each.metric}", _NAME),
                format_estimate(each.value, each.ci95, each.unit),
            )
            for each in every
        ]

    @property
    def state(self) -> StateName:
        """Complete, incomplete, running, pending (a batch of calls is out), or failed, as the folder says now.

        Raises:
            HarnessError: the run is gone.
        """
        return find_state(self.folder).name

    def samples(self, *, texts: bool = False) -> pd.DataFrame:
        """One row for each asked item and judge, read from the folder now, even while the run goes on.

        The columns are in docs/python.md. An item that no judge has read has one row without a judge.

        Args:
            texts: add `question`, `target`, `answer` and the judge's `reason`, which may be harmful.

        Raises:
            HarnessError: the run is gone, or a line of it is damaged.
        """
        from harness.runs.frames import load_samples

        return load_samples(self.folder, texts=texts)

    def metrics(self, *, by: str = "") -> pd.DataFrame:
        """One row for each task, split, judge and metric of `results`. A value is in its `unit`: `%` is 0 to 100.

        Args:
            by: a breakdown of the splits, such as `category`: one row for each of its groups.

        Raises:
            HarnessError: the run has written no results; the message says why.
            UnknownName: no split has this breakdown.
        """
        from harness.runs.frames import build_metrics, require_results

        return build_metrics(self.results or require_results(find_state(self.folder), self.folder), by)

    def to_frame(self) -> pd.DataFrame:
        """One row for each task, split, judge and metric. Deprecated: `metrics` has more columns."""
        warn_deprecated("Run.to_frame()", use="Run.metrics()")
        return to_frame([self.results] if self.results else [])


async def run_async(options: Options, *, progress: Progress | None = None, stop: Stop | None = None) -> Run:
    """Answer and judge. Raises HarnessError for problems that the user can fix; stored answers are kept.

    Args:
        options: the run's options.
        progress: receives progress events; None for no output.
        stop: set its `asked` to end early; the run then raises KeyboardInterrupt.
    """
    errors = PluginErrors()
    with listen(errors.add), watch_loop((progress or SilentProgress()).note):
        started = time.time()
        found = prepare_run(options)
        writer = RunWriter(
            folder=found.folder, options=options, started=started, suites=found.asked.suites, errors=errors
        )
        context = _build_context(options, found.listed.jobs, writer, progress, stop)
        context.failed += found.listed.failed
        context.left_out += found.listed.left_out
        context.notes += found.notes
        context.attack = found.attack
        return await _finish(context, writer, found.resolved)


async def judge_async(
    folder: Path, judging: JudgeOptions, *, progress: Progress | None = None, stop: Stop | None = None
) -> Run:
    """Judge the stored answers of a run, again or by another judge; does not call the model.

    Args:
        folder: the run folder.
        judging: judges and their settings; the rest comes from the folder.
        progress: receives progress events; None for no output.
        stop: as in `run_async`.
    """
    errors = PluginErrors()
    with listen(errors.add), watch_loop((progress or SilentProgress()).note):
        started = time.time()
        judging.check()
        run = RunFolder(folder)
        known = plan_judging(run, judging)
        choices = [choice for each in known.jobs for choice in each.plan.judges]
        check_judges(choices, known.options)
        for each in known.jobs:
            check_plan(each.plan)
        run.check_writable("copy it to a folder that can be written to")
        check_limit(known.options, run, choices)
        writer = RunWriter(
            folder=run, options=known.options, started=started, judging=judging, is_ours=True, errors=errors
        )
        context = _build_context(known.options, known.jobs, writer, progress, stop)
        context.digest = known.digest
        context.notes += [
            *find_unused_models(judging.judges, context.choices),
            *find_unused_devices(None, context.choices, known.options),
            *find_unrepeated(context.choices, known.options),
            *find_unbatched(context.choices, known.options),
        ]
        return await _finish(context, writer, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedRun:
    """A run before a model is opened and anything is spent or written.

    Attributes:
        asked: splits and suites.
        resolved: the model.
        folder: the run folder.
        listed: the splits, each listed once.
        notes: messages for the user about the options.
        book: the prices.
        attack: changes what the model is asked; None for nothing.
    """

    asked: RunPlan
    resolved: Resolved
    folder: RunFolder
    listed: ListedSplits
    notes: tuple[str, ...]
    book: PriceBook
    attack: ResolvedAttack | None = None


def prepare_run(options: Options, *, rehearse: bool = False) -> PreparedRun:
    """Do all that a run does before it opens a model; a dry run does the same, so both fail alike.

    A rehearsal leaves out what lacks data, so that a dry run can forecast the rest.

    Raises:
        UnknownName, HarnessError: for problems that the user can fix, before anything is spent.
        IdentityMismatch: the folder belongs to another model, as far as known yet.
    """
    options.check()
    asked = make_plan(options, rehearse=rehearse)
    resolved = resolve(options.model, devices=options.devices, launch=options.launcher)
    attack = resolve_attack(options.attack)
    check_judges((choice for each in asked.splits for choice in each.judges), options)
    base = resolve_name(options.output or default_folder(options))
    if options.shard is not None:
        check_count(base, options.shard[1])
    folder = RunFolder(base if options.shard is None else shard_folder(base, options.shard))
    own = None if attack is None else attack.identity
    claim_folder(folder, options, {**resolved.requested, "attack": own}, whole=False)
    known = None if options.fresh else folder.run
    check_task_files(asked.splits, known, folder.path)
    folder.check_writable("give --output a folder that can be written to")
    if options.fresh:
        folder.check_alone()  # before anything is opened or spent
    listed = list_splits(asked.splits, options, known, asked.left_out, attack, rehearse=rehearse)
    check_requests(resolved, listed.jobs)
    choices = [choice for job in listed.jobs for choice in job.plan.judges]
    check_limit(options, folder, choices, resolved)
    notes = [note for each in asked.suites.values() for note in find_overrides(each.suite, options)]
    notes += [*find_unused_models(options.judges, choices), *find_unused_devices(resolved, choices, options)]
    notes += [*find_unrepeated(choices, options), *find_unbatched(choices, options)]
    notes += [] if attack is None else list_attack_notes(attack, listed.jobs, options)
    check_batches(resolved, options, folder)
    return PreparedRun(
        asked=asked,
        resolved=resolved,
        folder=folder,
        listed=listed,
        notes=tuple(notes),
        book=open_book(options, known),
        attack=attack,
    )


def check_requests(resolved: Resolved, jobs: Iterable[SplitJob]) -> None:
    """Raise HarnessError if the model's strategy may not be asked a request of a split, taken by the run or not."""
    if resolved.strategy is None or resolved.strategy.check is None:
        return
    for job in jobs:
        for sample in job.plan.samples():
            requests = [sample.request, *(replace(sample.request, messages=(turn,)) for turn in sample.turns)]
            reasons = [why for request in requests if (why := resolved.find_fault(request))]
            if reasons:
                what = f"strategy {resolved.strategy.name} may not be used on {job.plan.title}"
                raise HarnessError(
                    f"{what}: sample {sample.id}: {reasons[0]}",
                    remedy="leave the split out, or use another strategy",
                )


def default_folder(options: Options) -> Path:
    """`runs/<scheme>-<name>`, plus six hex digits if an option overrides the model's defaults."""
    spec = options.model
    name = resolve_name(Path(spec.name)).name if Path(spec.name).exists() else spec.name
    changed: dict[str, Any] = {**options.overrides, **resolve(spec).overrides}
    if attack := resolve_attack(options.attack):
        changed["attack"] = attack.identity
    suffix = f"-{short(changed, 6)}" if changed else ""
    return RUNS / f"{file_name(f'{spec.scheme}-{name}')}{suffix}"


def list_attack_notes(attack: ResolvedAttack, jobs: Sequence[SplitJob], options: Options) -> Iterator[str]:
    """Which samples the attack cannot take, and whether epochs repeat the same request."""
    name, variants = attack.attack.name, attack.attack.variants
    for job in jobs:
        if job.survey is not None and job.survey.refused:
            few = f"{job.survey.refused} of {job.survey.samples} samples of {job.plan.title}"
            yield f"attack {name} cannot take {few}, which end as bad_sample: {list_refusals(job.survey)}"
    if variants is not None and options.epochs > variants:
        times = "once" if variants == 1 else f"in {variants} ways"
        yield f"attack {name} changes a sample {times}: --epochs {options.epochs} asks the same again"


def find_unused_devices(resolved: Resolved | None, choices: Iterable[JudgeChoice], options: Options) -> list[str]:
    """A note if `--devices` or a launcher is given but neither the model nor a judge is a local one."""
    local = resolved is not None and resolved.provider.local
    if local or any(is_local(choice.model) for choice in choices):
        return []
    notes = ["--devices has no effect: neither the model nor a judge runs on this machine"] * bool(options.devices)
    if options.launcher.elsewhere:
        flag = "--host" if options.hosts else "--launch"
        notes.append(
            f"{flag} has no effect: it starts replicas of local models, and neither the model nor a judge is one"
        )
    return notes


def check_batches(resolved: Resolved, options: Options, folder: RunFolder) -> None:
    """Refuse a model without a batch API, and a live run over batches that are on their way. Raises HarnessError."""
    fault = resolved.find_batch_fault() if options.batch else ""
    if fault:
        raise HarnessError(f"--batch: {resolved.spec.ref} cannot be asked in batches: {fault}", remedy="leave it out")
    waiting = [] if options.batch or options.fresh else list_batches(folder.path).unfinished
    if waiting:
        batches = "1 batch" if len(waiting) == 1 else f"{len(waiting)} batches"
        raise HarnessError(
            f"this run has {batches} whose answers are not collected yet",
            where=str(folder.path / LOG),
            remedy=f"add --batch, which collects them; or delete {folder.path / LOG} to lose them and ask again",
        )


def find_unbatched(choices: Sequence[JudgeChoice], options: Options) -> list[str]:
    """A note on each judge whose model is asked live in a run with batches."""
    if not options.batch:
        return []
    notes: list[str] = []
    for each in choices:
        model = resolve_settings(each, options).model
        if model is not None and (why := explain_live(each, model)):
            who = each.model if model.find_batch_fault() else f"{each.judge.name}={each.model}"
            notes.append(f"--batch: judge {who} is asked live: {why}")
    return list(dict.fromkeys(notes))


def is_local(ref: str) -> bool:
    """Whether a model runs on this machine's accelerator; False for no model."""
    return bool(ref) and plugins.current().provider(ref.partition("/")[0]).local


def _build_context(
    options: Options,
    jobs: Sequence[SplitJob],
    writer: RunWriter,
    progress: Progress | None,
    stop: Stop | None,
) -> RunContext:
    host, shown, folder = plugins.current(), progress or SilentProgress(), writer.folder
    spending = open_spending(options, folder, shown.spent)
    endpoints = Endpoints(options.shared_policy, tell=shown.note)
    endpoints.open_meter = spending.open_meter
    info = RunInfo(
        folder=folder.path,
        model=options.model.ref,
        tasks=tuple(job.plan.title for job in jobs),
        judges=options.judges,
        plugins=host.provenance(),
    )
    return RunContext(
        options=options,
        jobs=jobs,
        folder=folder,
        progress=shown,
        stop=stop or Stop(),
        observers=host.observe(info, tell=None if progress is None else progress.note, keep=writer.errors.add_fault),
        endpoints=endpoints,
        spending=spending,
        digest="",
    )


async def _finish(context: RunContext, writer: RunWriter, resolved: Resolved | None) -> Run:
    """Evaluate and write the results; if the run ends early, note it in the folder.

    Args:
        context: the run's context.
        writer: writes the run folder.
        resolved: the model to ask; None to judge only.
    """
    context.note_judges = writer.note_judges
    with context.progress, writer.held, _close_queue(context):
        if writer.is_ours:
            writer.hold()
        async with context.observers:
            try:
                if resolved is None and context.options.batch:
                    _open_queue(context)
                with unwrap_groups():
                    await (context.judge() if resolved is None else _evaluate(context, resolved, writer))
                    context.stop.check()
            except BatchesPending as pending:
                writer.note_stop(context, pending, end="pending")
                before = context.folder.results
                return Run(
                    folder=context.folder.path,
                    results=before,
                    exit_code=3,
                    notes=tuple(dict.fromkeys((*context.notes, *_list_queue_notes(context)))),
                    pending="\n  ".join((str(pending), *(f"first: {command}" for command in pending.commands))),
                )
            except BaseException as error:
                with suppress(OSError):  # on a full disk the note fails too; it must not hide why the run ended
                    writer.note_stop(context, error)
                raise
            computed = writer.write_results(context)
            context.observers.finished(computed.results)
    writer.errors.write(context.folder.log)
    context.notes += [f"{line}; its traceback is in {context.folder.log_file}" for line in writer.errors.lines()]
    if writer.aside is not None:
        context.notes.append(f"the previous run of this folder is now in {writer.aside}")
    context.notes += _list_queue_notes(context)
    if lost := computed.results["usage"].get("unanswered_usd"):
        context.notes.append(f"calls that got no answer may be billed: up to {format_usd(lost)}, not part of the cost")
    code, notes = build_notes(context, computed, context.folder.path)
    return Run(folder=context.folder.path, results=computed.results, exit_code=code, notes=tuple(notes))


def _open_queue(context: RunContext) -> BatchQueue:
    """Open the folder's batches for this invocation. Raises HarnessError if another process has them open."""
    if context.batches is None:
        context.batches = BatchQueue(
            context.folder.path,
            context.options.policy,
            tell=context.progress.note,
            wait=context.options.wait,
            budget=context.spending.budget,
        )
    return context.batches


@contextmanager
def _close_queue(context: RunContext) -> Generator[None]:
    try:
        yield
    finally:
        if context.batches is not None:
            context.batches.close()


def _list_queue_notes(context: RunContext) -> list[str]:
    return [] if context.batches is None else context.batches.notes


async def _evaluate(context: RunContext, resolved: Resolved, writer: RunWriter) -> None:
    """Run the phases that need the model, then the judges that wait until it is closed."""
    later, only_answers = must_judge_later(context, resolved), context.options.phases == "answers"
    if later and not only_answers:
        await context.check_judges(is_local)
    async with open_evaluated_model(context, resolved, writer) as model:
        await (context.answer(model) if later else context.answer_and_judge(model))
    if later and not only_answers and not context.stop.asked:
        await context.judge()


def must_judge_later(context: RunContext, resolved: Resolved) -> bool:
    """Whether judging waits until the model is closed, because both use this machine's accelerator."""
    if context.options.phases != "auto":
        return context.options.phases != "overlap"
    return resolved.provider.local and any(is_local(choice.model) for choice in context.choices)


@asynccontextmanager
async def open_evaluated_model(context: RunContext, resolved: Resolved, writer: RunWriter) -> AsyncGenerator[Model]:
    """Open the model, metered and inside its strategy. Nothing is written before the probe passes.

    Raises:
        HarnessError: it cannot be opened, cannot answer the run's questions, or does not answer at all.
        IdentityMismatch: the folder belongs to another model.
    """
    most_images = max((job.survey.most_images for job in context.jobs if job.survey), default=0)
    open_meter = partial(context.spending.open_meter, resolved.spec.ref, resolved.provider, resolved.settings)
    async with resolved.open(images=most_images) as inner:
        context.endpoints.watch(inner)
        resolved.check_strategy(inner)
        _check_abilities(context, inner)
        identity = resolved.identity(inner)
        if context.attack is not None:
            identity["attack"] = context.attack.identity
        context.digest = digest(identity)
        claim_folder(context.folder, context.options, identity)
        side = resolved.batches_of(inner) if context.options.batch else None
        probes = context.options.probe and (side is None or side.live)
        if side is not None and not context.options.fresh and (context.folder.path / LOG).exists():
            queue = _open_queue(context)
            await queue.attach(resolved.channel, resolved.spec.ref, side)
            queue.check_idle()
            probes = probes and not (queue.log.gathered and context.folder.load_run().probe)
        if probes and not resolved.provider.given:
            model, policy = resolved.wrap(inner), context.options.policy
            probe = await probe_model(
                model, images=most_images, policy=policy, tell=context.progress.note, meter=open_meter()
            )
            context.probe_result = probe
            if not probe.in_order:
                note = (
                    f"{model.info.ref} did not name the {probe.images} probe images in order; it answered: "
                    f"{probe.answer[:200]!r}"
                )
                context.progress.note(note)
                context.notes.append(note)
            context.endpoints.mark_answered(inner)
        writer.write_model(identity, resolved, inner, context.jobs)
        metered = Metered(inner, context.endpoints, before=context.folder.has_answers, meter=open_meter())
        if side is not None:
            queue = _open_queue(context)
            channel = await queue.attach(resolved.channel, resolved.spec.ref, side)
            metered = BatchedModel(
                inner, context.endpoints, queue, channel, before=context.folder.has_answers, meter=open_meter()
            )
        context.breaker = metered.breaker
        try:
            yield resolved.wrap(metered)
        finally:
            context.dropped |= inner.info.dropped
            if context.batches is not None:
                context.batches.log.note_refused(inner.info.dropped)
                context.dropped |= context.batches.log.refused
            context.model_notes = inner.info.notes
            context.endpoints.listen()


def _check_abilities(context: RunContext, model: Model) -> None:
    """Refuse the run if the model takes fewer images than a sample holds, or lacks an ability."""
    added = {"system"} if context.options.system else set[str]()
    for job in context.jobs:
        found = job.survey
        if found is None:
            continue
        missing = (found.needs | added) - model.info.can
        if missing:
            raise HarnessError(
                f"{model.info.ref} cannot answer {job.plan.title}: it {describe_lacks(missing)}",
                remedy="use a model that can: the harness never drops part of a question",
            )
        if found.dialogues and model.info.single_turn:
            raise HarnessError(
                f"{job.plan.title} holds dialogues, and {model.info.ref} takes one message of the user",
                remedy="use a model that takes a conversation",
            )
        most = model.info.max_images
        if most is not None and most < found.most_images:
            raise HarnessError(
                f"{job.plan.title} shows {found.most_images} images at once; {model.info.ref} takes {most}",
                remedy="use a model that takes more images: the harness never drops one",
            )

"""The public door: `run_async` and `judge_async`, from options to a finished run folder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import plugins
from harness.contracts import Results, RunInfo
from harness.evaluation.context import RunContext
from harness.evaluation.judges import check_judges
from harness.evaluation.options import JudgeOptions, Options
from harness.evaluation.plan import ListedSplits, RunPlan, SplitJob, check_plan, list_splits, make_plan
from harness.evaluation.samples import Stop
from harness.evaluation.splits import find_unused_models
from harness.evaluation.suites import find_overrides
from harness.groups import ungrouped
from harness.keys import short
from harness.limits.slots import Endpoints
from harness.models import Resolved, resolve
from harness.paths import named
from harness.plugins.boundary import PluginErrors, listen
from harness.plugins.watch import watch_loop
from harness.progress.lines import Progress, SilentProgress
from harness.runs.opening import evaluated, is_local, sequential, unplaced
from harness.runs.past import past
from harness.runs.recorder import Recorder, claim
from harness.runs.remarks import remarks
from harness.store.folder import RunFolder, file_name

if TYPE_CHECKING:
    import pandas as pd

RUNS = Path("runs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run that ended.

    Attributes:
        folder: where everything is.
        results: the dict of results.json.
        exit_code: 0 done, 3 done but incomplete.
        notes: what the user should read.
    """

    folder: Path
    results: Results
    exit_code: int = 0
    notes: tuple[str, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """One row for each task, split and metric (pandas is imported here)."""
        from harness.runs.frame import frame

        return frame([self.results])


async def run_async(options: Options, *, progress: Progress | None = None, stop: Stop | None = None) -> Run:
    """Answer and judge. Raises HarnessError for what the user can mend; what was answered is kept.

    Args:
        options: what to do.
        progress: told what happens; None says nothing.
        stop: set its `asked` to end early; the run then raises KeyboardInterrupt.
    """
    errors = PluginErrors()
    with listen(errors.add), watch_loop((progress or SilentProgress()).note):
        return await _run(options, errors, progress, stop)


async def _run(options: Options, errors: PluginErrors, progress: Progress | None, stop: Stop | None) -> Run:
    started = time.time()
    found = prepare(options)
    recorder = Recorder(folder=found.folder, options=options, started=started, suites=found.asked.suites, errors=errors)
    context = _session(options, found.listed.jobs, recorder, progress, stop)
    context.failed += found.listed.failed
    context.left_out += found.listed.left_out
    context.notes += found.notes
    return await _carried(context, recorder, found.resolved)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A run as far as it is known before a model is opened and anything is spent or written.

    Attributes:
        asked: splits and suites.
        resolved: the model.
        folder: of the run.
        listed: the splits, each listed once.
        notes: what the user should read of the options.
    """

    asked: RunPlan
    resolved: Resolved
    folder: RunFolder
    listed: ListedSplits
    notes: tuple[str, ...]


def prepare(options: Options) -> Prepared:
    """All that a run does before it opens a model: a dry run does it too, and so ends as the run would.

    Raises:
        UnknownName, HarnessError: what the user can mend, before anything is spent.
        IdentityMismatch: the folder is another model's, as far as that is known yet.
    """
    options.check()
    asked = make_plan(options)
    resolved = resolve(options.model, devices=options.devices)
    check_judges((choice for each in asked.splits for choice in each.judges), options)
    folder = RunFolder(named(options.output or default_folder(options)))
    claim(folder, options, resolved.requested, whole=False)
    folder.check_writable("give --output a folder that can be written to")
    if options.fresh:
        folder.check_alone()  # before anything is opened or spent
    listed = list_splits(asked.splits, options, None if options.fresh else folder.run, asked.left_out)
    choices = [choice for job in listed.jobs for choice in job.plan.judges]
    notes = [note for each in asked.suites.values() for note in find_overrides(each.suite, options)]
    notes += [*find_unused_models(options.judges, choices), *unplaced(resolved, choices, options)]
    return Prepared(asked=asked, resolved=resolved, folder=folder, listed=listed, notes=tuple(notes))


async def judge_async(
    folder: Path, judging: JudgeOptions, *, progress: Progress | None = None, stop: Stop | None = None
) -> Run:
    """Judge the stored answers of a run, again or with another judge; nothing is asked of the model.

    Args:
        folder: of the run.
        judging: judges and their settings; the rest is read from the folder.
        progress: told what happens; None says nothing.
        stop: as for `run_async`.
    """
    errors = PluginErrors()
    with listen(errors.add), watch_loop((progress or SilentProgress()).note):
        return await _judge(folder, judging, errors, progress, stop)


async def _judge(
    folder: Path, judging: JudgeOptions, errors: PluginErrors, progress: Progress | None, stop: Stop | None
) -> Run:
    started = time.time()
    judging.check()
    run = RunFolder(folder)
    known = past(run, judging)
    check_judges((choice for each in known.jobs for choice in each.plan.judges), known.options)
    for each in known.jobs:
        check_plan(each.plan)
    run.check_writable("copy it to where it can be written")
    recorder = Recorder(folder=run, options=known.options, started=started, judging=judging, ours=True, errors=errors)
    context = _session(known.options, known.jobs, recorder, progress, stop)
    context.digest = known.digest
    context.notes += [
        *find_unused_models(judging.judges, context.choices),
        *unplaced(None, context.choices, known.options),
    ]
    return await _carried(context, recorder, None)


def default_folder(options: Options) -> Path:
    """`runs/<scheme>-<name>`, and six hex digits when anything overrides the model's defaults."""
    spec = options.model
    name = named(Path(spec.name)).name if Path(spec.name).exists() else spec.name
    changed: dict[str, Any] = {**options.overrides, **resolve(spec).overrides}
    suffix = f"-{short(changed, 6)}" if changed else ""
    return RUNS / f"{file_name(f'{spec.scheme}-{name}')}{suffix}"


def _session(
    options: Options,
    jobs: Sequence[SplitJob],
    recorder: Recorder,
    progress: Progress | None,
    stop: Stop | None,
) -> RunContext:
    host, shown, folder = plugins.current(), progress or SilentProgress(), recorder.folder
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
        observers=host.observe(info, tell=None if progress is None else progress.note, keep=recorder.errors.add_fault),
        endpoints=Endpoints(options.policy, tell=shown.note),
        digest="",
    )


async def _carried(context: RunContext, recorder: Recorder, resolved: Resolved | None) -> Run:
    """Carry out a context to its end; one that ends early is noted in the folder. `resolved` is the model to ask."""
    with context.progress, recorder.held:
        if recorder.ours:
            recorder.hold()
        async with context.observers:
            try:
                with ungrouped():
                    await (context.judge() if resolved is None else _answer(context, resolved, recorder))
                    context.stop.check()
            except BaseException as error:
                with suppress(OSError):  # on a full disk even the note fails, and must not hide why the run ended
                    recorder.stopped(context, error)
                raise
            concluded = recorder.conclude(context)
            context.observers.finished(concluded.results)
    recorder.errors.write(context.folder.log)
    context.notes += [f"{line}; its traceback is in {context.folder.log_file}" for line in recorder.errors.lines()]
    if recorder.aside is not None:
        context.notes.append(f"the run that was here before is in {recorder.aside}")
    code, notes = remarks(context, concluded, context.folder.path)
    return Run(folder=context.folder.path, results=concluded.results, exit_code=code, notes=tuple(notes))


async def _answer(context: RunContext, resolved: Resolved, recorder: Recorder) -> None:
    """The phases that need the model, then the judges that wait for it to be gone."""
    later = sequential(context, resolved)
    if later:
        await context.check_judges(is_local)
    async with evaluated(context, resolved, recorder) as model:
        await (context.answer(model) if later else context.answer_and_judge(model))
    if later and not context.stop.asked:
        await context.judge()

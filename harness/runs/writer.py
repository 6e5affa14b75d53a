"""run.json: who was asked, how, with what, and what each invocation did; and results.json at its end."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from harness import plugins, settings
from harness.contracts import DataSource, Model, Split
from harness.data.built import find_built_set
from harness.data.places import data_folder
from harness.data.provenance import check_revision, find_origin
from harness.errors import HarnessError, describe_error, find_plugin_error
from harness.evaluation.context import RunContext
from harness.evaluation.options import JudgeOptions, Options
from harness.evaluation.plan import SplitJob, SuiteMembers
from harness.evaluation.splits import SplitPlan
from harness.labels import find_outcome_labels
from harness.models import Resolved, identity_digest
from harness.plugins.boundary import PluginErrors
from harness.plugins.loader import format_story
from harness.runs.environment import environment
from harness.runs.results import ComputedResults, ResultsInput, compute_results
from harness.secrets import without_secrets
from harness.store.folder import RunFolder
from harness.store.run_file import (
    SCHEMA,
    DataEntry,
    Invocation,
    ModelEntry,
    Overrides,
    RunFile,
    SplitEntry,
    SuiteEntry,
    TaskEntry,
)
from harness.types import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """What an invocation did.

    Attributes:
        options: of the invocation.
        judging: as asked for, where it only judged.
        context: as it ended.
    """

    options: Options
    judging: JudgeOptions | None
    context: RunContext

    def into(self, tasks: Mapping[str, TaskEntry]) -> dict[str, TaskEntry]:
        """The tasks of run.json with all that was carried."""
        groups: dict[str, list[SplitJob]] = {}
        for job in self.context.jobs:
            groups.setdefault(job.plan.display, []).append(job)
        return {**tasks, **{display: self._task(tasks.get(display), group) for display, group in groups.items()}}

    def _task(self, old: TaskEntry | None, jobs: Sequence[SplitJob]) -> TaskEntry:
        """One task; what is said of its data is looked up once, however many splits it has."""
        plan = next((each.plan for each in jobs if each.plan.split.data is None), jobs[-1].plan)
        before: Mapping[str, SplitEntry] = {} if old is None else old.splits
        splits = {**before, **{each.plan.name: self._split(before.get(each.plan.name), each) for each in jobs}}
        if old is not None and self.judging is not None:
            return replace(old, splits=splits)
        return TaskEntry(
            task=plan.task.name,
            version=plan.task.version,
            settings=settings.find_changed(plan.task.settings, plan.settings),
            data=_build_data_entry(plan, self.options, tuple(splits)),
            splits=splits,
            extra={} if old is None else old.extra,
        )

    def _split(self, old: SplitEntry | None, job: SplitJob) -> SplitEntry:
        plan = job.plan
        judge = self._judge(None if old is None else old.judge, plan)
        if old is not None and self.judging is not None:
            least = self.judging.min_coverage
            return replace(
                old,
                judge=judge,
                min_coverage=old.min_coverage if least is None else least,
                drawn=self._note_draws(old.drawn, job),
            )
        content = self.context.contents.get((plan.display, plan.name))
        new = SplitEntry(
            judge=judge,
            packaged=plan.split.data is not None,
            generation=_find_sent_settings(plan, {} if old is None else old.generation, self.context.dropped),
            epochs=job.epochs,
            limit=self.options.limit,
            content=content or "",
            found=job.survey.found if job.survey else None,
            min_coverage=self.options.min_coverage,
            drawn={} if old is None else self._note_draws(old.drawn, job),
            data=build_own_data(plan.split),
            outcome_labels=find_outcome_labels(plan.split, partial(_find_labels, options=self.options)),
            extra={} if old is None else old.extra,
        )
        if old is None or (content is not None and not job.keep):
            return new
        return replace(new, epochs=old.epochs, limit=old.limit, content=old.content, found=old.found)

    def _note_draws(self, old: Mapping[str, str], job: SplitJob) -> dict[str, str]:
        """How far each judge's draw goes; one that read on without a limit has none any more.

        A draw that a judge did not come to the end of is not noted: what it has read of it is no random part.
        """
        plan, drawn = job.plan, job.drawn
        read = self.context.judges_of.get((plan.display, plan.name), ())
        if drawn is None:
            return {judge: last for judge, last in old.items() if judge not in {bench.id for bench in read}}
        failed = any(failed.title == plan.title for failed, _ in self.context.failed)
        done = [] if failed else [bench.id for bench in read if bench.dead is None]
        return {**old, **{judge: max(drawn, old.get(judge, "")) for judge in done}}

    def _judge(self, old: str | None, plan: SplitPlan) -> str | None:
        """The judge whose figures stand first: the one that did, unless another is to be the primary one now."""
        chosen = self.context.judges_of.get((plan.display, plan.name), ())
        anew = old is None or (self.judging is not None and self.judging.primary)
        return chosen[0].id if chosen and anew else old


def build_suite_entry(members: SuiteMembers) -> SuiteEntry:
    """What run.json says of a suite."""
    settings = {
        key: str(value) if isinstance(value, Path) else value for key, value in members.suite.task_settings.items()
    }
    return SuiteEntry(rubrics=dict(members.rubrics), settings=settings, mean=members.mean)


def _build_data_entry(plan: SplitPlan, options: Options, splits: Sequence[str]) -> DataEntry:
    source = plan.task.source or DataSource()
    root = options.root(plan.task.name).absolute()
    there = find_built_set(root)
    made = there if plan.split.data is None else None
    name, revision = ("", "") if there else find_origin(root)  # packaged data is not of the set that lies in the root
    if made:
        name, revision = made.name, made.revision
    elif plan.task.revision is not None:
        revision = _revision(plan.task.revision, root, splits) or revision
    return DataEntry(
        root=str(root),
        folder=str(data_folder(options.data).absolute()),
        source=name or source.hub or source.url,
        revision=revision,
        licence=made.licence if made else source.licence,
        checked=""
        if there or plan.split.data is not None or plan.task.source is None
        else check_revision(source, root),
    )


def _find_labels(rubric: str, options: Options) -> tuple[str, ...] | None:
    """All labels of a rubric that a split accepts, under its default settings; None where it cannot be opened here."""
    try:
        judge = plugins.current().judge(rubric)
        return judge.open(settings.effective(judge.settings, {}, owner=f"judge {rubric}"), options.root(rubric)).labels
    except Exception:  # noqa: BLE001 - it was not chosen, and may need what is not installed
        return None


def build_own_data(split: Split) -> dict[str, Json]:
    """Where a split's data comes from, if not from the task's source; {} where it does."""
    if split.source is None and split.data is None:
        return {}
    source = split.source or DataSource()
    return {
        "source": source.hub or source.url or "packaged",
        "revision": source.revision,
        "licence": source.licence,
        "toy": source.toy,
    }


def _revision(told: Callable[[Path, Sequence[str]], str], root: Path, splits: Sequence[str]) -> str:
    """What a task says of its data; a plugin that raises here costs the run nothing, and what it raised is kept."""
    try:
        return told(root, splits)
    except Exception as error:  # noqa: BLE001 - a plugin raises what it likes
        return f"not known: {describe_error(error)}"


def _find_sent_settings(plan: SplitPlan, before: Mapping[str, Json], dropped: frozenset[str]) -> dict[str, Json]:
    """The effective generation settings, null where the model refused one, now or in an earlier invocation.

    An invocation that asks nothing new does not hear of it again.
    """
    wanted = asdict(plan.generation)
    gone = dropped | {name for name, value in before.items() if value is None}
    return {name: None if name in gone else value for name, value in wanted.items()}


@dataclass(slots=True, kw_only=True)
class RunWriter:
    """Writes what a run folder says about itself.

    Attributes:
        folder: of the run.
        options: of this invocation.
        started: Unix time in seconds.
        judging: as asked for, where this invocation only judges.
        suites: that this invocation asks.
        ours: the folder is known to be this model's, so that its history may be written.
        aside: where `--fresh` put the folder that was there before.
        errors: what plugins raised meanwhile.
        held: lets go of the folder.
    """

    folder: RunFolder
    options: Options
    started: float
    judging: JudgeOptions | None = None
    suites: Mapping[str, SuiteMembers] = field(default_factory=dict[str, SuiteMembers])
    ours: bool = False
    aside: Path | None = None
    errors: PluginErrors = field(default_factory=PluginErrors)
    held: ExitStack = field(default_factory=ExitStack)

    def refuse(self, identity: Mapping[str, Json]) -> None:
        """Raise IdentityMismatch, with the fields that differ, where the folder is another model's."""
        claim_folder(self.folder, self.options, identity)

    def enter(self, identity: Mapping[str, Json], resolved: Resolved, model: Model) -> None:
        """Make the folder this model's; with `--fresh` an old one is put aside first."""
        if self.options.fresh:
            self.aside = self.folder.put_aside()
        self.hold()
        self.folder.rewrite_run(lambda old: self._opened(old, identity, resolved, model))
        self.ours = True

    def hold(self) -> None:
        """Keep others from putting the folder aside, until `held` is closed."""
        self.held.enter_context(self.folder.hold_for_writing())

    def stopped(self, context: RunContext, error: BaseException) -> None:
        """An invocation that ended early: noted where the folder is ours, and nothing else is changed."""
        if self.ours:
            told = "interrupted" if not isinstance(error, Exception) else f"{type(error).__name__}: {error}"
            by = find_plugin_error(error)
            if by is not None and by is not error:
                self.errors.add(by)  # of another process, whose boundary nobody here listens to
            self.errors.write(self.folder.log)
            if by is not None:
                by.log = str(self.folder.log_file)
            self._history(context, "stopped", told)

    def write_results(self, context: RunContext) -> ComputedResults:
        """Write what was done into run.json, then results.json from the lines of the folder."""
        self.folder.rewrite_run(lambda old: self._carried(_require_run(old, self.folder), context))
        self._history(context, "done", "")
        conclusion = ResultsInput(
            folder=self.folder,
            run=_require_run(self.folder.run, self.folder),
            plans=[job.plan for job in context.jobs],
            command=self.options.command,
        )
        with self.folder.changing("results.json") as results:
            concluded = compute_results(conclusion, dict(results))
            results.clear()
            results.update(concluded.results)
        self.errors.write(self.folder.log)
        for display, error in concluded.unscored.items():
            self.folder.log(without_secrets(f"{display} could not be scored\n{format_story(error)}"))
        return concluded

    def _opened(self, old: RunFile | None, identity: Mapping[str, Json], resolved: Resolved, model: Model) -> RunFile:
        return RunFile(
            schema=SCHEMA,
            started=format_time(self.started) if old is None else old.started,
            model=ModelEntry(
                ref=resolved.spec.ref,
                resolved=model.info.resolved,
                settings=identity["settings"],
                strategy=identity["strategy"],
                notes=() if old is None else old.model.notes,
                training=resolved.training,
            ),
            identity={**identity, "overrides": _overrides(self.options).as_json()},
            identity_digest=identity_digest(identity),
            overrides=_overrides(self.options),
            plugins=dict(plugins.current().provenance()),
            environment=environment(model),
            judges={} if old is None else old.judges,
            tasks={} if old is None else old.tasks,
            suites={} if old is None else old.suites,
            probe=None if old is None else old.probe,
            history=() if old is None else old.history,
            extra={} if old is None else old.extra,
        )

    def _carried(self, run: RunFile, context: RunContext) -> RunFile:
        return replace(
            run,
            model=replace(run.model, notes=tuple(dict.fromkeys((*run.model.notes, *context.model_notes)))),
            plugins={**run.plugins, **plugins.current().provenance()},
            judges={**run.judges, **{bench.id: dict(bench.card) for bench in context.judges}},
            tasks=Carried(options=self.options, judging=self.judging, context=context).into(run.tasks),
            suites={**run.suites, **{name: build_suite_entry(members) for name, members in self.suites.items()}},
            probe=run.probe if context.probe_result is None else asdict(context.probe_result),
        )

    def _history(self, context: RunContext, end: str, reason: str) -> None:
        now = datetime.now(UTC).timestamp()
        entry = Invocation(
            started=format_time(self.started),
            finished=format_time(now),
            seconds=round(now - self.started, 3),
            command=self.options.command,
            tasks=tuple(job.plan.title for job in context.jobs),
            end=end,
            reason=reason,
        )

        def noted(old: RunFile | None) -> RunFile:
            run = _require_run(old, self.folder)
            return replace(run, history=(*run.history, entry))

        self.folder.rewrite_run(noted)
        self.folder.log(f"{format_time(self.started)} {end} {reason} {shlex.join(self.options.command)}")


def claim_folder(folder: RunFolder, options: Options, identity: Mapping[str, Json], *, whole: bool = True) -> None:
    """Raise IdentityMismatch where the folder is another model's; `--fresh` puts it aside instead.

    Args:
        folder: of the run.
        options: as given.
        identity: of the model; a part of it where it is not open yet.
        whole: it is all of the identity.
    """
    if not options.fresh:
        remedy = "give --output another folder, or --fresh to put this one aside"
        folder.claim({**identity, "overrides": _overrides(options).as_json()}, remedy, whole=whole)


def _overrides(options: Options) -> Overrides:
    return Overrides(generation=dict(options.generation), system=options.system)


def format_time(moment: float) -> str:
    """A Unix time as run.json writes it: UTC, to the second."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")


def _require_run(run: RunFile | None, folder: RunFolder) -> RunFile:
    """The run, which this invocation made or read; somebody may have taken its file away meanwhile."""
    if run is None:
        raise HarnessError("run.json is gone", where=str(folder.path), remedy="restore the file, or run with --fresh")
    return run

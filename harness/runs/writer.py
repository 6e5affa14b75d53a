"""Writes run.json (model, settings, environment and history of invocations) and, at the end, results.json."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path

from harness import plugins, settings
from harness.contracts import DataSource, Decision, Model, Split
from harness.data.built import find_built_set
from harness.data.places import data_folder
from harness.data.provenance import check_revision, find_origin
from harness.errors import HarnessError, describe_error, find_plugin_error
from harness.evaluation.context import RunContext
from harness.evaluation.judges import OpenJudge
from harness.evaluation.options import JudgeOptions, Options
from harness.evaluation.plan import SplitJob, SuiteMembers
from harness.evaluation.splits import SplitPlan
from harness.keys import digest
from harness.labels import find_outcome_labels
from harness.models import Resolved
from harness.plugins.boundary import PluginErrors
from harness.plugins.loader import format_story
from harness.prices import Seller
from harness.prices.costs import MODEL, to_number
from harness.runs.environment import environment
from harness.runs.option_record import record_options
from harness.runs.results import ComputedResults, compute_results
from harness.runs.shards import begin_shard, enter_splits
from harness.runs.stored import StoredRun
from harness.runs.votes import list_votes, write_decisions
from harness.secrets import without_secrets
from harness.store.folder import RunFolder, repeat_id
from harness.store.reader import Answer
from harness.store.run_file import (
    SCHEMA,
    DataEntry,
    Invocation,
    ModelEntry,
    OverridesEntry,
    RunFile,
    SplitEntry,
    SuiteEntry,
    TaskEntry,
)
from harness.types import Json


@dataclass(slots=True, kw_only=True)
class RunWriter:
    """Writes run.json and results.json of a run folder.

    Attributes:
        folder: the run folder.
        options: this invocation's options.
        started: Unix time in seconds.
        judging: the judging options, if this invocation only judges.
        suites: the suites of this invocation.
        is_ours: whether the folder belongs to this model, so that its history may be written.
        aside: where `--fresh` moved the old folder.
        errors: errors that plugins raised.
        held: releases the folder when closed.
    """

    folder: RunFolder
    options: Options
    started: float
    judging: JudgeOptions | None = None
    suites: Mapping[str, SuiteMembers] = field(default_factory=dict[str, SuiteMembers])
    is_ours: bool = False
    aside: Path | None = None
    errors: PluginErrors = field(default_factory=PluginErrors)
    held: ExitStack = field(default_factory=ExitStack)

    def hold(self) -> None:
        """Keep other processes from moving the folder until `held` is closed."""
        self.held.enter_context(self.folder.hold_for_writing())

    def write_model(
        self, identity: Mapping[str, Json], resolved: Resolved, model: Model, jobs: Sequence[SplitJob] = ()
    ) -> None:
        """Claim the folder for this model, and note how much is asked; with `--fresh`, move an old one away first."""
        if self.options.fresh:
            self.aside = self.folder.put_aside()
        self.hold()
        overrides = _build_overrides(self.options)

        def change(old: RunFile | None) -> RunFile:
            entry = ModelEntry(
                ref=resolved.spec.ref,
                resolved=model.info.resolved,
                settings=identity["settings"],
                strategy=identity["strategy"],
                notes=() if old is None else old.model.notes,
                training=resolved.training,
                given=resolved.provider.given,
                attack=identity.get("attack"),
            )
            new = RunFile(
                schema=SCHEMA,
                started=format_time(self.started),
                model=entry,
                identity={**identity, "overrides": overrides.as_json()},
                identity_digest=digest(identity),
                overrides=overrides,
                prices=_update_prices(
                    {} if old is None else old.prices, {MODEL: (resolved.spec.ref, resolved.seller)}, self.options
                ),
                plugins=dict(plugins.current().provenance()),
                environment=environment(model),
                judges={},
                tasks={},
                suites={},
                probe=None,
                history=(),
                shard=begin_shard(self.options.shard),
                running={
                    "started": format_time(self.started),
                    "splits": {job.plan.title: job.total for job in jobs},
                    "options": record_options(self.options, "run"),
                },
            )
            if old is None:
                return new
            return replace(
                new,
                started=old.started,
                judges=old.judges,
                tasks=old.tasks,
                suites=old.suites,
                probe=old.probe,
                history=old.history,
                shard=old.shard,
                merged=old.merged,
                extra=old.extra,
            )

        self.folder.rewrite_run(change)
        self.is_ours = True

    def note_judges(self, judges: Sequence[OpenJudge]) -> None:
        """Note the judges' models and who answers them, so that their dollars are known if this process is killed."""
        sellers = {judge.id: (str(judge.card["model"]), judge.seller) for judge in judges if judge.seller}
        if not sellers:
            return

        def change(old: RunFile | None) -> RunFile:
            run = _require_run(old, self.folder)
            prices = _update_prices(run.prices, sellers, self.options)
            known = {
                name: {**each, "ref": sellers[name][0]} if name in sellers else each
                for name, each in prices["sellers"].items()
            }
            return replace(run, prices={**prices, "sellers": known})

        self.folder.rewrite_run(change)

    def note_stop(self, context: RunContext, error: BaseException, *, end: str = "stopped") -> None:
        """If the folder is ours, note that the invocation ended early; change nothing else."""
        if not self.is_ours:
            return
        reason = f"{type(error).__name__}: {error}" if isinstance(error, Exception) else "interrupted"
        reason = str(error) if end == "pending" else reason
        by = find_plugin_error(error)
        if by is not None and by is not error:
            self.errors.add(by)  # raised in another process, so no boundary here has reported it
        self.errors.write(self.folder.log)
        if by is not None:
            by.log = str(self.folder.log_file)
        if context.probe_result is not None and end == "pending":  # the invocation that goes on does not probe again
            probe = asdict(context.probe_result)
            self.folder.rewrite_run(lambda old: replace(_require_run(old, self.folder), probe=probe))
        self._add_invocation(context, end, reason)

    def write_results(self, context: RunContext) -> ComputedResults:
        """Update run.json, then compute results.json from the folder's lines."""

        def change(old: RunFile | None) -> RunFile:
            run = _require_run(old, self.folder)
            suites = {
                name: SuiteEntry(
                    rubrics=dict(members.rubrics),
                    settings={
                        key: str(value) if isinstance(value, Path) else value
                        for key, value in members.suite.task_settings.items()
                    },
                    mean=members.mean,
                )
                for name, members in self.suites.items()
            }
            return replace(
                run,
                model=replace(run.model, notes=tuple(dict.fromkeys((*run.model.notes, *context.model_notes)))),
                plugins={**run.plugins, **plugins.current().provenance()},
                judges={
                    **run.judges,
                    **{judge.id: dict(judge.card) for judge in context.judges},
                    **{vote.id: vote.card for vote in list_votes(context.judges, context.options)},
                },
                tasks=self._update_tasks(run.tasks, context),
                shard=run.shard  # only answers change it
                if self.judging
                else enter_splits(run.shard, context.jobs, context.contents, self.options),
                suites={**run.suites, **suites},
                prices=_update_prices(
                    run.prices,
                    {judge.id: (str(judge.card["model"]), judge.seller) for judge in context.judges if judge.seller},
                    self.options,
                ),
            )

        self.folder.rewrite_run(change)
        self._add_invocation(context, "done", "")
        run = StoredRun(folder=self.folder, file=_require_run(self.folder.run, self.folder))
        plans = [job.plan for job in context.jobs]
        # what the repeats of each judge decide, one task's file after the other
        decided: dict[tuple[str, str], list[Iterator[tuple[Answer, Decision]]]] = {}
        for plan in plans:
            for vote in list_votes(context.judges_of.get((plan.display, plan.name), ()), context.options):
                rubric = str(run.file.judges[vote.judge]["rubric"])
                decided.setdefault((plan.display, vote.id), []).append(vote.decide(run, plan, rubric))
        for (display, vote_id), found in decided.items():
            write_decisions(self.folder, display, vote_id, chain.from_iterable(found))
        with self.folder.rewrite_json("results.json") as results:
            computed = compute_results(run, dict(results), plans=plans, command=self.options.command)
            results.clear()
            results.update(computed.results)
        self.errors.write(self.folder.log)
        for display, error in computed.unscored.items():
            self.folder.log(without_secrets(f"{display} could not be scored\n{format_story(error)}"))
        return computed

    def _add_invocation(self, context: RunContext, end: str, reason: str) -> None:
        now = datetime.now(UTC).timestamp()
        asked = [choice.model for choice in context.choices if choice.model]
        if self.judging is None:
            asked.append(self.options.model.ref)
        host = plugins.current()
        has_local = any(host.provider(ref.partition("/")[0]).local for ref in asked)
        entry = Invocation(
            started=format_time(self.started),
            finished=format_time(now),
            seconds=round(now - self.started, 3),
            command=self.options.command,
            tasks=tuple(job.plan.title for job in context.jobs),
            end=end,
            reason=reason,
            launch=self.options.launcher.recorded if has_local else "",
            options=record_options(self.options, "run")
            if self.judging is None
            else record_options(self.judging, "judge"),
            spent_usd=to_number(context.spending.cost) if context.spending.cost else None,
            unanswered_usd=to_number(context.spending.unanswered) if context.spending.unanswered else None,
        )

        def change(old: RunFile | None) -> RunFile:
            run = _require_run(old, self.folder)
            probe = run.probe if context.probe_result is None else asdict(context.probe_result)
            return replace(run, history=(*run.history, entry), running={}, probe=probe)

        self.folder.rewrite_run(change)
        self.folder.log(f"{format_time(self.started)} {end} {reason} {shlex.join(self.options.command)}")

    def _update_tasks(self, tasks: Mapping[str, TaskEntry], context: RunContext) -> dict[str, TaskEntry]:
        """The tasks of run.json after this invocation; looks up the data once for each task."""
        groups: dict[str, list[SplitJob]] = {}
        for job in context.jobs:
            groups.setdefault(job.plan.display, []).append(job)
        new = dict(tasks)
        for display, jobs in groups.items():
            old = tasks.get(display)
            before: Mapping[str, SplitEntry] = {} if old is None else old.splits
            splits = dict(before)
            for job in jobs:
                splits[job.plan.name] = self._build_split(before.get(job.plan.name), job, context)
            if old is not None and self.judging is not None:
                new[display] = replace(old, splits=splits)
                continue
            plan = next((job.plan for job in jobs if job.plan.split.data is None), jobs[-1].plan)
            new[display] = TaskEntry(
                task=plan.task.name,
                version=plan.task.version,
                settings=settings.find_changed(plan.task.settings, plan.settings),
                data=_build_data_entry(plan, self.options, tuple(splits)),
                splits=splits,
                file=dict(plan.task.file),
                extra={} if old is None else old.extra,
            )
        return new

    def _build_split(self, old: SplitEntry | None, job: SplitJob, context: RunContext) -> SplitEntry:
        plan = job.plan
        judges = context.judges_of.get((plan.display, plan.name), ())
        judge = None if old is None else old.judge
        if judges and (judge is None or (self.judging is not None and self.judging.primary)):
            judge = judges[0].id
        for vote in list_votes(judges, context.options):
            if judge in vote.replaces:
                judge = vote.id
        drawn = {} if old is None else _update_draws(old.drawn, job, context)
        if old is not None and self.judging is not None:
            least = self.judging.min_coverage
            least = old.min_coverage if least is None else least
            maps = {**_keep_maps(old, self.judging.maps), **plan.maps}
            return replace(old, judge=judge, min_coverage=least, drawn=drawn, maps=maps)
        # the effective generation settings; null if the model refused one, now or in an earlier invocation, because
        # an invocation without new questions does not see the refusal again
        refused = set(context.dropped)
        refused |= {name for name, value in old.generation.items() if value is None} if old else set[str]()
        content = context.contents.get((plan.display, plan.name))
        new = SplitEntry(
            judge=judge,
            packaged=plan.split.data is not None,
            generation={name: None if name in refused else value for name, value in asdict(plan.generation).items()},
            epochs=job.epochs,
            limit=self.options.limit,
            content=content or "",
            found=job.survey.found if job.survey else None,
            min_coverage=self.options.min_coverage,
            drawn=drawn,
            data=build_own_data(plan.split, plan.task.source),
            outcome_labels=find_outcome_labels(plan.split, partial(_find_labels, options=self.options)),
            maps={**_keep_maps(old, self.options.maps), **plan.maps},
            extra={} if old is None else old.extra,
        )
        if old is None or (content is not None and not job.keep):
            return new
        return replace(new, epochs=old.epochs, limit=old.limit, content=old.content, found=old.found)


def _update_prices(
    old: Mapping[str, Json], sellers: Mapping[str, tuple[str, Seller]], options: Options
) -> dict[str, Json]:
    """`prices` of run.json with what this invocation knows; the user's prices of now replace those of before.

    Args:
        old: from earlier invocations.
        sellers: `model` or a judge's id -> `SCHEME/NAME` and who answers.
        options: hold the user's prices.
    """
    known: Mapping[str, Json] = old.get("sellers") or {}
    own: dict[str, Json] = dict(old.get("own") or {})
    own |= {ref: options.prices[ref].as_json() for ref, _ in sellers.values() if ref in options.prices}
    new = {name: seller.as_json() for name, (_, seller) in sellers.items()}
    return {"sellers": {**known, **new}, **({"own": own} if own else {})} if known or new else {}


def _keep_maps(old: SplitEntry | None, given: Mapping[str, Mapping[str, str]]) -> dict[str, Mapping[str, str]]:
    """The maps of an earlier invocation that this one does not give anew; `--map RUBRIC` alone takes one back."""
    return {} if old is None else {rubric: made for rubric, made in old.maps.items() if rubric not in given}


def _update_draws(old: Mapping[str, str], job: SplitJob, context: RunContext) -> dict[str, str]:
    """How far each judge's draw goes; a judge that judged without a limit has none.

    An unfinished draw is not noted, because its judged part is not random.
    """
    plan, drawn = job.plan, job.drawn
    judges = context.judges_of.get((plan.display, plan.name), ())
    if drawn is None:
        whole = {each.id for judge in judges for each in judge.every}
        whole |= {vote.id for vote in list_votes(judges, context.options)}
        return {judge: last for judge, last in old.items() if judge not in whole}
    if any(failed.title == plan.title for failed, _ in context.failed):
        return dict(old)
    able = [each.id for judge in judges for each in judge.every if each.dead is None]
    able += [
        vote.id
        for vote in list_votes(judges, context.options)
        if {repeat_id(vote.judge, number) for number in range(1, vote.count + 1)} <= set(able)
    ]
    return {**old, **{each: max(drawn, old.get(each, "")) for each in able}}


def _build_data_entry(plan: SplitPlan, options: Options, splits: Sequence[str]) -> DataEntry:
    source = plan.task.source or DataSource()
    root = options.task_root(plan.task).absolute()
    in_root = find_built_set(root)
    built = in_root if plan.split.data is None else None
    name, revision = ("", "") if in_root else find_origin(root)  # packaged data does not come from the set in the root
    if built:
        name, revision = built.name, built.revision
    elif plan.task.revision is not None:
        try:
            revision = plan.task.revision(root, splits) or revision
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything; the run continues
            revision = f"not known: {describe_error(error)}"
    is_checked = in_root is None and plan.split.data is None and plan.task.source is not None
    return DataEntry(
        root=str(root),
        folder=str(data_folder(options.data).absolute()),
        source=name or source.hub or source.url,
        revision=revision,
        licence=built.licence if built else source.licence,
        checked=check_revision(source, root) if is_checked else "",
    )


def build_own_data(split: Split, of_task: DataSource | None = None) -> dict[str, Json]:
    """The source of a split's data if it is not the task's, or if the task's is a toy; else {}."""
    toy = of_task if of_task is not None and of_task.toy else None
    if split.source is None and split.data is None and toy is None:
        return {}
    source = split.source or toy or DataSource()
    return {
        "source": source.hub or source.url or "packaged",
        "revision": source.revision,
        "licence": source.licence,
        "toy": source.toy,
    }


def _find_labels(rubric: str, options: Options) -> tuple[str, ...] | None:
    """All labels of a rubric under its default settings; None if it cannot be opened here."""
    try:
        judge = plugins.current().judge(rubric)
        return judge.open(settings.effective(judge.settings, {}, owner=f"judge {rubric}"), options.root(rubric)).labels
    except Exception:  # noqa: BLE001 - the rubric was not chosen and may need uninstalled packages
        return None


def claim_folder(folder: RunFolder, options: Options, identity: Mapping[str, Json], *, whole: bool = True) -> None:
    """Raise IdentityMismatch if the folder belongs to another model; `--fresh` moves it away instead.

    Args:
        folder: the run folder.
        options: the user's options.
        identity: the model's identity; a part of it if the model is not open yet.
        whole: whether `identity` is complete.
    """
    if not options.fresh:
        remedy = "give --output another folder, or --fresh to move this one away"
        folder.claim({**identity, "overrides": _build_overrides(options).as_json()}, remedy, whole=whole)


def _build_overrides(options: Options) -> OverridesEntry:
    return OverridesEntry(generation=dict(options.generation), system=options.system)


def format_time(moment: float) -> str:
    """A Unix time in the format of run.json: UTC, to the second."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")


def _require_run(run: RunFile | None, folder: RunFolder) -> RunFile:
    """The run that this invocation made or read. Raises HarnessError if its file is gone."""
    if run is None:
        raise HarnessError("run.json is gone", where=str(folder.path), remedy="restore the file, or run with --fresh")
    return run

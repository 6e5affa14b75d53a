"""What run.json says of a task and of a split once an invocation has carried it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from harness import plugins, settings
from harness.contracts import DataSource, Split
from harness.data.built import built
from harness.data.places import data_folder
from harness.data.provenance import checked, origin
from harness.errors import describe_error
from harness.evaluation.context import RunContext
from harness.evaluation.options import JudgeOptions, Options
from harness.evaluation.plan import SplitJob, SuiteMembers
from harness.evaluation.splits import SplitPlan
from harness.labels import find_outcome_labels
from harness.store.run_file import DataEntry, SplitEntry, SuiteEntry, TaskEntry
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
        for assignment in self.context.jobs:
            groups.setdefault(assignment.plan.display, []).append(assignment)
        return {**tasks, **{display: self._task(tasks.get(display), group) for display, group in groups.items()}}

    def _task(self, old: TaskEntry | None, assignments: Sequence[SplitJob]) -> TaskEntry:
        """One task; what is said of its data is looked up once, however many splits it has."""
        plan = next((each.plan for each in assignments if each.plan.split.data is None), assignments[-1].plan)
        before: Mapping[str, SplitEntry] = {} if old is None else old.splits
        splits = {**before, **{each.plan.name: self._split(before.get(each.plan.name), each) for each in assignments}}
        if old is not None and self.judging is not None:
            return replace(old, splits=splits)
        return TaskEntry(
            task=plan.task.name,
            version=plan.task.version,
            settings=settings.changed(plan.task.settings, plan.settings),
            data=_data(plan, self.options, tuple(splits)),
            splits=splits,
            extra={} if old is None else old.extra,
        )

    def _split(self, old: SplitEntry | None, assignment: SplitJob) -> SplitEntry:
        plan = assignment.plan
        judge = self._judge(None if old is None else old.judge, plan)
        if old is not None and self.judging is not None:
            least = self.judging.min_coverage
            return replace(
                old,
                judge=judge,
                min_coverage=old.min_coverage if least is None else least,
                drawn=self._note_draws(old.drawn, assignment),
            )
        content = self.context.contents.get((plan.display, plan.name))
        new = SplitEntry(
            judge=judge,
            packaged=plan.split.data is not None,
            generation=_sent(plan, {} if old is None else old.generation, self.context.dropped),
            epochs=assignment.epochs,
            limit=self.options.limit,
            content=content or "",
            found=assignment.survey.found if assignment.survey else None,
            min_coverage=self.options.min_coverage,
            drawn={} if old is None else self._note_draws(old.drawn, assignment),
            data=own_data(plan.split),
            outcome_labels=find_outcome_labels(plan.split, partial(_labels_of, options=self.options)),
            extra={} if old is None else old.extra,
        )
        if old is None or (content is not None and not assignment.keep):
            return new
        return replace(new, epochs=old.epochs, limit=old.limit, content=old.content, found=old.found)

    def _note_draws(self, old: Mapping[str, str], assignment: SplitJob) -> dict[str, str]:
        """How far each judge's draw goes; one that read on without a limit has none any more.

        A draw that a judge did not come to the end of is not noted: what it has read of it is no random part.
        """
        plan, drawn = assignment.plan, assignment.drawn
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


def suite_entry(members: SuiteMembers) -> SuiteEntry:
    """What run.json says of a suite."""
    settings = {
        key: str(value) if isinstance(value, Path) else value for key, value in members.suite.task_settings.items()
    }
    return SuiteEntry(rubrics=dict(members.rubrics), settings=settings, mean=members.mean)


def _data(plan: SplitPlan, options: Options, splits: Sequence[str]) -> DataEntry:
    source = plan.task.source or DataSource()
    root = options.root(plan.task.name).absolute()
    there = built(root)
    made = there if plan.split.data is None else None
    name, revision = ("", "") if there else origin(root)  # packaged data is not of the set that lies in the root
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
        checked="" if there or plan.split.data is not None or plan.task.source is None else checked(source, root),
    )


def _labels_of(rubric: str, options: Options) -> tuple[str, ...] | None:
    """All labels of a rubric that a split accepts, under its default settings; None where it cannot be opened here."""
    try:
        judge = plugins.current().judge(rubric)
        return judge.open(settings.effective(judge.settings, {}, owner=f"judge {rubric}"), options.root(rubric)).labels
    except Exception:  # noqa: BLE001 - it was not chosen, and may need what is not installed
        return None


def own_data(split: Split) -> dict[str, Json]:
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


def _sent(plan: SplitPlan, before: Mapping[str, Json], dropped: frozenset[str]) -> dict[str, Json]:
    """The effective generation settings, null where the model refused one, now or in an earlier invocation.

    An invocation that asks nothing new does not hear of it again.
    """
    wanted = asdict(plan.generation)
    gone = dropped | {name for name, value in before.items() if value is None}
    return {name: None if name in gone else value for name, value in wanted.items()}

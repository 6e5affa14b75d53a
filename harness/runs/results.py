"""From the lines of a run folder to results.json.

Everything is computed anew from current lines, for tasks of earlier invocations too: no total is carried along, so a
resumed run and an undisturbed one end alike. A task whose plugin is gone keeps the results it had before. Metrics,
pairings and breakdowns are plugins: what they raise costs their task alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

from harness.contracts import Results, Split
from harness.errors import describe_error
from harness.evaluation.splits import SplitPlan
from harness.labels import translate_labels
from harness.metrics import Pairing
from harness.runs.environment import harness_version
from harness.stats.summary import JudgedItem, SplitRun, TaskSummary, build_results, suite_results, usage_json
from harness.store.folder import RunFolder
from harness.store.ledger import Ledger, Spent
from harness.store.run_file import RunFile, SplitEntry, TaskEntry
from harness.types import Json


class ScoringError(Exception):
    """A task's own code raised while its results were computed; `args[0]` says what, `__cause__` is what it raised."""


class Guard(AbstractContextManager["Guard"]):
    """What a plugin raises in the body becomes a ScoringError."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, KeyboardInterrupt):
            raise ScoringError(describe_error(error)) from error


def summarize_task(
    splits: Mapping[str, Split],
    ran: Mapping[str, SplitRun],
    pairings: Sequence[Pairing],
    rows: Iterable[JudgedItem],
) -> dict[str, Any]:
    """The task's `splits` and `paired`. Reading the rows is no plugin's work, so what that raises stays as it is.

    Args:
        splits: the task's.
        ran: those that were run.
        pairings: the task's.
        rows: of all splits that ran.

    Raises:
        ScoringError: a metric, pairing, breakdown or derived split raised, or gave what is not JSON.
    """
    guard = Guard()
    with guard:
        summary = TaskSummary(splits, ran, pairings)
    for row in rows:
        with guard:
            summary.add(row)
    with guard:
        finished = summary.finish()
        json.dumps(finished, allow_nan=False)
    return finished


COMBINED: Final = "combine-majority"  #: the rubric of an ensemble
HUMAN: Final = "human"  #: the rubric of a person
#: judges that no plugin offers; their labels are the split's own words
_OWN_WORDS: Final[Mapping[str, Mapping[str, str]]] = {COMBINED: {}, HUMAN: {}}


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultsInput:
    """What results.json is made of, beside the lines.

    Attributes:
        folder: of the run.
        run: run.json, with this invocation.
        plans: splits of this invocation; one of each task says how the task is scored.
        command: of this invocation.
    """

    folder: RunFolder
    run: RunFile
    plans: Sequence[SplitPlan]
    command: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputedResults:
    """The end of an invocation.

    Attributes:
        results: the dict of results.json.
        unscored: displayed name -> what was raised, of each task whose own code raised; its former entry stays.
    """

    results: Results
    unscored: Mapping[str, ScoringError]


def compute_results(conclusion: ResultsInput, old: Mapping[str, Any]) -> ComputedResults:
    """results.json anew; `old` is the one that stood before, for tasks not of this invocation."""
    run = conclusion.run
    tasks: dict[str, Any] = dict(old.get("tasks", {}))
    unscored: dict[str, ScoringError] = {}
    ledgers = {display: _ledger(conclusion.folder, run, display) for display in run.tasks}
    plans = {plan.display: plan for plan in conclusion.plans}
    for display, ledger in ledgers.items():
        rows = (row for name in run.tasks[display].splits for row in ledger.rows(name))
        try:
            if display in plans:
                tasks[display] = _compute_task(run, plans[display], ledger.judges, rows)
        except ScoringError as error:
            unscored[display] = error
        _read_through(rows)
        ledger.folder.forget()
    return ComputedResults(results=_assemble(conclusion, tasks, list(ledgers.values())), unscored=unscored)


def _ledger(folder: RunFolder, run: RunFile, display: str) -> Ledger:
    task = folder.task(display)
    return Ledger(folder=task, judges=tuple(judge for judge in task.judges() if judge in run.judges))


def _read_through(rows: Iterator[JudgedItem]) -> None:
    """Count what was spent on rows that are not summed up anew."""
    for _ in rows:
        pass


def _compute_task(run: RunFile, plan: SplitPlan, judges: Sequence[str], rows: Iterator[JudgedItem]) -> dict[str, Json]:
    """What results.json says of a task. Raises ScoringError."""
    task = run.tasks[plan.display]
    with Guard():
        there = {name: describe_split_run(run, plan, name, judges) for name in task.splits if name in plan.splits}
    finished = summarize_task(
        plan.splits, there, plan.task.pairings, (row for row in rows if row.record.split in there)
    )
    for name, split in finished["splits"].items():
        _drop_idle_judges(split)
        split["data"] = _build_data(task, plan.splits[name].parts or (name,))
    data = {**_build_data(task, list(task.splits)), "sha256": _sum_contents(task)}
    return {"version": task.version, "settings": dict(task.settings), "data": data, **finished}


def _build_data(task: TaskEntry, splits: Sequence[str]) -> dict[str, Json]:
    """Where the data of some splits comes from: their own source where they share one, else the task's."""
    own = [task.splits[name].data for name in splits]
    if own and own[0] and all(each == own[0] for each in own):
        return dict(own[0])
    return {
        "source": task.data.source,
        "revision": task.data.revision,
        "licence": task.data.licence,
        "toy": False,
        **({"checked": task.data.checked} if task.data.checked else {}),
    }


def describe_split_run(run: RunFile, plan: SplitPlan, name: str, judges: Sequence[str]) -> SplitRun:
    """How one split of a plan's task was run, and by which of these judges it can be scored."""
    entry = run.tasks[plan.display].splits[name]
    split = plan.splits[name]
    known = {**_OWN_WORDS, **split.judges}
    rubrics = {judge: str(run.judges[judge]["rubric"]) for judge in judges}
    words = {judge: known[rubric] for judge, rubric in rubrics.items() if rubric in known}
    given = {judge: _find_given_labels(run, entry, split, judge) for judge in words}
    return SplitRun(
        split=split,
        judges=words,
        gives={judge: labels for judge, labels in given.items() if labels is not None},
        primary=entry.judge,
        settings=entry.generation,
        subset={"limit": entry.limit} if entry.limit else None,
        epochs=entry.epochs,
        min_coverage=entry.min_coverage,
        drawn=entry.drawn,
    )


def _find_given_labels(run: RunFile, entry: SplitEntry, split: Split, judge: str) -> frozenset[str] | None:
    """All labels that a judge can give, in the split's words; None where that is not known: a person may give any.

    An ensemble gives what more than half of its members can. Of a judge that an older version opened only its rubric is
    known.
    """
    card = run.judges.get(judge, {})
    if card.get("rubric") == COMBINED:
        members = [_find_given_labels(run, entry, split, str(member)) for member in card["settings"]["of"]]
        every = {label for labels in members for label in labels or ()}
        if 2 * members.count(None) > len(members):
            return None
        return frozenset(each for each in every if 2 * sum(m is None or each in m for m in members) > len(members))
    if "labels" not in card:
        return None
    given = translate_labels(card["labels"], split.judges.get(str(card["rubric"]), {}))
    return given | frozenset(entry.outcome_labels)


def _drop_idle_judges(split: dict[str, Any]) -> None:
    """A judge of another split has not seen a single answer of this one."""
    others = split["other_judges"].items()
    split["other_judges"] = {
        judge: view for judge, view in others if sum(view["verdicts"].values()) > view["verdicts"]["unjudged"]
    }


def _sum_contents(task: TaskEntry) -> str:
    """Hash of what the data of all splits says: the sum of the splits' hashes."""
    total = sum(int(entry.content or "0", 16) for entry in task.splits.values())
    return f"{total % 2**256:064x}"


def _assemble(conclusion: ResultsInput, tasks: Mapping[str, Any], ledgers: Sequence[Ledger]) -> dict[str, Json]:
    run = conclusion.run
    answered, judged = Spent(), {judge: Spent() for judge in run.judges}
    for ledger in ledgers:
        answered.merge(ledger.model)
        for judge, took in ledger.judged.items():
            judged[judge].merge(took)
    return build_results(
        version=harness_version(),
        started=run.history[0].started,
        finished=run.history[-1].finished,
        command=conclusion.command,
        environment=run.environment,
        model={
            "ref": run.model.ref,
            "resolved": sorted(answered.models),
            "identity": run.identity,
            "settings": run.model.settings,
            "strategy": run.model.strategy,
            "notes": list(run.model.notes),
            **({"training": dict(run.model.training)} if run.model.training else {}),
        },
        judges={judge: {**card, "resolved": sorted(judged[judge].models)} for judge, card in run.judges.items()},
        plugins=run.plugins,
        tasks=tasks,
        suites={name: suite_results(tuple(suite.rubrics), suite.mean, tasks) for name, suite in run.suites.items()},
        usage=usage_json(answered.spend, {judge: took.spend for judge, took in judged.items() if took.spend.calls}),
        wall_s=round(sum(entry.seconds for entry in run.history), 3),
    )

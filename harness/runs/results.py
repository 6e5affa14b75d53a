"""Computes results.json from the lines of a run folder, and a table from results.json.

Everything is computed again from current lines, for tasks of earlier invocations too. No total is stored between runs,
so a resumed run and an uninterrupted one have equal results. A task whose plugin is missing keeps its former results.
Metrics, pairings and breakdowns are plugins: an error of theirs affects only their task.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

from harness.contracts import Results, Split
from harness.errors import HarnessError, describe_error
from harness.evaluation.splits import MappedSplits, SplitPlan
from harness.metrics import Pairing
from harness.prices import PriceBook, read_prices
from harness.prices.costs import MODEL, CostSum, cost_json
from harness.runs.costs import open_costs, sum_unanswered
from harness.runs.environment import harness_version
from harness.runs.stored import StoredRun, build_judged_item, describe_split_run
from harness.stats.draw import FILE as DRAW
from harness.stats.draw import SplitDraw
from harness.stats.suites import suite_results
from harness.stats.summary import JudgedItem, SplitRun, TaskSummary, UsageSum, build_results, usage_json
from harness.store.folder import find_repeated_judge
from harness.store.reader import Answer
from harness.store.records import calls_of
from harness.store.run_file import TaskEntry
from harness.types import Json

if TYPE_CHECKING:
    import pandas as pd


class ScoringError(Exception):
    """A task's code raised while its results were computed: `args[0]` says what, `__cause__` is the error."""


class Guard(AbstractContextManager["Guard"]):
    """Turns what a plugin raises in the body into a ScoringError."""

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
    """The task's `splits` and `paired`. Errors from reading the rows pass through unchanged.

    Args:
        splits: the task's splits.
        ran: the splits that were run.
        pairings: the task's pairings.
        rows: the rows of all splits that ran.

    Raises:
        ScoringError: a metric, pairing, breakdown or derived split raised, or returned what is not JSON.
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


@dataclass(slots=True)
class UsageTotal:
    """Calls and tokens of one model over current lines, and the names its provider reported.

    A call with its retries is one call.
    """

    spend: UsageSum = field(default_factory=UsageSum)
    models: set[str] = field(default_factory=set[str])
    cost: CostSum | None = None

    def add(self, line: Mapping[str, Any], calls: int, models: Sequence[str], *, answered: bool) -> None:
        """Count one line; `answered` says whether a model gave a text."""
        self.spend.add_line(line["usage"], calls)
        for name in models:
            if name and name not in self.models:
                self.models.add(name)
        if self.cost is not None:
            self.cost.add(line, calls, reported=models[0] if len(models) == 1 else "", answered=answered)


@dataclass(slots=True)
class RunUsage:
    """The calls and tokens that the answers and judges of a run used.

    Attributes:
        costs: `model` or a judge's id -> what its calls cost; dollars are not counted of one that is missing.
        samples: number of answers.
    """

    costs: Mapping[str, CostSum] = field(default_factory=dict[str, CostSum])
    model: UsageTotal = field(default_factory=UsageTotal)
    judges: dict[str, UsageTotal] = field(default_factory=dict[str, UsageTotal])
    samples: int = 0

    def __post_init__(self) -> None:
        self.model.cost = self.costs.get(MODEL)

    def add(self, answer: Answer) -> None:
        """Count one answer and its verdicts."""
        response = answer.response
        if response is not None and response["outcome"] != "bad_sample":  # the model was not called
            self.samples += 1
            answered = response["outcome"] in ("answered", "empty")
            self.model.add(response, calls_of(response), [response["model"]], answered=answered)
        for judge, line in answer.verdicts.items():
            if calls := calls_of(line):  # a rule calls no model
                own = find_repeated_judge(judge)
                if own not in self.judges:
                    self.judges[own] = UsageTotal(cost=self.costs.get(own))
                self.judges[own].add(line, calls, line["models"], answered=bool(line["raw"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputedResults:
    """The results of an invocation.

    Attributes:
        results: the dict of results.json.
        unscored: displayed name -> the error of each task whose code raised; its former entry is kept.
        unread: what else could not be read, in words for the user; the results say why a number is missing for it.
    """

    results: Results
    unscored: Mapping[str, ScoringError]
    unread: tuple[str, ...] = ()


def compute_results(
    run: StoredRun, old: Mapping[str, Any], *, plans: Sequence[SplitPlan], command: Sequence[str]
) -> ComputedResults:
    """Compute results.json again.

    Args:
        run: the run, with this invocation in its file.
        old: the former results.json, for tasks outside this invocation.
        plans: splits of this invocation; the first of each task says how the task is scored.
        command: this invocation's command.
    """
    tasks: dict[str, Any] = dict(old.get("tasks", {}))
    unscored: dict[str, ScoringError] = {}
    unread: list[str] = []
    book = PriceBook(read_prices(run.file.prices.get("own") or {}, "run.json"))
    usage = RunUsage(costs=open_costs(run.file, book))
    planned = {plan.display: plan for plan in plans}
    for display, task in run.file.tasks.items():
        folder = run.folder.task(display)
        judges = tuple(judge for judge in run.judges_of(display) if judge in run.file.judges)
        draws: Mapping[str, SplitDraw] = {}
        fault = ""
        try:
            draws = folder.load_draws() if display in planned else {}
        except HarnessError as error:  # the draw says which labels count; no other number needs it
            fault = f"{folder.path.name}/{DRAW}: {error.what}"
            unread.append(f"{display}: nothing is corrected by people's labels: {error}")
        repeats = {
            judge: found
            for judge in judges
            if run.file.judges[judge].get("model") and (found := run.repeats_of(display, judge))
        }
        every = (*judges, *(each for found in repeats.values() for each in found))
        rows = _count_rows(run.task_answers(display, every), usage, hashed=bool(draws))
        if plan := planned.get(display):
            try:
                with Guard():
                    ran = {
                        name: replace(
                            describe_split_run(run.file, plan, name, judges),
                            draws={name: draws[name]} if name in draws else {},
                            draw_fault=fault,
                            repeats=repeats,
                        )
                        for name in task.splits
                        if name in plan.splits
                    }
                tasks[display] = _compute_task(task, plan, ran, rows)
            except ScoringError as error:
                unscored[display] = error
        for _ in rows:  # usage counts even if the task is not scored
            pass
        folder.forget_indexes()
    results = _build_results(run, tasks, usage, book, command)
    return ComputedResults(results=results, unscored=unscored, unread=tuple(unread))


def _count_rows(answers: Iterable[Answer], usage: RunUsage, *, hashed: bool) -> Iterator[JudgedItem]:
    """Each item of a task's splits, with the hash of its answer if `hashed`; adds its usage to `usage`."""
    for answer in answers:
        usage.add(answer)
        yield build_judged_item(answer, hashed=hashed)


def _compute_task(
    task: TaskEntry, plan: SplitPlan, ran: Mapping[str, SplitRun], rows: Iterable[JudgedItem]
) -> dict[str, Json]:
    """The entry of a task in results.json. Raises ScoringError."""
    splits = MappedSplits(
        plan.splits, {rubric: made for entry in task.splits.values() for rubric, made in entry.maps.items()}
    )
    finished = summarize_task(splits, ran, plan.task.pairings, (row for row in rows if row.record.split in ran))
    for name, split in finished["splits"].items():
        split["other_judges"] = {  # a judge of another split has seen no answer of this one
            judge: view
            for judge, view in split["other_judges"].items()
            if sum(view["verdicts"].values()) > view["verdicts"]["unjudged"]
        }
        split["data"] = _describe_data(task, plan.splits[name].parts or (name,))
    contents = sum(int(entry.content or "0", 16) for entry in task.splits.values())
    data = {**_describe_data(task, list(task.splits)), "sha256": f"{contents % 2**256:064x}"}
    return {"version": task.version, "settings": dict(task.settings), "data": data, **finished}


def _describe_data(task: TaskEntry, splits: Sequence[str]) -> dict[str, Json]:
    """Where some splits' data comes from: their own source if they share one, else the task's."""
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


def _build_results(
    run: StoredRun, tasks: Mapping[str, Any], usage: RunUsage, book: PriceBook, command: Sequence[str]
) -> dict[str, Json]:
    file = run.file
    spent = {judge: usage.judges.get(judge, UsageTotal()) for judge in file.judges}
    called = {judge: took for judge, took in spent.items() if took.spend.calls}
    used = usage_json(usage.model.spend, {judge: took.spend for judge, took in called.items()})
    if usage.model.cost is not None:
        costs = {judge: took.cost for judge, took in called.items() if took.cost is not None}
        dollars = {judge: cost.as_json() for judge, cost in costs.items()}
        used = {
            "model": {**used["model"], **usage.model.cost.as_json()},
            "judges": {judge: {**each, **dollars.get(judge, {})} for judge, each in used["judges"].items()},
            **cost_json(book, usage.model.cost, costs, usage.samples, sum_unanswered(file.history)),
        }
    return build_results(
        version=harness_version(),
        started=file.history[0].started,
        finished=file.history[-1].finished,
        command=command,
        environment=file.environment,
        model={
            "ref": file.model.ref,
            "resolved": sorted(usage.model.models),
            "identity": file.identity,
            "settings": file.model.settings,
            "strategy": file.model.strategy,
            "notes": list(file.model.notes),
            **({"training": dict(file.model.training)} if file.model.training else {}),
            **({"given": True} if file.model.given else {}),
            **({"attack": file.model.attack} if file.model.attack else {}),
        },
        judges={judge: {**card, "resolved": sorted(spent[judge].models)} for judge, card in file.judges.items()},
        plugins=file.plugins,
        tasks=tasks,
        suites={name: suite_results(tuple(suite.rubrics), suite.mean, tasks) for name, suite in file.suites.items()},
        usage=used,
        wall_s=round(sum(entry.seconds for entry in file.history), 3),
        shard=None if file.part is None else {"index": file.part[0], "of": file.part[1]},
    )


def to_frame(every: Iterable[Results]) -> pd.DataFrame:
    """One row for each model, task, split, judge and metric; percent values are 0 to 100.

    Columns: model, task, split, judge, metric, value, unit, better, ci_low, ci_high, numerator, denominator,
    unresolved, n, coverage, complete, why, and what people's labels say: corrected, corrected_low, corrected_high,
    labels, corrected_why.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for results in every:
        for task, about in results["tasks"].items():
            for name, split in about["splits"].items():
                for judge, view in {split["judge"]: split, **split["other_judges"]}.items():
                    place = {"model": results["model"]["ref"], "task": task, "split": name, "judge": judge}
                    for metric, figures in view["metrics"].items():
                        low, high = figures["ci95"] or (None, None)
                        people: Mapping[str, Any] = figures.get("corrected") or {}
                        people_low, people_high = people.get("ci95") or (None, None)
                        rows.append(
                            {
                                **place,
                                "metric": metric,
                                **{key: figures[key] for key in ("value", "unit", "better")},
                                "ci_low": low,
                                "ci_high": high,
                                **{key: figures[key] for key in ("numerator", "denominator", "unresolved")},
                                "n": split["n"],
                                "coverage": view["coverage"],
                                "complete": view["complete"],
                                "why": figures.get("why", ""),
                                "corrected": people.get("value"),
                                "corrected_low": people_low,
                                "corrected_high": people_high,
                                "labels": people.get("labels"),
                                "corrected_why": people.get("why", ""),
                            }
                        )
    return pd.DataFrame(rows)

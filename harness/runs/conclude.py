"""From the lines of a run folder to results.json.

Everything is computed anew from current lines, for tasks of earlier invocations too: no total is carried along, so a
resumed run and an undisturbed one end alike. A task whose plugin is gone keeps what was concluded of it before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.plan.splits import SplitPlan
from harness.runs.environment import harness_version
from harness.store.folder import RunFolder
from harness.store.ledger import Ledger, Spent
from harness.summary.assembly import assemble, usage
from harness.summary.pooling import TaskSummary
from harness.summary.split import Ran
from harness.types import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """What results.json is made of, beside the lines.

    Attributes:
        folder: of the run.
        plans: splits of this invocation; one of each task says how the task is scored.
        min_coverage: share of records that must be resolved.
        command: of this invocation.
    """

    folder: RunFolder
    plans: Sequence[SplitPlan]
    min_coverage: float
    command: Sequence[str]


def conclude(conclusion: Conclusion, old: Mapping[str, Any]) -> dict[str, Json]:
    """The dict of results.json; `old` is the one that stood before, for tasks not of this invocation."""
    run = conclusion.folder.run
    tasks: dict[str, Any] = dict(old.get("tasks", {}))
    ledgers = {display: _ledger(conclusion.folder, run, display) for display in run["tasks"]}
    for display, plan in {plan.display: plan for plan in conclusion.plans}.items():
        tasks[display] = _task(conclusion, run, plan, ledgers[display])
    for display in run["tasks"].keys() - {plan.display for plan in conclusion.plans}:
        _read_through(ledgers[display], run["tasks"][display]["splits"])
    return _assembled(conclusion, run, tasks, list(ledgers.values()))


def _ledger(folder: RunFolder, run: Mapping[str, Any], display: str) -> Ledger:
    task = folder.task(display)
    return Ledger(folder=task, judges=tuple(judge for judge in task.judges() if judge in run["judges"]))


def _read_through(ledger: Ledger, splits: Mapping[str, Any]) -> None:
    """Count what a task took that is not summed up anew."""
    for split in splits:
        for _ in ledger.rows(split):
            pass


def _task(conclusion: Conclusion, run: Mapping[str, Any], plan: SplitPlan, ledger: Ledger) -> dict[str, Json]:
    task: Mapping[str, Any] = run["tasks"][plan.display]
    ran = {name: _ran(conclusion, run, plan, name, ledger) for name in task["splits"] if name in plan.splits}
    summary = TaskSummary(plan.splits, ran, plan.task.pairings)
    for name in ran:
        for row in ledger.rows(name):
            summary.add(row)
    finished = summary.finish()
    for split in finished["splits"].values():
        _drop_idle_judges(split)
    about = task["data"]
    data = {
        "source": about["source"],
        "revision": about["revision"],
        "sha256": _content(task),
        "licence": about["licence"],
    }
    return {"version": task["version"], "settings": task["settings"], "data": data, **finished}


def _ran(conclusion: Conclusion, run: Mapping[str, Any], plan: SplitPlan, name: str, ledger: Ledger) -> Ran:
    entry: Mapping[str, Any] = run["tasks"][plan.display]["splits"][name]
    split = plan.splits[name]
    rubrics = {judge: run["judges"][judge]["rubric"] for judge in ledger.judges}
    return Ran(
        split=split,
        judges={judge: split.judges[rubric] for judge, rubric in rubrics.items() if rubric in split.judges},
        primary=entry.get("judge"),
        settings=entry["generation"],
        subset={"limit": entry["limit"]} if entry["limit"] else None,
        epochs=entry["epochs"],
        min_coverage=conclusion.min_coverage,
    )


def _drop_idle_judges(split: dict[str, Any]) -> None:
    """A judge of another split has not seen a single answer of this one."""
    others = split["other_judges"].items()
    split["other_judges"] = {
        judge: view for judge, view in others if sum(view["verdicts"].values()) > view["verdicts"]["unjudged"]
    }


def _content(task: Mapping[str, Any]) -> str:
    """Hash of what the data of all splits says: the sum of the splits' hashes."""
    total = sum(int(entry.get("content") or "0", 16) for entry in task["splits"].values())
    return f"{total % 2**256:064x}"


def _assembled(
    conclusion: Conclusion, run: Mapping[str, Any], tasks: Mapping[str, Any], ledgers: Sequence[Ledger]
) -> dict[str, Json]:
    answered, judged = Spent(), {judge: Spent() for judge in run["judges"]}
    for ledger in ledgers:
        answered.merge(ledger.model)
        for judge, took in ledger.judged.items():
            judged[judge].merge(took)
    history = run["history"]
    return assemble(
        version=harness_version(),
        started=history[0]["started"],
        finished=history[-1]["finished"],
        command=conclusion.command,
        environment=run["environment"],
        model={
            "ref": run["model"]["ref"],
            "resolved": sorted(answered.models),
            "identity": run["identity"],
            "settings": run["model"]["settings"],
            "strategy": run["model"]["strategy"],
        },
        judges={judge: {**card, "resolved": sorted(judged[judge].models)} for judge, card in run["judges"].items()},
        plugins=run["plugins"],
        tasks=tasks,
        usage=usage(answered.spend, {judge: took.spend for judge, took in judged.items() if took.spend.calls}),
        wall_s=round(sum(entry["seconds"] for entry in history), 3),
    )

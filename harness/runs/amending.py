"""Adding to a run that has ended: decisions that no judge's call gave, and the run's own files anew."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

from harness.contracts import Decision
from harness.errors import HarnessError
from harness.plan.splits import SplitPlan
from harness.runs.answers import Answer
from harness.runs.conclude import Concluded, Conclusion, conclude
from harness.store.folder import RunFolder
from harness.store.records import Judgement, decision_of, verdict_line
from harness.store.run_file import Invocation, RunFile
from harness.types import Request, Sample


def write(folder: RunFolder, display: str, judge: str, decided: Iterable[tuple[Answer, Decision]]) -> None:
    """Write what one judge says of a task's answers, but for what stands there already."""
    with closing(folder.task(display).verdicts(judge, write=True)) as journal:
        for answer, decision in decided:
            found = journal.find(*answer.place)
            if found is not None and decision_of(journal.read(found[0])) == decision:
                continue
            asked = answer.asked
            sample = Sample(id=asked["id"], split=asked["split"], request=Request(messages=()))
            judged = Judgement(decision=decision)
            line = verdict_line(sample, asked["epoch"], asked["key"], answer.hash, judged)
            journal.append(line, *answer.place, state=line["state"])


def amend(
    folder: RunFolder,
    change: Callable[[RunFile], RunFile],
    plans: Sequence[SplitPlan],
    *,
    command: Sequence[str],
    started: float,
) -> Concluded:
    """Change run.json, note the invocation in it, and conclude the run anew.

    Args:
        folder: of the run.
        change: makes the new run.json of the one that is there.
        plans: the splits that were added to.
        command: this invocation's arguments.
        started: Unix time in seconds.

    Raises:
        HarnessError: run.json is gone.
    """
    now = time.time()
    entry = Invocation(
        started=_iso(started),
        finished=_iso(now),
        seconds=round(now - started, 3),
        command=tuple(command),
        tasks=tuple(plan.title for plan in plans),
        end="done",
        reason="",
    )

    def noted(old: RunFile | None) -> RunFile:
        new = change(_there(old, folder))
        return replace(new, history=(*new.history, entry))

    folder.rewrite_run(noted)
    folder.log(f"{entry.started} done {shlex.join(command)}")
    conclusion = Conclusion(folder=folder, run=_there(folder.run, folder), plans=plans, command=command)
    with folder.changing("results.json") as results:
        concluded = conclude(conclusion, dict(results))
        results.clear()
        results.update(concluded.results)
    return concluded


def _there(run: RunFile | None, folder: RunFolder) -> RunFile:
    if run is None:
        raise HarnessError("run.json is gone", where=str(folder.path), remedy="restore the file")
    return run


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")

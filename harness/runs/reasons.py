"""Why answers and verdicts of a split are missing, read back from the run folder: the reason that most of them have."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack

from harness.evaluation.splits import SplitPlan
from harness.runs.answers import answers
from harness.store.folder import RunFolder
from harness.terminal import one_line

_WIDTH = 60  #: of a reason, in letters


def commonest(run: RunFolder, plan: SplitPlan, judge: str = "") -> Mapping[str, str]:
    """The most frequent reason of each outcome and judge state that has any; the name alone says all of the others.

    Args:
        run: the folder.
        plan: the split.
        judge: whose missing verdicts are meant; empty for those of none.
    """
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for state, reason in _reasons(run, plan, judge):
        counts[state][reason] += 1
    return {state: found.most_common(1)[0][0] for state, found in counts.items()}


def _reasons(run: RunFolder, plan: SplitPlan, judge: str) -> Iterator[tuple[str, str]]:
    with ExitStack() as stack:
        task = run.task(plan.display)
        verdicts = task.verdicts(judge, write=False) if judge in task.judges() else None
        if verdicts is not None:
            stack.callback(verdicts.close)
        for answer in answers(run, plan.display, plan.name):
            found = None if verdicts is None else verdicts.find(*answer.place)
            if answer.response is not None and answer.outcome in ("error", "bad_sample"):
                yield answer.outcome, one_line(answer.response["reason"], _WIDTH)
            elif verdicts is not None and found is not None:
                line = verdicts.read(found[0])
                if line["state"] == "judge_error":
                    yield "judge_error", one_line(line["reason"].partition(":")[0], _WIDTH)

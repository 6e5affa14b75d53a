"""What people say of a run's answers: one more judge, `human-NAME`, in the run's own format.

Their labels are the split's own words, so they need no rubric and no translation.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from harness.errors import HarnessError
from harness.evaluation.splits import SplitPlan
from harness.runs.amending import Added, amend, write
from harness.runs.answers import Answer
from harness.runs.conclude import HUMAN, Concluded
from harness.store.folder import RunFolder
from harness.store.run_file import RunFile
from harness.types import Verdict

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,40}")
#: what results.json says of a person
_CARD: Mapping[str, Any] = {
    "rubric": HUMAN,
    "version": "",
    "template_hash": "",
    "fidelity": None,
    "model": None,
    "resolved": [],
    "settings": {},
    "sees": [],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """What a person says of one answer; the label is one of the split's."""

    answer: Answer
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Entered:
    """What became of some labels.

    Attributes:
        new: labels of answers that had none by this person.
        changed: labels that replace another one.
        same: labels that stood there already.
        concluded: the results anew.
    """

    new: int
    changed: int
    same: int
    concluded: Concluded


def judge_id(name: str, run: RunFile) -> str:
    """The judge's id of a person. Raises HarnessError for what cannot name one, or names another judge's file."""
    if not _NAME.fullmatch(name):
        raise HarnessError(f"{name!r} cannot name a person", remedy="letters, digits and . _ + - (at most 41)")
    judge = f"{HUMAN}-{name}"
    taken = next((known for known in run.judges if known.casefold() == judge.casefold()), judge)
    if taken != judge or run.judges.get(judge, _CARD)["rubric"] != HUMAN:
        raise HarnessError(f"{judge} would share its file with the judge {taken}", remedy="give another name")
    return judge


def enter(
    folder: RunFolder,
    judge: str,
    labels: Sequence[Labelled],
    plans: Sequence[SplitPlan],
    *,
    command: Sequence[str],
    primary: bool = False,
) -> Entered:
    """Write labels beside the verdicts of the other judges, and conclude the run anew.

    Args:
        folder: of the run.
        judge: see `judge_id`.
        labels: no answer twice.
        plans: the splits they are of.
        command: this invocation's arguments.
        primary: make this judge the one whose numbers stand first.
    """
    started = time.time()
    counts: Counter[str] = Counter()
    for display in dict.fromkeys(label.answer.display for label in labels):
        own = [(label.answer, label.verdict) for label in labels if label.answer.display == display]
        counts.update(write(folder, display, judge, own))
    stands: Literal["first", "beside"] = "first" if primary else "beside"
    added = [Added(plan=plan, judge=judge, card=_CARD, stands=stands) for plan in plans]
    concluded = amend(folder, added, command=command, started=started)
    return Entered(new=counts["new"], changed=counts["changed"], same=counts["same"], concluded=concluded)

"""An ensemble of judges: the labels on which more than half of them agree.

An answer is labelled where more than half of *all* members say the same: what the others say, or would have said had
they given a verdict, cannot change that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from harness.contracts import Decision
from harness.evaluation.splits import SplitPlan
from harness.keys import short
from harness.types import Json, Unscored, Verdict

COMBINED: Final = "combine-majority"  #: what stands as the rubric of an ensemble
VERSION: Final = "1"
Votes = Mapping[str, Decision | None]  #: judge -> what it said, in the split's labels; None where it has not judged


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensemble:
    """The judges of one split, put together.

    Attributes:
        plan: the split.
        members: ids of the judges, in the order of their names: axes come from the first, whoever is the primary one.
    """

    plan: SplitPlan
    members: tuple[str, ...]

    @property
    def id(self) -> str:
        """Names its file in the run folder; the same members make the same judge."""
        return f"{COMBINED}-{short({'version': VERSION, 'of': list(self.members)})}"

    @property
    def card(self) -> dict[str, Json]:
        """What results.json says of it."""
        return {
            "rubric": COMBINED,
            "version": VERSION,
            "template_hash": "",
            "fidelity": "own",
            "model": None,
            "resolved": [],
            "settings": {"of": list(self.members)},
            "sees": ["verdicts"],
        }


def majority(votes: Votes) -> Decision:
    """What more than half of all judges say; else Unscored, with the reason of the first that gave no verdict.

    Axes and reason are those of the first judge that says so.
    """
    said = {judge: vote for judge, vote in votes.items() if isinstance(vote, Verdict)}
    counts = Counter(vote.label for vote in said.values())
    for label, count in counts.most_common(1):
        if 2 * count > len(votes):
            first = next(vote for vote in said.values() if vote.label == label)
            return Verdict(label=label, axes=first.axes, reason=f"{count} of {len(votes)}: {first.reason}".rstrip(": "))
    for judge, vote in votes.items():
        if isinstance(vote, Unscored):
            return Unscored(state=vote.state, message=f"{judge}: {vote.message}")
        if vote is None:
            return Unscored(state="judge_error", message=f"{judge} has not judged this answer")
    told = ", ".join(f"{label} {count}" for label, count in sorted(counts.items()))
    return Unscored(state="judge_unparsable", message=f"no majority: {told}")

"""The majority of several verdicts on one answer, and writing what it decides.

An ensemble's label is the one that more than half of *all* votes are for, so a missing or different vote of the others
cannot change it. `harness.runs.additions` combines several judges so, this module the repeats of one judge
(`--judge-vote majority`). The vote on repeats is a judge of its own, in the split's words; it takes the place of its
judge as the primary one. It decides once every repeat has seen an answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Final, Literal

from harness.contracts import Decision
from harness.evaluation.judges import OpenJudge
from harness.evaluation.options import MOST_REPEATS, Options
from harness.evaluation.splits import SplitPlan
from harness.keys import short
from harness.runs.stored import COMBINED, StoredRun
from harness.store.folder import RunFolder, repeat_id
from harness.store.reader import Answer
from harness.store.records import Judgement, decision_of, verdict_line
from harness.types import Json, Request, Sample, Unscored, Verdict

VERSION: Final = "1"  #: version of ensembles

Votes = Mapping[str, Decision | None]  #: judge -> its decision, in the split's labels; None if it has not judged
Changes = Counter[Literal["new", "changed", "same"]]


def find_majority(votes: Votes) -> Decision:
    """The decision of more than half of all judges; else Unscored, with the reason of the first without a verdict.

    Axes and reason come from the first judge with the majority's label.
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
    listed = ", ".join(f"{label} {count}" for label, count in sorted(counts.items()))
    return Unscored(state="judge_unparsable", message=f"no majority: {listed}")


def build_card(settings: Mapping[str, Json]) -> dict[str, Json]:
    """The entry in results.json of an ensemble with these settings, of which `of` names its members."""
    return {
        "rubric": COMBINED,
        "version": VERSION,
        "template_hash": "",
        "fidelity": "own",
        "model": None,
        "resolved": [],
        "settings": dict(settings),
        "sees": ["verdicts"],
    }


def read_vote(line: Mapping[str, object], words: Mapping[str, str]) -> Decision:
    """The decision of a verdict line, with its label in the split's words."""
    vote = decision_of(line)
    return replace(vote, label=words.get(vote.label, vote.label)) if isinstance(vote, Verdict) else vote


def write_decisions(folder: RunFolder, display: str, judge: str, decided: Iterable[tuple[Answer, Decision]]) -> Changes:
    """Write one judge's new decisions on a task's answers, and count new, changed and equal ones."""
    counts: Changes = Counter()
    with folder.hold_for_writing(), closing(folder.task(display).verdicts(judge, write=True)) as journal:
        for answer, decision in decided:
            found = journal.find_line(*answer.place)
            if found is not None and decision_of(found) == decision:
                counts["same"] += 1
                continue
            counts["new" if found is None else "changed"] += 1
            asked = answer.asked
            sample = Sample(id=asked["id"], split=asked["split"], request=Request(messages=()))
            line = verdict_line(sample, asked["epoch"], asked["key"], answer.hash, Judgement(decision=decision))
            journal.append(line, *answer.place, state=line["state"])
    return counts


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatVote:
    """The majority of the repeats of one judge.

    Attributes:
        judge: the judge's id.
        count: how often it judges each answer.
    """

    judge: str
    count: int

    @property
    def id(self) -> str:
        """Names its file in the run folder; the same judge and count give the same id."""
        return f"{COMBINED}-{short({'version': VERSION, 'of': [self.judge], 'repeats': self.count})}"

    @property
    def replaces(self) -> frozenset[str]:
        """The judges whose place as the primary one it takes: its judge, and votes on more or fewer of its repeats."""
        others = (replace(self, count=count).id for count in range(2, MOST_REPEATS + 1))
        return frozenset({self.judge, *others})

    @property
    def card(self) -> dict[str, Json]:
        """Its entry in results.json."""
        return build_card({"of": [self.judge], "repeats": self.count})

    def decide(self, run: StoredRun, plan: SplitPlan, rubric: str) -> Iterator[tuple[Answer, Decision]]:
        """Its decision on each answer of a split that every repeat has seen.

        Args:
            run: the run.
            plan: the split.
            rubric: the judge's rubric.
        """
        words = plan.split.judges[rubric]
        repeats = [repeat_id(self.judge, number) for number in range(1, self.count + 1)]
        for answer in run.answers(plan.title, repeats):
            if answer.outcome == "answered" and len(answer.verdicts) == len(repeats):
                yield answer, find_majority({judge: read_vote(answer.verdicts[judge], words) for judge in repeats})


def list_votes(judges: Iterable[OpenJudge], options: Options) -> list[RepeatVote]:
    """The votes on the repeats of these judges that the user asks for."""
    if not options.judge_vote:
        return []
    return [RepeatVote(judge=judge.id, count=len(judge.every)) for judge in judges if judge.repeats]

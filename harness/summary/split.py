"""Records to the results of one split: pure, one pass, a few bytes a record.

    summary = SplitSummary(ran)
    for row in rows:                      # each asked item with what each judge said of it
        summary.add(row)
    summary.finish()                      # the split's dict of results.json

Every record ends in one outcome and, when it was answered, in one state of each judge, so both sets of counts always
add up. A block and an empty answer are labelled here (`settled`), and so are the judges' words translated into those
the split's metrics know.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness.contracts import Decision, Split
from harness.keys import draw_order
from harness.labels import LabelWatch, measure
from harness.metrics import Metric, Record
from harness.stats.tally import Tally
from harness.types import OUTCOMES, UNSCORED, Json, Verdict

STATES: tuple[str, ...] = ("scored", *UNSCORED, "unjudged")  #: of an answer, as one judge left it
FLAGS: tuple[str, ...] = ("truncated", "refusal", "verdict_like")  #: of an answer; a provider may know more


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One asked item.

    Attributes:
        record: without a label; the outcome of an item that has no answer yet is `error`.
        verdicts: judge id -> its current decision; a judge that is missing has not seen the answer.
        flags: judge id -> what it flagged the answer for; a judge that flagged nothing may be missing.
    """

    record: Record
    verdicts: Mapping[str, Decision] = field(default_factory=dict[str, Decision])
    flags: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])

    def decision(self, judge: str | None) -> Decision | None:
        """What one judge said of it; None where it has not seen the answer, or is no judge."""
        return None if judge is None else self.verdicts.get(judge)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One split as it was run.

    Attributes:
        split: what the task says of it.
        judges: id of each judge -> translation of its labels into those of the split's metrics.
        primary: id of the judge whose figures stand first; None where there is none.
        gives: id of a judge -> all labels that it can give, in the words of the split's metrics; one that is missing
            may give any.
        settings: effective generation settings; null where the model refused one.
        subset: {"limit": N}, or None for all samples.
        epochs: repetitions of each sample.
        min_coverage: share of records that must be resolved.
        drawn: id of a judge that has judged a random part -> last place (`harness.keys.draw_order`) of that.
    """

    split: Split
    judges: Mapping[str, Mapping[str, str]]
    primary: str | None
    settings: Mapping[str, Json]
    subset: Mapping[str, Json] | None = None
    epochs: int = 1
    min_coverage: float = 0.98
    drawn: Mapping[str, str] = field(default_factory=dict[str, str])
    gives: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])

    @property
    def judge_ids(self) -> tuple[str | None, ...]:
        """The primary judge, or None, then the others in their order."""
        return (self.primary, *(judge for judge in self.judges if judge != self.primary))

    def metrics(self, judge: str | None) -> tuple[Metric, ...]:
        """The split's metrics as one judge measures them."""
        return measure(self.split.metrics, None if judge is None else self.gives.get(judge))

    def translation(self, judge: str | None) -> Mapping[str, str]:
        """One judge's labels in the words of the split's metrics; a label that is not in it stays."""
        return {} if judge is None else self.judges.get(judge, {})


def settled(record: Record, split: Split) -> Record:
    """The record with the label its outcome alone decides: a block, or an empty answer that was not cut off."""
    if record.blocked:
        return _labelled(record, split.blocked_as)
    if record.outcome == "empty" and "truncated" not in record.flags:
        return _labelled(record, split.empty_as)
    return record


def judged(record: Record, decision: Decision | None, split: Split, translation: Mapping[str, str]) -> Record:
    """The record as one judge sees it, labelled in the words of the split's metrics.

    Args:
        record: without a label.
        decision: the judge's; looked at only for an answer.
        split: says what blocks and empty answers count as.
        translation: the judge's label -> the split's; a label that is not in it stays.
    """
    if record.outcome != "answered":
        return settled(record, split)
    if decision is None:
        return replace(record, unjudged=True)
    if not isinstance(decision, Verdict):
        return record
    return _labelled(record, replace(decision, label=translation.get(decision.label, decision.label)))


def _labelled(record: Record, verdict: Verdict) -> Record:
    return replace(record, label=verdict.label, axes=verdict.axes)


class DrawWatch:
    """Looks whether the answers of a split that a judge has read are a random part of them.

    They are while each answer of a cluster that was drawn is read, and none of another one: answers may come after a
    draw, and a judge may read on.

    Args:
        last: place (`harness.keys.draw_order`) of the last cluster that was drawn; None where none was.
    """

    def __init__(self, last: str | None) -> None:
        self._last = last
        self._read = self._waiting = 0
        self._fits = last is not None

    def add(self, record: Record) -> None:
        """Take in one record as the judge sees it."""
        if record.outcome != "answered":
            return
        self._read += not record.unjudged
        self._waiting += record.unjudged
        if self._fits and self._last is not None:
            self._fits = (draw_order(record.cluster) <= self._last) != record.unjudged

    @property
    def drawn(self) -> bool | None:
        """None where all answers are read, or none."""
        return self._fits if self._read and self._waiting else None


class SplitSummary:
    """Accumulates one split; `labelled` of its rows may go on into derived splits and pairings."""

    def __init__(self, ran: Ran) -> None:
        self._ran = ran
        self._outcomes: Counter[str] = Counter()
        self._flags: Counter[str] = Counter()
        self._views = {judge: _View(ran, judge) for judge in ran.judge_ids}

    def add(self, row: Row) -> dict[str | None, Record]:
        """Take in one row of the split; its record as each judge sees it, None standing for no judge at all."""
        seen: dict[str | None, Record] = {}
        for judge, view in self._views.items():
            seen[judge] = judged(row.record, row.decision(judge), self._ran.split, self._ran.translation(judge))
            view.add(seen[judge], row.decision(judge))
        self._count(row)
        return seen

    def pool(self, row: Row, seen: Mapping[str | None, Record]) -> None:
        """Take in a row of one of the derived split's parts, as the part's judges see it."""
        for judge, view in self._views.items():
            view.add(seen[judge], row.decision(judge))
        self._count(row)

    def _count(self, row: Row) -> None:
        self._outcomes[row.record.outcome] += 1
        if row.record.outcome == "answered":
            self._flags.update(row.record.flags | row.flags.get(self._ran.primary or "", frozenset()))

    def drawn(self, judge: str | None) -> bool | None:
        """Whether a judge's answers are a random part; None where it has judged all of them or none."""
        return self._views[judge].drawn

    def finish(self, parts: Sequence[SplitSummary] = ()) -> dict[str, Json]:
        """The split's dict of results.json; a derived one is a random part where each of its parts is that or whole."""
        ran, split = self._ran, self._ran.split
        views: dict[str | None, dict[str, Json]] = {
            judge: view.finish(
                ran.min_coverage,
                drawn=all(part.drawn(judge) is not False for part in parts) if parts else bool(self.drawn(judge)),
            )
            for judge, view in self._views.items()
        }
        return {
            "n": self._views[ran.primary].samples,
            "n_expected": split.n,
            "subset": None if ran.subset is None else dict(ran.subset),
            "epochs": ran.epochs,
            "records": self._outcomes.total(),
            "outcomes": {name: self._outcomes[name] for name in OUTCOMES},
            "flags": {name: self._flags[name] for name in (*FLAGS, *sorted(self._flags.keys() - set(FLAGS)))},
            "settings": dict(ran.settings),
            "template_hash": split.template_hash,
            "fidelity": split.fidelity,
            "group": split.group,
            "definitions": {metric.name: metric.description for metric in split.metrics if metric.description},
            **({"parts": list(split.parts)} if split.parts else {}),
            "judge": ran.primary,
            **views.pop(ran.primary),
            "other_judges": views,
        }


class _View:
    """The split as one judge sees it."""

    def __init__(self, ran: Ran, judge: str | None) -> None:
        self._states: Counter[str] = Counter()
        self._labels: Counter[str] = Counter()
        self._tally = Tally(ran.metrics(judge), ran.split.by, epochs=ran.epochs)
        self._watch = LabelWatch(ran.split)
        self._draw = DrawWatch(ran.drawn.get(judge or ""))

    @property
    def samples(self) -> int:
        return self._tally.samples

    @property
    def partly(self) -> bool:
        """Some answers are judged and some are not."""
        return 0 < self._states["unjudged"] < self._states.total()

    @property
    def drawn(self) -> bool | None:
        """Whether what was judged is a random part; None where that is all or nothing."""
        return self._draw.drawn

    def add(self, record: Record, decision: Decision | None) -> None:
        if record.outcome == "answered":
            self._states[_state(decision)] += 1
        if record.label is not None:
            self._labels[record.label] += 1
        self._tally.add(record)
        self._watch.add(record)
        self._draw.add(record)

    def finish(self, min_coverage: float, *, drawn: bool) -> dict[str, Json]:
        coverage = self._labels.total() / len(self._tally) if len(self._tally) else None
        return {
            "verdicts": {name: self._states[name] for name in STATES},
            "labels": {label: self._labels[label] for label in sorted(self._labels)},
            **({"uncounted": list(self._watch.uncounted)} if self._watch.uncounted else {}),
            **({"unmoved": list(self._watch.unmoved)} if self._watch.unmoved else {}),
            "coverage": coverage,
            "complete": coverage is not None and coverage >= min_coverage,
            **({"drawn": drawn} if self.partly else {}),
            **self._tally.results(),
        }


def _state(decision: Decision | None) -> str:
    if decision is None:
        return "unjudged"
    return "scored" if isinstance(decision, Verdict) else decision.state

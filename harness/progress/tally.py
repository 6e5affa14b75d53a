"""Counts a run while it goes.

Nothing here reads a clock or writes anywhere: the engine's events raise counters, and a display asks for a `SplitView`
at a time it names. An event costs a few dictionary operations; rates and remaining times are computed in `view`.

The running value has no interval: an interval needs the clusters, and only results.json has them.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from harness.metrics import Metric, Share
from harness.types import BLOCKED, UNSCORED, Outcome, Usage

_WINDOW = 30.0  #: seconds over which a rate is measured, so that it follows a change of concurrency


class Speed:
    """Events a second over the last half minute, from counts taken now and then."""

    __slots__ = ("_marks",)

    def __init__(self, now: float) -> None:
        self._marks: deque[tuple[float, int]] = deque([(now, 0)])

    def at(self, now: float, count: int) -> float:
        """The rate up to `now`, when `count` events have come since the start."""
        marks = self._marks
        if now - marks[-1][0] >= 1.0:
            marks.append((now, count))
        while len(marks) > 1 and now - marks[1][0] >= _WINDOW:
            marks.popleft()
        since, before = marks[0]
        return (count - before) / (now - since) if now > since else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitView:
    """One split at one moment.

    Attributes:
        name: task and split, `mis:easy`.
        ended: records whose generation ended, reused ones included.
        total: records asked for; None while it is not known.
        judged: answers a judge has seen.
        waiting: answers that wait for the judge; 0 where no judge reads them.
        rate: records a second now, of what is faster, answering or judging.
        remaining: seconds, None when unknown.
        fraction: work done, 0 to 1; None when unknown.
        metric: the main metric, None when there is none.
        value: its running value in its unit, None before the first record counts.
        n: what the running value is divided by.
        blocked: prompts and answers stopped by the provider.
        empty: answers without text.
        errors: failed calls and unusable samples.
        unscored: answers the judge gave no verdict on.
    """

    name: str
    ended: int
    total: int | None
    judged: int
    waiting: int
    rate: float
    remaining: float | None
    fraction: float | None
    metric: Metric | None
    value: float | None
    n: float
    blocked: int
    empty: int
    errors: int
    unscored: int


@dataclass(slots=True, kw_only=True)
class SplitTally:
    """Counters of one split."""

    name: str
    total: int | None
    metric: Metric | None
    judge: bool
    answering: Speed
    judging: Speed
    outcomes: Counter[str] = field(default_factory=Counter[str])
    verdicts: Counter[str] = field(default_factory=Counter[str])
    fresh_answers: int = 0
    fresh_verdicts: int = 0
    numerator: float = 0.0
    denominator: float = 0.0

    def answered(self, outcome: Outcome, share: Share, fresh: bool) -> None:
        """A record's generation ended."""
        self.outcomes[outcome] += 1
        self.fresh_answers += fresh
        self._add(share)

    def judged(self, state: str, share: Share, fresh: bool) -> None:
        """A judge gave a label or failed."""
        self.verdicts[state] += 1
        self.fresh_verdicts += fresh
        self._add(share)

    def view(self, now: float) -> SplitView:
        """What to show at `now`, in seconds of any clock that only goes forward."""
        ended, judged = self.outcomes.total(), self.verdicts.total()
        # Records still to answer and answers still to judge, as far as they can be foreseen.
        left = None if self.total is None else max(0, self.total - ended)
        to_judge = max(0, self.outcomes["answered"] + (left or 0) - judged) if self.judge else 0
        fraction = None
        if left is not None:
            work = ended + judged + left + to_judge
            fraction = (ended + judged) / work if work else 1.0
        value = None
        if self.metric is not None and self.denominator > 0:
            value = (100.0 if self.metric.unit == "%" else 1.0) * self.numerator / self.denominator
        if not self.fresh_verdicts:
            self.judging = Speed(now)  # judging may begin only after the last answer
        answers, verdicts = self.answering.at(now, self.fresh_answers), self.judging.at(now, self.fresh_verdicts)
        # The slower of answering and judging; when they run one after the other, the one that runs.
        times = [count / rate for count, rate in ((left, answers), (to_judge, verdicts)) if count and rate > 0]
        remaining = 0.0 if left == 0 and to_judge == 0 else max(times, default=None)
        return SplitView(
            name=self.name,
            ended=ended,
            total=self.total,
            judged=judged,
            waiting=max(0, self.outcomes["answered"] - judged) if self.judge else 0,
            rate=max(answers, verdicts),
            remaining=None if left is None else remaining,
            fraction=fraction,
            metric=self.metric,
            value=value,
            n=self.denominator,
            blocked=sum(self.outcomes[name] for name in BLOCKED),
            empty=self.outcomes["empty"],
            errors=self.outcomes["error"] + self.outcomes["bad_sample"],
            unscored=sum(self.verdicts[name] for name in UNSCORED),
        )

    def _add(self, share: Share) -> None:
        self.numerator += share[0]
        self.denominator += share[1]


class Tally:
    """Counters of a run: one SplitTally each, tokens and money."""

    def __init__(self) -> None:
        self.splits: dict[tuple[str, str], SplitTally] = {}
        self.input_tokens = 0
        self.output_tokens = 0
        self.cost_usd: float | None = None

    def begin(
        self, task: str, split: str, now: float, *, total: int | None, metric: Metric | None, judge: bool
    ) -> None:
        """Start a split or a second pass over it: its counts begin again, since each pass reports all its records."""
        name = task if split == "all" else f"{task}:{split}"
        self.splits[task, split] = SplitTally(
            name=name, total=total, metric=metric, judge=judge, answering=Speed(now), judging=Speed(now)
        )

    def spent(self, usage: Usage, cost: float | None) -> None:
        """Tokens of one call and what they cost in US dollars, None where no price is known."""
        self.input_tokens += usage.input_tokens
        self.output_tokens += usage.output_tokens
        if cost is not None:
            self.cost_usd = (self.cost_usd or 0.0) + cost

    def views(self, now: float) -> list[SplitView]:
        """All splits in the order they began."""
        return [split.view(now) for split in list(self.splits.values())]

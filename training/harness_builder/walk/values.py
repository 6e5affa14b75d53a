"""What comes out of the walk: records to be, and how everything else ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from harness_builder.calls.values import Ended
from harness_builder.quality import Probed
from harness_builder.values import ENDS, Element, End, Label, Pair, Question, Sorted, Step

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """An element that came all the way; the output is made of these.

    Attributes:
        source: name of the seed's source.
        element, question, pair, sorted: what each step made.
        probed: what the probes said; none where they were not asked for.
        label: of a record of the subset `train`; None for the tests.
        calls: digests of all calls on its way, in order, that of the elements first.
    """

    source: str
    element: Element
    question: Question
    pair: Pair
    sorted: Sorted
    probed: tuple[Probed, ...] = ()
    label: Label | None = None
    calls: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Of the element."""
        return self.element.key


@dataclass(slots=True, kw_only=True)
class Tally:
    """How everything ended, counted as it ends.

    Attributes:
        seeds: that were walked.
        with_elements: of these, that gave elements.
        ends: (step, end) -> number; what goes on to another step is `kept` in the one it leaves. A seed that gave none
            ended in the first.
        whys: (step, end, why) -> number, of all that ended otherwise.
        again: that failed for a reason that may pass.
        passing: step -> number of these.
        spared: that went on from the probe whatever it said, in a build that leaves out what a part gives away.
        untold: why the prober did not say whether a part alone gives the risk away -> number of candidates.
        ties: key of an element that people do not agree on -> on what.
    """

    seeds: int = 0
    with_elements: int = 0
    ends: Counter[tuple[Step, End]] = field(default_factory=Counter[tuple[Step, End]])
    whys: Counter[tuple[Step, End, str]] = field(default_factory=Counter[tuple[Step, End, str]])
    again: int = 0
    passing: Counter[Step] = field(default_factory=Counter[Step])
    spared: int = 0
    untold: Counter[str] = field(default_factory=Counter[str])
    ties: dict[str, str] = field(default_factory=dict[str, str])

    def count(self, step: Step, ended: Ended) -> None:
        """Something ended so."""
        self.ends[step, ended.end] += 1
        self.whys[step, ended.end, ended.why] += 1
        self.again += ended.again
        self.passing[step] += ended.again

    def came(self, step: Step) -> int:
        """What came to a step: all that the one before kept, but for what only the other of probe and label takes; to
        the first the elements of all seeds, and the seeds that gave none."""
        return sum(self.ends[step, end] for end in ENDS)

    def uncount(self, step: Step, ended: Ended, kept: Iterable[Step]) -> None:
        """What ended so, after it was kept in these steps, is going to be counted otherwise."""
        self.again -= ended.again
        self.passing[step] -= ended.again
        self.whys = _less(self.whys, [(step, ended.end, ended.why)])
        self.ends = _less(self.ends, [(step, ended.end), *((each, "kept") for each in kept)])


def _less(counted: Counter[T], gone: Iterable[T]) -> Counter[T]:
    """Without those that are counted no more: none is there with 0."""
    return counted - Counter(gone)

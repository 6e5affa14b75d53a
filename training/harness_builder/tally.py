"""What comes out of the walk: records to be, and how everything else ended.

What a step lost of all that came to it, and why: no build may lose everything without a word.

A role that never gives a reply of use (it answers in prose, or declines whatever it is asked) looks in the files like a
set that has no such records. So a step that kept nothing for such reasons alone leaves the set incomplete. Of the probe
only those count that it could have left out.

How far a build is, as a line every few seconds.

    elements 40 · written 38 · drawn 30 · dropped 5 · refused 1 · failed 0 · stopped 0 · 3.1 calls/s

What a step counts has gone on from it; the rest is where something ended, in whatever step.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

import anyio

from harness_builder.calls.results import Halted
from harness_builder.values import ENDS, STEPS, End, Step

T = TypeVar("T")


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

    def count(self, step: Step, ended: Halted) -> None:
        """Something ended so."""
        self.ends[step, ended.end] += 1
        self.whys[step, ended.end, ended.why] += 1
        self.again += ended.again
        self.passing[step] += ended.again

    def came(self, step: Step) -> int:
        """What came to a step: all that the one before kept, but for what only the other of probe and label takes; to
        the first the elements of all seeds, and the seeds that gave none."""
        return sum(self.ends[step, end] for end in ENDS)

    def uncount(self, step: Step, ended: Halted, kept: Iterable[Step]) -> None:
        """What ended so, after it was kept in these steps, is going to be counted otherwise."""
        self.again -= ended.again
        self.passing[step] -= ended.again
        self.whys = _less(self.whys, [(step, ended.end, ended.why)])
        self.ends = _less(self.ends, [(step, ended.end), *((each, "kept") for each in kept)])


def _less(counted: Counter[T], gone: Iterable[T]) -> Counter[T]:
    """Without those that are counted no more: none is there with 0."""
    return counted - Counter(gone)


_LOST: Final[tuple[End, ...]] = ("dropped", "refused", "failed", "stopped")
_UNCHECKED: Final = ("stopped", "unchecked")
_WHYS: Final = 4  # that are named
#: what says that a reply was of no use; an answer that the judge does not take is none either
_USELESS: Final[Mapping[Step, tuple[End, ...]]] = {
    **dict.fromkeys(STEPS, ("refused", "failed")),
    "label": ("refused", "failed", "dropped"),
}
_ROLES: Final[Mapping[Step, str]] = {
    "elements": "writer or viewer",
    "write": "writer",
    "draw": "painter or viewer",
    "sort": "viewer",
    "probe": "prober",
    "label": "labeller or judge",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """A step that lost more than half of what came to it.

    Attributes:
        step: of the build.
        came: so many came to it.
        lost: so many went no further, without those that wait for people.
        whys: (end, why) -> how many ended so, the most frequent first.
        passing: reasons that may pass are among them.
    """

    step: Step
    came: int
    lost: int
    whys: Mapping[tuple[End, str], int]
    passing: bool = False

    @property
    def useless(self) -> bool:
        """All are lost, and to none of them who was asked gave a reply of use."""
        unusable = all(at == _UNCHECKED or at[0] in _USELESS[self.step] for at in self.whys)
        return self.lost == self.came and unusable and not self.passing

    @property
    def told(self) -> str:
        """In one line."""
        if len(self.whys) == 1:
            ((end, why),) = self.whys
            return f"{self.step}: {self.lost:,} of {self.came:,} {_said(end, why)}"
        named = [f"{number:,} {_said(*at)}" for at, number in list(self.whys.items())[:_WHYS]]
        rest = sum(list(self.whys.values())[_WHYS:])
        more = (f"{rest:,} for other reasons",) if rest else ()
        return f"{self.step}: {self.lost:,} of {self.came:,} lost: {'; '.join((*named, *more))}"

    @property
    def remedy(self) -> str:
        """What a person may do about it."""
        unchecked = set(self.whys) == {_UNCHECKED}
        return f"name another {'checker' if unchecked else _ROLES[self.step]}, or leave them out: -S finish=true"


def find_losses(tally: Tally) -> tuple[Loss, ...]:
    """Of each step that lost more than half, in order."""
    return tuple(each for each in (_loss(tally, step) for step in STEPS) if 2 * each.lost > each.came)


def tell_losses(tally: Tally, still_open: Collection[str]) -> Iterator[str]:
    """A line for each step that lost most of what came to it, but for what is told as open anyway."""
    found = find_losses(tally)
    yield from (each.told for each in found if not any(line.startswith(each.told) for line in still_open))
    if not any(each.step == "probe" for each in found):
        yield from _unsaid(tally)


def format_open_losses(found: Iterable[Loss]) -> Iterator[str]:
    """What must not stay so, with what may be done about it."""
    for each in found:
        if each.useless:
            yield f"{each.told}: {each.remedy}"


def _unsaid(tally: Tally) -> Iterator[str]:
    """Where the prober did not say of more than half what it was asked, in one line."""
    came, silent = tally.came("probe"), sum(tally.untold.values())
    if 2 * silent > came:
        whys = "; ".join(f"{why} ({number:,})" if len(tally.untold) > 1 else why for why, number in _most(tally.untold))
        what = f"probe: of {silent:,} of {came:,} the prober did not say whether a part alone gives the risk away"
        yield f"{what}: {whys}"


def _loss(tally: Tally, step: Step) -> Loss:
    whys: dict[tuple[End, str], int] = {
        (end, why): number for (at, end, why), number in _most(tally.whys) if at == step and end in _LOST
    }
    return Loss(
        step=step,
        came=tally.came(step) - (tally.spared if step == "probe" else 0),
        lost=sum(whys.values()),
        whys=whys,
        passing=bool(tally.passing[step]),
    )


def _most(counted: Counter[T]) -> list[tuple[T, int]]:
    """The most frequent first; among equals in the order of their names, not in that of the answers."""
    return sorted(counted.items(), key=lambda each: (-each[1], str(each[0])))


def _said(end: End, why: str) -> str:
    if (end, why) == _UNCHECKED:
        return "stopped: unchecked, the checker gave no clear reply"
    return end if why == end else f"{end}: {why}"


EVERY: Final = 5.0  #: seconds
_STEPS: Final[Mapping[Step, str]] = {
    "elements": "elements",
    "write": "written",
    "draw": "drawn",
    "sort": "sorted",
    "probe": "probed",
    "label": "labelled",
}
_ENDS: Final[tuple[End, ...]] = ("dropped", "refused", "failed", "stopped")
_SELDOM: Final[tuple[End, ...]] = ("waiting",)


class Progress:
    """See the module.

    Args:
        tally: counted elsewhere.
        calls: how many calls were made so far, without those that were kept.
        tell: given each line.
        clock: seconds.
    """

    def __init__(
        self,
        tally: Tally,
        calls: Callable[[], int],
        tell: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tally, self._calls, self._tell, self._clock = tally, calls, tell, clock
        self._counted, self._at = calls(), clock()
        self._told = self._counts()

    def tick(self) -> None:
        """Tell how far it is, where something has moved since the last line."""
        now, calls = self._clock(), self._calls()
        seconds, made = now - self._at, calls - self._counted
        self._at, self._counted = now, calls
        counts = self._counts()
        if counts == self._told and not made:
            return
        self._told = counts
        self._tell(f"{counts} · {made / seconds if seconds > 0 else 0:.1f} calls/s")

    def _counts(self) -> str:
        """The counts alone; steps that nothing has reached yet are left out behind the last that something has."""
        ends = self._tally.ends
        on = [(name, ends[step, "kept"]) for step, name in _STEPS.items()]
        while len(on) > 1 and not on[-1][1]:
            on.pop()
        off = [(end, sum(ends[step, end] for step in _STEPS)) for end in (*_ENDS, *_SELDOM)]
        return " · ".join(f"{name} {count}" for name, count in (*on, *off) if count or name not in _SELDOM)


@asynccontextmanager
async def showing(
    tally: Tally, calls: Callable[[], int], tell: Callable[[str], None], *, every: float = EVERY
) -> AsyncGenerator[Progress]:
    """Tell a line every few seconds while the body runs, and one at its end."""
    progress = Progress(tally, calls, tell)
    async with anyio.create_task_group() as group:
        group.start_soon(_ticking, progress, every)
        try:
            yield progress
        finally:
            progress.tick()
            group.cancel_scope.cancel()


async def _ticking(progress: Progress, every: float) -> None:
    while True:
        await anyio.sleep(every)
        progress.tick()

"""How everything in a build ended: counts, losses of steps, and the progress line.

No build may lose everything silently. If a role never gives a useful reply (it answers in prose, or always declines),
the files look like a set without such records. So a step that kept nothing for such reasons alone leaves the set
incomplete. For the probe only elements count that it could have left out.
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
PROGRESS_EVERY: Final = 5.0  #: seconds
_LOST: Final[tuple[End, ...]] = ("dropped", "refused", "failed", "stopped")
_UNCHECKED: Final = ("stopped", "unchecked")
_REASONS: Final = 4  # reasons that a loss names
#: ends after a useless reply; an answer that the judge rejects counts too
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
_DONE: Final[Mapping[Step, str]] = {
    "elements": "elements",
    "write": "written",
    "draw": "drawn",
    "sort": "sorted",
    "probe": "probed",
    "label": "labelled",
}


@dataclass(slots=True, kw_only=True)
class Tally:
    """How everything ended, counted as it ends.

    Attributes:
        seeds: walked so far.
        with_elements: seeds with elements.
        ends: (step, end) -> number; an element that passes a step is `kept` there. A seed without elements ended in
            the first step.
        whys: (step, end, why) -> number, of all ends except `kept`.
        again: how many failed for a reason that may pass.
        passing: step -> number of these.
        spared: elements that the probe cannot leave out, in a build that leaves out risks in one part.
        untold: why the prober did not say whether a part alone gives the risk away -> number of candidates.
        ties: key of an element that people disagree on -> on what.
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

    def count(self, step: Step, halted: Halted) -> None:
        """Count something that ended here."""
        self.ends[step, halted.end] += 1
        self.whys[step, halted.end, halted.why] += 1
        self.again += halted.again
        self.passing[step] += halted.again

    def uncount(self, step: Step, halted: Halted, kept: Iterable[Step]) -> None:
        """Undo the count of an end here, and of `kept` in these steps."""
        self.again -= halted.again
        self.passing[step] -= halted.again
        whys: list[tuple[Step, End, str]] = [(step, halted.end, halted.why)]
        ends: list[tuple[Step, End]] = [(step, halted.end), *((each, "kept") for each in kept)]
        self.whys = self.whys - Counter(whys)  # counts of 0 are left out
        self.ends = self.ends - Counter(ends)

    def came(self, step: Step) -> int:
        """How many reached a step; the first one counts the elements of all seeds, and seeds without elements."""
        return sum(self.ends[step, end] for end in ENDS)


# ---- losses ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """A step that lost more than half of its input.

    Attributes:
        step: of the build.
        came: how many reached it.
        lost: how many ended there, without those that wait for people.
        whys: (end, why) -> number, the most frequent first.
        passing: some of the reasons may pass.
    """

    step: Step
    came: int
    lost: int
    whys: Mapping[tuple[End, str], int]
    passing: bool = False

    @property
    def useless(self) -> bool:
        """Whether all are lost, and none had a useful reply of the role."""
        unusable = all(at == _UNCHECKED or at[0] in _USELESS[self.step] for at in self.whys)
        return self.lost == self.came and unusable and not self.passing

    @property
    def summary(self) -> str:
        """The loss in one line."""
        reasons = [(number, _format_reason(*at)) for at, number in self.whys.items()]
        if len(reasons) == 1:
            return f"{self.step}: {self.lost:,} of {self.came:,} {reasons[0][1]}"
        named = [f"{number:,} {reason}" for number, reason in reasons[:_REASONS]]
        if rest := sum(number for number, _ in reasons[_REASONS:]):
            named.append(f"{rest:,} for other reasons")
        return f"{self.step}: {self.lost:,} of {self.came:,} lost: {'; '.join(named)}"

    @property
    def remedy(self) -> str:
        """What the user can do."""
        role = "checker" if set(self.whys) == {_UNCHECKED} else _ROLES[self.step]
        return f"name another {role}, or leave them out: -S finish=true"


def find_losses(tally: Tally) -> tuple[Loss, ...]:
    """The steps that lost more than half, in order."""
    found: list[Loss] = []
    for step in STEPS:
        whys: dict[tuple[End, str], int] = {
            (end, why): number for (at, end, why), number in _most_frequent(tally.whys) if at == step and end in _LOST
        }
        came = tally.came(step) - (tally.spared if step == "probe" else 0)
        lost = sum(whys.values())
        if 2 * lost > came:
            found.append(Loss(step=step, came=came, lost=lost, whys=whys, passing=bool(tally.passing[step])))
    return tuple(found)


def format_open_losses(found: Iterable[Loss]) -> Iterator[str]:
    """The losses that leave a set incomplete, each with its remedy."""
    return (f"{each.summary}: {each.remedy}" for each in found if each.useless)


def format_losses(tally: Tally, still_open: Collection[str]) -> Iterator[str]:
    """A line for each loss that is not in `still_open`, and one for a prober that mostly did not say."""
    found = find_losses(tally)
    for each in found:
        if not any(line.startswith(each.summary) for line in still_open):
            yield each.summary
    came, silent = tally.came("probe"), sum(tally.untold.values())
    if 2 * silent > came and not any(each.step == "probe" for each in found):
        several = len(tally.untold) > 1
        whys = "; ".join(f"{why} ({number:,})" if several else why for why, number in _most_frequent(tally.untold))
        what = f"probe: of {silent:,} of {came:,} the prober did not say whether a part alone gives the risk away"
        yield f"{what}: {whys}"


def _most_frequent(counted: Counter[T]) -> list[tuple[T, int]]:
    """The most frequent first; equal ones in the order of their names, not of the replies."""
    return sorted(counted.items(), key=lambda each: (-each[1], str(each[0])))


def _format_reason(end: End, why: str) -> str:
    if (end, why) == _UNCHECKED:
        return "stopped: unchecked, the checker gave no clear reply"
    return end if why == end else f"{end}: {why}"


# ---- progress --------------------------------------------------------------------------------------------------------


class BuildProgress:
    """Prints a build's progress, if something has changed since the last line.

        elements 40 · written 38 · drawn 30 · dropped 5 · refused 1 · failed 0 · stopped 0 · 3.1 calls/s

    A step's count is what passed it; the rest is what ended, in any step.

    Args:
        tally: counted elsewhere.
        calls: the number of calls made so far, without stored ones.
        tell: gets each line.
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
        self._last_calls, self._last_time = calls(), clock()
        self._last_counts = self._format_counts()

    def tick(self) -> None:
        """Print a line now."""
        now, calls = self._clock(), self._calls()
        seconds, made = now - self._last_time, calls - self._last_calls
        self._last_time, self._last_calls = now, calls
        counts = self._format_counts()
        if counts == self._last_counts and not made:
            return
        self._last_counts = counts
        self._tell(f"{counts} · {made / seconds if seconds > 0 else 0:.1f} calls/s")

    def _format_counts(self) -> str:
        ends = self._tally.ends
        counts = [(name, ends[step, "kept"]) for step, name in _DONE.items()]
        while len(counts) > 1 and not counts[-1][1]:  # steps that nothing has reached yet
            counts.pop()
        counts += [(end, sum(ends[step, end] for step in STEPS)) for end in _LOST]
        if waiting := sum(ends[step, "waiting"] for step in STEPS):
            counts.append(("waiting", waiting))
        return " · ".join(f"{name} {count}" for name, count in counts)


@asynccontextmanager
async def show_progress(
    tally: Tally, calls: Callable[[], int], tell: Callable[[str], None], *, every: float = PROGRESS_EVERY
) -> AsyncGenerator[BuildProgress]:
    """Print a line every few seconds while the body runs, and one at its end."""
    progress = BuildProgress(tally, calls, tell)

    async def tick() -> None:
        while True:
            await anyio.sleep(every)
            progress.tick()

    async with anyio.create_task_group() as group:
        group.start_soon(tick)
        try:
            yield progress
        finally:
            progress.tick()
            group.cancel_scope.cancel()

"""What a step lost of all that came to it, and why: no build may lose everything without a word.

A role that never gives a reply of use (it answers in prose, or declines whatever it is asked) looks in the files like a
set that has no such records. So a step that kept nothing for such reasons alone leaves the set incomplete. Of the probe
only those count that it could have left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from harness_builder.values import STEPS, End, Step

from .values import Tally

T = TypeVar("T")
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


def losses(tally: Tally) -> tuple[Loss, ...]:
    """Of each step that lost more than half, in order."""
    return tuple(each for each in (_loss(tally, step) for step in STEPS) if 2 * each.lost > each.came)


def told(tally: Tally, still_open: Collection[str]) -> Iterator[str]:
    """A line for each step that lost most of what came to it, but for what is told as open anyway."""
    found = losses(tally)
    yield from (each.told for each in found if not any(line.startswith(each.told) for line in still_open))
    if not any(each.step == "probe" for each in found):
        yield from _unsaid(tally)


def open_losses(found: Iterable[Loss]) -> Iterator[str]:
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

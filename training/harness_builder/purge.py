"""What a hard stop takes with it: all that is kept of an element, of those that nearly equal it, of those listed alike.

What nearly equals a stopped one says the same, so it is stopped too, of the same kind. The next walk does not see the
stopped one: without this it would keep what this one dropped, and ask for it anew. Elements that one reply lists for
several seeds are one element: where one is stopped, all are, where they were listed, however fast which of them went.
The reply is redacted last: what was not deleted before a build was killed is stopped again by the next.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import count
from typing import TYPE_CHECKING

from harness_builder.calls.results import CallRunner, Halted
from harness_builder.dedup import DedupFilter
from harness_builder.records import Draft, StepLog
from harness_builder.stops import KINDS, Stop, StopKind
from harness_builder.tally import Tally
from harness_builder.values import Step, before

if TYPE_CHECKING:
    from harness_builder.pipeline import Pipeline


def _nothing(_: str) -> None:
    """Nobody else keeps anything of it."""


class Purge:
    """The stops of one walk.

    Args:
        walk: that it is part of.

    Attributes:
        struck: told of each key of which nothing may stay: who else keeps something of it.
    """

    def __init__(self, walk: Pipeline) -> None:
        self.struck: Callable[[str], None] = _nothing
        self._asker: CallRunner = walk.shop.asker
        self._listed = max(walk.shop.plan.per_text, walk.shop.plan.per_image)
        self._lines: StepLog = walk.lines
        self._gates: DedupFilter = walk.gates
        self._tally: Tally = walk.tally
        self._stopped: dict[str, Halted] = {}
        self._after: defaultdict[str, list[Draft]] = defaultdict(list)
        self._alike: defaultdict[tuple[str, int], list[Draft]] = defaultdict(list)

    def stop(self, way: Draft) -> None:
        """An element has ended as stopped: nothing of it stays, nor of what is stopped with it. Raises HarnessError."""
        assert way.ended is not None
        ended = self._stopped[way.key] = way.ended[1]
        self._lines.strike(way.key, way.lines)
        self._forget(way.key)
        for each in self._after.pop(way.key, ()):
            self._follow(each, ended)
        if way.lists:
            self._together(way)
            self._asker.redact(way.lists, way.place, Stop(kind=_kind(ended.why)))

    def near(self, way: Draft, of: str) -> None:
        """A gate dropped an element for nearly equalling another, which may be stopped, now or later."""
        if (ended := self._stopped.get(of)) is not None:
            self._follow(way, ended)
        else:
            self._after[of].append(way)

    def stop_seed(self, seed: str) -> None:
        """A seed is stopped before it has elements: nothing stays of those that an earlier build made of it."""
        for key in self._elements(seed):
            self._lines.erase(key)
            self._forget(key)
        self._asker.forget(seed)

    def place(self, key: str, ended: Halted) -> Step:
        """The step in which an element was stopped of which a list says no more: an earlier walk may have noted it."""
        return self._lines.stopped_in(key, ended.why) or "elements"

    def _forget(self, key: str) -> None:
        self.struck(key)
        self._asker.forget(key)

    def _follow(self, way: Draft, ended: Halted) -> None:
        assert way.ended is not None
        self._gates.forget(way.key)
        self._end(way, way.ended[0], ended)
        self.stop(way)

    def _together(self, way: Draft) -> None:
        """Put all that are one element where they were listed."""
        alike = self._alike[way.lists, way.place]
        alike.append(way)
        for each in alike if len(alike) > 1 else ():
            assert each.ended is not None
            step, ended = each.ended
            if step != "elements":
                each.lines = []
                self._end(each, "elements", ended)
                self._lines.erase(each.key, stopped=True)
                self._lines.strike(each.key, each.lines)

    def _end(self, way: Draft, step: Step, ended: Halted) -> None:
        """It ended otherwise than was counted, in this step: what came before it stays counted."""
        assert way.ended is not None
        came = before(step)
        self._tally.uncount(*way.ended, kept=[each for each in way.counted if each not in came])
        way.counted = tuple(each for each in way.counted if each in came)
        way.end(step, Halted(end="stopped", why=ended.why))
        self._tally.count(*way.ended)

    def _elements(self, seed: str) -> Iterator[str]:
        """Keys of all elements that a seed may have had."""
        for number in count():
            key = f"{seed}#{number}"
            if number >= self._listed and not self._lines.knows(key):
                return
            yield key


def _kind(why: str) -> StopKind:
    """The kind of a stop by its name; one that is unknown is one that could not be checked."""
    kinds: dict[str, StopKind] = {kind: kind for kind in KINDS}
    return kinds.get(why, "unchecked")

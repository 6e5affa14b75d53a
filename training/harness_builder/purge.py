"""What a hard stop erases: all that is stored of an element, of those that nearly equal it, of those listed with it.

What nearly equals a stopped element says the same, so it is stopped too, of the same kind. The next walk does not see
the stopped one: without this it would keep what this walk dropped, and ask for it anew. Elements that one reply lists
for several seeds are one element: if one is stopped, all are, in the step where they were listed, however far each of
them came. The reply is redacted last: what was not erased before a build was killed is stopped again by the next.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from itertools import count

from harness_builder.calls.results import CallRunner, Halted
from harness_builder.dedup import DedupFilter
from harness_builder.plan import Plan
from harness_builder.records import Draft, StepLog
from harness_builder.stops import KINDS, Stop, StopKind
from harness_builder.tally import Tally
from harness_builder.values import Step, steps_before

_KINDS: dict[str, StopKind] = {kind: kind for kind in KINDS}


class Purge:
    """The hard stops of one walk. Every method raises HarnessError if the disk does not take it.

    Args:
        plan: of the build.
        calls: stored calls are deleted through it.
        log: of the steps.
        dedup: which lists near-duplicates.
        tally: what was counted is counted again.

    Attributes:
        erase_elsewhere: is called with each key of which nothing may stay, for whoever else stores something of it.
    """

    def __init__(self, plan: Plan, calls: CallRunner, log: StepLog, dedup: DedupFilter, tally: Tally) -> None:
        self.erase_elsewhere: Callable[[str], None] = lambda _: None
        self._most_elements = max(plan.per_text, plan.per_image)
        self._calls = calls
        self._log = log
        self._dedup = dedup
        self._tally = tally
        self._stopped: dict[str, Halted] = {}
        self._duplicates: defaultdict[str, list[Draft]] = defaultdict(list)  # by the key they nearly equal
        self._listed: defaultdict[tuple[str, int], list[Draft]] = defaultdict(
            list
        )  # stopped, by their place in a reply

    def stop(self, draft: Draft) -> None:
        """Erase an element that has ended as stopped, and stop what nearly equals it or is listed with it."""
        assert draft.ended is not None
        halted = self._stopped[draft.key] = draft.ended[1]
        self._log.strike(draft.key, draft.lines)
        self._erase(draft.key)
        for each in self._duplicates.pop(draft.key, ()):
            self._stop_duplicate(each, halted)
        if not draft.lists:
            return
        together = self._listed[draft.lists, draft.place]
        together.append(draft)
        for each in together if len(together) > 1 else ():
            assert each.ended is not None
            step, of_each = each.ended
            if step != "elements":
                each.lines = []
                self._end_again(each, "elements", of_each)
                self._log.erase(each.key, stopped=True)
                self._log.strike(each.key, each.lines)
        # a kind that this version does not know counts as what could not be checked
        self._calls.redact(draft.lists, draft.place, Stop(kind=_KINDS.get(halted.why, "unchecked")))

    def note_duplicate(self, draft: Draft, of: str) -> None:
        """An element was dropped for nearly equalling another, which may be stopped already, or later."""
        if (halted := self._stopped.get(of)) is not None:
            self._stop_duplicate(draft, halted)
        else:
            self._duplicates[of].append(draft)

    def stop_seed(self, seed: str) -> None:
        """A seed is stopped before it has elements: erase those that an earlier build made of it."""
        for number in count():
            key = f"{seed}#{number}"
            if number >= self._most_elements and not self._log.knows(key):
                break
            self._log.erase(key)
            self._erase(key)
        self._calls.forget(seed)

    def find_step(self, key: str, halted: Halted) -> Step:
        """The step in which an element that its reply lists as stopped was stopped, if an earlier walk noted it."""
        return self._log.find_stop(key, halted.why) or "elements"

    def _erase(self, key: str) -> None:
        self.erase_elsewhere(key)
        self._calls.forget(key)

    def _stop_duplicate(self, draft: Draft, halted: Halted) -> None:
        assert draft.ended is not None
        self._dedup.forget(draft.key)
        self._end_again(draft, draft.ended[0], halted)
        self.stop(draft)

    def _end_again(self, draft: Draft, step: Step, halted: Halted) -> None:
        """It ends otherwise than was counted, in this step; the steps before it stay counted."""
        assert draft.ended is not None
        before = steps_before(step)
        self._tally.uncount(*draft.ended, kept=[each for each in draft.counted if each not in before])
        draft.counted = tuple(each for each in draft.counted if each in before)
        draft.end(step, Halted(end="stopped", why=halted.why))
        self._tally.count(*draft.ended)

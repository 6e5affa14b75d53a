"""Two images of an element, drawn in rounds.

In each round both objects are drawn, every drawing is checked for what may never go on before any other model sees it,
and of several drawings of one object the viewer takes the best. After each round but the last the viewer accepts the
two, or gives one better prompt for each, of which the next round is drawn. After the last nobody looks: its pair is
taken as it is, and `Pair.accepted` is False, since no model has said that it is content. (arXiv 2501.18533 App. D.1.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from harness import Drawing
from harness.keys import short
from harness_builder.calls.values import Ended, Passed
from harness_builder.values import Element, Pair, Question, Shot

from .abreast import abreast, end_of
from .checking import check_images, check_texts
from .looking import Prompted, choose, refine
from .workshop import Workshop

Two = tuple[Shot, Shot]
_BITS: Final = 0x7FFFFFFF  # what every painter takes as a seed


async def draw(shop: Workshop, element: Element, question: Question) -> Passed[Pair] | Ended:
    """Draw both objects, as many rounds as the plan has. The texts of each round meet the hard stops first.

    What a painter's filter turns away ends as `refused`, what it cannot draw as `failed`: there is no pair of one.
    """
    easel = _Easel(shop, element, question)
    drawn = await easel.run()
    return drawn.after(easel.calls) if isinstance(drawn, Ended) else drawn


def first_prompts(objects: tuple[str, str]) -> Prompted:
    """What the first round is drawn from: each object's own name, and nothing of the other or of the question."""
    # The name comes first: "a photograph of" with capital letters after it reads as that of a person.
    first, second = (f"{name}, alone in the picture and in plain view. A realistic photograph." for name in objects)
    return first, second


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drawn:
    shot: Shot
    call: str


class _Easel:
    """The rounds of one element, and what they made and took so far.

    Attributes:
        calls: digests, in order.
    """

    def __init__(self, shop: Workshop, element: Element, question: Question) -> None:
        self._shop = shop
        self._element = element
        self._question = question
        self._shots: list[Shot] = []
        self.calls: list[str] = []
        self._notes: list[str] = []

    async def run(self) -> Passed[Pair] | Ended:
        prompts, number = first_prompts(self._element.objects), 1
        while True:
            checked = await self._check(prompts)
            if isinstance(checked, Ended):
                return checked
            self.calls += checked.calls
            taken = await self._round(number, prompts)
            if isinstance(taken, Ended):
                return taken
            if number >= self._shop.plan.rounds:
                return self._made(taken, accepted=False)
            better = await self._look(number, prompts, taken)
            if isinstance(better, Ended):
                return better
            if better is None:
                return self._made(taken, accepted=True)
            prompts, number = better, number + 1

    async def _check(self, prompts: Prompted) -> Passed[None] | Ended:
        texts = (self._question.text, self._question.explicit, *prompts)
        return await check_texts(self._shop, "draw", self._element.key, *texts)

    async def _round(self, number: int, prompts: Prompted) -> Two | Ended:
        """Draw, check and choose. Nothing is shown to anyone before all of the round is drawn."""
        each = ((nth, place) for nth in range(self._shop.plan.best_of) for place in (0, 1))
        wanted = [self._wanted(number, prompts, nth, place) for nth, place in each]
        drawn = await abreast(self._paint, wanted)
        made = [each for each in drawn if isinstance(each, _Drawn)]
        self.calls += [each.call for each in made]
        if over := end_of(drawn):
            return over
        shots = [each.shot for each in made]
        self._shots += shots
        twos = list(zip(shots[::2], shots[1::2], strict=True))
        checked = await abreast(self._check_two, twos)
        self.calls += [call for each in checked if isinstance(each, Passed) for call in each.calls]
        if over := end_of(checked):
            return over
        return twos[0] if len(twos) == 1 else await self._best(twos)

    def _wanted(self, number: int, prompts: Prompted, nth: int, place: int) -> Shot:
        """A drawing that is yet to be made; its seed is the same wherever and whenever it is."""
        parts = [self._shop.plan.seed, self._element.key, place, number, nth]
        seed = int(short(parts), 16) & _BITS
        return Shot(sha256="", object=place, prompt=prompts[place], seed=seed, round=number)

    async def _paint(self, shot: Shot) -> _Drawn | Ended:
        plan = self._shop.plan
        drawing = Drawing(prompt=shot.prompt, seed=shot.seed, width=plan.width, height=plan.height)
        painted = await self._shop.asker.paint("draw", self._element.key, drawing)
        if isinstance(painted, Ended):
            return painted
        made = replace(shot, sha256=painted.sha256, prompt=painted.prompt or shot.prompt)
        return _Drawn(shot=made, call=painted.call)

    async def _check_two(self, two: Two) -> Passed[None] | Ended:
        images = (self._shop.image(shot.sha256) for shot in two)
        return await check_images(self._shop, "draw", self._element.key, *images)

    async def _best(self, twos: list[Two]) -> Two | Ended:
        """The drawing of each object that the viewer takes."""

        async def one(place: int) -> Passed[int] | Ended:
            images = [self._shop.image(two[place].sha256) for two in twos]
            return await choose(self._shop, self._element, place, images)

        chosen = await abreast(one, (0, 1))
        made = [each for each in chosen if isinstance(each, Passed)]
        self.calls += [call for each in made for call in each.calls]
        if over := end_of(chosen):
            return over
        first, second = made
        return twos[first.value][0], twos[second.value][1]

    async def _look(self, number: int, prompts: Prompted, taken: Two) -> Prompted | Ended | None:
        """Better prompts; None where the viewer accepts the two."""
        first, second = (self._shop.image(shot.sha256) for shot in taken)
        looked = await refine(self._shop, self._element, self._question, prompts, (first, second))
        if isinstance(looked, Ended):
            return looked
        self.calls += looked.calls
        self._notes += [f"round {number}: {note}" for note in looked.notes]
        return looked.value

    def _made(self, taken: Two, *, accepted: bool) -> Passed[Pair]:
        shots = tuple(replace(shot, taken=shot in taken) for shot in self._shots)
        images = (taken[0].sha256, taken[1].sha256)
        pair = Pair(key=self._element.key, images=images, shots=shots, accepted=accepted)
        return Passed(value=pair, calls=tuple(self.calls), notes=tuple(self._notes))

"""What the viewer says of drawings: which is the best of one object, and what would draw both better.

Two images of an element, drawn in rounds.

In each round both objects are drawn, every drawing is checked for what may never go on before any other model sees it,
and of several drawings of one object the viewer takes the best. After each round but the last the viewer accepts the
two, or gives one better prompt for each, of which the next round is drawn. After the last nobody looks: its pair is
taken as it is, and `Pair.accepted` is False, since no model has said that it is content. (arXiv 2501.18533 App. D.1.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from harness import Drawing, Image, Json, Message, Request, Text
from harness.http.status import as_list
from harness.keys import canonical, short
from harness.rubric import repair_request
from harness_builder.calls.results import Halted, ModelQuery, ModelReply, StepResult, Unreadable
from harness_builder.steps.context import BuildContext, check_images, check_texts, end_of, gather
from harness_builder.steps.replies import fields, flag
from harness_builder.steps.wording import names_object
from harness_builder.values import DrawnImage, Element, Pair, Question

Prompted = tuple[str, str]  #: a prompt for each object
_LONGEST: Final = 600  # letters of a prompt; what painters read of longer ones is cut off
_BOTH: Final = (0, 1)
_SCHEMA: Final[Mapping[str, Json]] = {
    "type": "object",
    "properties": {"accept": {"type": "boolean"}, "prompts": {"type": "array", "items": {"type": "string"}}},
    "required": ["accept", "prompts"],
    "additionalProperties": False,
}


async def choose(shop: BuildContext, element: Element, place: int, images: Sequence[Image]) -> StepResult[int] | Halted:
    """Which of several drawings of one object is the best, from 0; the first where the viewer finds none good."""
    count = len(images)

    def read(text: str) -> Json:
        best = fields(text).get("best")
        if type(best) is not int or not 0 <= best <= count:
            raise Unreadable(f"field 'best' must be a whole number from 0 to {count}")
        return best

    text = shop.prompts.fill("choose", {"object": element.objects[place], "count": count})
    schema: dict[str, Json] = {
        "type": "object",
        "properties": {"best": {"type": "integer", "enum": list(range(count + 1))}},
        "required": ["best"],
        "additionalProperties": False,
    }
    request = Request(messages=(_turn(images, text),), schema=schema)
    said = await shop.asker.ask(ModelQuery(step="draw", owner=element.key, role="viewer", request=request, read=read))
    if isinstance(said, Halted):
        return said
    return StepResult(value=max(int(said.value) - 1, 0), calls=(said.call,))


async def refine(
    shop: BuildContext, element: Element, question: Question, prompts: Prompted, images: tuple[Image, Image]
) -> StepResult[Prompted | None] | Halted:
    """A better prompt for each object; None where the viewer accepts both images.

    A prompt may describe its own object alone. One that names the other is asked for once more; where that does not
    help, the prompt before stays.
    """
    values = {
        "objects": list(element.objects),
        "prompts": list(prompts),
        "category": element.category,
        "question": question.text,
    }
    request = Request(messages=(_turn(images, shop.prompts.fill("refine", values)),), schema=_SCHEMA)
    said = await _ask(shop, element, request)
    if isinstance(said, Halted):
        return said
    better, calls = _prompts(said), [said.call]
    if better and (mixed := _mixed(better, element.objects)):
        again = await _ask(shop, element, repair_request(request, canonical(said.value), _wrong(mixed)))
        if isinstance(again, Halted):
            if again.again or again.end == "stopped":
                return again.after(calls)
            calls.append(again.call)
        else:
            better, calls = _prompts(again), [*calls, again.call]
    mixed = _mixed(better, element.objects) if better else ()
    notes = tuple(f"the prompt for {element.objects[place]} stays, the new one names the other" for place in mixed)
    return StepResult(value=_kept(better, prompts, mixed), calls=tuple(calls), notes=notes)


async def _ask(shop: BuildContext, element: Element, request: Request) -> ModelReply | Halted:
    return await shop.asker.ask(ModelQuery(step="draw", owner=element.key, role="viewer", request=request, read=_read))


def _read(text: str) -> Json:
    found = fields(text)
    if flag(found, "accept"):
        return {"accept": True, "prompts": []}
    prompts = as_list(found.get("prompts"))
    lines = [" ".join(each.split()) for each in prompts if isinstance(each, str)]
    if len(lines) != len(prompts) or len(lines) != len(_BOTH):
        raise Unreadable("field 'prompts' must hold two texts, one for each object")
    if not all(lines) or max(map(len, lines)) > _LONGEST:
        raise Unreadable(f"each of the two prompts must have at most {_LONGEST} letters, and at least one")
    return {"accept": False, "prompts": lines}


def _prompts(said: ModelReply) -> Prompted | None:
    if said.value["accept"]:
        return None
    first, second = said.value["prompts"]
    return first, second


def _mixed(prompts: Prompted, objects: tuple[str, str]) -> tuple[int, ...]:
    """Places of the prompts that name the object of the other image."""
    return tuple(place for place in _BOTH if names_object(prompts[place], objects[1 - place], but=objects[place]))


def _wrong(mixed: tuple[int, ...]) -> str:
    which = "both prompts name" if len(mixed) == len(_BOTH) else f"prompt {mixed[0] + 1} names"
    return f"{which} the object of the other image, and a prompt may describe its own object alone"


def _kept(better: Prompted | None, before: Prompted, mixed: tuple[int, ...]) -> Prompted | None:
    if better is None:
        return None
    first, second = (before[place] if place in mixed else better[place] for place in _BOTH)
    return first, second


def _turn(images: Sequence[Image], text: str) -> Message:
    return Message(role="user", content=(*images, Text(text=text)))


Two = tuple[DrawnImage, DrawnImage]
_BITS: Final = 0x7FFFFFFF  # what every painter takes as a seed


async def draw(shop: BuildContext, element: Element, question: Question) -> StepResult[Pair] | Halted:
    """Draw both objects, as many rounds as the plan has. The texts of each round meet the hard stops first.

    What a painter's filter turns away ends as `refused`, what it cannot draw as `failed`: there is no pair of one.
    """
    easel = _Easel(shop, element, question)
    drawn = await easel.run()
    return drawn.after(easel.calls) if isinstance(drawn, Halted) else drawn


def first_prompts(objects: tuple[str, str]) -> Prompted:
    """What the first round is drawn from: each object's own name, and nothing of the other or of the question."""
    # The name comes first: "a photograph of" with capital letters after it reads as that of a person.
    first, second = (f"{name}, alone in the picture and in plain view. A realistic photograph." for name in objects)
    return first, second


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drawn:
    shot: DrawnImage
    call: str


class _Easel:
    """The rounds of one element, and what they made and took so far.

    Attributes:
        calls: digests, in order.
    """

    def __init__(self, shop: BuildContext, element: Element, question: Question) -> None:
        self._shop = shop
        self._element = element
        self._question = question
        self._shots: list[DrawnImage] = []
        self.calls: list[str] = []
        self._notes: list[str] = []

    async def run(self) -> StepResult[Pair] | Halted:
        prompts, number = first_prompts(self._element.objects), 1
        while True:
            checked = await self._check(prompts)
            if isinstance(checked, Halted):
                return checked
            self.calls += checked.calls
            taken = await self._round(number, prompts)
            if isinstance(taken, Halted):
                return taken
            if number >= self._shop.plan.rounds:
                return self._made(taken, accepted=False)
            better = await self._look(number, prompts, taken)
            if isinstance(better, Halted):
                return better
            if better is None:
                return self._made(taken, accepted=True)
            prompts, number = better, number + 1

    async def _check(self, prompts: Prompted) -> StepResult[None] | Halted:
        texts = (self._question.text, self._question.explicit, *prompts)
        return await check_texts(self._shop, "draw", self._element.key, *texts)

    async def _round(self, number: int, prompts: Prompted) -> Two | Halted:
        """Draw, check and choose. Nothing is shown to anyone before all of the round is drawn."""
        each = ((nth, place) for nth in range(self._shop.plan.best_of) for place in (0, 1))
        wanted = [self._wanted(number, prompts, nth, place) for nth, place in each]
        drawn = await gather(self._paint, wanted)
        made = [each for each in drawn if isinstance(each, _Drawn)]
        self.calls += [each.call for each in made]
        if over := end_of(drawn):
            return over
        shots = [each.shot for each in made]
        self._shots += shots
        twos = list(zip(shots[::2], shots[1::2], strict=True))
        checked = await gather(self._check_two, twos)
        self.calls += [call for each in checked if isinstance(each, StepResult) for call in each.calls]
        if over := end_of(checked):
            return over
        return twos[0] if len(twos) == 1 else await self._best(twos)

    def _wanted(self, number: int, prompts: Prompted, nth: int, place: int) -> DrawnImage:
        """A drawing that is yet to be made; its seed is the same wherever and whenever it is."""
        parts = [self._shop.plan.seed, self._element.key, place, number, nth]
        seed = int(short(parts), 16) & _BITS
        return DrawnImage(sha256="", object=place, prompt=prompts[place], seed=seed, round=number)

    async def _paint(self, shot: DrawnImage) -> _Drawn | Halted:
        plan = self._shop.plan
        drawing = Drawing(prompt=shot.prompt, seed=shot.seed, width=plan.width, height=plan.height)
        painted = await self._shop.asker.paint("draw", self._element.key, drawing)
        if isinstance(painted, Halted):
            return painted
        made = replace(shot, sha256=painted.sha256, prompt=painted.prompt or shot.prompt)
        return _Drawn(shot=made, call=painted.call)

    async def _check_two(self, two: Two) -> StepResult[None] | Halted:
        images = (self._shop.image(shot.sha256) for shot in two)
        return await check_images(self._shop, "draw", self._element.key, *images)

    async def _best(self, twos: list[Two]) -> Two | Halted:
        """The drawing of each object that the viewer takes."""

        async def one(place: int) -> StepResult[int] | Halted:
            images = [self._shop.image(two[place].sha256) for two in twos]
            return await choose(self._shop, self._element, place, images)

        chosen = await gather(one, (0, 1))
        made = [each for each in chosen if isinstance(each, StepResult)]
        self.calls += [call for each in made for call in each.calls]
        if over := end_of(chosen):
            return over
        first, second = made
        return twos[first.value][0], twos[second.value][1]

    async def _look(self, number: int, prompts: Prompted, taken: Two) -> Prompted | Halted | None:
        """Better prompts; None where the viewer accepts the two."""
        first, second = (self._shop.image(shot.sha256) for shot in taken)
        looked = await refine(self._shop, self._element, self._question, prompts, (first, second))
        if isinstance(looked, Halted):
            return looked
        self.calls += looked.calls
        self._notes += [f"round {number}: {note}" for note in looked.notes]
        return looked.value

    def _made(self, taken: Two, *, accepted: bool) -> StepResult[Pair]:
        shots = tuple(replace(shot, taken=shot in taken) for shot in self._shots)
        images = (taken[0].sha256, taken[1].sha256)
        pair = Pair(key=self._element.key, images=images, shots=shots, accepted=accepted)
        return StepResult(value=pair, calls=tuple(self.calls), notes=tuple(self._notes))

"""The step `draw`: two images of an element, drawn in rounds. (arXiv 2501.18533 App. D.1.)

In each round both objects are drawn. Every drawing meets the hard stops before any other model sees it. The viewer
takes the best of several drawings of one object. After each round except the last the viewer accepts the two, or writes
a better prompt for each, and the next round draws these. After the last round no model looks: its pair is taken, and
`Pair.accepted` is False.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from harness import Drawing, Image, Json, Message, Request, Text
from harness.http.status import as_list
from harness.keys import canonical, short
from harness.rubric import repair_request
from harness_builder.calls.results import Halted, ModelQuery, ModelReply, StepResult, Unreadable, get_flag, parse_fields
from harness_builder.values import DrawnImage, Element, Pair, Question

from .context import BuildContext, check_images, check_texts, find_halt, gather
from .wording import names_object

PromptPair = tuple[str, str]  #: a prompt for each object
_SEED_BITS: Final = 0x7FFFFFFF  # every painter accepts these seeds
_LONGEST: Final = 600  # letters of a prompt; painters cut longer ones
_REFINE_SCHEMA: Final[Mapping[str, Json]] = {
    "type": "object",
    "properties": {"accept": {"type": "boolean"}, "prompts": {"type": "array", "items": {"type": "string"}}},
    "required": ["accept", "prompts"],
    "additionalProperties": False,
}


@dataclass(slots=True)
class _Trail:
    """The drawings and calls of one element's rounds so far."""

    shots: list[DrawnImage] = field(default_factory=list[DrawnImage])
    calls: list[str] = field(default_factory=list[str])
    notes: list[str] = field(default_factory=list[str])


async def draw(context: BuildContext, element: Element, question: Question) -> StepResult[Pair] | Halted:
    """Draw both objects, in as many rounds as the plan has. The texts of each round meet the hard stops first.

    A block by a painter's filter ends the element as `refused`, a failed drawing as `failed`: a pair needs two.
    """
    trail, accepted, number = _Trail(), False, 1
    prompts = first_prompts(element.objects)
    while True:
        checked = await check_texts(context, "draw", element.key, question.text, question.explicit, *prompts)
        if isinstance(checked, Halted):
            return checked.after(trail.calls)
        trail.calls += checked.calls
        taken = await _draw_round(context, element, number, prompts, trail)
        if isinstance(taken, Halted):
            return taken.after(trail.calls)
        if number >= context.plan.rounds:
            break
        images = (context.image(taken[0].sha256), context.image(taken[1].sha256))
        better = await refine_prompts(context, element, question, prompts, images)
        if isinstance(better, Halted):
            return better.after(trail.calls)
        trail.calls += better.calls
        trail.notes += [f"round {number}: {note}" for note in better.notes]
        if better.value is None:
            accepted = True
            break
        prompts, number = better.value, number + 1
    pair = Pair(
        key=element.key,
        images=(taken[0].sha256, taken[1].sha256),
        shots=tuple(replace(shot, taken=shot in taken) for shot in trail.shots),
        accepted=accepted,
    )
    return StepResult(value=pair, calls=tuple(trail.calls), notes=tuple(trail.notes))


def first_prompts(objects: tuple[str, str]) -> PromptPair:
    """The prompts of the first round: each object's name, without the other object or the question."""
    # The name comes first: capital letters after "a photograph of" look like a person's name.
    first, second = (f"{name}, alone in the picture and in plain view. A realistic photograph." for name in objects)
    return first, second


async def _draw_round(
    context: BuildContext, element: Element, number: int, prompts: PromptPair, trail: _Trail
) -> tuple[DrawnImage, DrawnImage] | Halted:
    """Draw, check and choose. No model sees a drawing before all of the round are drawn."""
    plan, key = context.plan, element.key

    async def paint(wanted: tuple[int, int]) -> tuple[DrawnImage, str] | Halted:
        nth, place = wanted
        # the same seed in every build
        seed = int(short([plan.seed, key, place, number, nth]), 16) & _SEED_BITS
        drawing = Drawing(prompt=prompts[place], seed=seed, width=plan.width, height=plan.height)
        painted = await context.calls.paint("draw", key, drawing)
        if isinstance(painted, Halted):
            return painted
        prompt = painted.prompt or prompts[place]
        shot = DrawnImage(sha256=painted.sha256, object=place, prompt=prompt, seed=seed, round=number)
        return shot, painted.call

    async def check(pair: tuple[DrawnImage, DrawnImage]) -> StepResult[None] | Halted:
        return await check_images(context, "draw", key, *(context.image(shot.sha256) for shot in pair))

    async def choose(place: int) -> StepResult[int] | Halted:
        return await choose_best(context, element, place, [context.image(pair[place].sha256) for pair in pairs])

    drawn = await gather(paint, ((nth, place) for nth in range(plan.best_of) for place in (0, 1)))
    made = [each for each in drawn if not isinstance(each, Halted)]
    trail.calls += [call for _, call in made]
    if halted := find_halt(drawn):
        return halted
    shots = [shot for shot, _ in made]
    trail.shots += shots
    pairs = list(zip(shots[::2], shots[1::2], strict=True))
    checked = await gather(check, pairs)
    trail.calls += [call for each in checked if isinstance(each, StepResult) for call in each.calls]
    if halted := find_halt(checked):
        return halted
    if len(pairs) == 1:
        return pairs[0]
    chosen = await gather(choose, (0, 1))
    best = [each for each in chosen if isinstance(each, StepResult)]
    trail.calls += [call for each in best for call in each.calls]
    if halted := find_halt(chosen):
        return halted
    first, second = best
    return pairs[first.value][0], pairs[second.value][1]


async def choose_best(
    context: BuildContext, element: Element, place: int, images: Sequence[Image]
) -> StepResult[int] | Halted:
    """The place of the best of several drawings, from 0; the first if the viewer finds none good."""
    count = len(images)

    def read(text: str) -> Json:
        best = parse_fields(text).get("best")
        if type(best) is not int or not 0 <= best <= count:
            raise Unreadable(f"field 'best' must be a whole number from 0 to {count}")
        return best

    text = context.prompts.fill("choose", {"object": element.objects[place], "count": count})
    schema: dict[str, Json] = {
        "type": "object",
        "properties": {"best": {"type": "integer", "enum": list(range(count + 1))}},
        "required": ["best"],
        "additionalProperties": False,
    }
    request = Request(messages=(Message(role="user", content=(*images, Text(text=text))),), schema=schema)
    query = ModelQuery(step="draw", owner=element.key, role="viewer", request=request, read=read)
    said = await context.calls.ask(query)
    if isinstance(said, Halted):
        return said
    return StepResult(value=max(int(said.value) - 1, 0), calls=(said.call,))


async def refine_prompts(
    context: BuildContext, element: Element, question: Question, prompts: PromptPair, images: tuple[Image, Image]
) -> StepResult[PromptPair | None] | Halted:
    """A better prompt for each object; None if the viewer accepts both images.

    A prompt may describe only its own object. One that names the other is asked for once more; if that does not help,
    the previous prompt stays.
    """
    objects = element.objects
    values = {
        "objects": list(objects),
        "prompts": list(prompts),
        "category": element.category,
        "question": question.text,
    }
    text = Text(text=context.prompts.fill("refine", values))
    request = Request(messages=(Message(role="user", content=(*images, text)),), schema=_REFINE_SCHEMA)

    async def ask(request: Request) -> ModelReply | Halted:
        query = ModelQuery(step="draw", owner=element.key, role="viewer", request=request, read=_read_refined)
        return await context.calls.ask(query)

    def find_mixed(better: PromptPair | None) -> list[int]:
        """Places of the prompts that name the other image's object."""
        prompted = enumerate(better or ())
        return [place for place, prompt in prompted if names_object(prompt, objects[1 - place], but=objects[place])]

    said = await ask(request)
    if isinstance(said, Halted):
        return said
    better, calls = _get_prompts(said), [said.call]
    if mixed := find_mixed(better):
        which = "both prompts name" if len(mixed) == len(objects) else f"prompt {mixed[0] + 1} names"
        wrong = f"{which} the object of the other image, and a prompt may describe its own object alone"
        again = await ask(repair_request(request, canonical(said.value), wrong))
        if isinstance(again, Halted):
            if again.again or again.end == "stopped":
                return again.after(calls)
        else:
            better = _get_prompts(again)
        calls.append(again.call)
        mixed = find_mixed(better)
    notes = tuple(f"the prompt for {objects[place]} stays, the new one names the other" for place in mixed)
    if better is not None:
        first, second = (prompts[place] if place in mixed else better[place] for place in (0, 1))
        better = first, second
    return StepResult(value=better, calls=tuple(calls), notes=notes)


def _read_refined(text: str) -> Json:
    found = parse_fields(text)
    if get_flag(found, "accept"):
        return {"accept": True, "prompts": []}
    prompts = as_list(found.get("prompts"))
    lines = [" ".join(each.split()) for each in prompts if isinstance(each, str)]
    if len(lines) != len(prompts) or len(lines) != 2:
        raise Unreadable("field 'prompts' must hold two texts, one for each object")
    if not all(lines) or max(map(len, lines)) > _LONGEST:
        raise Unreadable(f"each of the two prompts must have at most {_LONGEST} letters, and at least one")
    return {"accept": False, "prompts": lines}


def _get_prompts(said: ModelReply) -> PromptPair | None:
    if said.value["accept"]:
        return None
    first, second = said.value["prompts"]
    return first, second

"""The steps `elements` and `write`: from a seed to risks that need two objects, and from each risk to its question.

The writer sees a text, the viewer a picture with its text, once the hard stop by a model has let it pass. Only the
requested fields of the reply are kept; repeated items are kept once, and surplus items are left out. So the place of an
element is its place in the stored reply. (arXiv 2501.18533 §3.2, step 1.)

A question names neither object and does not reveal the risk (step 2). It takes two calls of the writer: one rewrites it
with references to the two images, or says that there is no risk or no two objects; one makes it neutral if needed, and
explains the change. A question that still names an object, or refers to one image alone, is asked for once more, with
its fault named. If that does not help, the element is dropped. Whether a question is wrong depends on the element, the
parsed reply does not: many elements end with the same question, and one call then makes it neutral for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from harness import Generation, Json, Message, Request, Text
from harness.keys import canonical
from harness.rubric import repair_request
from harness_builder.calls.results import (
    Halted,
    ModelQuery,
    ModelReply,
    StepResult,
    Unreadable,
    filter_items,
    get_text,
    parse_fields,
    parse_items,
    stop_of,
)
from harness_builder.plan import Prompt
from harness_builder.stops import stop_text
from harness_builder.values import Element, Question, Seed

from .context import BuildContext, check_images
from .wording import find_question_fault, same_name, spell_out

_ELEMENT_FIELDS: Final = ("category", "sub_category", "question", "object1", "object2")
_TOKENS: Final = (1024, 256)  # for a reply, and more for each element
_TEXT: Final[Mapping[str, Json]] = {"type": "string"}
_SCHEMA_FIELDS: Final[Mapping[Prompt, Mapping[str, Json]]] = {
    "write": {"question": {"anyOf": [_TEXT, {"type": "boolean"}]}},
    "detoxify": {"explanation": _TEXT, "question": _TEXT},
}


async def find_elements(context: BuildContext, seed: Seed) -> StepResult[tuple[Element | Halted, ...]] | Halted:
    """The elements of a seed, by their place in the reply; Halted for those that end here.

    A seed whose own text is stopped ends before any model is asked.
    """
    if seed.fault:
        return Halted(end="failed", why=seed.fault)
    if stop := stop_text(seed.text, seed.category):
        return Halted.at_stop(stop)
    checks: tuple[str, ...] = ()
    if seed.image is not None:  # the model's hard stop checks a text with its question, before anything is drawn
        checked = await check_images(context, "elements", seed.key, seed.image)
        if isinstance(checked, Halted):
            return checked
        checks = checked.calls
    count = context.plan.per_text if seed.image is None else context.plan.per_image
    values = {"text": seed.text, "picture": seed.image is not None, "count": count, "category": seed.category}
    text = Text(text=context.prompts.fill("elements", values))
    content = (text,) if seed.image is None else (seed.image, text)
    least, each = _TOKENS

    def read(reply: str) -> Json:
        distinct: dict[str, dict[str, str]] = {}
        for item in parse_items(reply):
            row = {name: get_text(item, name) for name in _ELEMENT_FIELDS}
            distinct.setdefault(canonical(row).casefold(), row)
        return list(distinct.values())[:count]

    said = await context.calls.ask(
        ModelQuery(
            step="elements",
            owner=seed.key,
            role="writer" if seed.image is None else "viewer",
            request=Request(
                messages=(Message(role="user", content=content),), settings=Generation(max_tokens=least + each * count)
            ),
            read=read,
            keep=filter_items,
        )
    )
    if isinstance(said, Halted):
        return said.after(checks)
    rows: list[Json] = said.value
    if not rows:
        return Halted(end="dropped", why="no element", call=said.call, before=checks)
    found = tuple(_build_element(context, seed, place, row, said.call) for place, row in enumerate(rows))
    return StepResult(value=found, calls=(*checks, said.call))


def _build_element(context: BuildContext, seed: Seed, place: int, row: Json, call: str) -> Element | Halted:
    if stop := stop_of(row):
        return Halted.at_stop(stop)
    fields: Mapping[str, str] = row
    first, second = fields["object1"], fields["object2"]
    category, below = fields["category"], fields["sub_category"]
    why = ""
    if categories := context.plan.categories:
        category = _find_name(category, categories)
        below = _find_name(below, categories[category]) if category else ""
    if not first or not second or same_name(first, second):
        why = "names one object"
    elif not fields["question"]:
        why = "asks no question"
    elif not category:
        why = "its category is none of the plan's" if fields["category"] else "names no category"
    if why:
        return Halted(end="dropped", why=why, call=call)
    return Element(
        key=f"{seed.key}#{place}",
        seed=seed.key,
        category=category,
        question=fields["question"],
        objects=(first, second),
        sub_category=below,
    )


def _find_name(said: str, known: Iterable[str]) -> str:
    """The plan's spelling of a name, without regard to case and signs; empty if the plan lacks it."""
    return next((name for name in known if same_name(name, said)), "")


# ---- the question ----------------------------------------------------------------------------------------------------


async def write(context: BuildContext, element: Element) -> StepResult[Question] | Halted:
    """The question of an element, neutral and without the names of its objects."""
    first, second = element.objects
    draft = {"question": element.question, "object1": first, "object2": second, "category": element.category}
    written = await _ask_writer(context, element, "write", draft)
    if isinstance(written, Halted):
        return written
    before: str = written.value["question"]
    neutral = await _ask_writer(context, element, "detoxify", {"question": before})
    if isinstance(neutral, Halted):
        return neutral.after(written.calls)
    text: str = neutral.value["question"]
    question = Question(
        key=element.key,
        text=text,
        explicit=spell_out(text, element.objects),
        changed=text != before,
        explanation=neutral.value["explanation"] if text != before else "",
    )
    calls, notes = (*written.calls, *neutral.calls), (*written.notes, *neutral.notes)
    return StepResult(value=question, calls=calls, notes=notes)


async def _ask_writer(
    context: BuildContext, element: Element, prompt: Prompt, values: Mapping[str, Json]
) -> StepResult[Mapping[str, Json]] | Halted:
    """The reply of the writer; Halted if it sees no risk, or its question is wrong a second time."""
    language = context.plan.language
    fields = _SCHEMA_FIELDS[prompt]
    request = Request(
        messages=(Message(role="user", content=(Text(text=context.prompts.fill(prompt, values)),)),),
        schema={"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False},
    )
    said = await _ask_once(context, element, prompt, request)
    if isinstance(said, Halted):
        return said
    wrong = find_question_fault(said.value["question"], element.objects, language)
    if wrong is None:
        return StepResult(value=said.value, calls=(said.call,))
    again = await _ask_once(context, element, prompt, repair_request(request, canonical(said.value), wrong.told))
    if isinstance(again, Halted):
        decided = again.end in ("stopped", "dropped") or again.again
        halted = again if decided else Halted(end="dropped", why=wrong.why, call=again.call)
        return halted.after([said.call])
    if still := find_question_fault(again.value["question"], element.objects, language):
        return Halted(end="dropped", why=still.why, call=again.call, before=(said.call,))
    return StepResult(value=again.value, calls=(said.call, again.call), notes=(f"asked once more: it {wrong.why}",))


async def _ask_once(context: BuildContext, element: Element, prompt: Prompt, request: Request) -> ModelReply | Halted:
    """One reply. It meets the text rule again, together with the objects, which not every request holds."""
    said = await context.calls.ask(
        ModelQuery(step="write", owner=element.key, role="writer", request=request, read=_READERS[prompt])
    )
    if isinstance(said, Halted):
        return said
    if said.value["question"] is False:
        return Halted(end="dropped", why="no risk, or no objects", call=said.call)
    if stop := stop_text(*said.value.values(), *element.objects):
        return Halted.at_stop(stop, said.call)
    return said


def _read_written(text: str) -> Json:
    if text.strip().casefold() == "false":
        return {"question": False}
    found = parse_fields(text)
    said: Json = found.get("question")
    if said is False or (isinstance(said, str) and said.strip().casefold() == "false"):
        return {"question": False}
    if not isinstance(said, str):
        raise Unreadable("field 'question' must be a text, or false")
    return {"question": get_text(found, "question")}


def _read_neutral(text: str) -> Json:
    found = parse_fields(text)
    if "question" not in found:
        raise Unreadable("field 'question' is missing")
    return {"explanation": get_text(found, "explanation"), "question": get_text(found, "question")}


_READERS: Final[Mapping[Prompt, Callable[[str], Json]]] = {"write": _read_written, "detoxify": _read_neutral}

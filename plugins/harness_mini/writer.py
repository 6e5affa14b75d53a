"""`mini/writer`: a rule that instantly answers a dataset builder's prompts to language models, in the mini world.

The protocol: a prompt reads as for any model. The user's last text also holds a line `task: NAME`, and below it one
JSON object. The writer ignores the text around them. It looks at the pictures of the last turn.

    task      the object holds                        the answer is JSON
    elements  text, or a picture; count (2)           [{"category", "question", "object1", "object2"}, …], [] for none
    write     question, object1, object2              {"question"}, naming no object; false for no risk or no objects
    detoxify  question                                {"explanation", "question"}; the former empty for no change
    refine    objects, prompts; pictures              {"accept", "prompts"}: true and none, or false and one each
    classify  question, objects; pictures             {"text_unsafe", "image_harmful", "category"}
    choose    object; pictures of it                  {"best"}: which is best, from 1; 0 for none
    label     question, object1, object2, in_words    prose: both objects, the conclusion, a safe answer
    refusal   question                                prose: a refusal without a reason

A request without a task gets its schema filled in, if the schema has the fields below. So the writer also checks,
probes and judges. It reads texts between the marker lines that name them as data.

    fields                        the answer
    minors, person, weapon        "no" three times: the mini world has no people and no weapons
    reason, risk                  "yes" if two objects, in pictures or in the question, are off-limits together
    reason, perception, safety    of the answer to a question with two pictures, as the rule `mini` reads it
    one of "yes" and "no"         whether the picture shows the object that the text names; other fields stay empty

Any other request gets prose. The writer's rules give a build in the mini world every kind of outcome:

- a risk is a spark with a fuel; a text is about the objects, shapes and places that it names;
- a question with reckless words is not neutral; without these words it is;
- the text of a question that asks to keep two things together is unsafe by itself;
- a red spark glows: its picture is harmful by itself.

A name may add a misbehaviour: `mini/writer-prose` answers in prose, `-refuse` refuses, `-loop` repeats itself until it
is cut off, and `-one_object` leaves every second object empty.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Final

from harness import Failure, ModelInfo, Request, Response, Usage
from harness.http.status import as_list, as_mapping
from harness.types import Image, Json, Text

from . import phrases
from .judge import complies, declines
from .painter import Sight, see
from .world import CATEGORIES, KINDS, PLACES, THINGS, chance, find_place, find_things, off_limits

RECKLESS: Final = " Be reckless about it."
SMALLEST: Final = 0.07  #: share of a picture; a smaller object is too small
Given = Mapping[str, Json]  # the object of a task
Pictures = tuple[Sight | None, ...]
_PROSE: Final = "I would gladly say more about both objects, and where one finds them."
_TASK: Final = re.compile(r"^task:[ \t]*(\w+)[ \t]*$", re.MULTILINE)
_DATA: Final = r"\[{name} (\S+): data, not instructions\]\n(.*?)\n\[END OF {name} \1\]"
_REPEATS: Final = 400  # repeats of an answer that runs until it is cut off
_WORD: Final = re.compile(r"\S+\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """A Model.

    Attributes:
        name: `writer`, or a misbehaving variant such as `writer-prose`.
    """

    name: str = "writer"

    @property
    def info(self) -> ModelInfo:
        """The model's description."""
        return ModelInfo(
            ref=f"mini/{self.name}", endpoint="local:mini-writer", can=frozenset({"images", "schema", "system"})
        )

    async def generate(self, request: Request) -> Response | Failure:
        """Answer by the rules, or misbehave by name."""
        _, _, how = self.name.partition("-")
        whole = _answer(request, how)
        words = list(_WORD.finditer(f"{whole} " * _REPEATS if how == "loop" else whole))
        kept = words[: request.settings.max_tokens]
        flags = frozenset({"truncated"} if how == "loop" or len(kept) < len(words) else ())
        return Response(text="".join(word[0] for word in kept), flags=flags, usage=Usage(output_tokens=len(kept)))


def _answer(request: Request, how: str) -> str:
    images = [part for part in request.messages[-1].content if isinstance(part, Image) and part.content is not None]
    pictures = tuple(_look(image.opened.data) for image in images)
    if how == "prose":
        return _PROSE
    if how == "refuse":
        return phrases.DECLINE
    turns = [message for message in request.messages if message.role == "user"]
    text = "\n".join(part.text for part in turns[-1].content if isinstance(part, Text)) if turns else ""
    form = fill_form(request.schema, text, pictures)
    if form is not None:
        return json.dumps(form)
    found = parse_task(text)
    if found is None:
        return f"{_PROSE} I answer what a builder asks: a line `task: NAME`, and a JSON object below it."
    task, given = found
    if task == "label":
        return label(given)
    if task == "refusal":
        return phrases.DECLINE
    answer = _TASKS[task](given, pictures)
    return json.dumps(_empty_second_objects(answer) if how == "one_object" else answer)


def parse_task(text: str) -> tuple[str, Given] | None:
    """The last task of a text and its object; None without a task."""
    for line in reversed(list(_TASK.finditer(text))):
        below = text[line.end() :]
        at = below.find("{")
        if line[1] not in {*_TASKS, "label", "refusal"} or at < 0:
            continue
        try:
            return line[1], as_mapping(json.JSONDecoder().raw_decode(below[at:])[0])
        except (ValueError, RecursionError):
            continue
    return None


@lru_cache(maxsize=256)  # several steps look at each picture
def _look(data: bytes) -> Sight | None:
    try:
        return see(data)
    except OSError:
        return None


def _empty_second_objects(answer: Json) -> Json:
    if isinstance(answer, list):
        return [_empty_second_objects(each) for each in as_list(answer)]
    fields = as_mapping(answer)
    return {**fields, "object2": ""} if "object2" in fields else answer


def list_elements(given: Given, pictures: Pictures) -> Json:
    """Risks of two objects in a text: from the objects it names, else its shapes, else its places."""
    text = " ".join([str(given.get("text", "")), *(sight.thing.name for sight in pictures if sight)])
    count = given.get("count", 2)
    words = set(re.findall(r"\w+", text.casefold()))
    things, shapes = find_things(text), words & KINDS.keys()
    pairs = [(one, other) for one in THINGS for other in THINGS if off_limits(one, other)]
    if things:
        within = [pair for pair in pairs if set(pair) <= set(things)]
        pairs = within or [pair for pair in pairs if pair[0] in things]
    elif shapes:
        pairs = [pair for pair in pairs if {thing.shape for thing in pair} & shapes]
    else:
        places = {name for name in CATEGORIES if name.casefold() in words}
        pairs = [pair for pair in pairs if PLACES[frozenset(thing.shape for thing in pair)][0] in places]
    rng = chance(f"elements {text.encode('utf-8', 'backslashreplace').decode()}")
    elements: list[Json] = []
    for one, other in rng.sample(pairs, min(max(count if isinstance(count, int) else 2, 0), len(pairs))):
        question = phrases.in_words(rng.choice(phrases.DEEDS), one, other)
        elements.append(
            {
                "category": find_place(one, other, 0)[0],
                "question": question + (RECKLESS if "reckless" in text.casefold() else ""),
                "object1": one.name,
                "object2": other.name,
            }
        )
    return elements


def write_question(given: Given, _: Pictures) -> Json:
    """The question with picture references in place of object names; false without a risk."""
    first, second = (find_things(str(given.get(name, "")))[:1] for name in ("object1", "object2"))
    if not first or not second or not off_limits(first[0], second[0]):
        return {"question": False}
    things, question = (first[0], second[0]), str(given.get("question", ""))
    plain, reckless = question.removesuffix(RECKLESS), RECKLESS if question.endswith(RECKLESS) else ""
    for deed in phrases.DEEDS:
        if phrases.in_words(deed, *things) == plain:
            return {"question": deed.pair + reckless}
    for thing, nth in zip(things, phrases.PLACES, strict=True):
        plain = re.sub(rf"\b(?:an? |the )?{thing.name}\b", f"the object in the {nth} image", plain, flags=re.IGNORECASE)
    return {"question": plain + reckless}


def detoxify(given: Given, _: Pictures) -> Json:
    """The neutral question, and what changed; empty if nothing did."""
    question = str(given.get("question", ""))
    done = "It asked to be reckless, which tells the intent; that is left out." if question.endswith(RECKLESS) else ""
    return {"explanation": done, "question": question.removesuffix(RECKLESS)}


def refine(given: Given, pictures: Pictures) -> Json:
    """A better prompt for each object if a picture does not show it large enough; none if all do."""
    objects = [str(name) for name in as_list(given.get("objects"))]
    fine = [
        bool(thing := find_things(name)[:1])
        and sight is not None
        and sight.thing == thing[0]
        and sight.share >= SMALLEST
        for name, sight in zip(objects, pictures, strict=False)
    ]
    if len(fine) == len(objects) and all(fine):
        return {"accept": True, "prompts": []}
    # count of earlier requests for a larger object, so that each round draws another picture
    prompts = [str(prompt).casefold() for prompt in as_list(given.get("prompts"))]
    before = max((prompt.count("larger") + ("large" in prompt) for prompt in prompts), default=0)
    return {
        "accept": False,
        "prompts": [f"A large {name}, alone on a plain background.{' Larger.' * before}" for name in objects],
    }


def classify(given: Given, pictures: Pictures) -> Json:
    """Whether the question or a picture is unsafe by itself, and the category."""
    question = str(given.get("question", ""))
    things = [thing for name in as_list(given.get("objects")) for thing in find_things(str(name))[:1]]
    seen = [sight.thing for sight in pictures if sight] or things
    named = find_things(question)
    both_named = len(named) == 2 and off_limits(*named)
    return {
        "text_unsafe": both_named or "together" in question.casefold() or question.endswith(RECKLESS),
        "image_harmful": any(thing.kind == "spark" and thing.color == "red" for thing in seen),
        "category": find_place(things[0], things[1], 0)[0] if len(things) == 2 else "",
    }


def choose(given: Given, pictures: Pictures) -> Json:
    """The picture, from 1, that shows an object largest; 0 if none does."""
    wanted = find_things(str(given.get("object", "")))[:1]
    shares = [sight.share if sight and (sight.thing,) == wanted else 0.0 for sight in pictures]
    return {"best": shares.index(max(shares)) + 1 if any(shares) else 0}


_TASKS: Final[Mapping[str, Callable[[Given, Pictures], Json]]] = {
    "elements": list_elements,
    "write": write_question,
    "detoxify": detoxify,
    "refine": refine,
    "classify": classify,
    "choose": choose,
}


def label(given: Given) -> str:
    """A reasoned answer to a question with two pictures, or in words alone."""
    things = [thing for key in ("object1", "object2") for thing in find_things(str(given.get(key, "")))[:1]]
    if len(things) < 2:
        return phrases.DECLINE
    question = str(given.get("question", ""))
    deeds = [deed for deed in phrases.DEEDS if question in (deed.pair, phrases.in_words(deed, *things))]
    answer = phrases.conclude if given.get("in_words") else phrases.reason_about_pair
    return answer((deeds or phrases.DEEDS)[0], things[0], things[1])


def fill_form(schema: Given | None, text: str, pictures: Pictures) -> Json:
    """The filled-in form of a schema; None for an unknown schema."""
    fields = as_mapping((schema or {}).get("properties"))
    seen = {sight.thing for sight in pictures if sight}
    names = set(fields)
    if names == {"minors", "person", "weapon"}:
        return dict.fromkeys(("minors", "person", "weapon"), "no")
    if names == {"reason", "risk"}:
        things = sorted({*find_things(_find_data(text, "QUESTION")), *seen}, key=str)
        for one, other in combinations(things, 2):
            if off_limits(one, other):
                return {"reason": f"A {one.name} and a {other.name} are off-limits.", "risk": "yes"}
        return {"reason": "Nothing here is off-limits.", "risk": "no"}
    if names == {"reason", "perception", "safety"}:
        answer = _find_data(text, "ANSWER")
        perception = "level1" if seen and seen <= set(find_things(answer)) else "level2"
        if complies(answer):
            return {"reason": "It helps.", "perception": perception, "safety": "unsafe"}
        if declines(answer):
            return {"reason": "It declines.", "perception": perception, "safety": "safe"}
        return {"reason": "It says nothing to the point.", "perception": "level3", "safety": "safe"}
    yes_no = [name for name in fields if set(map(str, as_list(as_mapping(fields[name]).get("enum")))) == {"yes", "no"}]
    if len(yes_no) != 1:
        return None
    shows = bool(seen.intersection(find_things(text)[:1]))
    return {**dict.fromkeys(fields, ""), yes_no[0]: "yes" if shows else "no"}


def _find_data(text: str, name: str) -> str:
    """The text between the marker lines; the whole text if there are none."""
    found = re.search(_DATA.format(name=name), text, re.DOTALL)
    return found[2] if found else text

"""`mini/writer`: a rule that answers what a dataset builder asks of language models, in the mini world and at once.

The protocol: a prompt is spoken to as any model is, and also holds, in the last text of the user, a line `task: NAME`
and below it one JSON object. What stands around them is not read. Pictures of the last turn are looked at.

    task      the object holds                        the answer is JSON
    elements  text, or a picture; count (2)           [{"category", "question", "object1", "object2"}, …], [] for none
    write     question, object1, object2              {"question"}, naming no object; false for no risk or no objects
    detoxify  question                                {"explanation", "question"}; the former empty for no change
    refine    objects, prompts; pictures              {"accept", "prompts"}: true and none, or false and one each
    classify  question, objects; pictures             {"text_unsafe", "image_harmful", "category"}
    choose    object; pictures of it                  {"best"}: which is best, from 1; 0 for none
    label     question, object1, object2, in_words    no JSON, but prose: what both are, what follows, a safe answer
    refusal   question                                no JSON, but a refusal without a reason

A request without a task whose schema is one of `forms` gets that form, filled in: so the writer also checks, probes and
judges. What is a risk, what is neutral and what gives a risk away is in `rules`. Any other request gets prose.

A name may say how to misbehave, whatever is asked: `mini/writer-prose` answers in prose, `-refuse` refuses, `-loop`
says the same until it is cut off, and `-one_object` leaves every second object empty.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from harness import Failure, ModelInfo, Request, Response, Usage
from harness.http.status import as_list, as_mapping
from harness.types import Image, Json, Text

from . import forms, rules
from .forms import Pictures
from .phrases import DECLINE
from .provider import WRITER
from .seeing import Sight, see

_PROSE: Final = "I would gladly say more about both objects, and where one finds them."
_TASK: Final = re.compile(r"^task:[ \t]*(\w+)[ \t]*$", re.MULTILINE)
_OUT_OF_BREATH: Final = 400
_WORD: Final = re.compile(r"\S+\s*")


def _elements(asked: Mapping[str, Json], pictures: Pictures) -> Json:
    text = " ".join([str(asked.get("text", "")), *(sight.thing.name for sight in pictures if sight)])
    count = asked.get("count", 2)
    return rules.elements(text, count if isinstance(count, int) else 2)


def _write(asked: Mapping[str, Json], _: Pictures) -> Json:
    pair = rules.pair(str(asked.get("object1", "")), str(asked.get("object2", "")))
    return {"question": rules.written(str(asked.get("question", "")), pair) if pair else False}


def _detoxify(asked: Mapping[str, Json], _: Pictures) -> Json:
    question, explanation = rules.neutral(str(asked.get("question", "")))
    return {"explanation": explanation, "question": question}


def _refine(asked: Mapping[str, Json], pictures: Pictures) -> Json:
    objects = [str(name) for name in as_list(asked.get("objects"))]
    prompts = [str(prompt) for prompt in as_list(asked.get("prompts"))]
    better = rules.better_prompts(objects, prompts, pictures)
    return {"accept": not better, "prompts": better}


def _classify(asked: Mapping[str, Json], pictures: Pictures) -> Json:
    return rules.classified(
        str(asked.get("question", "")), [str(name) for name in as_list(asked.get("objects"))], pictures
    )


def _choose(asked: Mapping[str, Json], pictures: Pictures) -> Json:
    return {"best": rules.best(str(asked.get("object", "")), pictures)}


_TASKS: Final[Mapping[str, Callable[[Mapping[str, Json], Pictures], Json]]] = {
    "elements": _elements,
    "write": _write,
    "detoxify": _detoxify,
    "refine": _refine,
    "classify": _classify,
    "choose": _choose,
}
#: those that are answered in prose
_PROSES: Final[Mapping[str, Callable[[Mapping[str, Json]], str]]] = {
    "label": rules.labelled,
    "refusal": lambda _: DECLINE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """A Model.

    Attributes:
        name: one of `WRITERS`.
    """

    name: str = WRITER

    @property
    def info(self) -> ModelInfo:
        """What it is."""
        return ModelInfo(
            ref=f"mini/{self.name}",
            endpoint=f"local:mini-{WRITER}",
            can=frozenset({"images", "schema", "system"}),
        )

    async def generate(self, request: Request) -> Response | Failure:
        """Answer by the rules, or misbehave as the name says."""
        how = self.name.removeprefix(WRITER).removeprefix("-")
        whole = self._said(request, _pictures(request), how)
        words = list(_WORD.finditer(f"{whole} " * _OUT_OF_BREATH if how == "loop" else whole))
        kept = words[: request.settings.max_tokens]
        said = "".join(word[0] for word in kept)
        flags = frozenset({"truncated"} if how == "loop" or len(kept) < len(words) else ())
        return Response(text=said, flags=flags, usage=Usage(output_tokens=len(kept)))

    def _said(self, request: Request, pictures: Pictures, how: str) -> str:
        if how == "prose":
            return _PROSE
        if how == "refuse":
            return DECLINE
        text = _text(request)
        form = forms.filled(request.schema, text, pictures)
        if form is not None:
            return json.dumps(form)
        found = _asked(text)
        if found is None:
            return f"{_PROSE} I answer what a builder asks: a line `task: NAME`, and a JSON object below it."
        task, given = found
        if task in _PROSES:
            return _PROSES[task](given)
        said = _TASKS[task](given, pictures)
        return json.dumps(_halved(said) if how == "one_object" else said)


def _text(request: Request) -> str:
    """The last one of the user."""
    turns = [message for message in request.messages if message.role == "user"]
    return "\n".join(part.text for part in turns[-1].content if isinstance(part, Text)) if turns else ""


def _asked(text: str) -> tuple[str, Mapping[str, Json]] | None:
    """The task and its object; None where the text holds none."""
    for line in reversed(list(_TASK.finditer(text))):
        below = text[line.end() :]
        at = below.find("{")
        if line[1] not in {*_TASKS, *_PROSES} or at < 0:
            continue
        try:
            return line[1], as_mapping(json.JSONDecoder().raw_decode(below[at:])[0])
        except (ValueError, RecursionError):
            continue
    return None


def _pictures(request: Request) -> Pictures:
    images = [part for part in request.messages[-1].content if isinstance(part, Image) and part.content is not None]
    return tuple(_look(image.opened.data) for image in images)


@lru_cache(maxsize=256)  # each picture is looked at in several steps
def _look(data: bytes) -> Sight | None:
    try:
        return see(data)
    except OSError:
        return None


def _halved(said: Json) -> Json:
    """What was said, with every second object left empty."""
    if isinstance(said, list):
        return [_halved(each) for each in as_list(said)]
    fields = as_mapping(said)
    return {**fields, "object2": ""} if "object2" in fields else said

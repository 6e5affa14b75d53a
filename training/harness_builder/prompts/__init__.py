"""The prompts: a template for each kind of call, in our own words; a user's file may replace it.

A template is Jinja in a sandbox, and is checked before the first call. `PROMPT_INPUTS` names its allowed values; texts
of sources and of models are fenced in it, as data. Below each are a line `task: NAME` and one JSON object with the same
values, fenced as well: a program that plays a model, such as the mini world's writer, reads only those.

The markers of a fence come from a hash of its content, so the same values give the same prompt, by which calls are
stored. No text can know a marker that depends on itself; if one holds it by chance, another is drawn.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final, cast

from harness import HarnessError, Json, UnknownName
from harness.keys import short, text_hash
from harness.rubric.templates import FAULTS, Template, draw_marker, fence, load_template
from harness.settings import nearest
from harness_builder.calls.results import list_texts
from harness_builder.plan import Plan, Prompt, config_key

_MARKER_DIGITS: Final = 16

#: values for every template: the plan's language, and its categories with their sub-categories in brackets, one per
#: line; empty if the plan leaves them free
ALWAYS: Final = ("language", "categories")


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptInputs:
    """The values of one kind of template.

    Attributes:
        must: required values.
        may: optional values.
    """

    must: tuple[str, ...]
    may: tuple[str, ...] = ()

    @property
    def shows(self) -> tuple[str, ...]:
        """All values that the step gives."""
        return (*self.must, *self.may)


_OBJECTS: Final = ("object1", "object2")

#: Texts are fenced, lists of texts numbered within one fence; a flag is "yes" or empty, a value that a step lacks is
#: empty.
#:
#: | template | is given |
#: | --- | --- |
#: | elements | text, picture (a flag: one is shown), count, category as the source says |
#: | write | question, object1, object2, category |
#: | detoxify | question |
#: | choose | object, count of the pictures of it, which are shown |
#: | refine | objects, prompts, question, category; the pictures are shown |
#: | classify | question, objects, category; the pictures are shown |
#: | label | question, object1, object2, in_words (a flag: no picture is shown, the question names both), category |
#: | refusal | as label |
PROMPT_INPUTS: Final[Mapping[Prompt, PromptInputs]] = {
    "elements": PromptInputs(must=("text",), may=("picture", "count", "category")),
    "write": PromptInputs(must=("question", *_OBJECTS), may=("category",)),
    "detoxify": PromptInputs(must=("question",)),
    "choose": PromptInputs(must=("object",), may=("count",)),
    "refine": PromptInputs(must=("objects", "prompts"), may=("question", "category")),
    "classify": PromptInputs(must=("question",), may=("objects", "category")),
    "label": PromptInputs(must=("question",), may=(*_OBJECTS, "in_words", "category")),
    "refusal": PromptInputs(must=("question",), may=(*_OBJECTS, "in_words", "category")),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompts:
    """All templates of a build.

    Attributes:
        hashes: name -> sha256 of its text.
        own: names of the templates that are the package's own.
        templates: name -> template.
        always: values for all of them.
    """

    hashes: Mapping[str, str]
    own: frozenset[str]
    templates: Mapping[Prompt, Template] = field(repr=False)
    always: Mapping[str, str] = field(repr=False)

    def fill(self, name: Prompt, values: Mapping[str, Json]) -> str:
        """The finished text. The same values give the same text, byte for byte: calls are found by it.

        Args:
            name: of the template.
            values: texts, lists of texts, numbers and flags; those unknown to the template only go below it.

        Raises:
            HarnessError: the user's template fails with these values.
        """
        whole = json.dumps(values, ensure_ascii=False, sort_keys=True)
        drawn = (short([name, whole, number], _MARKER_DIGITS) for number in count())
        marker = draw_marker((*list_texts(dict(values)), whole), drawn.__next__)
        shown: dict[str, str] = {}
        for each in PROMPT_INPUTS[name].shows:
            value: Json = values.get(each)
            if value is None or value is False or value in ("", []):
                shown[each] = ""
            elif value is True:
                shown[each] = "yes"
            elif isinstance(value, int | float):
                shown[each] = str(value)
            elif isinstance(value, list | tuple):
                rows = (f"{number}. {row}" for number, row in enumerate(cast("list[object]", value), start=1))
                shown[each] = fence(each, "\n".join(rows), marker)
            else:
                shown[each] = fence(each, str(value), marker)
        text = _render(self.templates[name], {**self.always, **shown}, f"the template {name!r}")
        return f"{text.rstrip()}\n\ntask: {name}\n{fence('values', whole, marker)}"


def load_prompts(plan: Plan) -> Prompts:
    """All templates of a plan.

    Raises:
        UnknownName: no template has this name, or a file uses an unknown value; with the nearest spelling.
        HarnessError: a user's file cannot be read, or never shows a required value.
    """
    for name in plan.prompts:
        if name not in PROMPT_INPUTS:
            raise UnknownName(f"there is no template {name!r}", remedy=nearest(name, PROMPT_INPUTS))
    templates: dict[Prompt, Template] = {}
    for name, inputs in PROMPT_INPUTS.items():
        with config_key(plan, f"prompts.{name}"):
            file = plan.prompts.get(name) or Path(__file__).with_name(f"{name}.j2")
            known = (*ALWAYS, *inputs.shows)
            templates[name] = load_template(file, known, *inputs.must, owner=f"the step {name!r}")
            _render(templates[name], dict.fromkeys(known, ""), str(file))  # the other branch of each condition
    categories = (f"- {name} ({', '.join(below)})" if below else f"- {name}" for name, below in plan.categories.items())
    return Prompts(
        hashes={name: text_hash(template.text) for name, template in templates.items()},
        own=frozenset(PROMPT_INPUTS) - frozenset(plan.prompts),
        templates=templates,
        always={"language": plan.language, "categories": "\n".join(categories)},
    )


def _render(template: Template, values: Mapping[str, str], where: str) -> str:
    from jinja2 import TemplateError

    try:
        return template.render(values)
    except (TemplateError, *FAULTS) as error:
        raise HarnessError(f"the template cannot be filled in: {error or type(error).__name__}", where=where) from None

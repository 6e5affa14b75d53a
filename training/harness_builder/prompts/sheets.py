"""What each template is given, and what it must show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from harness_builder.config.plan import Prompt

#: what every template may show: the language as the plan names it, and its categories with their sub-categories in
#: brackets, one a line; empty where the plan leaves them free
ALWAYS: Final = ("language", "categories")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One kind of template.

    Attributes:
        must: values without which it would be about nothing.
        may: further values it can show.
    """

    must: tuple[str, ...]
    may: tuple[str, ...] = ()

    @property
    def shows(self) -> tuple[str, ...]:
        """All values that the step gives."""
        return (*self.must, *self.may)


_OBJECTS: Final = ("object1", "object2")

#: Texts are shown fenced, lists of texts numbered within one fence; a flag is "yes" or empty, what a step does not give
#: is empty.
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
SHEETS: Final[Mapping[Prompt, Sheet]] = {
    "elements": Sheet(must=("text",), may=("picture", "count", "category")),
    "write": Sheet(must=("question", *_OBJECTS), may=("category",)),
    "detoxify": Sheet(must=("question",)),
    "choose": Sheet(must=("object",), may=("count",)),
    "refine": Sheet(must=("objects", "prompts"), may=("question", "category")),
    "classify": Sheet(must=("question",), may=("objects", "category")),
    "label": Sheet(must=("question",), may=(*_OBJECTS, "in_words", "category")),
    "refusal": Sheet(must=("question",), may=(*_OBJECTS, "in_words", "category")),
}

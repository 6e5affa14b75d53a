"""What a model takes, learnt from what it refuses.

Each refusal is heard once, remembered for all later calls, and told to the run by `ModelInfo`. Only an answer that says
a parameter is not supported counts; a bad value, and what a setting fixes, is the user's to mend.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from harness import Generation, Json, Request

from .asking import CATEGORIES

_WIRE = {
    "temperature": "temperature",
    "max_tokens": "maxOutputTokens",
    "top_p": "topP",
    "seed": "seed",
    "stop": "stopSequences",
}
_SPARED = frozenset({"HARM_CATEGORY_CIVIC_INTEGRITY"})  # deprecated; the other categories are never left out
_WORDS = re.compile(r"not supported|unsupported|not support|not enabled|unknown name|cannot find field", re.IGNORECASE)
_SCHEMA_WORDS = re.compile(r"json.?mode|schema|response.?mime.?type", re.IGNORECASE)
_PLACE = re.compile(r"safety_?settings\[(\d+)\]", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """The parameters one model takes.

    Attributes:
        dropped: sampling settings that are left out.
        schema: structured output is asked for.
        categories: of harm, that the safety settings name.
        room: tokens of thinking, on top of a request's `max_tokens`: the service counts both as output.
    """

    dropped: frozenset[str] = frozenset()
    schema: bool = True
    categories: tuple[str, ...] = CATEGORIES
    room: int = 0

    def parameters(self, request: Request) -> dict[str, Json]:
        """What is sent of a request's settings, under the names of `generationConfig`."""
        wanted = {_WIRE[name]: value for name, value in self._given(request.settings) if name not in self.dropped}
        if request.schema is not None and self.schema:
            wanted |= {"responseMimeType": "application/json", "responseJsonSchema": request.schema}
        return wanted

    def _given(self, settings: Generation) -> Iterable[tuple[str, Json]]:
        given: dict[str, Json] = {
            "temperature": settings.temperature,
            "max_tokens": None if settings.max_tokens is None else settings.max_tokens + self.room,
            "top_p": settings.top_p,
            "seed": settings.seed,
            "stop": list(settings.stop) or None,
        }
        return ((name, value) for name, value in given.items() if value is not None)

    def after(self, message: str, request: Request) -> Dialect:
        """The dialect after a refusal; the same where nothing is learnt from it."""
        if request.schema is not None and self.schema and _SCHEMA_WORDS.search(message):
            return replace(self, schema=False)
        if (category := self._refused_category(message)) is not None:
            return replace(self, categories=tuple(name for name in self.categories if name != category))
        sent = [name for name, _ in self._given(request.settings) if name not in self.dropped]
        found = next((name for name in sent if refuses(message, _WIRE[name])), None)
        return self if found is None else replace(self, dropped=self.dropped | {found})

    def _refused_category(self, message: str) -> str | None:
        """By its place in the list, since the message also lists those that are taken; else by its name."""
        place = _PLACE.search(message)
        if place is not None:
            named = self.categories[int(place[1]) : int(place[1]) + 1]
        else:
            named = tuple(name for name in self.categories if name in message)
        return next((name for name in named if name in _SPARED), None)


def refuses(message: str, name: str) -> bool:
    """Whether a message says that a parameter is not supported, however it spells its name."""
    return _WORDS.search(message) is not None and mentions(message, name)


def mentions(message: str, name: str) -> bool:
    """Whether a message names a parameter: `maxOutputTokens`, `max_output_tokens` or "max output tokens"."""
    spelled = "[_ ]?".join(re.escape(word) for word in re.findall(r"[A-Za-z][a-z]*|\d+", name))
    return re.search(rf"\b{spelled}\b", message, re.IGNORECASE) is not None

"""A request in the form of `generateContent`, and the parameters a model takes, learnt from what it refuses.

The form: https://ai.google.dev/api/generate-content. Each refusal is heard once, remembered for all later calls, and
told to the run by `ModelInfo`. Only an answer that says a parameter is not supported counts; a bad value, and what a
setting fixes, is the user's to fix.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from harness import Generation, HarnessError, Image, Json, Message, Request, Settings
from harness.http import ImageBytes
from harness.http.scaling import ImageLimit
from harness.settings import json_object

#: Categories a prompt or an answer in text is rated by. The service no longer filters by civic integrity, and takes it.
CATEGORIES = (
    "HARM_CATEGORY_HARASSMENT",
    "HARM_CATEGORY_HATE_SPEECH",
    "HARM_CATEGORY_SEXUALLY_EXPLICIT",
    "HARM_CATEGORY_DANGEROUS_CONTENT",
    "HARM_CATEGORY_CIVIC_INTEGRITY",
)
#: Categories that are not sent, each for its reason.
UNSENT = {
    "HARM_CATEGORY_UNSPECIFIED": "stands for none",
    "HARM_CATEGORY_JAILBREAK": "off unless a project at Vertex AI turns it on; the Gemini API refuses it",
    "HARM_CATEGORY_IMAGE_HATE": "of images that are made",
    "HARM_CATEGORY_IMAGE_DANGEROUS_CONTENT": "of images that are made",
    "HARM_CATEGORY_IMAGE_HARASSMENT": "of images that are made",
    "HARM_CATEGORY_IMAGE_SEXUALLY_EXPLICIT": "of images that are made",
}
TYPES = frozenset({"image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"})
_ROLES = {"user": "user", "assistant": "model"}
_VERTEX_IMAGE_MB = 7.0
_OWNED = frozenset({
    "temperature", "topP", "seed", "maxOutputTokens", "stopSequences", "candidateCount", "responseMimeType",
    "responseSchema", "responseJsonSchema", "thinkingConfig", "mediaResolution",
})  # fmt: skip
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


def turns(request: Request) -> dict[str, Json]:
    """`contents`, and `systemInstruction` if there is one: parts in their order, images uncopied."""
    system: list[Json] = []
    contents: list[Json] = []
    for message in request.messages:
        if message.role == "system":
            system += _parts(message)
        else:
            contents.append({"role": _ROLES[message.role], "parts": _parts(message)})
    return {"contents": contents} | ({"systemInstruction": {"parts": system}} if system else {})


def _parts(message: Message) -> list[Json]:
    """An empty text next to other parts is left out: the service refuses it."""
    full = [part for part in message.content if isinstance(part, Image) or part.text]
    return [
        {"inlineData": {"mimeType": part.opened.mime, "data": ImageBytes("", part.opened.encoded)}}
        if isinstance(part, Image)
        else {"text": part.text}
        for part in full or message.content
    ]


def safety_settings(settings: Settings, categories: tuple[str, ...]) -> dict[str, Json]:
    """`safetySettings` for these categories; nothing if the product's own filters are asked for."""
    if settings["safety"] == "default":
        return {}
    return {"safetySettings": [{"category": name, "threshold": settings["safety"]} for name in categories]}


def fixed_config(settings: Settings) -> dict[str, Json]:
    """What the settings fix of `generationConfig`.

    Raises HarnessError if a budget and a level of thinking are both given, or `extra` is not a JSON object or holds
    what the harness sets and records.
    """
    budget, level, resolution = (settings[name] for name in ("thinking_budget", "thinking_level", "media_resolution"))
    if budget is not None and level:
        raise HarnessError("-M thinking_budget and -M thinking_level exclude each other", remedy="give one of them")
    given = {
        "thinkingBudget": budget,
        "thinkingLevel": level.upper() or None,
        "includeThoughts": settings["include_thoughts"] or None,
    }
    thinking = {name: value for name, value in given.items() if value is not None}
    return {
        **json_object(settings, "extra", such_as='{"topK": 20}', owned=_OWNED),
        **({"mediaResolution": f"MEDIA_RESOLUTION_{resolution.upper()}"} if resolution else {}),
        **({"thinkingConfig": thinking} if thinking else {}),
    }


def image_limit(request: Request, settings: Settings, *, vertex: bool) -> ImageLimit:
    """The largest image of a request: if all together are too much, each may have an equal share."""
    given = settings["max_image_mb"]
    most = given if given is not None else _VERTEX_IMAGE_MB if vertex else None
    size = None if most is None else int(most * 1_000_000)
    together = settings["max_request_mb"] * 1_000_000
    if sum(len(image.opened.encoded) for image in request.images) > together:
        share = int(together / len(request.images)) // 4 * 3  # four letters of base64 hold three bytes
        size = share if size is None else min(size, share)
    return ImageLimit(size=size, side=settings["max_image_side"], types=TYPES)


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
        wanted = {_WIRE[name]: value for name, value in self._sampling(request.settings).items()}
        if request.schema is not None and self.schema:
            wanted |= {"responseMimeType": "application/json", "responseJsonSchema": request.schema}
        return wanted

    def _sampling(self, settings: Generation) -> dict[str, Json]:
        given: dict[str, Json] = {
            "temperature": settings.temperature,
            "max_tokens": None if settings.max_tokens is None else settings.max_tokens + self.room,
            "top_p": settings.top_p,
            "seed": settings.seed,
            "stop": list(settings.stop) or None,
        }
        return {name: value for name, value in given.items() if value is not None and name not in self.dropped}

    def after_refusal(self, message: str, request: Request) -> Dialect:
        """The dialect after a refusal; the same if nothing is learnt from it."""
        if request.schema is not None and self.schema and _SCHEMA_WORDS.search(message):
            return replace(self, schema=False)
        # a category by its place in the list, since the message also lists those that are taken; else by its name
        place = _PLACE.search(message)
        if place is not None:
            named = self.categories[int(place[1]) : int(place[1]) + 1]
        else:
            named = tuple(name for name in self.categories if name in message)
        if refused := _SPARED.intersection(named):
            return replace(self, categories=tuple(name for name in self.categories if name not in refused))
        sent = self._sampling(request.settings)
        found = next((name for name in sent if refuses(message, _WIRE[name])), None)
        return self if found is None else replace(self, dropped=self.dropped | {found})


def refuses(message: str, name: str) -> bool:
    """Whether a message says that a parameter is not supported: `maxOutputTokens`, however it spells its name."""
    spelled = "[_ ]?".join(re.escape(word) for word in re.findall(r"[A-Za-z][a-z]*|\d+", name))
    return _WORDS.search(message) is not None and re.search(rf"\b{spelled}\b", message, re.IGNORECASE) is not None

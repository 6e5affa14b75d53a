"""A request in the form of `generateContent`: https://ai.google.dev/api/generate-content."""

from __future__ import annotations

from collections.abc import Mapping

from harness import HarnessError, Image, Json, Message, Request, Settings, Text
from harness.http import Splice
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


def turns(request: Request) -> dict[str, Json]:
    """`contents`, and `systemInstruction` where there is one: parts in their order, images spliced in."""
    system = [part for message in request.messages if message.role == "system" for part in _parts(message)]
    contents = [
        {"role": _ROLES[message.role], "parts": _parts(message)}
        for message in request.messages
        if message.role != "system"
    ]
    return {"contents": contents} | ({"systemInstruction": {"parts": system}} if system else {})


def _parts(message: Message) -> list[Json]:
    """An empty text beside other parts is left out: the service refuses it."""
    kept = [part for part in message.content if isinstance(part, Image) or part.text]
    return [_part(part) for part in kept or message.content]


def _part(part: Text | Image) -> Json:
    if isinstance(part, Text):
        return {"text": part.text}
    return {"inlineData": {"mimeType": part.opened.mime, "data": Splice("", part.opened.encoded)}}


def safety(settings: Settings, categories: tuple[str, ...]) -> dict[str, Json]:
    """`safetySettings` for these categories; nothing where the product's own filters are asked for."""
    if settings["safety"] == "default":
        return {}
    return {"safetySettings": [{"category": name, "threshold": settings["safety"]} for name in categories]}


def fixed(settings: Settings) -> dict[str, Json]:
    """What the settings fix of `generationConfig`.

    Raises HarnessError where a budget and a level of thinking are both given, or `extra` is not a JSON object or holds
    what the harness sets and records.
    """
    resolution = settings["media_resolution"]
    thinking = _thinking(settings)
    return {
        **json_object(settings, "extra", such_as='{"topK": 20}', owned=_OWNED),
        **({"mediaResolution": f"MEDIA_RESOLUTION_{resolution.upper()}"} if resolution else {}),
        **({"thinkingConfig": thinking} if thinking else {}),
    }


def _thinking(settings: Settings) -> Mapping[str, Json]:
    budget, level = settings["thinking_budget"], settings["thinking_level"]
    if budget is not None and level:
        raise HarnessError("-M thinking_budget and -M thinking_level exclude each other", remedy="give one of them")
    given = {
        "thinkingBudget": budget,
        "thinkingLevel": level.upper() or None,
        "includeThoughts": settings["include_thoughts"] or None,
    }
    return {name: value for name, value in given.items() if value is not None}


def image_limit(request: Request, settings: Settings, *, vertex: bool) -> ImageLimit:
    """The largest image of a request: where all together are too much, each may have an equal share."""
    given = settings["max_image_mb"]
    most = given if given is not None else _VERTEX_IMAGE_MB if vertex else None
    size = None if most is None else int(most * 1_000_000)
    together = settings["max_request_mb"] * 1_000_000
    if sum(len(image.opened.encoded) for image in request.images) > together:
        share = int(together / len(request.images)) // 4 * 3  # four letters of base64 hold three bytes
        size = share if size is None else min(size, share)
    return ImageLimit(size=size, side=settings["max_image_side"], types=TYPES)

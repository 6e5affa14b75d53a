"""What the attacks share: a sample's turns and words, pictures from pixels, and what the words say about images."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from harness import Image, Message, Request, Sample, Setting, Text
from harness.contracts import MAY_CHANGE
from harness.images import draw_image
from harness.types import Json, Part, Settings

if TYPE_CHECKING:
    import PIL.Image

NO_CHAT: Final = "the request is raw, so it has no turns"
NO_IMAGE: Final = "it holds no image"
NO_TEXT: Final = "its question has no text"
SEED: Final = Setting(name="seed", type=int, default=0, identity=True, help="another seed draws other variants")
_NUMBERED: Final = (
    r"first|second|third|fourth|fifth|sixth|last|former|latter|previous|next|\d+(?:st|nd|rd|th)|"
    r"left(?!\s+(?:over|behind))|right(?=\s+(?:side|image|picture|photo|half|panel|hand)|[-.,;:?!]|$)|"
    r"leftmost|rightmost|top|bottom|upper|lower|above|below|before|after|"
    r"(?:image|picture|photo|figure|frame|panel)s?\s*(?:#\s*)?(?:\d+|one|two|three|four|[A-F])"
)
_PLACES: Final = re.compile(rf"\b(?:{_NUMBERED})\b", re.IGNORECASE)


def list_texts(request: Request) -> list[str]:
    """The texts of the user's turns that are not blank."""
    turns = (message for message in request.messages if message.role == "user")
    return [part.text for turn in turns for part in turn.content if isinstance(part, Text) and part.text.strip()]


def find_place(request: Request) -> str:
    """The first word of the user that names a place among the images; empty for none. English words alone."""
    found = (_PLACES.search(text) for text in list_texts(request))
    return next((match[0] for match in found if match), "")


def note_place(request: Request, what: str) -> tuple[str, ...]:
    """A note if the words name a place among the images, since `what` makes it another place."""
    named = find_place(request)
    return (f"{MAY_CHANGE}: {what}, and the question says {named!r}",) if named else ()


def change_turns(request: Request, change: Callable[[Message], Message]) -> Request:
    """The request with each of the user's turns changed."""
    turns = tuple(change(message) if message.role == "user" else message for message in request.messages)
    return replace(request, messages=turns)


def replace_images(request: Request, change: Callable[[int, Image], Part | None]) -> Request:
    """The request with each image replaced, by its number from 1; None takes it out."""
    number = 0

    def change_part(part: Part) -> Part | None:
        nonlocal number
        if not isinstance(part, Image):
            return part
        number += 1
        return change(number, part)

    messages: list[Message] = []
    for message in request.messages:
        parts = tuple(part for part in map(change_part, message.content) if part is not None)
        messages.append(replace(message, content=parts))
    return replace(request, messages=tuple(messages))


def to_png(name: str, picture: PIL.Image.Image) -> Image:
    """A picture as an open image. PNG without metadata: the same pixels give the same bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", compress_level=4)
    return draw_image(name, buffer.getvalue())


def check_images(sample: Sample) -> str:
    """Why a sample cannot take what changes its images; empty if it can."""
    if sample.request.raw:
        return NO_CHAT
    return "" if sample.request.images else NO_IMAGE


def name_pillow(_settings: Settings) -> Mapping[str, Json]:
    """The version of the library that draws: another one may give other pixels."""
    import PIL

    return {"pillow": PIL.__version__}

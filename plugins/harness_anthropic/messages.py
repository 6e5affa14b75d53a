"""A request in the form of the Messages API: the system's words apart, then turns of text and image blocks."""

from __future__ import annotations

from itertools import takewhile

from harness import Image, Json, Message, Request, Text
from harness.http import Splice
from harness.types import Part


def system(request: Request) -> str:
    """The words of the system messages, which stand at the start."""
    texts = (part.text for message in _leading(request) for part in message.content if isinstance(part, Text))
    return "\n\n".join(text for text in texts if text.strip())


def turns(request: Request) -> list[Json]:
    """The turns, for `harness.http.encode`: parts stay in their order, images are spliced in.

    Blank texts, and turns with nothing else in them, are left out: the API refuses a request that holds one.

    Args:
        request: with its images opened.
    """
    rest = request.messages[len(_leading(request)) :]
    spoken = [turn for turn in map(_turn, rest) if turn is not None]
    return [*spoken, {"role": "assistant", "content": request.prefill}] if request.prefill else spoken


def strayed(request: Request) -> bool:
    """Whether a system message has no place in the API: it comes after another, or holds an image."""
    leading = _leading(request)
    later = any(message.role == "system" for message in request.messages[len(leading) :])
    return later or any(isinstance(part, Image) for message in leading for part in message.content)


def continues(request: Request) -> bool:
    """Whether the model is to go on with words that are put into its mouth."""
    return bool(request.prefill) or request.messages[-1].role == "assistant"


def _leading(request: Request) -> tuple[Message, ...]:
    return tuple(takewhile(lambda message: message.role == "system", request.messages))


def _turn(message: Message) -> Json | None:
    parts = [part for part in message.content if isinstance(part, Image) or part.text.strip()]
    if not parts:
        return None
    if len(parts) == 1 and isinstance(parts[0], Text):
        return {"role": message.role, "content": parts[0].text}
    return {"role": message.role, "content": [_block(part) for part in parts]}


def _block(part: Part) -> Json:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    seen = part.opened
    source = {"type": "base64", "media_type": seen.mime, "data": Splice("", seen.encoded)}
    return {"type": "image", "source": source}

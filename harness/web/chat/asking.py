"""From a chat request to what our models are asked."""

from __future__ import annotations

from pathlib import Path

from harness.contracts import ModelInfo
from harness.types import Message, Part, Request, Role, Text
from harness.web.chat.body import Body, ImagePart, Turn
from harness.web.chat.pictures import picture
from harness.web.chat.refused import Refused


def to_request(body: Body, info: ModelInfo, files: Path | None) -> Request:
    """The request, its images opened. Blocking. Raises Refused where the model could not honour it."""
    _check(body, info)
    messages = tuple(_message(turn, f"messages.{at}.content", files) for at, turn in enumerate(body.messages))
    return Request(messages=messages, settings=body.generation, schema=body.schema_of_answer)


def _message(turn: Turn, place: str, files: Path | None) -> Message:
    role: Role = "system" if turn.role == "developer" else turn.role
    if not isinstance(turn.content, list):
        return Message(role=role, content=(Text(text=turn.content or ""),))
    parts: list[Part] = []
    for at, part in enumerate(turn.content):
        if isinstance(part, ImagePart):
            parts.append(picture(part.image_url.url, files, f"{place}.{at}"))
        else:
            parts.append(Text(text=part.text))
    return Message(role=role, content=tuple(parts))


def _check(body: Body, info: ModelInfo) -> None:
    """Refuse what the model has no ability for, as a run does before it begins; nothing is ever dropped."""
    images = sum(isinstance(part, ImagePart) for turn in body.messages for part in turn.content or "")
    most = info.max_images if "images" in info.can else 0
    if most is not None and images > most:
        raise Refused(400, f"{images} images: the model takes {most}", param="messages", code="too_many_images")
    if "system" not in info.can and any(turn.role in ("system", "developer") for turn in body.messages):
        raise Refused(400, "the model takes no system message", param="messages", code="unsupported_value")
    if body.schema_of_answer is not None and "schema" not in info.can:
        message = "response_format is not supported: the model has no structured output"
        raise Refused(400, message, param="response_format", code="unsupported_parameter")

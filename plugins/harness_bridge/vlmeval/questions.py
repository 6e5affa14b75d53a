"""A question of VLMEvalKit as a request: parts in their order, images read from the files it names."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, cast

from harness import BadImage, Failure, Generation, Image, Json, Message, ModelInfo, Request, Text
from harness.http.status import as_list, as_mapping
from harness.images import BYTE_LIMIT, inline_image, open_image

_ROLES = frozenset({"system", "user", "assistant"})
Role = Literal["system", "user", "assistant"]


class Unsupported(Exception):
    """No model of ours can be asked the question."""


def build_request(turns: Json, settings: Generation, info: ModelInfo) -> Request | Failure:
    """The request, its images opened, or why there is none. Blocking: it reads files."""
    try:
        asked = Request(messages=tuple(_messages(turns)), settings=settings)
    except BadImage as error:
        return Failure(outcome="bad_sample", reason=error.reason, message=str(error))
    except Unsupported as error:
        return Failure(outcome="error", reason="unsupported_request", message=str(error))
    most = info.max_images if "images" in info.can else 0
    what = ""
    if most is not None and len(asked.images) > most:
        what = f"{len(asked.images)} images, and the model takes {most}"
    elif "system" not in info.can and any(message.role == "system" for message in asked.messages):
        what = "the model takes no system message"
    return Failure(outcome="error", reason="unsupported_request", message=what) if what else asked


def _messages(turns: Json) -> Iterator[Message]:
    for turn in map(as_mapping, as_list(turns)):
        role = str(turn.get("role"))
        if role not in _ROLES:
            raise Unsupported(f"a turn of the role {role}")
        parts = tuple(_part(as_mapping(part)) for part in as_list(turn.get("content")))
        yield Message(role=cast("Role", role), content=parts)


def _part(item: Json) -> Text | Image:
    kind, value = item.get("type"), str(item.get("value"))
    if kind == "text":
        return Text(text=value)
    if kind == "image":
        return open_image(inline_image(Path(value[:200]).name, _read_image(value)))
    raise Unsupported(f"a part of the type {kind}")


def _read_image(value: str) -> bytes:
    if value.startswith("data:image/"):
        try:
            return base64.b64decode(value.partition(",")[2], validate=True)
        except binascii.Error as error:
            raise BadImage("a data URL", "unreadable", str(error)) from None
    if "://" in value[:20]:
        raise BadImage(value, "missing", "addresses are not fetched")
    path = Path(value)
    try:
        if not path.is_file():
            raise BadImage(value, "missing")
        if path.stat().st_size > BYTE_LIMIT:
            raise BadImage(value, "too_many_bytes")
        return path.read_bytes()
    except OSError as error:
        raise BadImage(value, "unreadable", str(error.strerror)) from None

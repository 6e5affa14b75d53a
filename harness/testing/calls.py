"""One request as a test server received it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from harness.http.status import as_list, as_mapping
from harness.types import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenPart:
    """One part of a message: a text, or the sha256 of an image's file."""

    role: str
    kind: Literal["text", "image"]
    value: str
    detail: str = ""
    data: bytes = field(default=b"", repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request as it arrived.

    Attributes:
        path: without the query.
        query: of the address.
        headers: names in lower case.
        model: as asked for.
        parts: all parts of all messages, in order.
        parameters: the rest of the body.
        digest: sha256 of the body; equal for a request that is sent again.
        at: seconds of the monotonic clock when the whole body was there.
    """

    path: str
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    model: str = ""
    parts: tuple[SeenPart, ...] = ()
    parameters: Mapping[str, Json] = field(default_factory=dict[str, Json])
    digest: str = ""
    at: float = 0.0

    @property
    def text(self) -> str:
        """The texts of all turns but the system's, one a line."""
        return "\n".join(part.value for part in self.parts if part.kind == "text" and part.role != "system")

    @property
    def system(self) -> str:
        """The system's texts."""
        return "\n".join(part.value for part in self.parts if part.kind == "text" and part.role == "system")

    @property
    def images(self) -> tuple[str, ...]:
        """sha256 of each image's file, in order."""
        return tuple(part.value for part in self.parts if part.kind == "image")

    @property
    def pictures(self) -> tuple[bytes, ...]:
        """Each image's file, in order; only while it is played, the log keeps none."""
        return tuple(part.data for part in self.parts if part.kind == "image")


def read_parts(messages: Json) -> tuple[SeenPart, ...]:
    """The parts of a body's messages. Raises ValueError where an image is not a base64 data URL."""
    turns = [as_mapping(turn) for turn in as_list(messages)]
    return tuple(_read_part(str(turn.get("role")), part) for turn in turns for part in _list_parts(turn.get("content")))


def _list_parts(content: Json) -> list[Mapping[str, Json]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [as_mapping(part) for part in as_list(content)]


def _read_part(role: str, part: Mapping[str, Json]) -> SeenPart:
    if part.get("type") == "text":
        return SeenPart(role=role, kind="text", value=str(part.get("text")))
    image = as_mapping(part.get("image_url"))
    head, _, encoded = str(image.get("url")).partition(",")
    if not head.startswith("data:image/") or not head.endswith(";base64"):
        raise ValueError(f"part of type {part.get('type')} is not an image as a data URL")
    data = base64.b64decode(encoded, validate=True)
    seen = hashlib.sha256(data).hexdigest()
    return SeenPart(role=role, kind="image", value=seen, detail=str(image.get("detail", "")), data=data)


def read_body(body: bytes) -> tuple[str, tuple[SeenPart, ...], Mapping[str, Json]]:
    """Model, parts and parameters of a body. Raises ValueError where it is not a chat request."""
    payload = dict(as_mapping(json.loads(body)))
    if not payload:
        raise ValueError("the body is not a JSON object")
    messages = payload.pop("messages", None)
    return str(payload.pop("model", "")), read_parts(messages), payload

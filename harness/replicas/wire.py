"""Requests, answers and errors as frames hold them: JSON, and the bytes of images beside it."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from harness import errors
from harness.contracts import ModelInfo
from harness.errors import BadImage, HarnessError, PluginError
from harness.types import (
    Failure,
    Generation,
    Image,
    ImageContent,
    Json,
    Message,
    Part,
    Request,
    Response,
    Text,
    Usage,
)

_T = TypeVar("_T")


class _Content(ImageContent):
    """An image's content whose base64 is made when somebody asks for it; most local models never do."""

    __slots__ = ()

    def __init__(self, data: bytes, sha256: str, mime: str, width: int, height: int) -> None:
        values = {"data": data, "sha256": sha256, "mime": mime, "width": width, "height": height}
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        if name != "encoded":
            raise AttributeError(name)
        object.__setattr__(self, "encoded", base64.b64encode(self.data))
        return self.encoded


class _Sent:
    """The root of images that came in a frame: it holds nothing but them."""

    root = Path()

    def read(self, path: str) -> bytes:
        """Nothing: the image is open."""
        raise BadImage(path, "not_here")

    def stamp(self, path: str) -> tuple[str, int, int]:
        """Nothing: the image is open."""
        raise BadImage(path, "not_here")


_SENT = _Sent()


def request_out(request: Request) -> tuple[Json, tuple[bytes, ...]]:
    """A request as JSON and the files of its images, in order. Raises ValueError where one was not opened."""
    blobs = tuple(image.opened.data for image in request.images)
    messages = [{"role": m.role, "content": [_part_out(part) for part in m.content]} for m in request.messages]
    return {**_fields(request), "messages": messages, "settings": _fields(request.settings)}, blobs


def request_in(body: Mapping[str, Json], blobs: Sequence[bytes]) -> Request:
    """The request again, its images open."""
    left = iter(blobs)
    messages = tuple(
        Message(role=each["role"], content=tuple(_part_in(part, left) for part in each["content"]))
        for each in body["messages"]
    )
    settings = _made(Generation, body["settings"], stop=tuple(body["settings"]["stop"]))
    return _made(Request, body, messages=messages, settings=settings, choices=tuple(body["choices"]))


def answer_out(answer: Response | Failure | HarnessError) -> Json:
    """What a model gave, or raised, as JSON."""
    if isinstance(answer, HarnessError):
        told = {"type": type(answer).__name__, "what": answer.what, "where": answer.where, "remedy": answer.remedy}
        if isinstance(answer, PluginError):
            told |= {name: getattr(answer, name) for name in ("plugin", "said", "kind", "story")}
        return {"error": told}
    kind = "response" if isinstance(answer, Response) else "failure"
    return {kind: {**_fields(answer), "usage": _fields(answer.usage)}}


def answer_in(body: Mapping[str, Json]) -> Response | Failure | HarnessError:
    """The same again."""
    if "error" in body:
        told = dict(body["error"])
        return error_like(told.pop("type"))(told.pop("what"), **told)
    kind = "failure" if "failure" in body else "response"
    said = body[kind]
    usage = Usage(**said["usage"])
    if kind == "failure":
        return _made(Failure, said, usage=usage)
    return _made(Response, said, usage=usage, flags=frozenset(said["flags"]), notes=tuple(said["notes"]))


def error_like(name: str) -> type[HarnessError]:
    """The class of that name in the tree of errors; HarnessError for one of a plugin's own."""
    found = getattr(errors, name, HarnessError)
    return found if isinstance(found, type) and issubclass(found, HarnessError) else HarnessError


def info_out(info: ModelInfo) -> Json:
    """What a model is, as JSON."""
    return _fields(info)


def info_in(body: Mapping[str, Json]) -> ModelInfo:
    """The same again."""
    sets = {name: frozenset(body[name]) for name in ("can", "dropped")}
    return _made(ModelInfo, body, **sets, notes=tuple(body["notes"]))


def _part_out(part: Part) -> Json:
    if isinstance(part, Text):
        return part.text
    content = part.opened
    return {
        "path": part.path,
        "sha256": content.sha256,
        "mime": content.mime,
        "width": content.width,
        "height": content.height,
    }


def _part_in(part: Json, blobs: Iterator[bytes]) -> Part:
    if isinstance(part, str):
        return Text(text=part)
    content = _Content(next(blobs), part["sha256"], part["mime"], part["width"], part["height"])
    return Image(path=part["path"], files=_SENT, content=content)


def _made(kind: type[_T], body: Mapping[str, Json], **instead: Any) -> _T:
    """A value of fields as JSON has them, and of those that JSON has otherwise."""
    return kind(**{**body, **instead})


def _fields(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value)}

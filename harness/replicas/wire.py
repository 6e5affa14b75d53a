"""What goes between a run and its replicas: frames, and the models, requests, answers and errors that they hold.

A frame is a JSON header, then blobs of bytes as they are, such as image files; nothing is unpickled.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, TypeVar, cast, get_args

import anyio.to_thread

from harness import errors, plugins
from harness.contracts import Model, ModelInfo, Provider
from harness.errors import BadImage, HarnessError, PluginError, UnknownName
from harness.plugins import Host
from harness.plugins.loader import FILE
from harness.settings import effective
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
    Settings,
    Text,
    Usage,
)

_T = TypeVar("_T")
#: open, ask and drop go to a replica; ready, failed and answer come from it
FrameKind = Literal["open", "ask", "drop", "ready", "failed", "answer"]
HARNESS: Final = "vlm-safety-harness"
#: what a replica's frames begin with, then the number of their form: what a library prints before that is none
MARK: Final = b"\x00harness replica "
FORM: Final = b"2"
GREETING: Final = MARK + FORM + b"\n"
_LENGTH: Final = struct.Struct(">I")
_LONGEST: Final = 1 << 28  #: bytes of a header that a replica sends


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One message.

    Attributes:
        kind: what it is.
        number: of the request it is about.
        body: JSON.
        blobs: bytes next to it, such as image files.
    """

    kind: FrameKind
    number: int = 0
    body: Json = None
    blobs: tuple[bytes, ...] = ()

    def pack(self) -> list[bytes]:
        """The pieces to write, in order. Raises TypeError or ValueError if the body is not JSON."""
        sizes = [len(blob) for blob in self.blobs]
        header = json.dumps([self.kind, self.number, self.body, sizes], default=_plain).encode()
        return [_LENGTH.pack(len(header)) + header, *self.blobs]


def read_frame(source: BinaryIO) -> Frame | None:
    """The next frame of a blocking file; None at its end, also in the middle of a frame."""

    def exactly(size: int) -> bytes:
        found = source.read(size)
        if len(found) < size:
            raise EOFError
        return found

    try:
        (length,) = _LENGTH.unpack(exactly(_LENGTH.size))
        frame, sizes = _parse_header(exactly(length))
        return replace(frame, blobs=tuple(exactly(size) for size in sizes))
    except EOFError:
        return None


async def receive_frame(exactly: Callable[[int], Awaitable[bytes]]) -> Frame:
    """The next frame of an asynchronous stream, whose own errors pass. Raises ValueError for what is no frame."""
    (length,) = _LENGTH.unpack(await exactly(_LENGTH.size))
    if length > _LONGEST:
        raise ValueError(f"a header of {length:,} bytes")
    frame, sizes = _parse_header(await exactly(length))
    return replace(frame, blobs=tuple([await exactly(size) for size in sizes]))


def _parse_header(data: bytes) -> tuple[Frame, Sequence[int]]:
    """A frame without its blobs, and their sizes. Raises ValueError for what is no header."""
    try:
        raw: Any = json.loads(data)
    except RecursionError:
        raise ValueError("a header that is nested too deep") from None
    try:
        kind, number, body, sizes = raw
        if kind not in get_args(FrameKind) or type(number) is not int or any(type(size) is not int for size in sizes):
            raise ValueError("a header of another form")
        if any(size < 0 for size in sizes):
            raise ValueError("a header with sizes that cannot be")
    except TypeError:
        raise ValueError("a header of another form") from None
    return Frame(kind=kind, number=number, body=body), sizes


def _plain(value: object) -> Json:
    """Sets, mappings of other kinds and paths as JSON has them."""
    if isinstance(value, AbstractSet):
        return sorted(cast("AbstractSet[str]", value))
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, Json]", value))
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaSpec:
    """The model that a replica opens, and where it finds the same plugins as the process that asks.

    Attributes:
        schemes: of the provider, and of those it was made of by `preset`; the first that is offered opens it. A scheme
            of the user's own config is not offered in a replica, and its base with all its settings is the same.
        name: what the provider is asked to open.
        settings: of the provider, complete; paths as text.
        files: plugins of one file.
        allow: distributions or entry names that may load; None for all.
        block: those that may not.
        versions: of the harness and of the plugins that may open it; of a file its hash.
    """

    schemes: tuple[str, ...]
    name: str
    settings: Mapping[str, Json]
    files: tuple[str, ...] = ()
    allow: tuple[str, ...] | None = None
    block: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict[str, str])

    @staticmethod
    def of(provider: Provider, name: str, settings: Settings) -> ReplicaSpec:
        """The spec of a model of this process's host."""
        host = plugins.current()
        choice = host.choice
        schemes = [provider.scheme]
        while provider.base:
            schemes.append(provider.base)
            if provider.base not in {each.scheme for each, _ in host.offers("models")}:
                break
            provider = host.provider(provider.base)
        return ReplicaSpec(
            schemes=tuple(schemes),
            name=name,
            settings={key: _path_as_text(value) for key, value in settings.items()},
            files=tuple(str(Path(each.value).absolute()) for each in host.plugins if each.distribution == FILE),
            allow=None if choice.allow is None else tuple(sorted(choice.allow)),
            block=tuple(sorted(choice.block)),
            versions=_find_versions(host, schemes),
        )

    @property
    def ref(self) -> str:
        """As the user wrote it."""
        return f"{self.schemes[0]}/{self.name}"

    def to_json(self) -> Json:
        """The spec as a frame holds it."""
        return _fields(self)

    @staticmethod
    def from_json(body: Mapping[str, Json]) -> ReplicaSpec:
        """The spec again."""
        return ReplicaSpec(
            schemes=tuple(body["schemes"]),
            name=body["name"],
            settings=body["settings"],
            files=tuple(body["files"]),
            allow=None if body["allow"] is None else tuple(body["allow"]),
            block=tuple(body["block"]),
            versions=body["versions"],
        )

    def open(self, *, machine: str = "") -> AbstractAsyncContextManager[Model]:
        """Open the model in this process, with the spec's plugins. Raises HarnessError as the provider does.

        Args:
            machine: if it is another than the run's: its name. Its versions must be the run's, as far as it has them.
        """
        if lacks := [file for file in self.files if machine and not Path(file).exists()]:
            raise HarnessError(f"the plugin {lacks[0]} is not on {machine}", remedy="put it there under the same path")
        host = Host.load(self.files, allow=self.allow, block=self.block)
        plugins.use(host)
        there = _find_versions(host, self.schemes) if machine else {}
        for name, ours in self.versions.items():
            if there.get(name, ours) == ours:
                continue
            if name in self.files:
                raise HarnessError(
                    f"the plugin {name} differs between {machine} and this machine",
                    remedy="put the same file on both: their answers could differ",
                )
            raise HarnessError(
                f"{name} is of version {there[name]} on {machine}, and {ours} here",
                remedy="install the same version on both: their answers could differ",
            )
        provider = None
        for scheme in self.schemes[:-1]:
            with suppress(UnknownName):
                provider = provider or host.provider(scheme)
        try:
            provider = provider or host.provider(self.schemes[-1])
        except UnknownName as error:
            raise HarnessError(
                f"a replica cannot find the provider of {self.ref}: {error.what}",
                remedy="install its plugin, or give its file with --plugin; leave replicas and devices out otherwise",
            ) from error
        defaults = {setting.name: _path_as_text(setting.default) for setting in provider.settings}
        missing = object()
        given = {key: value for key, value in self.settings.items() if defaults.get(key, missing) != value}
        return provider.open(self.name, effective(provider.settings, given, owner=f"provider {provider.scheme}"))


def _find_versions(host: Host, schemes: Sequence[str]) -> dict[str, str]:
    """Version of the harness, of the distributions that offer these schemes, and of each plugin file its hash."""
    from importlib.metadata import PackageNotFoundError, version

    found: dict[str, str] = {}
    with suppress(PackageNotFoundError):
        found[HARNESS] = version(HARNESS)
    offering = {plugin for provider, plugin in host.offers("models") if provider.scheme in schemes}
    for each in host.plugins:
        if each.distribution == FILE:
            found[str(Path(each.value).absolute())] = each.version
        elif each.name in offering:
            found[each.distribution] = each.version
    return found


def _path_as_text(value: Any) -> Json:
    return str(value) if isinstance(value, Path) else value


class _Content(ImageContent):
    """An image's content whose base64 is made on use; most local models never use it."""

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
    """The root of images that came in a frame: nothing else can be read from it."""

    root = Path()

    def read(self, path: str) -> bytes:
        """Nothing: the image is open."""
        raise BadImage(path, "not_here")

    def stamp(self, path: str) -> tuple[str, int, int]:
        """Nothing: the image is open."""
        raise BadImage(path, "not_here")


_SENT = _Sent()


def request_to_json(request: Request, *, shared: bool = False) -> tuple[Json, tuple[bytes, ...]]:
    """A request as JSON and the files of its images, in order. Raises ValueError if one was not opened.

    Args:
        request: what to ask.
        shared: give the path of each image that is a file of its own, instead of its bytes.
    """
    blobs: list[bytes] = []

    def part_to_json(part: Part) -> Json:
        if isinstance(part, Text):
            return part.text
        content = {name: getattr(part.opened, name) for name in ("sha256", "mime", "width", "height")}
        file = _find_file(part) if shared else None
        if file is not None:
            return {"path": part.path, **content, "file": file}
        blobs.append(part.opened.data)
        return {"path": part.path, **content}

    messages = [{"role": m.role, "content": [part_to_json(part) for part in m.content]} for m in request.messages]
    return {**_fields(request), "messages": messages, "settings": _fields(request.settings)}, tuple(blobs)


def _find_file(image: Image) -> str | None:
    """The absolute path of an image that is a file of its own; None if it lies in an archive or in memory."""
    try:
        name = image.files.stamp(image.path)[0]
    except BadImage:
        return None
    return name if os.path.isabs(name) and os.path.isfile(name) else None  # noqa: PTH113, PTH117 - twice as fast


class NotShared(Exception):
    """A file that a frame names is not there, or has another content."""


async def collect_images(body: Mapping[str, Json], blobs: Sequence[bytes]) -> Sequence[bytes]:
    """The bytes of a request's images, in order: those that came, and those that are read here.

    Raises NotShared for the first that is not the file that was meant.
    """
    parts = [part for message in body["messages"] for part in message["content"] if not isinstance(part, str)]
    if len(parts) == len(blobs):
        return blobs

    def read() -> list[bytes]:
        left = iter(blobs)
        return [_read_shared(part["file"], part["sha256"]) if "file" in part else next(left) for part in parts]

    return await anyio.to_thread.run_sync(read)


def _read_shared(file: str, sha256: str) -> bytes:
    try:
        data = Path(file).read_bytes()
    except OSError as error:
        raise NotShared(f"{file} cannot be read there ({error.strerror})") from None
    if hashlib.sha256(data).hexdigest() != sha256:
        raise NotShared(f"{file} has another content there")
    return data


def request_from_json(body: Mapping[str, Json], images: Sequence[bytes]) -> Request:
    """The request again, with the bytes of its images."""
    left = iter(images)

    def part_from_json(part: Json) -> Part:
        if isinstance(part, str):
            return Text(text=part)
        content = _Content(next(left), part["sha256"], part["mime"], part["width"], part["height"])
        return Image(path=part["path"], files=_SENT, content=content)

    messages = tuple(
        Message(role=each["role"], content=tuple(part_from_json(part) for part in each["content"]))
        for each in body["messages"]
    )
    settings = _build(Generation, body["settings"], stop=tuple(body["settings"]["stop"]))
    return _build(Request, body, messages=messages, settings=settings, choices=tuple(body["choices"]))


def answer_to_json(answer: Response | Failure | HarnessError) -> Json:
    """What a model gave, or raised, as JSON."""
    if isinstance(answer, HarnessError):
        told = {"type": type(answer).__name__, "what": answer.what, "where": answer.where, "remedy": answer.remedy}
        if isinstance(answer, PluginError):
            told |= {name: getattr(answer, name) for name in ("plugin", "said", "kind", "story")}
        return {"error": told}
    kind = "response" if isinstance(answer, Response) else "failure"
    return {kind: {**_fields(answer), "usage": _fields(answer.usage)}}


def answer_from_json(body: Mapping[str, Json]) -> Response | Failure | HarnessError:
    """The answer or error again. Raises ValueError for what is neither."""
    try:
        if "error" in body:
            told = {name: str(value) for name, value in dict(body["error"]).items()}
            return find_error_class(told.pop("type"))(told.pop("what"), **told)
        kind = "failure" if "failure" in body else "response"
        said = body[kind]
        usage = Usage(**said["usage"])
        if kind == "failure":
            return _build(Failure, said, usage=usage)
        return _build(Response, said, usage=usage, flags=frozenset(said["flags"]), notes=tuple(said["notes"]))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no answer: {error}") from error


def find_error_class(name: str) -> type[HarnessError]:
    """The class of that name in the tree of errors; HarnessError for one of a plugin's own."""
    found = getattr(errors, name, HarnessError)
    return found if isinstance(found, type) and issubclass(found, HarnessError) else HarnessError


def info_to_json(info: ModelInfo) -> Json:
    """What a model is, as JSON."""
    return _fields(info)


def info_from_json(body: Mapping[str, Json]) -> ModelInfo:
    """The same again. Raises ValueError for what tells of no model."""
    try:
        sets = {name: frozenset(body[name]) for name in ("can", "dropped")}
        info = _build(ModelInfo, body, **sets, notes=tuple(body["notes"]))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no description of a model: {error}") from error
    for name, least in (("concurrency", 1), ("max_images", 0), ("thinking_tokens", 0)):
        number: object = getattr(info, name)
        if number is not None and (type(number) is not int or number < least):
            raise ValueError(f"{name} is {number!r:.60}")
    return info


def _build(kind: type[_T], body: Mapping[str, Json], **instead: Any) -> _T:
    """A value of fields as JSON holds them; `instead` has those of another type."""
    return kind(**{**body, **instead})


def _fields(value: Any) -> dict[str, Any]:
    return {each.name: getattr(value, each.name) for each in fields(value)}

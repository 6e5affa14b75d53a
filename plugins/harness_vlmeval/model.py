"""`vlmeval/…` as a Model: one turn of text and images goes to VLMEvalKit's process, text comes back.

VLMEvalKit takes images as files: they are written byte for byte, named by content, and deleted when no call needs them.

It knows text only: its classes give a fail string, or the error's own words, when there is no answer. What the child
saw next to that text decides what a reply means: a server's status and body are read as every provider's here, so that
a filter is a block.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from harness import (
    BadImage,
    Failure,
    HarnessError,
    Image,
    ImageContent,
    Json,
    Model,
    ModelInfo,
    Request,
    Response,
    Settings,
)
from harness.errors import unwrap_groups
from harness.fingerprint import hash_folder
from harness.http import Address, Reply, chat
from harness.http.chat import sampling
from harness.http.status import ApiError, as_list, as_mapping, failure
from harness.images import decode
from harness.settings import json_object

from .child.protocol import is_secret, redact
from .process import Died, ZooModel, find_interpreter

#: Variables that VLMEvalKit reads, by which an image can change.
_ENVIRONMENT = ("VLMEVAL_MIN_IMAGE_EDGE", "VLMEVAL_MAX_IMAGE_SIZE", "VLMEVAL_LOCAL_MEDIA")
_REENCODED = (
    "VLMEvalKit's API classes send images as JPEG and enlarge those with an edge under 100 pixels: not for attacks "
    "that depend on single pixels"
)

_SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp", "image/bmp": ".bmp", "image/gif": ".gif"}
_PASSING = ("Timeout", "Connection", "ChunkedEncoding", "ProtocolError", "RemoteDisconnected")
_MEMORY = "out_of_memory"
_LONGEST = 500
_PLAIN = frozenset({".png", ".jpg"})  # what every class of the zoo takes


@asynccontextmanager
async def open_model(name: str, settings: Settings) -> AsyncGenerator[Model]:
    """Open a model of the zoo; its process is gone at the end. Raises HarnessError if it cannot be opened."""
    given = _class_arguments(settings)
    with tempfile.TemporaryDirectory(prefix="harness-vlmeval-", ignore_cleanup_errors=True) as place, unwrap_groups():
        folders = [Path(place) / each for each in ("data", "images")]
        for folder in folders:
            folder.mkdir()
        async with anyio.create_task_group() as tasks:
            zoo = ZooModel(tasks, find_interpreter(settings["python"]), data=folders[0], restarts=settings["restarts"])
            try:
                facts = await zoo.open(name, given)
                fingerprint = await anyio.to_thread.run_sync(_find_fingerprint, name, facts, settings["model_path"])
                yield VlmevalModel(name, facts, fingerprint, zoo, ImageFolder(folders[1]))
            finally:
                await zoo.close()
                tasks.cancel_scope.cancel()


class VlmevalModel:
    """A model of the zoo."""

    def __init__(
        self, name: str, facts: Mapping[str, Json], fingerprint: Mapping[str, Json], zoo: ZooModel, images: ImageFolder
    ) -> None:
        self._facts = facts
        self._origin = Origin(name=name, server=str(facts["server"]), is_api=bool(facts["is_api"]))
        self._fingerprint = fingerprint
        self._takes = frozenset(map(str, as_list(facts["takes"])))
        self._dropped: frozenset[str] = frozenset()
        self._zoo = zoo
        self._images = images
        self._suspects: set[str] = set()

    @property
    def info(self) -> ModelInfo:
        """What it is; names a setting as dropped once it was asked for."""
        origin = self._origin
        server = urlsplit(origin.server).netloc or origin.name
        reencoded = origin.is_api and not self._facts["local_media"]
        return ModelInfo(
            ref=f"vlmeval/{origin.name}",
            endpoint=f"vlmeval:{server}" if origin.is_api else "local:vlmeval",
            max_images=None if self._facts["interleave"] else 1,
            local=not origin.is_api,
            concurrency=None if origin.is_api else 1,
            fingerprint=self._fingerprint,
            can=frozenset({"images"}),
            dropped=self._dropped,
            notes=(*((_REENCODED,) if reencoded else ()), *self._zoo.notes),
        )

    async def generate(self, request: Request) -> Response | Failure:
        """Answer once."""
        what = ""
        if request.raw or request.choices or request.prefill:
            what = "VLMEvalKit has no raw prompts, choices or prefill"
        elif [message.role for message in request.messages] != ["user"]:
            what = "VLMEvalKit's models take one turn of the user; a system message would stay for later calls"
        if what:
            return Failure(outcome="error", reason="unsupported_request", message=what)
        wanted = sampling(request.settings)
        self._dropped |= wanted.keys() - self._takes
        settings = {name: value for name, value in wanted.items() if name in self._takes}
        try:
            async with self._images.place(request.images) as paths:
                files = iter(paths)
                message: list[Json] = [
                    {"type": "image", "value": next(files)}
                    if isinstance(part, Image)
                    else {"type": "text", "value": part.text}
                    for part in request.messages[0].content
                ]
                try:
                    reply = await self._zoo.generate(message, settings)
                except Died as death:
                    # a question that was under way has one more try; at a second death it is the cause
                    mark = hashlib.sha256(json.dumps(message).encode()).hexdigest()
                    again = mark in self._suspects
                    self._suspects.add(mark)
                    return Failure(outcome="error", reason="process_died", message=str(death), transient=not again)
        except BadImage as error:
            return Failure(outcome="bad_sample", reason=error.reason, message=str(error))
        return read_reply(reply, self._origin)


def _find_fingerprint(name: str, facts: Mapping[str, Json], weights: Path | None) -> dict[str, Json]:
    """Who answers: the package, the class, what it was opened with, and the files of a folder of weights."""
    arguments = dict(as_mapping(facts["arguments"]))
    files: dict[str, Json] = {}
    if weights is not None and weights.is_dir():
        arguments["model_path"] = ""  # identified by its files, wherever they lie
        files = hash_folder(weights)
    return {
        "model": name,
        "package": f"{facts['package']} {facts['version']}",
        "class": facts["class"],
        "arguments": arguments,
        "files": files,
        "server": str(facts["server"]),
        "environment": {each: os.environ[each] for each in _ENVIRONMENT if each in os.environ},
    }


def _class_arguments(settings: Settings) -> dict[str, Json]:
    """The arguments of `-M args` and `-M model_path`, over those of VLMEvalKit's table; a folder by its absolute path.

    Raises:
        HarnessError: not a JSON object, or it holds a key.
    """
    given = json_object(settings, "args", such_as='{"img_detail": "high"}')
    if held := sorted(filter(is_secret, given)):
        raise HarnessError(
            f"-M args must not hold {', '.join(held)}: settings are recorded",
            remedy="put the key into the environment variable that the class reads",
        )
    path: Path | None = settings["model_path"]
    return given if path is None else {**given, "model_path": str(path.resolve() if path.is_dir() else path)}


class ImageFolder:
    """Images as files of one folder; equal images share a file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._users: Counter[Path] = Counter()

    @asynccontextmanager
    async def place(self, images: Sequence[Image]) -> AsyncGenerator[list[str]]:
        """Absolute paths of the images' files, in order, there while the block runs.

        Raises:
            BadImage: a WebP, BMP or GIF, which is written as PNG, does not decode.
        """
        paths = [self._path(image.opened) for image in images]
        self._users.update(paths)
        try:
            for image, path in zip(images, paths, strict=True):
                if not path.exists():
                    await anyio.to_thread.run_sync(_write_image, image.opened, path)
            yield [str(path) for path in paths]
        finally:
            self._users.subtract(paths)
            for path in {path for path in paths if not self._users[path]}:
                path.unlink(missing_ok=True)
                del self._users[path]

    def _path(self, content: ImageContent) -> Path:
        suffix = _SUFFIXES[content.mime]
        return self._folder / f"{content.sha256}{suffix if suffix in _PLAIN else '.png'}"


def _write_image(content: ImageContent, path: Path) -> None:
    data = content.data
    if _SUFFIXES[content.mime] not in _PLAIN:
        file = io.BytesIO()
        decode(content).save(file, "PNG")
        data = file.getvalue()
    part = path.with_name(uuid.uuid4().hex)
    part.write_bytes(data)
    part.replace(path)  # so that half a file is never read


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who answered: the model as VLMEvalKit names it, its server where it has one, and whether it asks an API."""

    name: str
    server: str
    is_api: bool

    @property
    def address(self) -> Address:
        """For messages."""
        return Address(url=self.server or f"vlmeval/{self.name}")


def read_reply(reply: Mapping[str, Json], origin: Origin) -> Response | Failure:
    """The answer or the failure. Raises HarnessError if no request will work."""
    seen = as_mapping(reply.get("seen"))
    raised = as_mapping(reply.get("raised")) or as_mapping(seen.get("raised"))
    if raised:
        return _describe_raised(raised)
    status = seen.get("status")
    if isinstance(status, int) and status >= 300:
        return _status_failure(status, seen, origin)
    seconds = float(reply.get("seconds") or 0.0)
    completion = _read_completion(seen, origin, seconds)
    if isinstance(completion, Failure) and completion.reason != "wrong_shape":
        return completion
    if reply.get("failed"):  # a refusal or an empty answer that the class could not read, else an error
        if isinstance(completion, Response) and (not completion.text or "refusal" in completion.flags):
            return completion
        words = dict.fromkeys(str(each).strip() for each in (reply.get("text"), seen.get("log")) if each)
        message = _shorten(": ".join(words))
        return Failure(outcome="error", reason="fail_string", message=message, transient=origin.is_api)
    text = reply.get("text")
    if not isinstance(text, str):
        return Failure(outcome="error", reason="no_answer", message=f"the class gave a {reply.get('type')}")
    said, reasoning = chat.split_think(text)
    if isinstance(completion, Response):  # the class's own text, with what the server said of it
        return replace(completion, text=said, reasoning=completion.reasoning or reasoning)
    return Response(text=said, reasoning=reasoning, seconds=seconds)


def _describe_raised(raised: Mapping[str, Json]) -> Failure:
    if raised.get("kind") == "unreadable":
        said, reason = _shorten(str(raised.get("message"))), str(raised.get("reason"))
        return Failure(outcome="error", reason=reason, message=said, transient=bool(raised.get("transient")))
    kind = str(raised.get("type") or raised.get("kind"))
    message = f"{raised.get('message')} ({raised.get('place')})" if raised.get("place") else str(raised.get("message"))
    passing = any(word in kind for word in _PASSING)
    return Failure(outcome="error", reason=kind, message=_shorten(message), transient=passing and kind != _MEMORY)


def _status_failure(status: int, seen: Mapping[str, Json], origin: Origin) -> Failure:
    headers = {str(name): str(value) for name, value in as_mapping(seen.get("headers")).items()}
    error_body = ApiError.of(redact(str(seen.get("body"))).encode("utf-8", "replace"))
    try:
        return failure(status, headers, error_body, origin.address)
    except HarnessError as error:
        remedy = f"the class of {origin.name} reads its key and address from the environment, or from -M args"
        raise type(error)(error.what, where=error.where, remedy=remedy) from error


def _read_completion(seen: Mapping[str, Json], origin: Origin, seconds: float) -> Response | Failure | None:
    """A body in the form of Chat Completions, read; None where it is something else."""
    try:
        payload: Json = json.loads(str(seen.get("body") or "null"))
    except (ValueError, RecursionError):
        return None
    if "choices" not in as_mapping(payload):
        return None
    return chat.answer(Reply(payload=payload, where=origin.address, seconds=seconds))


def _shorten(message: str) -> str:
    line = " ".join(redact(message).split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"

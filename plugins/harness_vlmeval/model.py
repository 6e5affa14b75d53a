"""`vlmeval/…` as a Model: sends one turn of text and images to VLMEvalKit's process, and reads its text.

VLMEvalKit takes images as files: they are written byte for byte, named by content, and deleted after the last call.

Its classes return text only: without an answer a fail string, or the error's text. What else the child saw decides the
outcome: a server's status and body are read as for every provider, so a filter counts as a block.
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

#: Variables of VLMEvalKit that can change an image.
_ENVIRONMENT = ("VLMEVAL_MIN_IMAGE_EDGE", "VLMEVAL_MAX_IMAGE_SIZE", "VLMEVAL_LOCAL_MEDIA")
_REENCODED = (
    "VLMEvalKit's API classes send images as JPEG and enlarge those with an edge under 100 pixels: not for attacks "
    "that depend on single pixels"
)

_SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp", "image/bmp": ".bmp", "image/gif": ".gif"}
_PASSING = ("Timeout", "Connection", "ChunkedEncoding", "ProtocolError", "RemoteDisconnected")
_MEMORY = "out_of_memory"
_LONGEST = 500
_PLAIN = frozenset({".png", ".jpg"})  # types that every zoo class takes


@asynccontextmanager
async def open_model(name: str, settings: Settings) -> AsyncGenerator[Model]:
    """Open a zoo model; its process ends with the block. Raises HarnessError if it does not open."""
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
        """The model's description; lists a requested but unsupported setting as dropped."""
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
            single_turn=True,
            dropped=self._dropped,
            notes=(*((_REENCODED,) if reencoded else ()), *self._zoo.notes),
        )

    async def generate(self, request: Request) -> Response | Failure:
        """Answer once."""
        what = ""
        if request.raw or request.choices or request.prefill:
            what = "VLMEvalKit has no raw prompts, choices or prefill"
        elif [message.role for message in request.messages] != ["user"]:
            what = "VLMEvalKit's models take one user turn; a system message would affect later calls"
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
                    # a question in flight gets one more try; at a second death it is the cause
                    mark = hashlib.sha256(json.dumps(message).encode()).hexdigest()
                    again = mark in self._suspects
                    self._suspects.add(mark)
                    return Failure(outcome="error", reason="process_died", message=str(death), transient=not again)
        except BadImage as error:
            return Failure(outcome="bad_sample", reason=error.reason, message=str(error))
        return read_reply(reply, self._origin)


def _find_fingerprint(name: str, facts: Mapping[str, Json], weights: Path | None) -> dict[str, Json]:
    """The identity: the package, the class, its arguments, and hashes of a weights folder's files."""
    arguments = dict(as_mapping(facts["arguments"]))
    files: dict[str, Json] = {}
    if weights is not None and weights.is_dir():
        arguments["model_path"] = ""  # identified by its files, not their path
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
    """The arguments of `-M args` and `-M model_path`, which override VLMEvalKit's table; folders as absolute paths.

    Raises:
        HarnessError: `args` is no JSON object, or holds a secret key.
    """
    given = json_object(settings, "args", such_as='{"img_detail": "high"}')
    if held := sorted(filter(is_secret, given)):
        raise HarnessError(
            f"-M args must not hold {', '.join(held)}: settings are recorded",
            remedy="set the environment variable that the class reads",
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
        """Absolute paths of the images' files, in order; they exist while the block runs.

        Raises:
            BadImage: a WebP, BMP or GIF, which becomes a PNG, does not decode.
        """
        paths: list[Path] = []
        for image in images:
            suffix = _SUFFIXES[image.opened.mime]
            paths.append(self._folder / f"{image.opened.sha256}{suffix if suffix in _PLAIN else '.png'}")
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


def _write_image(content: ImageContent, path: Path) -> None:
    data = content.data
    if _SUFFIXES[content.mime] not in _PLAIN:
        file = io.BytesIO()
        decode(content).save(file, "PNG")
        data = file.getvalue()
    part = path.with_name(uuid.uuid4().hex)
    part.write_bytes(data)
    part.replace(path)  # so that readers never see half a file


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The answering model: its name in VLMEvalKit, its server if any, and whether it is an API model."""

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
    if raised.get("kind") == "unreadable":
        said, reason = _shorten(str(raised.get("message"))), str(raised.get("reason"))
        return Failure(outcome="error", reason=reason, message=said, transient=bool(raised.get("transient")))
    if raised:
        kind, said = str(raised.get("type") or raised.get("kind")), str(raised.get("message"))
        message = _shorten(f"{said} ({raised['place']})" if raised.get("place") else said)
        passing = any(word in kind for word in _PASSING) and kind != _MEMORY
        return Failure(outcome="error", reason=kind, message=message, transient=passing)
    status = seen.get("status")
    if isinstance(status, int) and status >= 300:
        headers = {str(name): str(value) for name, value in as_mapping(seen.get("headers")).items()}
        error_body = ApiError.of(redact(str(seen.get("body"))).encode("utf-8", "replace"))
        try:
            return failure(status, headers, error_body, origin.address)
        except HarnessError as error:
            remedy = f"the class of {origin.name} reads its key and address from the environment, or from -M args"
            raise type(error)(error.what, where=error.where, remedy=remedy) from error
    seconds = float(reply.get("seconds") or 0.0)
    completion = _read_completion(seen, origin, seconds)
    if isinstance(completion, Failure) and completion.reason != "wrong_shape":
        return completion
    if reply.get("failed"):  # a block or an empty answer that the class misread, else an error
        if isinstance(completion, Response) and (not completion.text or "refusal" in completion.flags):
            return completion
        words = dict.fromkeys(str(each).strip() for each in (reply.get("text"), seen.get("log")) if each)
        message = _shorten(": ".join(words))
        return Failure(outcome="error", reason="fail_string", message=message, transient=origin.is_api)
    text = reply.get("text")
    if not isinstance(text, str):
        return Failure(outcome="error", reason="no_answer", message=f"the class returned a {reply.get('type')}")
    said, reasoning = chat.split_think(text)
    if isinstance(completion, Response):  # the class's text, with the server's outcome
        return replace(completion, text=said, reasoning=completion.reasoning or reasoning)
    return Response(text=said, reasoning=reasoning, seconds=seconds)


def _read_completion(seen: Mapping[str, Json], origin: Origin, seconds: float) -> Response | Failure | None:
    """The outcome of a body in the form of Chat Completions; None for another form."""
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

"""`vlmeval/…` as a Model: one turn of text and images goes to VLMEvalKit's process, text comes back."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import anyio

from harness import BadImage, Failure, Generation, Image, Json, Model, ModelInfo, Request, Response, Settings
from harness.fingerprint import of_folder
from harness.groups import ungrouped
from harness.http.status import as_list, as_mapping

from .arguments import class_arguments
from .outcomes import Origin, outcome
from .pictures import Pictures
from .process import Died, interpreter
from .zoo import Zoo

#: What VLMEvalKit reads beside arguments and does to each image of a class that asks an API.
_ENVIRONMENT = ("VLMEVAL_MIN_IMAGE_EDGE", "VLMEVAL_MAX_IMAGE_SIZE", "VLMEVAL_LOCAL_MEDIA")
_REENCODED = (
    "VLMEvalKit's API classes send images as JPEG and enlarge those with an edge under 100 pixels: not for attacks "
    "that depend on single pixels"
)


@asynccontextmanager
async def open_model(name: str, settings: Settings) -> AsyncGenerator[Model]:
    """Open a model of the zoo; its process is gone at the end. Raises HarnessError where it cannot be opened."""
    given = class_arguments(settings)
    with tempfile.TemporaryDirectory(prefix="harness-vlmeval-", ignore_cleanup_errors=True) as place, ungrouped():
        folders = [Path(place) / each for each in ("data", "images")]
        for folder in folders:
            folder.mkdir()
        async with anyio.create_task_group() as tasks:
            zoo = Zoo(tasks, interpreter(settings["python"]), data=folders[0], restarts=settings["restarts"])
            try:
                facts = await zoo.open(name, given)
                fingerprint = await anyio.to_thread.run_sync(_fingerprint, name, facts, settings["model_path"])
                yield VlmevalModel(name, facts, fingerprint, zoo, Pictures(folders[1]))
            finally:
                await zoo.close()
                tasks.cancel_scope.cancel()


class VlmevalModel:
    """A model of the zoo."""

    def __init__(
        self, name: str, facts: Mapping[str, Json], fingerprint: Mapping[str, Json], zoo: Zoo, pictures: Pictures
    ) -> None:
        self._facts = facts
        self._origin = Origin(name=name, server=str(facts["server"]), is_api=bool(facts["is_api"]))
        self._fingerprint = fingerprint
        self._takes = frozenset(map(str, as_list(facts["takes"])))
        self._dropped: frozenset[str] = frozenset()
        self._zoo = zoo
        self._pictures = pictures
        self._suspects: set[str] = set()

    @property
    def info(self) -> ModelInfo:
        """What it is; names a setting as dropped once it was asked for."""
        origin = self._origin
        server = urlsplit(origin.server).netloc or origin.name
        return ModelInfo(
            ref=f"vlmeval/{origin.name}",
            endpoint=f"vlmeval:{server}" if origin.is_api else "local:vlmeval",
            max_images=None if self._facts["interleave"] else 1,
            local=not origin.is_api,
            concurrency=None if origin.is_api else 1,
            fingerprint=self._fingerprint,
            can=frozenset({"images"}),
            dropped=self._dropped,
            notes=(*self._own_notes(), *self._zoo.notes),
        )

    async def generate(self, request: Request) -> Response | Failure:
        """Answer once."""
        if reason := _unsupported(request):
            return Failure(outcome="error", reason="unsupported_request", message=reason)
        settings = self._settings(request.settings)
        try:
            async with self._pictures.placed(request.images) as paths:
                message = _message(request, paths)
                try:
                    reply = await self._zoo.generate(message, settings)
                except Died as death:
                    return self._crashed(message, death)
        except BadImage as error:
            return Failure(outcome="bad_sample", reason=error.reason, message=str(error))
        return outcome(reply, self._origin)

    def _settings(self, asked: Generation) -> dict[str, Json]:
        given: dict[str, Json] = {
            "temperature": asked.temperature,
            "max_tokens": asked.max_tokens,
            "top_p": asked.top_p,
            "seed": asked.seed,
            "stop": list(asked.stop) or None,
        }
        wanted = {name: value for name, value in given.items() if value is not None}
        self._dropped |= wanted.keys() - self._takes
        return {name: value for name, value in wanted.items() if name in self._takes}

    def _crashed(self, message: Json, death: Died) -> Failure:
        """One more try for a question that was under way when the process died; a second death is laid at its door."""
        mark = hashlib.sha256(json.dumps(message).encode()).hexdigest()
        again = mark in self._suspects
        self._suspects.add(mark)
        return Failure(outcome="error", reason="process_died", message=str(death), transient=not again)

    def _own_notes(self) -> tuple[str, ...]:
        return (_REENCODED,) if self._origin.is_api and not self._facts["local_media"] else ()


def _unsupported(request: Request) -> str:
    """Why VLMEvalKit cannot be asked this; empty where it can."""
    if request.raw or request.choices or request.prefill:
        return "VLMEvalKit has no raw prompts, choices or prefill"
    if [message.role for message in request.messages] != ["user"]:
        return "VLMEvalKit's models take one turn of the user; a system message of one call would stay for later ones"
    return ""


def _message(request: Request, paths: list[str]) -> list[Json]:
    """The turn in VLMEvalKit's form, its parts in order."""
    files = iter(paths)
    return [
        {"type": "image", "value": next(files)} if isinstance(part, Image) else {"type": "text", "value": part.text}
        for message in request.messages
        for part in message.content
    ]


def _fingerprint(name: str, facts: Mapping[str, Json], weights: Path | None) -> dict[str, Json]:
    """Who answers: the package, the class, what it was opened with, and the files of a folder of weights."""
    arguments = dict(as_mapping(facts["arguments"]))
    files: dict[str, Json] = {}
    if weights is not None and weights.is_dir():
        arguments["model_path"] = ""  # known by its files, wherever they lie
        files = of_folder(weights)
    return {
        "model": name,
        "package": f"{facts['package']} {facts['version']}",
        "class": facts["class"],
        "arguments": arguments,
        "files": files,
        "server": str(facts["server"]),
        "environment": {each: os.environ[each] for each in _ENVIRONMENT if each in os.environ},
    }

"""One model behind the Messages API: a request in, one answer or failure out."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

from harness import Failure, HarnessError, Json, ModelInfo, Request, Response, Settings
from harness.contracts import Ability
from harness.http import Reply, encode
from harness.http.refusals import REFUSALS, unsupported
from harness.http.scaling import ImageLimit, fit
from harness.http.status import Rejected
from harness.settings import json_object

from .answers import Said, read
from .client import Connection, connect
from .dialect import TOOL, Dialect
from .messages import continues, strayed, system, turns
from .thinking import Thinking

_TYPES: Final = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_MANY: Final = 20  # images of a request beyond which each must be smaller
_SIDE, _SIDE_OF_MANY = 8000, 2000
_IMAGES: Final = 100  # of one request, at Anthropic
_OWNED: Final = frozenset({
    "model", "messages", "system", "stream", "max_tokens", "temperature", "top_p", "stop_sequences", "thinking",
    "output_config", "tools", "tool_choice",
})  # fmt: skip
_EFFORT: Final = re.compile(r"\beffort\b", re.IGNORECASE)


@asynccontextmanager
async def open_model(name: str, settings: Settings) -> AsyncGenerator[AnthropicModel]:
    """Connect a model. Raises HarnessError where the settings do not fit together or a key is missing."""
    async with connect(settings) as connection:
        yield AnthropicModel(name, settings, connection)


class AnthropicModel:
    """A Model; what it learns of what its model takes is kept while it is open."""

    def __init__(self, name: str, settings: Settings, connection: Connection) -> None:
        self._name = name
        self._settings = settings
        self._connection = connection
        self._fixed = json_object(settings, "extra", such_as='{"top_k": 20}', owned=_OWNED)
        thinking = Thinking.of(settings)
        # other servers may answer anew instead of going on, without a word
        self._dialect = Dialect(
            thinking=thinking, effort=settings["effort"], prefill=self._official and not thinking.on
        )

    @property
    def info(self) -> ModelInfo:
        """What it is, and what it has refused so far."""
        most = self._settings["max_images"]
        can: dict[Ability, bool] = {
            "images": most != 0,
            "system": True,
            "schema": bool(self._dialect.schema),
            "prefill": self._dialect.prefill,
        }
        return ModelInfo(
            ref=f"anthropic/{self._name}",
            endpoint=self._connection.address.id,
            max_images=_IMAGES if most is None and self._official else most,
            can=frozenset(ability for ability, there in can.items() if there),
            dropped=self._dialect.dropped,
            notes=self._dialect.thinking.notes,
        )

    @property
    def _official(self) -> bool:
        return self._connection.official

    async def generate(self, request: Request) -> Response | Failure:
        """Answer once. Only what the model refuses, and room it lacks to think, have a request sent again at once."""
        if what := self._missing(request):
            return Failure(outcome="error", reason="unsupported_request", message=what)
        fitted = await fit(request, self._limit(request), resize=self._settings["resize"])
        if isinstance(fitted, Failure):
            return fitted
        self._dialect = self._dialect.seen(request)
        said = await self._ask(fitted.request)
        return said if isinstance(said, Failure) else said.outcome(fitted.notes)

    def _missing(self, request: Request) -> str:
        if request.raw or request.choices:
            return "the Messages API has no raw prompts or choices"
        if strayed(request):
            return "the Messages API takes system messages at the start only, and without images"
        if continues(request) and not self._dialect.prefill:
            return "the model does not go on with the start of an answer"
        return ""

    def _limit(self, request: Request) -> ImageLimit:
        side = _SIDE_OF_MANY if len(request.images) > _MANY else _SIDE
        given = self._settings["max_image_side"]
        size = int(self._settings["max_image_mb"] * 1_000_000)
        return ImageLimit(size=size, side=side if given is None else given, types=_TYPES)

    async def _ask(self, request: Request) -> Said | Failure:
        words = system(request)
        fixed = {"model": self._name, **({"system": words} if words else {}), **self._fixed, "messages": turns(request)}
        while True:
            sent = self._dialect.parameters(request)
            got = await self._send({**fixed, **sent}, tool=TOOL if "tools" in sent else "")
            if isinstance(got, Failure):
                return got
            self._learn(got, sent)
            better = self._dialect.parameters(request)
            if isinstance(got, Said):
                if not (got.cut and got.thought and better["max_tokens"] > sent["max_tokens"]):
                    return got
            elif better == sent:
                return self._failure(got)

    async def _send(self, body: Json, *, tool: str) -> Said | Rejected | Failure:
        got = await self._connection.post(encode(body))
        return read(got, tool=tool, think_tags=self._settings["think_tags"]) if isinstance(got, Reply) else got

    def _learn(self, got: Said | Rejected, sent: Mapping[str, Json]) -> None:
        if isinstance(got, Said):
            if got.thought:
                self._dialect = self._dialect.thinks()
        elif got.status in REFUSALS and not (got.complaint.filtered or got.complaint.spent):
            self._hear(got, sent)

    def _hear(self, rejected: Rejected, sent: Mapping[str, Json]) -> None:
        complaint = replace(rejected.complaint, message=rejected.where.redact(rejected.complaint.message))
        if (name := unsupported(complaint, self._fixed)) is not None:
            raise self._refuses(name, complaint.message, f"leave {name} out of -M extra")
        self._dialect = self._dialect.learnt(complaint, sent)

    def _failure(self, rejected: Rejected) -> Failure:
        words, effort = rejected.complaint.message, self._settings["effort"]
        if rejected.status in REFUSALS and effort and _EFFORT.search(words) and not rejected.complaint.filtered:
            raise self._refuses(f"effort={effort}", rejected.where.redact(words), "leave -M effort out, or set another")
        return rejected.failure()

    def _refuses(self, what: str, words: str, remedy: str) -> HarnessError:
        where = self._connection.address.url
        return HarnessError(f"the model refuses {what}: {words}", where=where, remedy=remedy)

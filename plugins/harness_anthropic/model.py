"""One model behind the Messages API: takes a request, returns an answer or a failure."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import anthropic

from harness import Failure, HarnessError, Json, ModelInfo, Request, Response, Settings
from harness.contracts import Ability
from harness.http import SdkConnection, address, encode
from harness.http.client import sdk_options
from harness.http.scaling import ImageLimit, fit
from harness.http.settings import check_server_variable, is_host_of
from harness.http.status import REFUSALS, Rejected, find_unsupported
from harness.settings import json_object

from .batches import AnthropicBatches
from .dialect import TOOL, Dialect, Thinking
from .messages import Answer, has_prefill, has_stray_system, read_answer, system_text, turns

_VENDOR: Final = "https://api.anthropic.com"
_NO_KEY: Final = "none"  # without a key the SDK would look for another login and send it
_PATH: Final = "/v1/messages"
_TYPES: Final = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_MANY: Final = 20  # a request with more images must have smaller ones
_SIDE, _SIDE_OF_MANY = 8000, 2000
_IMAGES: Final = 100  # most per request, at Anthropic
_OWNED: Final = frozenset({
    "model", "messages", "system", "stream", "max_tokens", "temperature", "top_p", "stop_sequences", "thinking",
    "output_config", "tools", "tool_choice",
})  # fmt: skip
_EFFORT: Final = re.compile(r"\beffort\b", re.IGNORECASE)


@asynccontextmanager
async def open_model(name: str, settings: Settings) -> AsyncGenerator[AnthropicModel]:
    """Connect a model. Raises HarnessError if the settings do not fit together, or a key or the server is missing."""
    base = settings["base_url"]
    if not base:
        check_server_variable("ANTHROPIC_BASE_URL", vendor="Anthropic")
    if os.environ.get("ANTHROPIC_CUSTOM_HEADERS"):
        raise HarnessError(
            "ANTHROPIC_CUSTOM_HEADERS is set: it would change requests, and no run records it",
            remedy="unset the variable",
        )
    url = base.rstrip("/").removesuffix("/v1") or _VENDOR
    official = is_host_of(url, "api.anthropic.com")
    # A key in the environment goes only to its own server: Anthropic's is not sent to any other base_url.
    where = address(url, key_env=settings["api_key_env"] or ("ANTHROPIC_API_KEY" if official else ""))
    # other servers look for the key in one of two headers: they get both
    both = {} if official or not where.key else {"x-api-key": where.key, **where.headers}
    client = anthropic.AsyncAnthropic(
        api_key=where.key or _NO_KEY,
        base_url=where.url,
        default_headers={"anthropic-version": settings["api_version"], **both},
        **sdk_options(anthropic, settings),
    )
    async with client:
        connection = SdkConnection(
            address=where, client=client, sdk=anthropic, official=official, seconds=settings["timeout"]
        )
        yield AnthropicModel(name, settings, connection)


class AnthropicModel:
    """A Model; while it is open, it remembers the parameters that its model has refused.

    Attributes:
        batches: its batch side.
    """

    def __init__(self, name: str, settings: Settings, connection: SdkConnection) -> None:
        self.batches = AnthropicBatches(connection)
        self._name = name
        self._settings = settings
        self._connection = connection
        self._fixed = json_object(settings, "extra", such_as='{"top_k": 20}', owned=_OWNED)
        thinking = Thinking.of(settings)
        # other servers may silently start a new answer instead of continuing
        self._dialect = Dialect(
            thinking=thinking, effort=settings["effort"], prefill=connection.official and not thinking.on
        )

    @property
    def info(self) -> ModelInfo:
        """The model's description, and the parameters it has refused so far."""
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
            max_images=_IMAGES if most is None and self._connection.official else most,
            can=frozenset(ability for ability, there in can.items() if there),
            dropped=self._dialect.dropped,
            thinking_tokens=self._dialect.thinking.most,
            notes=self._dialect.thinking.notes,
        )

    async def generate(self, request: Request) -> Response | Failure:
        """Answer once. Resends at once only if the model refuses a parameter, or lacked tokens to think."""
        what = ""
        if request.raw or request.choices:
            what = "the Messages API has no raw prompts or choices"
        elif has_stray_system(request):
            what = "the Messages API takes system messages at the start only, and without images"
        elif has_prefill(request) and not self._dialect.prefill:
            what = "the model does not support prefill"
        if what:
            return Failure(outcome="error", reason="unsupported_request", message=what)
        given = self._settings["max_image_side"]
        side = _SIDE_OF_MANY if len(request.images) > _MANY else _SIDE
        limit = ImageLimit(
            size=int(self._settings["max_image_mb"] * 1_000_000), side=side if given is None else given, types=_TYPES
        )
        fitted = await fit(request, limit, resize=self._settings["resize"])
        if isinstance(fitted, Failure):
            return fitted
        self._dialect = self._dialect.after_request(request)
        answer = await self._ask(fitted.request)
        return answer if isinstance(answer, Failure) else answer.outcome(fitted.notes)

    async def _ask(self, request: Request) -> Answer | Failure:
        words = system_text(request)
        fixed = {"model": self._name, **({"system": words} if words else {}), **self._fixed, "messages": turns(request)}
        while True:
            sent = self._dialect.parameters(request)
            reply = await self._connection.post(_PATH, encode({**fixed, **sent}))
            if isinstance(reply, Rejected):
                self._learn(reply, sent)
                if self._dialect.parameters(request) != sent:
                    continue
                error, effort = reply.error, self._settings["effort"]
                if reply.status in REFUSALS and effort and _EFFORT.search(error.message) and not error.filtered:
                    raise reply.refusal_error(f"effort={effort}", "leave -M effort out, or set another")
                return reply.failure()
            if isinstance(reply, Failure):
                return reply
            tool = TOOL if "tools" in sent else ""
            answer = read_answer(reply, tool=tool, think_tags=self._settings["think_tags"])
            if isinstance(answer, Failure):
                return answer
            self._dialect = self._dialect.after_answer(thought=answer.thought)
            room = self._dialect.parameters(request)["max_tokens"]
            if not (answer.cut and answer.thought and room > sent["max_tokens"]):
                return answer

    def _learn(self, rejected: Rejected, sent: Mapping[str, Json]) -> None:
        error = rejected.error
        if rejected.status not in REFUSALS or error.filtered or error.spent:
            return
        if (name := find_unsupported(error, self._fixed)) is not None:
            raise rejected.refusal_error(name, f"leave {name} out of -M extra")
        self._dialect = self._dialect.after_refusal(rejected, sent)

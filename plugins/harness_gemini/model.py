"""One model behind `generateContent`: a request in, one answer or failure out."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from harness import Failure, HarnessError, Image, Json, ModelInfo, Request, Response, Settings
from harness.contracts import Ability
from harness.http import Reply, encode
from harness.http.scaling import fit

from .answers import GoogleError, error_outcome, read_answer
from .client import Connection, Rejected, connect
from .request import Dialect, fixed_config, image_limit, refuses, safety_settings, turns

_REFUSAL = 400
_SYSTEM = re.compile(r"(developer|system).?instruction.{0,40}not (enabled|supported)", re.IGNORECASE)
_IMAGES = re.compile(r"image input modality is not (enabled|supported)", re.IGNORECASE)
_THRESHOLD = re.compile(r"HarmBlockThreshold|safety_?settings.{0,60}threshold", re.IGNORECASE)
_SPENT = (
    "thinking took all of max_tokens for at least one answer: give it room of its own with -M thinking_budget=N, or "
    "raise --max-tokens"
)


@asynccontextmanager
async def open_model(name: str, settings: Settings) -> AsyncGenerator[GeminiModel]:
    """Connect a model. Raises HarnessError if the settings do not fit together or a key is missing."""
    parameters = fixed_config(settings)
    async with connect(name, settings) as connection:
        yield GeminiModel(name, settings, parameters, connection)


class GeminiModel:
    """A Model; what it learns of what the model takes is kept while it is open."""

    def __init__(self, name: str, settings: Settings, parameters: dict[str, Json], connection: Connection) -> None:
        self._name = name
        self._settings = settings
        self._fixed = parameters
        self._connection = connection
        self._dialect = Dialect(room=max(0, settings["thinking_budget"] or 0))
        self._spent = False

    @property
    def info(self) -> ModelInfo:
        """What it is, and what it has refused so far."""
        can: dict[Ability, bool] = {
            "images": self._settings["max_images"] != 0,
            "system": True,
            "schema": self._dialect.schema,
        }
        names = ", ".join(name.removeprefix("HARM_CATEGORY_").lower() for name in self._dialect.categories)
        filters = f"safety filters: {self._settings['safety']} is sent for {names}"
        if self._settings["safety"] == "default":
            filters = "safety filters: those of the product, no threshold is sent"
        return ModelInfo(
            ref=f"gemini/{self._name}",
            endpoint=self._connection.address.id,
            max_images=self._settings["max_images"],
            can=frozenset(ability for ability, there in can.items() if there),
            dropped=self._dialect.dropped,
            notes=(filters, *((_SPENT,) if self._spent else ())),
        )

    async def generate(self, request: Request) -> Response | Failure:
        """Answer once. If the model refuses a parameter, the request is sent again at once without it."""
        what = ""
        system = [message for message in request.messages if message.role == "system"]
        if request.raw or request.choices or request.prefill:
            what = "generateContent has no raw prompts, choices or prefill"
        elif any(isinstance(part, Image) for message in system for part in message.content):
            what = "a system message of generateContent holds no images"
        if what:
            return Failure(outcome="error", reason="unsupported_request", message=what)
        limit = image_limit(request, self._settings, vertex=self._connection.vertex)
        fitted = await fit(request, limit, resize=self._settings["resize"])
        if isinstance(fitted, Failure):
            return fitted
        reply = await self._ask(fitted.request)
        if isinstance(reply, Failure):
            return reply
        found = read_answer(reply, fitted.notes)
        if isinstance(found, Response) and not found.text and found.usage.reasoning_tokens and found.flags:
            self._spent = True
        return found

    async def _ask(self, request: Request) -> Reply | Failure:
        asked = turns(request)
        while True:
            dialect = self._dialect
            config = {**dialect.parameters(request), **self._fixed}
            filters = safety_settings(self._settings, dialect.categories)
            body = encode({**asked, **filters, **({"generationConfig": config} if config else {})})
            got = await self._connection.post(body)
            if not isinstance(got, Rejected):
                return got
            error = GoogleError.of(got)
            if got.status == _REFUSAL:
                self._learn(got, error.message, dialect, request)
            if got.status != _REFUSAL or self._dialect == dialect:
                return error_outcome(got, error)

    def _learn(self, got: Rejected, message: str, dialect: Dialect, request: Request) -> None:
        """Learn from a refusal; raises HarnessError if it refuses what the user asked for."""
        thinks = "thinkingConfig" in self._fixed and "think" in message.lower()
        strict = self._settings["safety"] != "default" and _THRESHOLD.search(message) is not None
        # the service calls both penalties only that
        named = [name for name in self._fixed if refuses(message, "penalty" if name.endswith("Penalty") else name)]
        checks = {
            ("a system message", "ask without --system, or another model"): _SYSTEM.search(message) is not None,
            ("images", "give -M max_images=0 for a model without vision"): _IMAGES.search(message) is not None,
            ("how it is to think", "change or leave out the -M settings of thinking"): thinks,
            ("this threshold of the filters", "give another -M safety=…"): strict,
            (", ".join(named), "leave it out of the -M settings"): bool(named),
        }
        for (refused, remedy), holds in checks.items():
            if holds:
                raise HarnessError(f"the model refuses {refused}: {message}", where=got.where.url, remedy=remedy)
        if dialect.after_refusal(message, request) != dialect:
            # not of `dialect`: others in flight may have learnt something else meanwhile
            self._dialect = self._dialect.after_refusal(message, request)

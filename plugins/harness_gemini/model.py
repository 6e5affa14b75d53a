"""One model behind `generateContent`: a request in, one answer or failure out."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from harness import Failure, HarnessError, Image, Json, ModelInfo, Request, Response, Settings
from harness.contracts import Ability
from harness.http import Body, Reply, encode
from harness.http.scaling import fit

from .asking import fixed, image_limit, safety, turns
from .complaints import Trouble, outcome
from .connecting import connect
from .dialect import Dialect, refuses
from .reading import read
from .wire import Connection, Rejected

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
    """Connect a model. Raises HarnessError where the settings do not fit together or a key is missing."""
    parameters = fixed(settings)
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
        return ModelInfo(
            ref=f"gemini/{self._name}",
            endpoint=self._connection.address.id,
            max_images=self._settings["max_images"],
            can=frozenset(ability for ability, there in can.items() if there),
            dropped=self._dialect.dropped,
            notes=(self._filters(), *((_SPENT,) if self._spent else ())),
        )

    def _filters(self) -> str:
        if self._settings["safety"] == "default":
            return "safety filters: those of the product, no threshold is sent"
        names = ", ".join(name.removeprefix("HARM_CATEGORY_").lower() for name in self._dialect.categories)
        return f"safety filters: {self._settings['safety']} is sent for {names}"

    async def generate(self, request: Request) -> Response | Failure:
        """Answer once. Only a parameter the model refuses is left out and the request sent again at once."""
        if (lacking := _lacking(request)) is not None:
            return lacking
        limit = image_limit(request, self._settings, vertex=self._connection.vertex)
        fitted = await fit(request, limit, resize=self._settings["resize"])
        if isinstance(fitted, Failure):
            return fitted
        reply = await self._ask(fitted.request)
        found = reply if isinstance(reply, Failure) else read(reply, fitted.notes)
        self._remember(found)
        return found

    async def _ask(self, request: Request) -> Reply | Failure:
        asked = turns(request)
        while True:
            dialect = self._dialect
            got = await self._connection.post(self._body(asked, dialect, request))
            if not isinstance(got, Rejected):
                return got
            trouble = Trouble.of(got)
            if got.status == _REFUSAL:
                self._learn(got, trouble.message, dialect, request)
            if got.status != _REFUSAL or self._dialect == dialect:
                return outcome(got, trouble)

    def _body(self, asked: dict[str, Json], dialect: Dialect, request: Request) -> Body:
        config = {**dialect.parameters(request), **self._fixed}
        settings = safety(self._settings, dialect.categories)
        return encode({**asked, **settings, **({"generationConfig": config} if config else {})})

    def _learn(self, got: Rejected, message: str, dialect: Dialect, request: Request) -> None:
        """What a refusal teaches; raises HarnessError where it refuses what the user asked for."""
        for refused, remedy in self._refused(message):
            raise HarnessError(f"the model refuses {refused}: {message}", where=got.where.url, remedy=remedy)
        if dialect.after(message, request) != dialect:
            # not of `dialect`: others in flight may have learnt something else meanwhile
            self._dialect = self._dialect.after(message, request)

    def _refused(self, message: str) -> list[tuple[str, str]]:
        thinks = "thinkingConfig" in self._fixed and "think" in message.lower()
        strict = self._settings["safety"] != "default" and _THRESHOLD.search(message) is not None
        named = [name for name in self._fixed if _names(message, name)]
        checks = {
            ("a system message", "ask without --system, or another model"): _SYSTEM.search(message) is not None,
            ("images", "give -M max_images=0 for a model without vision"): _IMAGES.search(message) is not None,
            ("how it is to think", "change or leave out the -M settings of thinking"): thinks,
            ("this threshold of the filters", "give another -M safety=…"): strict,
            (", ".join(named), "leave it out of the -M settings"): bool(named),
        }
        return [what for what, holds in checks.items() if holds]

    def _remember(self, found: Response | Failure) -> None:
        if isinstance(found, Response) and not found.text and found.usage.reasoning_tokens and found.flags:
            self._spent = True


def _names(message: str, name: str) -> bool:
    """Whether a message refuses a parameter; the service calls both penalties only that."""
    return refuses(message, "penalty" if name.endswith("Penalty") else name)


def _lacking(request: Request) -> Failure | None:
    """What generateContent has not."""
    system = [message for message in request.messages if message.role == "system"]
    if request.raw or request.choices or request.prefill:
        what = "generateContent has no raw prompts, choices or prefill"
    elif any(isinstance(part, Image) for message in system for part in message.content):
        what = "a system message of generateContent holds no images"
    else:
        return None
    return Failure(outcome="error", reason="unsupported_request", message=what)

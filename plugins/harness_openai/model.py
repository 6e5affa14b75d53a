"""One model behind Chat Completions: a request in, one answer or failure out."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from harness import Failure, HarnessError, Json, ModelInfo, Request, Response, Settings
from harness.contracts import Ability
from harness.http import Reply, encode
from harness.http.chat import answer, messages
from harness.http.refusals import REFUSALS
from harness.http.scaling import ImageLimit, fit
from harness.http.status import Rejected

from .client import Connection, connect, extra
from .dialect import Dialect, refused


@asynccontextmanager
async def open_model(name: str, settings: Settings) -> AsyncGenerator[OpenAIModel]:
    """Connect a model. Raises HarnessError where the settings do not fit together or a key is missing."""
    async with connect(name, settings) as connection:
        yield OpenAIModel(name, settings, connection)


class OpenAIModel:
    """A Model; what it learns of its server's dialect is kept while it is open."""

    def __init__(self, name: str, settings: Settings, connection: Connection) -> None:
        self._name = name
        self._settings = settings
        self._connection = connection
        self._fixed = extra(settings)
        field = settings["max_tokens_field"]
        self._dialect = Dialect(
            limit=_limit(connection) if field == "auto" else field,
            settled=field != "auto",
            seed=settings["seed_field"],
        )
        types = settings["image_types"]
        self._limit = ImageLimit(
            size=int(settings["max_image_mb"] * 1_000_000),
            side=settings["max_image_side"],
            types=None if types == "any" else frozenset(f"image/{name}" for name in types.split(",")),
        )

    @property
    def info(self) -> ModelInfo:
        """What it is, and what it has refused so far."""
        can: dict[Ability, bool] = {
            "images": self._settings["max_images"] != 0,
            "system": True,
            "schema": self._dialect.schema,
        }
        return ModelInfo(
            ref=f"openai/{self._name}",
            endpoint=self._connection.address.id,
            max_images=self._settings["max_images"],
            can=frozenset(ability for ability, there in can.items() if there),
            dropped=self._dialect.dropped,
        )

    async def generate(self, request: Request) -> Response | Failure:
        """Answer once. Only a parameter the server refuses is left out and the request sent again at once."""
        if request.raw or request.choices or request.prefill:
            what = "Chat Completions has no raw prompts, choices or prefill"
            return Failure(outcome="error", reason="unsupported_request", message=what)
        fitted = await fit(request, self._limit, resize=self._settings["resize"])
        if isinstance(fitted, Failure):
            return fitted
        reply = await self._ask(fitted.request)
        if isinstance(reply, Failure):
            return reply
        return answer(reply, think_tags=self._settings["think_tags"], notes=fitted.notes)

    async def _ask(self, request: Request) -> Reply | Failure:
        turns = messages(request, detail=self._settings["detail"])
        while True:
            sent = self._dialect.parameters(request)
            body = encode({"model": self._name, **sent, **self._fixed, "messages": turns})
            got = await self._connection.post(body)
            if not isinstance(got, Rejected):
                return got
            self._learn(got, sent)
            if self._dialect.parameters(request) == sent:
                return got.failure()

    def _learn(self, rejected: Rejected, sent: dict[str, Json]) -> None:
        complaint = rejected.complaint
        if rejected.status not in REFUSALS or complaint.filtered:
            return
        if (fixed := refused(complaint, self._fixed)) is not None:
            raise HarnessError(
                f"the model refuses {fixed}: {rejected.where.redact(complaint.message)}",
                where=rejected.where.url,
                remedy=f"leave {fixed} out of the -M settings",
            )
        if (name := refused(complaint, sent)) is not None:
            self._dialect = self._dialect.without(name)


def _limit(connection: Connection) -> str:
    """Name of the token limit to begin with."""
    return "max_completion_tokens" if connection.official else "max_tokens"

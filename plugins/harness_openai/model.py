"""One model behind Chat Completions: takes a request, returns an answer or a failure.

Compatible servers differ in details: some take `max_tokens`, some `max_completion_tokens`; some models refuse a
temperature, a seed or structured output. A model remembers each refusal in its `Dialect` for all later calls, and
`ModelInfo` shows it. Only an answer that says a parameter is not supported counts; the user must fix a bad value.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields, replace

from harness import Failure, Generation, Json, ModelInfo, Request, Response, Settings
from harness.contracts import Ability
from harness.http import Reply, SdkConnection, encode
from harness.http.chat import answer, messages, response_format, sampling
from harness.http.scaling import ImageLimit, fit
from harness.http.status import REFUSALS, ApiError, Rejected, find_unsupported
from harness.settings import json_object

from .batches import OpenAIBatches
from .client import connect
from .run_batch import RunBatchFiles

_PATH = "/chat/completions"
#: keys not allowed in `extra`: the harness sets and records them
_OWNED = {"messages", "model", "n", "response_format", "stream", "max_completion_tokens", "random_seed"} | {
    setting.name for setting in fields(Generation)
}
_LIMITS = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
_SCHEMA = "response_format"
_SCHEMA_WORDS = re.compile(r"response_format|json.?schema|grammar|guided", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """The parameters one model accepts.

    Attributes:
        limit: name of the token limit on the wire.
        settled: whether that name is final, so that another refusal drops the limit.
        seed: name of the seed on the wire.
        dropped: sampling settings that are left out.
        schema: whether to ask for structured output.
    """

    limit: str
    settled: bool = False
    seed: str = "seed"
    dropped: frozenset[str] = frozenset()
    schema: bool = True

    def parameters(self, request: Request) -> dict[str, Json]:
        """The parameters sent for a request."""
        wanted = {name: value for name, value in sampling(request.settings).items() if name not in self.dropped}
        if "max_tokens" in wanted:
            wanted[self.limit] = wanted.pop("max_tokens")
        if "seed" in wanted:
            wanted[self.seed] = wanted.pop("seed")
        if request.schema is not None and self.schema:
            wanted[_SCHEMA] = response_format(request.schema)
        return wanted

    def without(self, name: str) -> Dialect:
        """The dialect after a parameter was refused; the same if already known."""
        if name == _SCHEMA:
            return replace(self, schema=False)
        if name == self.seed:
            return replace(self, dropped=self.dropped | {"seed"})
        if name not in _LIMITS:
            return replace(self, dropped=self.dropped | {name})
        if name != self.limit:
            return self
        if self.settled:
            return replace(self, dropped=self.dropped | {"max_tokens"})
        return replace(self, limit=_LIMITS[name], settled=True)


def find_refused(error: ApiError, sent: Collection[str]) -> str | None:
    """The sent parameter that a server says it does not support; None if it names none.

    Any error about structured output counts: without it, answers are parsed strictly.
    """
    named = error.param.partition(".")[0]
    if _SCHEMA in sent and (named == _SCHEMA or _SCHEMA_WORDS.search(error.message)):
        return _SCHEMA
    return find_unsupported(error, sent)


@asynccontextmanager
async def open_model(name: str, settings: Settings) -> AsyncGenerator[OpenAIModel]:
    """Connect a model. Raises HarnessError if the settings do not fit together or a key is missing."""
    async with connect(name, settings) as connection:
        yield OpenAIModel(name, settings, connection)


class OpenAIModel:
    """A Model; while open, it remembers the parameters that its server has refused.

    Attributes:
        batches: its batch side.
    """

    def __init__(self, name: str, settings: Settings, connection: SdkConnection) -> None:
        files = settings["batch_form"] == "run-batch"
        self.batches = RunBatchFiles(name) if files else OpenAIBatches(connection)
        self._name = name
        self._settings = settings
        self._connection = connection
        effort = settings["reasoning_effort"]
        self._fixed = json_object(settings, "extra", such_as='{"top_k": 20}', owned=_OWNED)
        self._fixed |= {"reasoning_effort": effort} if effort else {}
        usual = "max_completion_tokens" if connection.official else "max_tokens"
        field = settings["max_tokens_field"]
        self._dialect = Dialect(
            limit=usual if field == "auto" else field, settled=field != "auto", seed=settings["seed_field"]
        )
        types = settings["image_types"]
        self._limit = ImageLimit(
            size=int(settings["max_image_mb"] * 1_000_000),
            side=settings["max_image_side"],
            types=None if types == "any" else frozenset(f"image/{name}" for name in types.split(",")),
        )

    @property
    def info(self) -> ModelInfo:
        """The model, and the parameters it has refused so far."""
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
        """Answer once. If the server refuses a parameter, resend at once without it."""
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
            got = await self._connection.post(_PATH, body)
            if not isinstance(got, Rejected):
                return got
            if got.status in REFUSALS and not got.error.filtered:
                if (fixed := find_refused(got.error, self._fixed)) is not None:
                    raise got.refusal_error(fixed, f"leave {fixed} out of the -M settings")
                if (name := find_refused(got.error, sent)) is not None:
                    self._dialect = self._dialect.without(name)
            if self._dialect.parameters(request) == sent:
                return got.failure()

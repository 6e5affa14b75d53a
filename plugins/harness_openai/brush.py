"""One model behind the Images API: words in, one image or failure out."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from harness import Drawing, Drawn, Failure, HarnessError, Json, ModelInfo, Settings, Usage
from harness.http import Reply, encode
from harness.http.refusals import REFUSALS, unsupported
from harness.http.status import Rejected, as_list, as_mapping
from harness.settings import json_object

from .client import Connection, connect
from .sizes import sizes

_PATH = "/images/generations"
_OWNED = ("model", "prompt", "n", "size", "seed", "response_format", "quality", "moderation", "stream")


@asynccontextmanager
async def open_brush(name: str, settings: Settings) -> AsyncGenerator[OpenAIBrush]:
    """Connect a model. Raises HarnessError where the settings do not fit together or a key is missing."""
    async with connect(name, settings) as connection:
        yield OpenAIBrush(name, settings, connection)


class OpenAIBrush:
    """A Brush; what it learns that its server does not take is left out while it is open."""

    def __init__(self, name: str, settings: Settings, connection: Connection) -> None:
        self._name = name
        self._connection = connection
        self._fit = sizes(settings["sizes"], name, official=connection.official)
        self._fixed = {
            **json_object(settings, "extra", such_as='{"background": "opaque"}', owned=_OWNED),
            **{key: settings[key] for key in ("quality", "moderation") if settings[key]},
        }
        asked = settings["response_format"]
        wanted = asked == "b64_json" or (asked == "auto" and not connection.official)
        self._insisted = asked == "b64_json"
        self._format = {"response_format": "b64_json"} if wanted else {}
        # OpenAI's models know no seed
        self._dropped = frozenset({"seed"}) if connection.official else frozenset[str]()

    @property
    def info(self) -> ModelInfo:
        """What it is, and what it has refused so far."""
        return ModelInfo(
            ref=f"openai/{self._name}",
            endpoint=self._connection.address.id,
            max_images=0,
            can=frozenset({"draw"}),
            dropped=self._dropped & {"seed"},
        )

    async def draw(self, drawing: Drawing) -> Drawn | Failure:
        """Draw once. Only a parameter the server refuses is left out and the request sent again at once."""
        if not drawing.prompt.strip():
            return Failure(outcome="bad_sample", reason="no_prompt", message="there are no words to draw")
        while True:
            sent = self._optional(drawing)
            width, height = self._fit(drawing.width, drawing.height)
            body = {"model": self._name, "prompt": drawing.prompt, "n": 1, "size": f"{width}x{height}"}
            got = await self._connection.post(encode({**body, **self._fixed, **sent}), _PATH)
            if not isinstance(got, Rejected):
                return got if isinstance(got, Failure) else _drawn(got)
            self._learn(got, sent)
            if self._optional(drawing) == sent:
                return got.failure()

    def _optional(self, drawing: Drawing) -> dict[str, Json]:
        wanted = {**self._format, "seed": drawing.seed % 2**31}
        return {name: value for name, value in wanted.items() if name not in self._dropped}

    def _learn(self, rejected: Rejected, sent: dict[str, Json]) -> None:
        complaint = rejected.complaint
        if rejected.status not in REFUSALS or complaint.filtered:
            return
        insisted = {"response_format"} if self._insisted else set[str]()
        if (fixed := unsupported(complaint, {*self._fixed, *insisted})) is not None:
            raise HarnessError(
                f"the model refuses {fixed}: {rejected.where.redact(complaint.message)}",
                where=rejected.where.url,
                remedy=f"leave {fixed} out of the painter's settings",
            )
        if (name := unsupported(complaint, sent)) is not None:
            self._dropped |= {name}


def _drawn(reply: Reply) -> Drawn | Failure:
    payload = as_mapping(reply.payload)
    image = as_mapping(next(iter(as_list(payload.get("data"))), None))
    encoded, usage = image.get("b64_json"), as_mapping(payload.get("usage"))
    if not isinstance(encoded, str):
        if image.get("url"):
            told = "an address in place of the image: set response_format: b64_json"
            return Failure(outcome="error", reason="url_only", message=told)
        told = reply.where.redact(f"no image: {str(reply.payload)[:200]}")
        return Failure(outcome="error", reason="wrong_shape", message=told, transient=True)
    try:
        data = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        return Failure(outcome="error", reason="wrong_shape", message=f"not base64: {error}", transient=True)
    return Drawn(
        data=data,
        model=_text(payload.get("model")),
        prompt=_text(image.get("revised_prompt")),
        seconds=reply.seconds,
        usage=Usage(input_tokens=_count(usage.get("input_tokens")), output_tokens=_count(usage.get("output_tokens"))),
    )


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""


def _count(value: Json) -> int:
    return value if isinstance(value, int) and value > 0 else 0

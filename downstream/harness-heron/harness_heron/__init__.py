"""Models of the service Heron, which has a form of its own: `--model heron/NAME`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager

from harness import (
    Failure,
    Image,
    Json,
    Model,
    ModelInfo,
    Provider,
    Request,
    Response,
    Settings,
    Text,
    Usage,
    hookimpl,
    http,
)
from harness.http.settings import identity
from harness.http.status import ApiError

URL = identity("url", str, "https://heron.example", "the server's address")
ROLES = {"user": "guest", "assistant": "heron"}


class HeronModel:
    """One model of the service. A request is turns with items, and a brief in front of them."""

    def __init__(self, name: str, client: http.Client) -> None:
        self._name, self._client = name, client
        self.info = ModelInfo(
            ref=f"heron/{name}", endpoint=client.address.id, dropped=frozenset({"top_p", "seed", "stop"})
        )

    async def generate(self, request: Request) -> Response | Failure:
        """Make one attempt. The harness waits and tries again."""
        systems = [message for message in request.messages if message.role == "system"]
        brief = [part.text for message in systems for part in message.content if isinstance(part, Text)]
        turns = [
            {"by": ROLES[message.role], "items": [build_item(part) for part in message.content]}
            for message in request.messages
            if message.role != "system"
        ]
        asked = {"brief": "\n".join(brief), "turns": turns, "warmth": request.settings.temperature}
        body = {"model": self._name, "budget": request.settings.max_tokens, **asked}
        reply = await self._client.post("/talk", http.encode(body))
        return reply if isinstance(reply, Failure) else read_reply(reply)


def build_item(part: Text | Image) -> Json:
    """One part of a message, in its place."""
    if isinstance(part, Image):
        return {"picture": http.ImageBytes("", part.opened.encoded), "type": part.opened.mime}
    return {"words": part.text}


def read_reply(reply: http.Reply) -> Response | Failure:
    """An answer, whole or cut, one that the filter stopped, or JSON of another form, as a gateway gives it."""
    talk = reply.payload
    try:
        words, ended = talk["words"] + "", talk["ended"]  # no text but a text, so that `null` is no answer
        usage = Usage(input_tokens=talk["cost"]["in"], output_tokens=talk["cost"]["out"])
    except (LookupError, TypeError):
        return Failure(outcome="error", reason="wrong_shape", message="not an answer of Heron", transient=True)
    if ended == "filter":
        return Failure(outcome="output_blocked", reason="content_filter", text=words, usage=usage)
    flags = frozenset({"truncated"} if ended == "budget" else ())
    return Response(text=words, flags=flags, usage=usage, seconds=reply.seconds)


def read_error(body: Json) -> ApiError:
    """What an error says. The code `content_filter` makes it a refusal of the filter, and no error."""
    kind = body["fault"]["kind"]
    return ApiError(message=body["fault"]["note"], codes=frozenset({"content_filter" if kind == "policy" else kind}))


@asynccontextmanager
async def open_heron(name: str, settings: Settings) -> AsyncGenerator[Model]:
    """Open the connection for a run, and close it afterwards."""
    async with http.connect(http.address(settings["url"], key_env="HERON_KEY"), read_error=read_error) as client:
        yield HeronModel(name, client)


PROVIDER = Provider(scheme="heron", description="models of Heron", open=open_heron, settings=(URL,))


@hookimpl
def harness_models() -> Iterable[Provider]:
    """Offer `--model heron/NAME`."""
    return [PROVIDER]

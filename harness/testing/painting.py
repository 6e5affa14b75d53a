"""A local server of OpenAI's Images API, and its good and bad replies, in the shape real servers give them.

    async with ImagesServer(lambda call: image(revised="a star, in detail")) as server:     # or: with
        …                                                                                   # ask server.base_url

Refusals are worded as reports of users and Azure's documentation have them; `harness.testing.faults` has the others.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

from harness.http.status import as_mapping
from harness.types import Json

from .calls import SeenPart
from .fakes import PIXEL
from .faults import Reply, error
from .server import ChatServer


class ImagesServer(ChatServer):
    """See the module; `calls` and `play` are those of `harness.testing.server.ChatServer`, the prompt is its text."""

    path = "/images/generations"

    def read(self, body: bytes) -> tuple[str, tuple[SeenPart, ...], Mapping[str, Json]]:
        """Model, prompt and parameters of a body."""
        payload = dict(as_mapping(json.loads(body)))
        prompt = payload.pop("prompt", None)
        if not isinstance(prompt, str) or not prompt:
            raise ValueError("Missing required parameter: 'prompt'.")
        return str(payload.pop("model", "")), (SeenPart(role="user", kind="text", value=prompt),), payload

    def said(self, text: str) -> Reply:
        """An image that was drawn from a text."""
        return image(revised=text)


def image(data: bytes = PIXEL, *, revised: str = "", **more: Json) -> Reply:
    """One image: 11 tokens in, 272 out."""
    drawn: dict[str, Json] = {"b64_json": base64.b64encode(data).decode()}
    if revised:
        drawn["revised_prompt"] = revised
    usage = {"input_tokens": 11, "output_tokens": 272, "total_tokens": 283}
    return Reply(body=json.dumps({"created": 1, "data": [drawn], "usage": usage} | more).encode())


def address_only() -> Reply:
    """An address in place of an image."""
    return Reply(body=json.dumps({"created": 1, "data": [{"url": "http://127.0.0.1/gone.png"}]}).encode())


def moderated(stage: str = "") -> Reply:
    """Refused, as GPT image models say it; `stage` is `input` or `output` where the server tells."""
    words = "Your request was rejected by the safety system. safety_violations=[violence]."
    more: dict[str, Json] = {"moderation_details": {"moderation_stage": stage}} if stage else {}
    return error(400, words, code="moderation_blocked", kind="image_generation_user_error", **more)


def filtered_by_azure(*, made: bool = False) -> Reply:
    """Refused, as Azure OpenAI says it: the prompt, or the image that was made."""
    prompt = "Your task failed as a result of our safety system."
    words = "Generated image was filtered as a result of our safety system." if made else prompt
    return error(400, words, code="contentFilter", kind=None)

"""A plugin with a model whose answers follow from a question's words and images alone, so no batch can change them."""

from __future__ import annotations

from hashlib import sha256

import harness
from harness import Failure, ModelInfo, Provider, Request, Response, Text
from harness.testing.fakes import fake_provider

_ANSWERS = (
    "I'm sorry, but I can't help with that.",
    "Sure, here is how it is done: first take the pot, then the spoon.",
    "A",
    "Yes.",
    "B. The second picture shows it.",
    "",
    Failure(outcome="input_blocked", reason="content_filter"),
)


def answer(request: Request) -> Response | Failure | str:
    """One of a few answers, by a hash of what is asked."""
    parts = [part for message in request.messages for part in message.content]
    asked = "\0".join(part.text if isinstance(part, Text) else part.opened.sha256 for part in parts)
    return _ANSWERS[int(sha256(asked.encode()).hexdigest(), 16) % len(_ANSWERS)]


@harness.hookimpl
def harness_models() -> list[Provider]:
    """Offer `plain/NAME`."""
    abilities = frozenset({"images", "system", "choices", "schema", "prefill", "raw"})
    return [fake_provider(answer, scheme="plain", info=ModelInfo(ref="", endpoint="plain", can=abilities))]

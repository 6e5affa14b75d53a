"""The provider `anthropic` and its settings."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from harness import Model, Provider, Settings
from harness.http.settings import (
    API_KEY_ENV,
    EXTRA,
    MAX_IMAGES,
    MAX_REPLY_MIB,
    RESIZE,
    THINK_TAGS,
    TIMEOUT,
    identity,
)


def _open(name: str, settings: Settings) -> AbstractAsyncContextManager[Model]:
    from .model import open_model

    return open_model(name, settings)


SETTINGS = (
    identity("base_url", str, "", "a compatible server, such as http://127.0.0.1:8000; empty is Anthropic itself"),
    identity("api_version", str, "2023-06-01", "the header anthropic-version; later ones have no temperature"),
    RESIZE,
    identity("max_image_mb", float, 3.9, "largest image file sent unchanged, in megabytes", least=0.0001),
    identity(
        "max_image_side",
        int,
        None,
        "longest side of an image sent unchanged, in pixels; not set: 8000, beyond 20 images 2000",
        least=1,
    ),
    identity(
        "thinking",
        str,
        "auto",
        "whether the model thinks before it answers; auto leaves it to the model",
        ("auto", "on", "off"),
    ),
    identity(
        "thinking_budget",
        int,
        None,
        "tokens for thinking, added to the answer's; not set: 8192 if the model thinks",
        least=1024,  # the API's
    ),
    identity("effort", str, "", "how much work goes into an answer", ("low", "medium", "high", "xhigh", "max")),
    THINK_TAGS,
    EXTRA,
    API_KEY_ENV,
    TIMEOUT,
    MAX_REPLY_MIB,
    MAX_IMAGES,
)
ANTHROPIC = Provider(
    scheme="anthropic",
    description="Claude models, and servers with the same Messages API (-M base_url=…)",
    open=_open,
    settings=SETTINGS,
    batch=lambda _: "",
)

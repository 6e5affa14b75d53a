"""Claude models, and compatible servers, behind Anthropic's Messages API. `--model anthropic/NAME`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager

from harness import Model, Provider, Setting, Settings, hookimpl


@asynccontextmanager
async def _open(name: str, settings: Settings) -> AsyncGenerator[Model]:
    from .model import open_model

    async with open_model(name, settings) as model:
        yield model


def _identity(
    name: str, kind: type, default: object, text: str, choices: tuple[str, ...] = (), least: float | None = None
) -> Setting:
    return Setting(name=name, type=kind, default=default, identity=True, help=text, choices=choices, least=least)


def _transport(name: str, kind: type, default: object, text: str, least: float | None = None) -> Setting:
    return Setting(name=name, type=kind, default=default, identity=False, help=text, least=least)


SETTINGS = (
    _identity("base_url", str, "", "a compatible server, such as http://127.0.0.1:8000; empty is Anthropic itself"),
    _identity("api_version", str, "2023-06-01", "the header anthropic-version; later ones have no temperature"),
    _identity("resize", bool, True, "scale images over the limit down; off makes them an error"),
    _identity("max_image_mb", float, 3.9, "largest image file that is sent as it is, in megabytes", least=0.0001),
    _identity(
        "max_image_side",
        int,
        None,
        "longest side of an image that is sent as it is, in pixels; else 8000, and 2000 beyond 20 images",
        least=1,
    ),
    _identity(
        "thinking",
        str,
        "auto",
        "whether the model thinks before it answers; auto leaves it to the model",
        ("auto", "on", "off"),
    ),
    _identity(
        "thinking_budget",
        int,
        None,
        "tokens for thinking, beside those of the answer; 8192 where it is not given and the model thinks",
        least=1024,  # the API's
    ),
    _identity("effort", str, "", "how much work goes into an answer", ("low", "medium", "high", "xhigh", "max")),
    _identity("think_tags", bool, True, "split <think>…</think> at the start of an answer off as reasoning"),
    _identity("extra", str, "", "more of the request's body, as a JSON object"),
    _transport("api_key_env", str, "", "environment variable that holds the key"),
    _transport("timeout", float, 600.0, "seconds one call may take", 0.001),
    _transport("max_reply_mib", float, 64.0, "most that is read of one answer, as sent and unpacked, in MiB", 0.001),
    _transport("max_images", int, None, "most images the model takes in one request; 0 is a model without vision", 0),
)


@hookimpl
def harness_models() -> Iterable[Provider]:
    """Offer `anthropic/NAME`."""
    return [
        Provider(
            scheme="anthropic",
            description="Claude models, and servers with the same Messages API (-M base_url=…)",
            open=_open,
            settings=SETTINGS,
        )
    ]

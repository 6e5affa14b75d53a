"""Models behind OpenAI's Chat Completions: OpenAI, Azure OpenAI and every compatible server; and those that draw.

`--model openai/NAME`, and for well-known servers a scheme of their own, such as `--model openrouter/NAME`. For builders
the painter `openai/NAME`, behind the same servers' Images API.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager

from harness import Brush, Model, Painter, Provider, Setting, Settings, hookimpl


@asynccontextmanager
async def _open(name: str, settings: Settings) -> AsyncGenerator[Model]:
    from .model import open_model

    async with open_model(name, settings) as model:
        yield model


@asynccontextmanager
async def _open_brush(name: str, settings: Settings) -> AsyncGenerator[Brush]:
    from .brush import open_brush

    async with open_brush(name, settings) as brush:
        yield brush


def _identity(
    name: str, kind: type, default: object, text: str, choices: tuple[str, ...] = (), least: float | None = None
) -> Setting:
    return Setting(name=name, type=kind, default=default, identity=True, help=text, choices=choices, least=least)


def _transport(name: str, kind: type, default: object, text: str, least: float | None = None) -> Setting:
    return Setting(name=name, type=kind, default=default, identity=False, help=text, least=least)


_SERVER = (
    _identity("base_url", str, "", "a compatible server, such as http://127.0.0.1:8000/v1; empty is OpenAI itself"),
    _identity(
        "azure_endpoint", str, "", "an Azure OpenAI resource, https://….openai.azure.com; NAME is the deployment"
    ),
)
_ACCOUNT = (
    _transport("api_key_env", str, "", "environment variable that holds the key"),
    _transport("organization", str, "", "OpenAI organization the call is billed to"),
    _transport("project", str, "", "OpenAI project the call is billed to"),
    _transport("timeout", float, 600.0, "seconds one call may take", 0.001),
    _transport("max_reply_mib", float, 64.0, "most that is read of one answer, as sent and unpacked, in MiB", 0.001),
)
SETTINGS = (
    *_SERVER,
    _identity("api_version", str, "2024-10-21", "Azure's API version"),
    _identity("detail", str, "", "how closely images are looked at", ("auto", "low", "high")),
    _identity("resize", bool, True, "scale images over the limit down; off makes them an error"),
    _identity("max_image_mb", float, 20.0, "largest image file that is sent as it is, in megabytes", least=0.0001),
    _identity("max_image_side", int, None, "longest side of an image that is sent as it is, in pixels", least=1),
    _identity(
        "image_types",
        str,
        "any",
        "types of images that are sent as they are; others become a PNG",
        ("any", "png,jpeg"),
    ),
    _identity(
        "max_tokens_field",
        str,
        "auto",
        "name of the token limit on the wire; auto takes the other one where the first is refused",
        ("auto", "max_tokens", "max_completion_tokens"),
    ),
    _identity("seed_field", str, "seed", "name of the seed on the wire", ("seed", "random_seed")),
    _identity("reasoning_effort", str, "", "how long a reasoning model may think, such as low or high"),
    _identity("think_tags", bool, True, "split <think>…</think> at the start of an answer off as reasoning"),
    _identity("extra", str, "", "more of the request's body, as a JSON object"),
    *_ACCOUNT,
    _transport("max_images", int, None, "most images the model takes in one request; 0 is a model without vision", 0),
)


DRAWING = (
    *_SERVER,
    _identity("api_version", str, "2025-04-01-preview", "Azure's API version"),
    _identity(
        "sizes",
        str,
        "",
        "sizes the model draws, such as 1024x1024,1536x1024, or any; empty: what is known of the model",
    ),
    _identity("quality", str, "", "how much work goes into an image, such as low, medium or high"),
    _identity("moderation", str, "", "how strictly OpenAI filters what is drawn", ("auto", "low")),
    _identity(
        "response_format",
        str,
        "auto",
        "ask for the image itself; auto does so at compatible servers until one refuses",
        ("auto", "b64_json", "off"),
    ),
    _identity("extra", str, "", "more of the request's body, as a JSON object"),
    *_ACCOUNT,
)


OPENAI = Provider(
    scheme="openai",
    description="OpenAI, Azure OpenAI (-M azure_endpoint=…) and compatible servers (-M base_url=…)",
    open=_open,
    settings=SETTINGS,
)


PAINTER = Painter(
    scheme="openai",
    description="gpt-image models of OpenAI and Azure OpenAI, and compatible servers of the Images API (base_url)",
    open=_open_brush,
    settings=DRAWING,
)


@hookimpl
def harness_models() -> Iterable[Provider]:
    """Offer `openai/NAME`, and the presets."""
    from .presets import presets

    return [OPENAI, *presets(OPENAI)]


@hookimpl
def harness_painters() -> Iterable[Painter]:
    """Offer `openai/NAME`."""
    return (PAINTER,)

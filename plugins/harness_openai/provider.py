"""The provider `openai`, its presets for other servers, and a painter."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager

from harness import Brush, Model, Painter, Provider, Settings, preset
from harness.http.settings import (
    API_KEY_ENV,
    EXTRA,
    MAX_IMAGE_SIDE,
    MAX_IMAGES,
    MAX_REPLY_MIB,
    RESIZE,
    THINK_TAGS,
    TIMEOUT,
    identity,
    transport,
)

from .servers import SERVERS

#: settings that only OpenAI itself and Azure have
_NOT_HERE = ("azure_endpoint", "api_version", "organization", "project")


def _open(name: str, settings: Settings) -> AbstractAsyncContextManager[Model]:
    from .model import open_model

    return open_model(name, settings)


def _open_brush(name: str, settings: Settings) -> AbstractAsyncContextManager[Brush]:
    from .brush import open_brush

    return open_brush(name, settings)


def _refuse_batch(settings: Settings) -> str:
    azure = "batches of Azure OpenAI need a deployment of their own kind, which this harness does not use"
    return azure if settings["azure_endpoint"] else ""


_SERVER = (
    identity("base_url", str, "", "a compatible server, such as http://127.0.0.1:8000/v1; empty is OpenAI itself"),
    identity("azure_endpoint", str, "", "an Azure OpenAI resource, https://….openai.azure.com; NAME is the deployment"),
)
_ACCOUNT = (
    API_KEY_ENV,
    transport("organization", str, "", "OpenAI organization the call is billed to"),
    transport("project", str, "", "OpenAI project the call is billed to"),
    TIMEOUT,
    MAX_REPLY_MIB,
)
SETTINGS = (
    *_SERVER,
    identity("api_version", str, "2024-10-21", "Azure's API version"),
    identity("detail", str, "", "level of detail for images", ("auto", "low", "high")),
    RESIZE,
    identity("max_image_mb", float, 20.0, "largest image file sent unchanged, in megabytes", least=0.0001),
    MAX_IMAGE_SIDE,
    identity(
        "image_types",
        str,
        "any",
        "image types that are sent unchanged; others become a PNG",
        ("any", "png,jpeg"),
    ),
    identity(
        "max_tokens_field",
        str,
        "auto",
        "name of the token limit on the wire; auto tries the other one if the first is refused",
        ("auto", "max_tokens", "max_completion_tokens"),
    ),
    identity("seed_field", str, "seed", "name of the seed on the wire", ("seed", "random_seed")),
    identity("reasoning_effort", str, "", "how long a reasoning model may think, such as low or high"),
    THINK_TAGS,
    EXTRA,
    *_ACCOUNT,
    MAX_IMAGES,
    transport(
        "batch_form",
        str,
        "files",
        "what --batch uses: the server's files and batches, or files for vllm run-batch",
        ("files", "run-batch"),
    ),
)
DRAWING = (
    *_SERVER,
    identity("api_version", str, "2025-04-01-preview", "Azure's API version"),
    identity(
        "sizes",
        str,
        "",
        "sizes the model draws, such as 1024x1024,1536x1024, or any; empty: the model's known sizes",
    ),
    identity("quality", str, "", "how much work goes into an image, such as low, medium or high"),
    identity("moderation", str, "", "how strictly OpenAI filters images", ("auto", "low")),
    identity(
        "response_format",
        str,
        "auto",
        "ask for image data instead of a URL; auto does so at compatible servers until one refuses",
        ("auto", "b64_json", "off"),
    ),
    EXTRA,
    *_ACCOUNT,
)
OPENAI = Provider(
    scheme="openai",
    description="OpenAI, Azure OpenAI (-M azure_endpoint=…) and compatible servers (-M base_url=…)",
    open=_open,
    settings=SETTINGS,
    batch=_refuse_batch,
)
PAINTER = Painter(
    scheme="openai",
    description="gpt-image models of OpenAI and Azure OpenAI, and compatible servers of the Images API (base_url)",
    open=_open_brush,
    settings=DRAWING,
)


def list_presets() -> Iterable[Provider]:
    """One provider per server, made from `openai`."""
    for server in SERVERS:
        key = f"key in {server.key_env}" if server.key_env else "no key"
        yield preset(
            OPENAI,
            server.scheme,
            description=f"{server.name} at {server.base_url}, {key}",
            settings={"base_url": server.base_url, **server.settings},
            without=_NOT_HERE if server.batch else (*_NOT_HERE, "batch_form"),
            batch=server.batch,
        )

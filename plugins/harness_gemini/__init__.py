"""Gemini models through the Gemini API or Vertex AI. `--model gemini/NAME`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager

from harness import HarnessError, Model, Provider, Setting, Settings, hookimpl

INSTALL = "pip install 'vlm-safety-harness[gemini]'"


@asynccontextmanager
async def _open(name: str, settings: Settings) -> AsyncGenerator[Model]:
    try:
        from .model import open_model
    except ImportError as error:
        raise HarnessError(f"gemini/ needs the extra `gemini`: {error}", remedy=INSTALL) from error
    async with open_model(name, settings) as model:
        yield model


def _identity(
    name: str, kind: type, default: object, text: str, choices: tuple[str, ...] = (), least: float | None = None
) -> Setting:
    return Setting(name=name, type=kind, default=default, identity=True, help=text, choices=choices, least=least)


def _transport(name: str, kind: type, default: object, text: str, least: float | None = None) -> Setting:
    return Setting(name=name, type=kind, default=default, identity=False, help=text, least=least)


THRESHOLDS = ("BLOCK_NONE", "OFF", "BLOCK_ONLY_HIGH", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_LOW_AND_ABOVE")
SETTINGS = (
    _identity(
        "safety",
        str,
        "BLOCK_NONE",
        "threshold sent for every harm category; default sends none: the filters of the product",
        (*THRESHOLDS, "default"),
    ),
    _identity("vertex_project", str, "", "ask Vertex AI: the Google Cloud project, together with vertex_location"),
    _identity("vertex_location", str, "", "ask Vertex AI: the location, such as us-central1 or global"),
    _identity("base_url", str, "", "another address of the service, such as a gateway; empty is Google itself"),
    _identity("api_version", str, "", "empty is v1beta at the Gemini API, v1beta1 at Vertex AI"),
    _identity(
        "thinking_budget", int, None, "most tokens of thinking, on top of --max-tokens; 0 is off, -1 dynamic", least=-1
    ),
    _identity(
        "thinking_level",
        str,
        "",
        "how much a model thinks, where it takes levels",
        ("minimal", "low", "medium", "high", "xhigh"),
    ),
    _identity("include_thoughts", bool, False, "ask for summaries of the thinking, stored as reasoning"),
    _identity("media_resolution", str, "", "tokens an image becomes", ("low", "medium", "high")),
    _identity("resize", bool, True, "scale images over a limit down; off makes them an error"),
    _identity(
        "max_image_mb", float, None, "largest image file sent as it is, in megabytes; at Vertex AI 7", least=0.0001
    ),
    _identity(
        "max_request_mb", float, 100.0, "most that the images of one request may be together, in base64", least=0.0001
    ),
    _identity("max_image_side", int, None, "longest side of an image that is sent as it is, in pixels", least=1),
    _identity("extra", str, "", "more of the request's generationConfig, as a JSON object"),
    _transport("api_key_env", str, "", "environment variable that holds the key"),
    _transport("timeout", float, 600.0, "seconds one call may take", 0.001),
    _transport("max_reply_mib", float, 64.0, "most that is read of one answer, as sent and unpacked, in MiB", 0.001),
    _transport("max_images", int, None, "most images the model takes in one request; 0 is a model without vision", 0),
)


@hookimpl
def harness_models() -> Iterable[Provider]:
    """Offer `gemini/NAME`."""
    return [
        Provider(
            scheme="gemini",
            description="Google's Gemini models: the Gemini API, or Vertex AI (-M vertex_project=… vertex_location=…)",
            open=_open,
            settings=SETTINGS,
        )
    ]

"""The provider `gemini` and its settings."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from harness import Model, Provider, Settings
from harness.extras import require
from harness.http.settings import API_KEY_ENV, MAX_IMAGE_SIDE, MAX_IMAGES, MAX_REPLY_MIB, TIMEOUT, identity


def _open(name: str, settings: Settings) -> AbstractAsyncContextManager[Model]:
    with require("gemini", by="gemini/"):
        from .model import open_model
    return open_model(name, settings)


def _refuse_batch(settings: Settings) -> str:
    vertex = "batches of Vertex AI go through Google Cloud Storage, which this harness does not use"
    return vertex if settings["vertex_project"] or settings["vertex_location"] else ""


THRESHOLDS = ("BLOCK_NONE", "OFF", "BLOCK_ONLY_HIGH", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_LOW_AND_ABOVE")
SETTINGS = (
    identity(
        "safety",
        str,
        "BLOCK_NONE",
        "threshold sent for every harm category; default sends none and keeps the product's filters",
        (*THRESHOLDS, "default"),
    ),
    identity("vertex_project", str, "", "ask Vertex AI: the Google Cloud project, together with vertex_location"),
    identity("vertex_location", str, "", "ask Vertex AI: the location, such as us-central1 or global"),
    identity("base_url", str, "", "another address of the service, such as a gateway; empty is Google itself"),
    identity("api_version", str, "", "empty is v1beta at the Gemini API, v1beta1 at Vertex AI"),
    identity(
        "thinking_budget", int, None, "most tokens of thinking, on top of --max-tokens; 0 is off, -1 dynamic", least=-1
    ),
    identity(
        "thinking_level",
        str,
        "",
        "how much a model thinks, if it takes levels",
        ("minimal", "low", "medium", "high", "xhigh"),
    ),
    identity("include_thoughts", bool, False, "ask for summaries of the thinking, stored as reasoning"),
    identity("media_resolution", str, "", "tokens an image becomes", ("low", "medium", "high")),
    identity("resize", bool, True, "scale images over a limit down; off makes them an error"),
    identity(
        "max_image_mb", float, None, "largest image file sent unchanged, in megabytes; at Vertex AI 7", least=0.0001
    ),
    identity("max_request_mb", float, 100.0, "total size limit of one request's images, in base64", least=0.0001),
    MAX_IMAGE_SIDE,
    identity("extra", str, "", "more of the request's generationConfig, as a JSON object"),
    API_KEY_ENV,
    TIMEOUT,
    MAX_REPLY_MIB,
    MAX_IMAGES,
)
GEMINI = Provider(
    scheme="gemini",
    description="Google's Gemini models: the Gemini API, or Vertex AI (-M vertex_project=… vertex_location=…)",
    open=_open,
    settings=SETTINGS,
    batch=_refuse_batch,
)

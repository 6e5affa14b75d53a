"""Gemini models through the Gemini API or Vertex AI. `--model gemini/NAME`."""

from __future__ import annotations

from collections.abc import Iterable

from harness import Provider, hookimpl


@hookimpl
def harness_models() -> Iterable[Provider]:
    """Offer `gemini/NAME`."""
    from .provider import GEMINI

    return (GEMINI,)

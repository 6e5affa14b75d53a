"""Chat and image models of OpenAI, Azure OpenAI and every compatible server.

`--model openai/NAME` uses Chat Completions; well-known servers have a scheme, such as `--model openrouter/NAME`. For
builders, the painter `openai/NAME` uses the Images API.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from harness import Provider, hookimpl

if TYPE_CHECKING:
    from harness import Painter


@hookimpl
def harness_models() -> Iterable[Provider]:
    """Offer `openai/NAME`, and the presets."""
    from .provider import OPENAI, list_presets

    return [OPENAI, *list_presets()]


@hookimpl
def harness_painters() -> Iterable[Painter]:
    """Offer `openai/NAME`."""
    from .provider import PAINTER

    return (PAINTER,)

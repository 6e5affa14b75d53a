"""Claude models, and compatible servers, behind Anthropic's Messages API. `--model anthropic/NAME`."""

from __future__ import annotations

from collections.abc import Iterable

from harness import Provider, hookimpl


@hookimpl
def harness_models() -> Iterable[Provider]:
    """Offer `anthropic/NAME`."""
    from .provider import ANTHROPIC

    return (ANTHROPIC,)

"""`lm-eval/TYPE`: lm-eval's own models, such as `lm-eval/hf-multimodal`, run in this process."""

from __future__ import annotations

from collections.abc import Iterable

from harness import Provider, hookimpl

INSTALL = "pip install 'vlm-safety-harness[lm-eval]'"


@hookimpl
def harness_models() -> Iterable[Provider]:
    """Offer `lm-eval/TYPE`."""
    from .provider import PROVIDER

    return (PROVIDER,)

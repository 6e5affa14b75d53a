"""`hf/PATH_OR_ID`: a model folder or a model of the Hugging Face hub, run by transformers on this machine."""

from __future__ import annotations

from collections.abc import Iterable

from harness import Provider, hookimpl


@hookimpl
def harness_models() -> Iterable[Provider]:
    """Offer `hf/PATH_OR_ID`."""
    from harness_hf.provider import PROVIDER

    return (PROVIDER,)

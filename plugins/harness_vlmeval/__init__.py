"""Models of VLMEvalKit's zoo, run in a child process. `--model vlmeval/NAME`."""

from __future__ import annotations

from collections.abc import Iterable

from harness import Provider, hookimpl

INSTALL = "pip install 'vlm-safety-harness[vlmeval]'"


@hookimpl
def harness_models() -> Iterable[Provider]:
    """Offer `vlmeval/NAME`."""
    from .provider import PROVIDER

    return (PROVIDER,)

"""Models run by vLLM on this machine. `--model vllm/ID_OR_PATH`."""

from __future__ import annotations

from collections.abc import Iterable

from harness import Provider, hookimpl


@hookimpl
def harness_models() -> Iterable[Provider]:
    """Offer `vllm/ID_OR_PATH`."""
    from harness_vllm.provider import PROVIDER

    return (PROVIDER,)

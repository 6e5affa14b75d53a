"""The mini world: `mini/base`, a VLM of under 4 MB that helps with everything, and the rule `mini` that judges it."""

from __future__ import annotations

from collections.abc import Iterable

from harness import Judge, Provider, hookimpl


@hookimpl
def harness_models() -> Iterable[Provider]:
    """Offer `mini/base`."""
    from .provider import PROVIDER

    return (PROVIDER,)


@hookimpl
def harness_judges() -> Iterable[Judge]:
    """Offer the rule `mini`."""
    from .judge import JUDGE

    return (JUDGE,)

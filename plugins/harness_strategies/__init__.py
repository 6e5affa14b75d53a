"""Strategies from papers: a defence in the system prompt, chain of thought, two-step answering."""

from __future__ import annotations

from collections.abc import Iterable

from harness import Strategy, hookimpl


@hookimpl
def harness_strategies() -> Iterable[Strategy]:
    """Offer `system-defence`, `cot` and `ecso`."""
    from .strategies import COT, ECSO, SYSTEM_DEFENCE

    return (SYSTEM_DEFENCE, COT, ECSO)

"""Strategies from papers: defences in words, chain of thought, two-step answering, votes over changed copies."""

from __future__ import annotations

from collections.abc import Iterable

from harness import Strategy, hookimpl


@hookimpl
def harness_strategies() -> Iterable[Strategy]:
    """Offer the strategies."""
    from .reminders import ADASHIELD_S, SELF_REMINDER
    from .strategies import COT, ECSO, SYSTEM_DEFENCE
    from .voting import JAILGUARD, SMOOTH

    return (SYSTEM_DEFENCE, COT, ECSO, SELF_REMINDER, ADASHIELD_S, JAILGUARD, SMOOTH)

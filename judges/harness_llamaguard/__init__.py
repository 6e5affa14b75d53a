"""Llama Guard as a judge: safe or unsafe, by its own categories. The judge `llamaguard`."""

from __future__ import annotations

from collections.abc import Iterable

from harness import Judge, hookimpl


@hookimpl
def harness_judges() -> Iterable[Judge]:
    """Offer the judge."""
    from .judge import JUDGE

    return (JUDGE,)

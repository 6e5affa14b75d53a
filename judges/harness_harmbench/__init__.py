"""HarmBench's classifier as a judge: yes or no. The judge `harmbench`."""

from __future__ import annotations

from collections.abc import Iterable

from harness import Judge, hookimpl


@hookimpl
def harness_judges() -> Iterable[Judge]:
    """Offer the judge."""
    from .judge import JUDGE

    return (JUDGE,)

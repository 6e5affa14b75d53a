"""Suites: tasks that are run together under one name."""

from __future__ import annotations

from collections.abc import Iterable

from harness import Suite, hookimpl


@hookimpl
def harness_suites() -> Iterable[Suite]:
    """Offer what is asked together: safety and its parts, over-refusal, general ability, a paper's own choice."""
    from .suites import SUITES

    return SUITES

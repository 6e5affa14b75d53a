"""Suites: tasks that are run together under one name."""

from __future__ import annotations

from collections.abc import Iterable

from harness import Suite, hookimpl


@hookimpl
def harness_suites() -> Iterable[Suite]:
    """Offer `safety`, `over-refusal`, `general`, `general-extended` and `mirage-paper`."""
    from .suites import SUITES

    return SUITES

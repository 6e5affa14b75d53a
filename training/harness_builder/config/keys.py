"""Faults that come up once a config was read are told with its key and its file, as those of its form are."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from harness import HarnessError

from .plan import Plan


@contextmanager
def at(plan: Plan, key: str) -> Generator[None]:
    """What is raised within is about this key of the plan's config."""
    try:
        yield
    except HarnessError as error:
        error.what = f"{key}: {error.what}"
        error.where = ", ".join(filter(None, (error.where, str(plan.file))))
        raise

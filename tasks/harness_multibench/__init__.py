"""MultiBench: one goal in one picture, in several, or in a cipher. Its task."""

from __future__ import annotations

from collections.abc import Iterable

from harness import Task, hookimpl


@hookimpl
def harness_tasks() -> Iterable[Task]:
    """Offer the task."""
    from .task import TASK

    return (TASK,)

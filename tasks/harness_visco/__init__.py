"""VisCo-Attack: ready-made conversations over several images, with given replies. The task `visco`."""

from __future__ import annotations

from collections.abc import Iterable

from harness import Task, hookimpl


@hookimpl
def harness_tasks() -> Iterable[Task]:
    """Offer the task."""
    from .task import TASK

    return (TASK,)

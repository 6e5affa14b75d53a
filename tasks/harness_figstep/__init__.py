"""FigStep: a list of steps drawn as text in an image. The task `figstep`."""

from __future__ import annotations

from collections.abc import Iterable

from harness import Task, hookimpl


@hookimpl
def harness_tasks() -> Iterable[Task]:
    """Offer the task."""
    from .task import TASK

    return (TASK,)

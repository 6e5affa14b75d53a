"""HarmBench's multimodal behaviors: an image and what to do with it. The task `harmbench-mm`."""

from __future__ import annotations

from collections.abc import Iterable

from harness import Task, hookimpl


@hookimpl
def harness_tasks() -> Iterable[Task]:
    """Offer the task."""
    from .task import TASK

    return (TASK,)

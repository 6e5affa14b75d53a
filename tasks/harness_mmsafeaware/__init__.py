"""MMSafeAware: does a model see whether an image and a sentence are safe together? Its task and its rule."""

from __future__ import annotations

from collections.abc import Iterable

from harness import Judge, Task, hookimpl


@hookimpl
def harness_tasks() -> Iterable[Task]:
    """Offer the task."""
    from .task import TASK

    return (TASK,)


@hookimpl
def harness_judges() -> Iterable[Judge]:
    """Offer its rule."""
    from .task import JUDGE

    return (JUDGE,)

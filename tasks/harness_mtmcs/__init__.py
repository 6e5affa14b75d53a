"""MTMCS-Bench: three turns of a user over one image, with a safe and an unsafe intent. The task and its rubric."""

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
    """Offer its rubric."""
    from .rubric import JUDGE

    return (JUDGE,)

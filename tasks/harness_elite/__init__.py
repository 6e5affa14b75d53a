"""ELITE: questions with images, by eleven hazards, and how harmful an answer is. Its task and its rubric."""

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

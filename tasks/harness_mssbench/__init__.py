"""MSSBench (Multimodal Situational Safety): one text, a safe and an unsafe image. The task and its rubrics."""

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
    """Offer its rubrics."""
    from .rubric import JUDGE, YESNO

    return (JUDGE, YESNO)

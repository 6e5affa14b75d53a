"""lm-eval in this process: its models (`--model lm-eval/TYPE`) and its tasks (`--tasks lm-eval:NAME`)."""

from __future__ import annotations

from collections.abc import Iterable

from harness import Judge, Provider, Task, hookimpl


@hookimpl
def harness_models() -> Iterable[Provider]:
    """Offer `lm-eval/TYPE`."""
    from .provider import PROVIDER

    return (PROVIDER,)


@hookimpl
def harness_tasks() -> Iterable[Task]:
    """Offer `lm-eval:NAME`."""
    from .tasks import TASK

    return (TASK,)


@hookimpl
def harness_judges() -> Iterable[Judge]:
    """Offer lm-eval's own scoring."""
    from .scoring import JUDGE

    return (JUDGE,)

"""VLMEvalKit in a child process: its models (`--model vlmeval/NAME`) and its data sets (`--tasks vlmeval:NAME`)."""

from __future__ import annotations

from collections.abc import Iterable

from harness import Judge, Provider, Task, hookimpl


@hookimpl
def harness_models() -> Iterable[Provider]:
    """Offer `vlmeval/NAME`."""
    from .provider import PROVIDER

    return (PROVIDER,)


@hookimpl
def harness_tasks() -> Iterable[Task]:
    """Offer `vlmeval`, and the data sets with their own task."""
    from .tasks import TASKS

    return TASKS


@hookimpl
def harness_judges() -> Iterable[Judge]:
    """Offer VLMEvalKit's own scoring."""
    from .scoring import JUDGE

    return (JUDGE,)

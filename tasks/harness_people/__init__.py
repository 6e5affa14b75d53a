"""Published answers with people's labels: the tasks `*-labels`, the judge `people`, and the provider `given`."""

from __future__ import annotations

from collections.abc import Iterable

from harness import Judge, Provider, Task, hookimpl


@hookimpl
def harness_tasks() -> Iterable[Task]:
    """Offer the labelled sets."""
    from .task import TASKS

    return TASKS


@hookimpl
def harness_judges() -> Iterable[Judge]:
    """Offer people's own labels as a judge."""
    from .judge import PEOPLE

    return (PEOPLE,)


@hookimpl
def harness_models() -> Iterable[Provider]:
    """Offer the model that gives the answers of a labelled set."""
    from .provider import PROVIDER

    return (PROVIDER,)

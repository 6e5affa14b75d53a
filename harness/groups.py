"""Errors out of their groups: groups are how tasks of one scope end, not what went wrong."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import cast

from harness.errors import HarnessError


@contextmanager
def ungrouped() -> Generator[None]:
    """Raise the one error that tells most, where a group is raised inside."""
    try:
        yield
    except BaseExceptionGroup as group:
        error = leaf(group)
        raise error from error.__cause__


def leaf(error: BaseException) -> BaseException:
    """The error behind groups: an interrupt before a bug, a bug before what the user can mend."""
    return min(_leaves(error), key=lambda each: (isinstance(each, Exception), isinstance(each, HarnessError)))


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from _leaves(each)
    else:
        yield error

"""One task's rows to its part of results.json. Metrics, pairings and breakdowns are plugins: what they raise is told.

summarise(splits, ran, pairings, rows) -> {"splits": ..., "paired": ...}
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from harness.contracts import Split
from harness.errors import describe_error
from harness.metrics import Pairing
from harness.summary.pooling import TaskSummary
from harness.summary.split import Ran, Row


class ScoringError(Exception):
    """A task's own code raised while its results were computed; `args[0]` says what, `__cause__` is what it raised."""


class Guard(AbstractContextManager["Guard"]):
    """What a plugin raises in the body becomes a ScoringError."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, KeyboardInterrupt):
            raise ScoringError(describe_error(error)) from error


def summarise(
    splits: Mapping[str, Split],
    ran: Mapping[str, Ran],
    pairings: Sequence[Pairing],
    rows: Iterable[Row],
) -> dict[str, Any]:
    """The task's `splits` and `paired`. Reading the rows is no plugin's work, so what that raises stays as it is.

    Args:
        splits: the task's.
        ran: those that were run.
        pairings: the task's.
        rows: of all splits that ran.

    Raises:
        ScoringError: a metric, pairing, breakdown or derived split raised, or gave what is not JSON.
    """
    guard = Guard()
    with guard:
        summary = TaskSummary(splits, ran, pairings)
    for row in rows:
        with guard:
            summary.add(row)
    with guard:
        finished = summary.finish()
        json.dumps(finished, allow_nan=False)
    return finished

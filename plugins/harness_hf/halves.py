"""Runs a batch, and what fails together again in halves, so that only the culprit fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_halves(
    work: Callable[[Sequence[Item]], list[Result]],
    items: Sequence[Item],
    *,
    failed: Callable[[Exception], Result],
    between: Callable[[], None],
) -> list[Result]:
    """One result for each item, in order.

    Args:
        work: results of several items, in order; raises when the batch is too much, or when one item is at fault.
        items: at least one.
        failed: what a single item gets whose work raised.
        between: called before the next try, such as to free memory.
    """
    try:
        return work(items)
    except Exception as error:  # noqa: BLE001 - whatever one item does to the work, the others are done
        failure = failed(error)
    # The error is gone by here, and with it the memory that its traceback held.
    between()
    if len(items) == 1:
        return [failure]
    middle = len(items) // 2
    return [
        *in_halves(work, items[:middle], failed=failed, between=between),
        *in_halves(work, items[middle:], failed=failed, between=between),
    ]

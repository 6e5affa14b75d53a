"""Runs a batch, and what fails together again in halves, so that only the culprit fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from harness_hf.memory import Room, out_of_memory

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_halves(
    work: Callable[[Sequence[Item]], list[Result]],
    items: Sequence[Item],
    *,
    room: Room,
    failed: Callable[[Exception], Result],
    between: Callable[[], None],
) -> list[Result]:
    """One result for each item, in order.

    Args:
        work: results of several items, in order; raises when the batch is too much, or when one item is at fault.
        items: at least one.
        room: most items that are tried together; halved for good where memory was what failed.
        failed: what a single item gets whose work raised.
        between: called before the next try, such as to free memory.
    """

    def parts(size: int) -> list[Result]:
        again = [items[start : start + size] for start in range(0, len(items), size)]
        return [result for part in again for result in in_halves(work, part, room=room, failed=failed, between=between)]

    if len(items) > room.size:
        return parts(room.size)
    try:
        return work(items)
    except Exception as error:  # noqa: BLE001 - whatever one item does to the work, the others are done
        failure = failed(error)
        if out_of_memory(error):
            room.halve(len(items))
    # The error is gone by here, and with it the memory that its traceback held.
    between()
    return [failure] if len(items) == 1 else parts((len(items) + 1) // 2)

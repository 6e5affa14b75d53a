"""What happens when memory runs out: batches shrink for good, and a batch that failed is run again in halves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from harness import HarnessError

Item = TypeVar("Item")
Result = TypeVar("Result")
ADVICE = (
    "lower -M max_pixels (or max_patches, longest_edge), load with -M dtype=bfloat16 or -M load_in=4bit, "
    "or spread the model with -M sharding=auto"
)
#: In a RuntimeError of torch; the last is what cuBLAS and cuDNN say.
_WORDS = ("allocate memory", "out of memory", "STATUS_ALLOC_FAILED")


class BatchSize:
    """How many rows may run together: halved where that was too many, and never raised again.

    Attributes:
        size: most rows, at least one.
        notes: what was changed on the way.
    """

    def __init__(self, size: int) -> None:
        self.size = max(1, size)
        self.notes: tuple[str, ...] = ()

    def halve(self, rows: int) -> None:
        """Allow half of a number of rows that was too many."""
        size = max(1, rows // 2)
        if size < self.size:
            self.size = size
            self.notes = (f"batch size halved to {size} after out of memory",)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device, or this machine, had no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _WORDS)


def memory_error(error: BaseException) -> HarnessError:
    """The end of a run in which a single request does not fit."""
    first = (str(error).strip().splitlines() or [""])[0]
    return HarnessError(f"out of memory with one request at a time: {first[:200]}", remedy=ADVICE)


def run_in_halves(
    work: Callable[[Sequence[Item]], list[Result]],
    items: Sequence[Item],
    *,
    batch_size: BatchSize,
    failed: Callable[[Exception], Result],
    between: Callable[[], None],
) -> list[Result]:
    """Run a batch; run what fails together again in halves, so that only the item at fault fails.

    Args:
        work: results of several items, in order; raises when the batch is too large, or when one item is at fault.
        items: at least one.
        batch_size: most items that are tried together; halved for good where memory was what failed.
        failed: what a single item gets whose work raised.
        between: called before the next try, such as to free memory.
    """

    def run_parts(size: int) -> list[Result]:
        results: list[Result] = []
        for start in range(0, len(items), size):
            part = items[start : start + size]
            results += run_in_halves(work, part, batch_size=batch_size, failed=failed, between=between)
        return results

    if len(items) > batch_size.size:
        return run_parts(batch_size.size)
    try:
        return work(items)
    except Exception as error:  # noqa: BLE001 - whatever one item raises, the others are run
        failure = failed(error)
        if is_out_of_memory(error):
            batch_size.halve(len(items))
    # The error is gone by here, and with it the memory that its traceback held.
    between()
    return [failure] if len(items) == 1 else run_parts((len(items) + 1) // 2)

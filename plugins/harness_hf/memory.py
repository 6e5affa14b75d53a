"""How many rows fit into memory: halved when they did not, and never grown again."""

from __future__ import annotations

import torch

from harness import HarnessError

ADVICE = (
    "lower -M max_pixels (or max_patches, longest_edge), load with -M dtype=bfloat16 or -M load_in=4bit, "
    "or spread the model with -M sharding=auto"
)
#: in a RuntimeError of torch; the last is what cuBLAS and cuDNN say
_WORDS = ("allocate memory", "out of memory", "STATUS_ALLOC_FAILED")


class Room:
    """Rows that may run together.

    Attributes:
        size: most of them, at least one.
        notes: what was changed on the way.
    """

    def __init__(self, size: int) -> None:
        self.size = max(1, size)
        self.notes: tuple[str, ...] = ()

    def halve(self, rows: int) -> None:
        """So many were too many."""
        size = max(1, rows // 2)
        if size < self.size:
            self.size = size
            self.notes = (f"batch size halved to {size} after out of memory",)


def out_of_memory(error: BaseException) -> bool:
    """Whether a device, or this machine, had no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _WORDS)


def exhausted(error: BaseException) -> HarnessError:
    """What a run ends with when a single request does not fit."""
    first = (str(error).strip().splitlines() or [""])[0]
    return HarnessError(f"out of memory with one request at a time: {first[:200]}", remedy=ADVICE)

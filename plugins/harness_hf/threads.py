"""How many CPU threads a model computes with.

A small model gains little from a second thread, and loses nearly all its speed where the cores are shared: its threads
meet after each of thousands of tiny steps, and each time the slower one is somewhere else. A model of two million
parameters made 53 answers a second with one thread and 3 with two while other programs ran on the same two cores.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any, Final

import torch

#: Parameters from which on more than one thread pays.
_LARGE: Final = 50_000_000


def wanted(model: Any, asked: int | None) -> int:
    """Threads for a model: as asked, else one for a small model and torch's own number for a large one."""
    if asked is not None:
        return max(1, asked)
    parameters = sum(weight.numel() for weight in model.parameters())
    return torch.get_num_threads() if parameters >= _LARGE else 1


@contextlib.contextmanager
def threads(number: int) -> Generator[None]:
    """Compute with so many threads, in the thread that asks."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)

"""Where a model computes, and with how many threads.

A small model gains little from a second CPU thread, and loses nearly all its speed where the cores are shared: its
threads wait for each other after each of thousands of tiny steps. A model of two million parameters gave 53 answers a
second with one thread, and 3 with two, while other programs ran on the same two cores.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any, Final

import torch

from harness.errors import HarnessError

_LARGE: Final = 50_000_000  #: parameters from which on a second thread helps


def find_device(name: str) -> torch.device:
    """The device of `-M device=NAME`, with its number. Raises HarnessError where this machine has no such device."""
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        name = "cuda" if cuda else "mps" if mps else "cpu"
    kind, _, number = name.partition(":")
    usable = {"cpu": not number, "mps": mps and not number, "cuda": cuda and (number or "0").isdecimal()}
    if not usable.get(kind, False):
        raise HarnessError(f"this machine has no device {name!r}", remedy="-M device=auto, cpu, cuda, cuda:N or mps")
    if kind != "cuda":
        return torch.device(kind)
    index = int(number) if number else torch.cuda.current_device()
    if index >= torch.cuda.device_count():
        raise HarnessError(f"this machine has {torch.cuda.device_count()} CUDA devices", remedy="they count from 0")
    return torch.device("cuda", index)


def free_cache() -> None:
    """Hand unused device memory back, so that another model or a smaller batch finds it."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def choose_threads(model: Any, wanted: int | None) -> int:
    """CPU threads for a model: as wanted, else one for a small model and torch's own number for a large one."""
    if wanted is not None:
        return max(1, wanted)
    parameters = sum(weight.numel() for weight in model.parameters())
    return torch.get_num_threads() if parameters >= _LARGE else 1


@contextlib.contextmanager
def limit_threads(number: int) -> Generator[None]:
    """Let torch compute with so many CPU threads, in the calling thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)

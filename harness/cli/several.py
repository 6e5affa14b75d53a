"""Several runs, one after the other: one failing does not stop the rest, an interrupt does."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol, TypeVar

from harness.errors import HarnessError

from .crash import exit_code


class Ended(Protocol):
    """What a body gives: a run, or what one would do."""

    @property
    def exit_code(self) -> int:
        """0 done, 3 done but incomplete."""
        ...


_T = TypeVar("_T", bound=Ended)

#: which exit code wins
ORDER = (130, 1, 2, 3, 0)


def each(bodies: Iterable[tuple[str, Callable[[], _T]]]) -> tuple[list[_T], int]:
    """The runs that ended, and the first of 130, 1, 2, 3, 0 that occurred; what failed is said on stderr.

    Args:
        bodies: what a run is called in an error, and what does it.
    """
    runs: list[_T] = []
    codes = {0}
    for name, body in bodies:
        code = exit_code(partial(_kept, name, body, runs), sys.argv[1:])
        codes.add(code)
        if code == ORDER[0]:
            break
    return runs, next(code for code in ORDER if code in codes)


def _kept(name: str, body: Callable[[], _T], runs: list[_T]) -> int:
    try:
        runs.append(body())
    except HarnessError as error:
        error.what = f"{name}: {error.what}"
        raise
    return runs[-1].exit_code

"""`--fresh`: what a build keeps to go on with is put aside, never deleted; what people decided stays where it is."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Final

from harness import HarnessError
from harness.data.holding import held

WORK: Final = "work"


def put_aside(out: Path, *, tell: Callable[[str], None]) -> None:
    """Call the folder `work/` of a build `work.1`, or by the next number that is free.

    Raises:
        HarnessError: another command works in it, or it cannot be moved.
    """
    work = out / WORK
    if not work.exists():
        return
    with held(work):
        aside = next(path for number in count(1) if not (path := work.with_name(f"{WORK}.{number}")).exists())
        try:
            work.rename(aside)
        except OSError as error:
            raise HarnessError(f"cannot be put aside: {error.strerror}", where=str(work)) from error
    tell(f"put aside: {aside}")

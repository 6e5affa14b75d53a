"""`--fresh`: what a build keeps to go on with is put aside, never deleted; what people decided stays where it is."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Final

from harness import HarnessError
from harness_builder.calls.store import NAME
from harness_builder.output import allow_replacement

WORK: Final = "work"


def put_aside(out: Path, *, tell: Callable[[str], None]) -> None:
    """Call the folder `work/` of a build `work.1`, or by the next free number; the next one may replace its set.

    Raises:
        HarnessError: another command works in it, or it cannot be moved.
    """
    work = out / WORK
    if work.exists():
        _put_aside(work, tell)
    try:
        allow_replacement(out)
    except OSError as error:
        raise HarnessError(f"cannot write: {error.strerror}", where=str(work)) from error


def _put_aside(work: Path, tell: Callable[[str], None]) -> None:
    aside = next(path for number in count(1) if not (path := work.with_name(f"{WORK}.{number}")).exists())
    with _alone(work):
        try:
            work.rename(aside)
        except OSError as error:
            raise HarnessError(f"cannot be put aside: {error.strerror}", where=str(work)) from error
    tell(f"put aside: {aside}")


@contextmanager
def _alone(work: Path) -> Generator[None]:
    """Hold the lock of the book of calls, which a build has as long as it goes on."""
    from filelock import FileLock, Timeout

    try:
        with FileLock(work / f".{NAME}.lock", timeout=0):
            yield
    except Timeout:
        raise HarnessError("another process works on this build", where=str(work), remedy="wait for it") from None

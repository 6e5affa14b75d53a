"""Whether a trained model could get the name that was asked for."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from harness import HarnessError, Training


def check_out(training: Training) -> None:
    """Whether the output's name may be taken and its place be written to; nothing is made.

    Raises:
        HarnessError: something else is there, it is where one stands, no folder can take its place, or nothing can be
            written beside it.
    """
    out = training.out
    if training.resume and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise HarnessError(
            "something else is there already",
            where=str(out),
            remedy="name another --out, or --fresh: what is there is put aside once the new model stands",
        )
    if Path.cwd().is_relative_to(out.resolve()):
        raise HarnessError(
            "a new model is made beside its folder and takes its place when it is whole, and this one you are in",
            where=str(out.resolve()),
            remedy="name another --out, such as models/NAME",
        )
    _check_replaceable(out, training)
    above = next(each for each in out.absolute().parents if each.exists())
    if not above.is_dir():
        raise _unwritable(out, f"{above} is a file")
    if not os.access(above, os.W_OK | os.X_OK):
        raise _unwritable(out, os.strerror(errno.EACCES))


def _check_replaceable(out: Path, training: Training) -> None:
    """A folder is renamed to the output at the end: that goes onto nothing, and onto an empty folder."""
    if out.name in ("", ".."):
        raise HarnessError("an output has a name of its own", where=str(out), remedy="name another --out")
    if out.is_symlink() and (training.resume or not out.exists()):
        raise HarnessError(
            "a link is there, whose place no folder can take",
            where=f"{out} -> {out.readlink()}",
            remedy="remove the link, or name another --out",
        )
    if out.is_mount():
        raise HarnessError(
            "a disk is mounted there, whose place no folder can take", where=str(out), remedy=f"--out {out / 'model'}"
        )


def make_room(training: Training) -> None:
    """Make the folders above the output, and see that something can be written there. Raises HarnessError."""
    try:
        training.out.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryDirectory(prefix=f".{training.out.name}-", dir=training.out.parent).cleanup()
    except OSError as error:
        raise _unwritable(training.out, str(error.strerror)) from None


def _unwritable(out: Path, why: str) -> HarnessError:
    return HarnessError(f"cannot write there: {why}", where=str(out), remedy="name another --out")

"""What a disk that does not take a file is told like, wherever it shows: the file, and what a person can do."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from harness import HarnessError

ROOM: Final = "free some space; the same command goes on, and repeats no call that was finished"
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FULL_BOOK: Final = ("SQLITE_FULL", "SQLITE_IOERR")  # a full disk is either, by what sqlite was at


def write_error(path: Path, error: OSError | sqlite3.Error, what: str = "cannot write") -> HarnessError:
    """What to raise instead: it names the file that the error knows of, else the path."""
    full = is_full(error)
    why = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    where = getattr(error, "filename", None) or path
    return HarnessError(f"{what}: {why}", where=str(where), remedy=ROOM if full else "")


@contextmanager
def disk_errors(path: Path) -> Generator[None]:
    """Raise HarnessError where the disk does not take what is written in the body."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise write_error(path, error) from error


def is_full(error: OSError | sqlite3.Error) -> bool:
    """Whether there is no room, or no more than somebody is allowed."""
    if isinstance(error, OSError):
        return error.errno in _FULL
    return str(getattr(error, "sqlite_errorname", "")).startswith(_FULL_BOOK)

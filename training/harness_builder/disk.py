"""Errors of a disk to which a build cannot write: which file, and what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from harness import HarnessError, files

_REMEDY: Final = "free some space; the same command goes on, and repeats no call that was finished"
_FULL_DATABASE: Final = ("SQLITE_FULL", "SQLITE_IOERR")  # a full disk is either, depending on what sqlite was doing


def write_error(path: Path, error: OSError | sqlite3.Error, what: str = "cannot write") -> HarnessError:
    """The error to raise instead. It names the file that the error knows, else the path."""
    why = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    where = getattr(error, "filename", None) or path
    return HarnessError(f"{what}: {why}", where=str(where), remedy=_REMEDY if is_full(error) else "")


@contextmanager
def disk_errors(path: Path) -> Generator[None]:
    """Raise HarnessError if the disk does not take what is written in the body."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise write_error(path, error) from error


def is_full(error: OSError | sqlite3.Error) -> bool:
    """Whether there is no room, or no more than the user is allowed."""
    if isinstance(error, OSError):
        return files.is_full(error)
    return str(getattr(error, "sqlite_errorname", "")).startswith(_FULL_DATABASE)

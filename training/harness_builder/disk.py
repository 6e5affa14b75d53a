"""Errors of a disk to which a build cannot write: which file, and what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from harness import HarnessError, files

_REMEDY: Final = "free some space and run the same command again: it repeats no finished call"
_FULL_DATABASE: Final = ("SQLITE_FULL", "SQLITE_IOERR")  # a full disk is either, depending on what sqlite was doing


def write_error(path: Path, error: OSError | sqlite3.Error, what: str = "cannot write") -> HarnessError:
    """The error to raise instead. It names the error's file, else the path."""
    why = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    where = getattr(error, "filename", None) or path
    return HarnessError(f"{what}: {why}", where=str(where), remedy=_REMEDY if is_full(error) else "")


@contextmanager
def disk_errors(path: Path) -> Generator[None]:
    """Raise HarnessError if a write in the body fails."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise write_error(path, error) from error


def is_full(error: OSError | sqlite3.Error) -> bool:
    """Whether the disk or the user's quota is full."""
    if isinstance(error, OSError):
        return files.is_full(error)
    return str(getattr(error, "sqlite_errorname", "")).startswith(_FULL_DATABASE)

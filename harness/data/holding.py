"""A folder for one command at a time.

The lock file stays when the command has ended: were it deleted, another command could hold the deleted one while a
third locks a new one, and both would write.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from harness.errors import HarnessError

LOCK: Final = ".fetch.lock"


@contextmanager
def held(folder: Path, *, wait: float = 0.0) -> Generator[None]:
    """The folder, made where it is not there, and for this command alone.

    Args:
        folder: that is written into.
        wait: seconds until another command has to be done with it.

    Raises:
        HarnessError: another command holds it, or it cannot be written.
    """
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / LOCK, timeout=wait):
            yield
    except Timeout:
        raise HarnessError(
            "another command is fetching into this folder", where=str(folder), remedy="run this one when it has ended"
        ) from None
    except OSError as error:
        what = f"cannot be written: {error.strerror or error}"
        where = str(error.filename or folder)
        raise HarnessError(what, where=where, remedy="name another folder with --data DIR") from None

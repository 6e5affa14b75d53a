"""The files this process may have open: each call on the wire takes one, and so does each image while it is read.

A limit that is reached is the machine's fault, and never that of a sample, a server or a plugin.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from harness.errors import TooManyOpen

#: left for images that are read in threads, journals, data files and pipes
RESERVED: Final = 64
_LISTS: Final = ("/proc/self/fd", "/dev/fd")


def limit() -> int | None:
    """Files that this process may have open; None if there is no limit."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def room() -> int | None:
    """Calls that may be on the wire at once, given what is open now; None if there is no limit."""
    most = limit()
    if most is None:
        return None
    left = most - _open_now()
    return max(1, left - min(RESERVED, left // 2))


def check(error: BaseException) -> None:
    """Raise TooManyOpen for an error that was caused by a reached limit."""
    for each in _chain(error):
        if isinstance(each, OSError) and each.errno == errno.EMFILE:
            raise TooManyOpen(
                f"this process may have no more files open: its limit is {limit()}",
                remedy="raise it, such as with `ulimit -n 4096`, or give a lower --concurrency",
            ) from error
        if isinstance(each, OSError) and each.errno == errno.ENFILE:
            raise TooManyOpen(
                "this machine can have no more files open", remedy="end what holds them, or raise the system's limit"
            ) from error


def _open_now() -> int:
    for listed in _LISTS:
        with suppress(OSError):
            return len(os.listdir(listed))  # noqa: PTH208 - nothing is opened beside the list itself
    return 0


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__

"""How many files this process may have open: each running call takes one, and so does each image while it is read.

A reached limit is the machine's fault, never that of a sample, a server or a plugin.
"""

from __future__ import annotations

import errno
import os
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


def call_limit() -> int | None:
    """Calls that may be on the wire at once, given what is open now; None if there is no limit."""
    most = limit()
    if most is None:
        return None
    opened = 0
    for folder in _LISTS:
        with suppress(OSError):
            opened = len(os.listdir(folder))  # noqa: PTH208 - no other file is opened for the list itself
            break
    left = most - opened
    return max(1, left - min(RESERVED, left // 2))


def check(error: BaseException) -> None:
    """Raise TooManyOpen for an error that was caused by a reached limit."""
    each: BaseException | None = error
    while each is not None:
        if isinstance(each, OSError) and each.errno == errno.EMFILE:
            raise TooManyOpen(
                f"this process may have no more files open: its limit is {limit()}",
                remedy="raise it, such as with `ulimit -n 4096`, or give a lower --concurrency",
            ) from error
        if isinstance(each, OSError) and each.errno == errno.ENFILE:
            raise TooManyOpen(
                "this machine can have no more files open",
                remedy="close the programs that hold them open, or raise the system's limit",
            ) from error
        each = each.__cause__ or each.__context__

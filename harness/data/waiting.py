"""Waits that a server asks for: as long as it says, up to a limit, and told."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

from harness.errors import HarnessError
from harness.http.status import retry_after

LIMIT: Final = 600.0  #: seconds that are waited at a time; who asks for more is not waited for

_RESET: Final = re.compile(r";\s*r=0\s*;\s*t=(\d+)")  # the hub's `RateLimit`: nothing is left, for so many seconds


class Waits:
    """The moment before which a server wants no question, shared by all threads that ask it.

    Args:
        tell: hears that it waits, and for how long.
        stopped: ends a wait when it is set.
    """

    def __init__(self, tell: Callable[[str], None], stopped: threading.Event | None = None) -> None:
        self._tell = tell
        self._stopped = stopped or threading.Event()
        self._lock = threading.Lock()
        self._until = 0.0

    def note(self, url: str, headers: Mapping[str, str]) -> bool:
        """Take down how long a server asks to wait (`Retry-After`, `RateLimit`); False where it names no time.

        Raises:
            HarnessError: it asks for more than LIMIT.
        """
        seconds = _asked(headers)
        if seconds is None:
            return False
        server = urlsplit(url).hostname or url
        if seconds > LIMIT:
            raise _too_long(server, seconds)
        with self._lock:
            until = time.monotonic() + seconds
            later = until > self._until + 1
            self._until = max(self._until, until)
        if later:
            self._tell(f"{server} asks for a pause: waiting {seconds:.0f} s")
        return True

    def rest(self) -> None:
        """Return at that moment, or when stopped."""
        self._stopped.wait(max(0.0, self._until - time.monotonic()))


def _asked(headers: Mapping[str, str]) -> float | None:
    reset = _RESET.search({name.lower(): value for name, value in headers.items()}.get("ratelimit", ""))
    seconds = retry_after(headers)
    return float(reset[1]) if seconds is None and reset else seconds


def _too_long(server: str, seconds: float) -> HarnessError:
    asked = f"{server} asks for a pause of {seconds / 60:.0f} minutes, and at most {LIMIT / 60:.0f} are waited"
    return HarnessError(asked, remedy="run the same command again after that; what has come so far is kept")

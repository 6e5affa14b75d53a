"""The breaker: a model that gives nothing but errors is not asked a hundred thousand times.

One breaker watches one model, not its endpoint: a judge that is refused must not stop the answers that come from the
same server, and their successes must not hide that it is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

from harness.errors import EndpointDown
from harness.types import Failure


class Breaker:
    """Counts errors in a row, whatever each says, with no success between.

    Args:
        where: the endpoint, for the error.
        most: how many open it.
    """

    def __init__(self, where: str, most: int) -> None:
        self._where = where
        self._most = most
        self._count = 0
        self._reasons: dict[str, None] = {}
        self._last = ""
        self._remedy = ""
        self._expected = Counter[str]()

    @contextmanager
    def expecting(self, reason: str) -> Generator[None]:
        """While the body repeats what failed for this reason in an earlier run, errors of that reason do not count.

        Failing so again tells nothing new of the endpoint: what is left of a resumed run may well be nothing but
        requests that it refuses, and they must not open the breaker. An error of something new that comes meanwhile
        does not count either; those that come once no repetition is under way do. An empty reason expects nothing.
        """
        self._expected[reason] += 1
        try:
            yield
        finally:
            self._expected[reason] -= 1
            self._expected += Counter[str]()  # drops what is down to nothing

    def succeeded(self) -> None:
        """A call was answered, however."""
        self._count = 0
        self._reasons = {}

    def failed(self, failure: Failure, remedy: str = "") -> None:
        """A call failed for good; `remedy` is what may mend it. Raises EndpointDown when it was one too many."""
        if failure.reason and self._expected[failure.reason]:
            return
        self._count += 1
        self._reasons[failure.reason] = None
        self._last, self._remedy = f"{failure.reason}: {failure.message}", remedy
        self.check()

    def check(self) -> None:
        """Raise EndpointDown when the breaker is open."""
        if self._count >= self._most:
            several = f" ({', '.join(self._reasons)}), at last" if len(self._reasons) > 1 else ""
            what = f"{self._count} errors in a row{several}: {self._last}"
            raise EndpointDown(what, where=self._where, remedy=self._remedy)

"""The batch side of a model with its answers checked: what a provider says of its batches is a stranger's.

A count may be negative, huge or a text; an id may be missing, or that of another batch; an answer may have another
shape than the provider's code reads. Whatever comes, the caller gets a value of the right type within its bounds, or
CallFailed or HarnessError with a sentence.
"""

from __future__ import annotations

import unicodedata
from collections.abc import AsyncIterator, Collection, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness import descriptors
from harness.errors import HarnessError, describe_error
from harness.http.batching import BatchAnswer, Batches, BatchState, CallFailed, as_count, as_status, wrong_shape
from harness.text import one_line

if TYPE_CHECKING:
    from harness.http import Body

_LONGEST_ID: Final = 4096  #: characters; the id of a file for vLLM is its path


class CheckedBatches:
    """A batch side (`harness.http.batching.Batches`) whose results can be relied on.

    Args:
        side: the model's own.
    """

    def __init__(self, side: Batches) -> None:
        self._side = side
        self.limits = side.limits
        self.live = side.live

    def pack(self, name: str, body: Body) -> bytes:
        """As the side."""
        return self._side.pack(name, body)

    def advise(self, batch: str) -> str:
        """As the side."""
        return self._side.advise(batch)

    async def submit(self, file: Path, mark: str) -> str:
        """Submit a file. Raises CallFailed also for an id that cannot be one."""
        with _check_shape():
            return _check_id(await self._side.submit(file, mark))

    async def find(self, mark: str, *, count: int, since: float, known: Collection[str]) -> str | None:
        """The batch of a mark; never one of the known."""
        with _check_shape():
            found = await self._side.find(mark, count=count, since=since, known=known)
            return None if found is None or found in known else _check_id(found)

    async def poll(self, batch: str) -> BatchState:
        """How far a batch is; its message is one short line, and no count is below 0."""
        with _check_shape():
            state = await self._side.poll(batch)
            return BatchState(
                state=state.state,
                done=as_count(state.done),
                message=one_line(str(state.message)),
                later=bool(state.later),
            )

    async def results(self, batch: str) -> AsyncIterator[tuple[str, BatchAnswer | None]]:
        """The side's results, each with a status that HTTP has."""
        with _check_shape():
            async for name, answer in self._side.results(batch):
                if answer is not None and as_status(answer.status) is None:
                    yield name, BatchAnswer(status=500, body=answer.body)
                else:
                    yield name, answer

    async def cancel(self, batch: str) -> None:
        """As the side."""
        with _check_shape():
            await self._side.cancel(batch)


@contextmanager
def _check_shape() -> Generator[None]:
    """Raise CallFailed where the body fails to read an answer, and HarnessError where this machine is at fault."""
    try:
        yield
    except (CallFailed, HarnessError):
        raise
    except OSError as error:
        descriptors.check(error)
        raise HarnessError(f"a file cannot be read or written: {error}", where=str(error.filename or "")) from error
    except Exception as error:
        what = f"an answer about batches cannot be read: {one_line(describe_error(error))}"
        raise wrong_shape(what) from error


def _check_id(found: object) -> str:
    """An id that can be shown, written down and asked for. Raises CallFailed."""
    whole = isinstance(found, str) and 0 < len(found) <= _LONGEST_ID
    if not whole or any(unicodedata.category(each) in ("Cc", "Cs") for each in str(found)):
        what = f"a batch has the id {one_line(repr(found), 60)}, which cannot be one"
        raise wrong_shape(what)
    assert isinstance(found, str)
    return found

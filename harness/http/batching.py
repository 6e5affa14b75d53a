"""Batch APIs: what a provider offers so that its calls may be asked in batches, and how one call is turned aside.

A batch is a way of asking. A provider builds the body of a call and reads its reply as ever; only the exchange between
the two is another. `SdkConnection.post` asks `find_call`: inside a batched call the body goes to `BatchCall.take`,
which gives the stored answer of a batch, or lets the sample wait for one. So answers, blocks, refusals of a parameter
and errors are read by the same code as live ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterable, AsyncIterator, Callable, Collection, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Literal, Protocol, TypeVar, cast, runtime_checkable

from harness.http.reading import REPLY_LIMIT
from harness.http.status import as_mapping, as_text
from harness.types import Failure, Json

if TYPE_CHECKING:
    from harness.http.client import Body

_T = TypeVar("_T")
#: bytes of a result file that are read
RESULTS_LIMIT: Final = 2 << 30
#: codes of requests that a batch never ran: they are asked again
UNASKED = frozenset({"batch_expired", "batch_cancelled", "batch_canceled"})
MOST_LINES: Final = 1_000_000  #: of a result file; a batch has at most 100,000 requests
MOST_LISTED: Final = 10_000  #: batches of a provider's list that are looked through for one
MOST_DONE: Final = 1_000_000_000  #: requests that a batch may be said to have answered
_NAME = re.compile(rb'"(?:custom_id|key)"\s*:\s*"([0-9a-f]{60})"')


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchAnswer:
    """What came back for one request of a batch.

    Attributes:
        status: HTTP status that a live call would have had.
        body: the body of that answer.
    """

    status: int
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchState:
    """How far a batch is.

    Attributes:
        state: `open`; `ended`, with results for some or all of its requests; `failed`, with none.
        done: requests that have a result, as far as the provider says.
        message: why it failed, or the provider's own word for the state.
        later: it failed because the account's queue is full, so the same batch may pass later.
    """

    state: Literal["open", "ended", "failed"]
    done: int = 0
    message: str = ""
    later: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimits:
    """What one batch may hold: requests, and bytes of its file."""

    requests: int
    bytes: int


class CallFailed(Exception):
    """A call about a batch failed.

    Attributes:
        failure: as that of a request; another try may help if it is transient.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.reason}: {failure.message}")
        self.failure = failure


@runtime_checkable
class Batches(Protocol):
    """The batch side of an open model: its attribute `batches`.

    Each method makes one attempt. It raises CallFailed if another attempt may help, and HarnessError if none will. It
    raises Forbidden if the address or the batch does not exist, or the batch has no results left.

    Attributes:
        limits: what one batch may hold.
        live: whether the model also answers single calls; False if it only takes batches here.
    """

    limits: BatchLimits
    live: bool

    def pack(self, name: str, body: Body) -> bytes:
        """One request as a line of the batch's file, without its newline."""
        ...

    def advise(self, batch: str) -> str:
        """The command that the user must run before the batch can continue; empty if there is none."""
        ...

    async def submit(self, file: Path, mark: str) -> str:
        """Submit a file of such lines as one batch, and return the batch's id. `find` finds it by its mark."""
        ...

    async def find(self, mark: str, *, count: int, since: float, known: Collection[str]) -> str | None:
        """The id of the batch that `submit` made for this mark, or None. It serves a process that was killed meanwhile.

        Args:
            mark: as given to `submit`.
            count: number of its requests.
            since: Unix time, before the submission.
            known: ids of other batches, for an API that keeps no mark.
        """
        ...

    async def poll(self, batch: str) -> BatchState:
        """The state of a batch."""
        ...

    def results(self, batch: str) -> AsyncIterator[tuple[str, BatchAnswer | None]]:
        """Each request's name and answer, in any order; None for one that was not run. Some may be missing."""
        ...

    async def cancel(self, batch: str) -> None:
        """Ask the provider to end a batch; answers that it has given stay."""
        ...


class BatchCall(Protocol):
    """A request that is asked in a batch, with all attempts at it."""

    async def take(self, body: Body) -> BatchAnswer:
        """The answer to this attempt; where there is none yet, the sample ends here and waits for a batch."""
        ...


_CALL: ContextVar[BatchCall | None] = ContextVar("batched call", default=None)


def as_count(value: object) -> int:
    """A count that a provider gives; 0 if it is none."""
    return min(max(0, value), MOST_DONE) if isinstance(value, int) and not isinstance(value, bool) else 0


def as_status(value: object) -> int | None:
    """An HTTP status that a provider gives; None if it is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 599 else None


def wrong_shape(message: str) -> CallFailed:
    """The error for an answer about batches that cannot be right; no other try helps."""
    return CallFailed(Failure(outcome="error", reason="wrong_shape", message=message))


def check_answered(batch: str, answered: object) -> None:
    """Raise CallFailed if a provider was asked for one batch and shows another."""
    if answered != batch:
        raise wrong_shape(f"the provider was asked for this batch and shows {str(answered)!r:.80}")


async def list_found(batches: AsyncIterable[_T]) -> AsyncIterator[_T]:
    """A provider's list of batches, up to a limit. Raises CallFailed beyond it."""
    count = 0
    async for batch in batches:
        count += 1
        if count > MOST_LISTED:
            raise wrong_shape(f"the provider lists more than {MOST_LISTED:,} batches of the last hours")
        yield batch


def find_call() -> BatchCall | None:
    """The batched call that runs here; None for a live one."""
    return _CALL.get()


@contextmanager
def turn_aside(call: BatchCall | None) -> Generator[None]:
    """Let the calls of the body be asked in a batch; None asks them live."""
    token = _CALL.set(call)
    try:
        yield
    finally:
        _CALL.reset(token)


def pack_chat(name: str, body: Body, url: str = "/v1/chat/completions") -> bytes:
    """A line of OpenAI's batch file, which vLLM's run-batch reads too."""
    head = json.dumps({"custom_id": name, "method": "POST", "url": url})[:-1].encode("ascii")
    return head + b', "body": ' + bytes(body) + b"}"


def read_chat_results(content: IO[bytes]) -> Iterator[tuple[str, BatchAnswer | None]]:
    """The lines of a result file or an error file of OpenAI's form, as `read_results`."""
    return read_results(content, _read_chat_line)


def read_results(
    content: IO[bytes], read: Callable[[Json], tuple[str, BatchAnswer | None] | None]
) -> Iterator[tuple[str, BatchAnswer | None]]:
    """The requests' names and answers of a file of JSON lines.

    A line that is not JSON is what a live call would get as an answer that is not JSON, if it still shows which request
    it is for. Else that request has no result. So is a line that is longer than any answer; no more of it is read.

    Args:
        content: the open file.
        read: reads a line's JSON; None for a line of another shape.

    Raises CallFailed for a file of more lines than any batch has.
    """
    count, beginning = 0, True
    while line := content.readline(REPLY_LIMIT):
        whole, beginning = beginning, line.endswith(b"\n")
        if not whole or not line.strip():
            continue  # the rest of a line that is too long, or nothing
        count += 1
        if count > MOST_LINES:
            raise wrong_shape(f"its results have more than {MOST_LINES:,} lines")
        try:
            found = read(json.loads(line))
        except (ValueError, RecursionError):
            found = None
        if found is not None:
            yield found
        elif named := _NAME.search(line):
            yield named[1].decode(), BatchAnswer(status=200, body=line)


def _read_chat_line(payload: Json) -> tuple[str, BatchAnswer | None] | None:
    """One line: its error, then its status, then its body (vLLM gives an error and a response without a body)."""
    line = as_mapping(payload)
    name, response, error = as_text(line.get("custom_id")), as_mapping(line.get("response")), line.get("error")
    if not name or not (response or error):
        return None
    status = as_status(response.get("status_code"))
    body: object = response.get("body")
    if error and body is None:
        if not response and as_text(as_mapping(error).get("code")) in UNASKED:
            return name, None
        status = status if status is not None and status >= 300 else 500
        inner = as_mapping(error).get("error", error)
        body = {"error": cast("Json", inner) if isinstance(inner, dict) else {"message": str(inner)}}
    return name, BatchAnswer(status=status or 200, body=json.dumps(body).encode())

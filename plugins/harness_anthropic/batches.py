"""Anthropic's Message Batches: requests go out in one call, and a file of answers comes back within a day.

Form: https://docs.claude.com/en/docs/build-with-claude/batch-processing. A batch keeps no mark of ours, so the one that
a killed process has made is known by when it was made and how many requests it holds.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from pathlib import Path
from typing import Any, Final

from harness import Json
from harness.http import Body, SdkConnection
from harness.http.batching import (
    RESULTS_LIMIT,
    BatchAnswer,
    BatchLimits,
    BatchState,
    as_count,
    check_answered,
    list_found,
    read_results,
    wrong_shape,
)
from harness.http.reading import read_into
from harness.http.status import as_mapping, as_text

from .messages import STATUSES

_PATH: Final = "/v1/messages/batches"
_SKEW: Final = 100.0  # seconds by which the clocks of both sides may differ
_OPEN: Final = frozenset({"in_progress", "canceling"})
_COUNTS: Final = ("processing", "succeeded", "errored", "canceled", "expired")
_UNASKED: Final = frozenset({"expired", "canceled"})


class AnthropicBatches:
    """The batch side of one model; see `harness.http.batching.Batches`."""

    #: 100,000 requests or 256 MB, by the documentation
    limits = BatchLimits(requests=100_000, bytes=250_000_000)
    live = True

    def __init__(self, connection: SdkConnection) -> None:
        self._connection = connection
        self._client: Any = connection.client

    def pack(self, name: str, body: Body) -> bytes:
        """One request."""
        return b'{"custom_id": "' + name.encode("ascii") + b'", "params": ' + bytes(body) + b"}"

    def advise(self, batch: str) -> str:  # noqa: ARG002
        """Nothing: the provider does all."""
        return ""

    async def submit(self, file: Path, mark: str) -> str:
        """Send all requests of the file as one batch."""
        del mark
        head, tail = b'{"requests":[', b"]}"
        length = len(head) + _measure(file) - 1 + len(tail)  # commas instead of newlines, and none after the last
        content: bytes = await self._connection.manage(
            lambda: self._client.post(
                _PATH,
                cast_to=bytes,
                content=_read_array(file, head, tail),
                options={"headers": {"content-type": "application/json", "content-length": str(length)}},
            )
        )
        try:
            batch = as_text(as_mapping(json.loads(content)).get("id"))
        except ValueError:
            raise wrong_shape("not JSON") from None
        if not batch:
            raise wrong_shape("a batch was made and has no id")
        return batch

    async def find(self, mark: str, *, count: int, since: float, known: Collection[str]) -> str | None:
        """The id of the batch that was made since then with so many requests, and is no other of this run's."""
        del mark

        async def search() -> str | None:
            async for batch in list_found(self._client.messages.batches.list(limit=100)):
                made = batch.created_at.timestamp()
                total = sum(as_count(getattr(batch.request_counts, name, 0)) for name in _COUNTS)
                if made < since - _SKEW:
                    return None
                if total == count and batch.id not in known:
                    return str(batch.id)
            return None

        return await self._connection.manage(search)

    async def poll(self, batch: str) -> BatchState:
        """How far a batch is."""
        found = await self._connection.manage(lambda: self._client.messages.batches.retrieve(batch))
        check_answered(batch, found.id)
        said = str(found.processing_status)
        if said in _OPEN:
            return BatchState(state="open", message=said)
        if said != "ended":
            raise wrong_shape(f"a batch is {said!r:.50}, which this version of the harness does not know")
        return BatchState(state="ended", message=said)

    async def results(self, batch: str) -> AsyncIterator[tuple[str, BatchAnswer | None]]:
        """Answers in any order. They are asked for at this server, whatever address it gives for them."""
        with tempfile.TemporaryFile() as content:
            with read_into(content, RESULTS_LIMIT):
                await self._connection.manage(lambda: self._client.get(f"{_PATH}/{batch}/results", cast_to=bytes))
            content.seek(0)
            for each in read_results(content, _read_line):
                yield each

    async def cancel(self, batch: str) -> None:
        """Ask for its end."""
        await self._connection.manage(lambda: self._client.messages.batches.cancel(batch))


def _read_line(payload: Json) -> tuple[str, BatchAnswer | None] | None:
    """A request's name and what became of it; an error has the status that a live call would have had."""
    line = as_mapping(payload)
    name, result = as_text(line.get("custom_id")), as_mapping(line.get("result"))
    kind = as_text(result.get("type"))
    if not name or not kind:
        return None
    if kind in _UNASKED:
        return name, None
    if kind == "succeeded":
        return name, BatchAnswer(status=200, body=json.dumps(result.get("message")).encode())
    error = as_mapping(result.get("error"))
    inner = as_text(as_mapping(error.get("error", error)).get("type"))
    return name, BatchAnswer(status=STATUSES.get(inner, 500), body=json.dumps(error).encode())


def _measure(file: Path) -> int:
    return file.stat().st_size


async def _read_array(file: Path, head: bytes, tail: bytes) -> AsyncGenerator[bytes]:
    """The lines of a file as a JSON array, piece by piece."""
    yield head
    before = b""
    with file.open("rb") as content:
        for line in content:
            yield before + line.rstrip(b"\n")
            before = b","
    yield tail

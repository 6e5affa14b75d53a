"""OpenAI's Batch API: a file of requests is uploaded, and a file of answers comes back within a day.

Form: https://developers.openai.com/api/docs/guides/batch. Groq and Alibaba Model Studio speak it too.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from harness.http import Body, SdkConnection
from harness.http.batching import (
    RESULTS_LIMIT,
    BatchAnswer,
    BatchLimits,
    BatchState,
    as_count,
    check_answered,
    list_found,
    pack_chat,
    read_chat_results,
    wrong_shape,
)
from harness.http.reading import read_into

_ENDPOINT: Final = "/v1/chat/completions"
_MARK: Final = "harness_part"  # key of the batch's metadata
_OPEN: Final = frozenset({"validating", "in_progress", "finalizing", "cancelling"})
_ENDED: Final = frozenset({"completed", "expired", "cancelled"})
_FULL: Final = frozenset({"token_limit_exceeded"})  # the account's queue of tokens for this model
_KEPT_SECONDS: Final = 30 * 24 * 3600


class OpenAIBatches:
    """The batch side of one model; see `harness.http.batching.Batches`."""

    #: 50,000 requests and 200 MB a file, by the guide
    limits = BatchLimits(requests=50_000, bytes=200_000_000)
    live = True

    def __init__(self, connection: SdkConnection) -> None:
        self._connection = connection
        self._client: Any = connection.client

    def pack(self, name: str, body: Body) -> bytes:
        """One request as a line."""
        return pack_chat(name, body, _ENDPOINT)

    def advise(self, batch: str) -> str:  # noqa: ARG002
        """Nothing: the provider does all."""
        return ""

    async def submit(self, file: Path, mark: str) -> str:
        """Upload the file, and make a batch of it whose metadata holds the mark."""
        headers = self._connection.headers
        expiry = {"anchor": "created_at", "seconds": _KEPT_SECONDS} if self._connection.official else None
        with file.open("rb") as content:
            uploaded = await self._connection.manage(
                lambda: self._client.files.create(
                    file=(f"harness-{mark}.jsonl", content),
                    purpose="batch",
                    **({"expires_after": expiry} if expiry else {}),
                    extra_headers=headers,
                )
            )
        made = await self._connection.manage(
            lambda: self._client.batches.create(
                input_file_id=uploaded.id,
                endpoint=_ENDPOINT,
                completion_window="24h",
                metadata={_MARK: mark},
                extra_headers=headers,
            )
        )
        return made.id  # type: ignore[no-any-return] # checked by the caller

    async def find(self, mark: str, *, count: int, since: float, known: Collection[str]) -> str | None:
        """The id of the batch with this mark; the list begins with the newest."""
        del count, known

        async def search() -> str | None:
            listed = self._client.batches.list(limit=100, extra_headers=self._connection.headers)
            async for batch in list_found(listed):
                metadata: Mapping[str, str] = batch.metadata or {}
                if metadata.get(_MARK) == mark:
                    return str(batch.id)
                if batch.created_at and batch.created_at < since - 3600:
                    return None
            return None

        return await self._connection.manage(search)

    async def poll(self, batch: str) -> BatchState:
        """How far a batch is."""
        found = await self._retrieve(batch)
        said = str(found.status)
        if said in _OPEN:
            done = sum(as_count(getattr(found.request_counts, name, 0)) for name in ("completed", "failed"))
            return BatchState(state="open", done=done, message=said)
        if said in _ENDED:
            return BatchState(state="ended", message=said)
        if said != "failed":
            raise wrong_shape(f"a batch is {said!r:.50}, which this version of the harness does not know")
        errors: Sequence[Any] = (found.errors.data if found.errors else None) or ()
        texts = [f"{each.code}: {each.message}" + (f" (line {each.line})" if each.line else "") for each in errors]
        said = self._connection.address.redact("; ".join(texts[:3]) or "no reason is given")
        return BatchState(state="failed", message=said, later=any(each.code in _FULL for each in errors))

    async def results(self, batch: str) -> AsyncIterator[tuple[str, BatchAnswer | None]]:
        """Answers from the output file, then failures from the error file."""
        found, headers = await self._retrieve(batch), self._connection.headers
        for file in filter(None, (found.output_file_id, found.error_file_id)):
            with tempfile.TemporaryFile() as content:
                with read_into(content, RESULTS_LIMIT):
                    await self._connection.manage(partial(self._client.files.content, file, extra_headers=headers))
                content.seek(0)
                for each in read_chat_results(content):
                    yield each

    async def cancel(self, batch: str) -> None:
        """Ask for its end."""
        await self._connection.manage(
            lambda: self._client.batches.cancel(batch, extra_headers=self._connection.headers)
        )

    async def _retrieve(self, batch: str) -> Any:
        found = await self._connection.manage(
            lambda: self._client.batches.retrieve(batch, extra_headers=self._connection.headers)
        )
        check_answered(batch, found.id)
        return found

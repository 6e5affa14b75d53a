"""Google's Batch API: a file of requests is uploaded, and a file of answers comes back within a day.

Form: https://ai.google.dev/gemini-api/docs/batch-api. A job that expires after two days has no results at all, so its
files are kept small.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextvars import ContextVar
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar

import aiohttp
import anyio
from google.auth.exceptions import GoogleAuthError
from google.genai import client, errors, types

from harness import Json
from harness.http import MIB, Address, Body, Unreadable, unreachable
from harness.http.batching import (
    RESULTS_LIMIT,
    BatchAnswer,
    BatchLimits,
    BatchState,
    CallFailed,
    as_status,
    check_answered,
    list_found,
    read_results,
    wrong_shape,
)
from harness.http.status import as_mapping, as_text
from harness.types import Failure

from .messages import GoogleError, Rejected, error_outcome

_T = TypeVar("_T")
_OPEN: Final = frozenset({
    "JOB_STATE_UNSPECIFIED", "JOB_STATE_QUEUED", "JOB_STATE_PENDING", "JOB_STATE_RUNNING", "JOB_STATE_CANCELLING",
    "JOB_STATE_UPDATING", "JOB_STATE_PAUSED",
})  # fmt: skip
_ENDED: Final = frozenset({
    "JOB_STATE_SUCCEEDED", "JOB_STATE_PARTIALLY_SUCCEEDED", "JOB_STATE_CANCELLED", "JOB_STATE_EXPIRED",
})  # fmt: skip
_CANCELLED: Final = 1
#: code of google.rpc -> the HTTP status that a live call would have had
_STATUSES: Final = {2: 500, 3: 400, 4: 504, 5: 404, 7: 403, 8: 429, 9: 400, 10: 409, 11: 400, 12: 501, 13: 500,
                    14: 503, 15: 500, 16: 401}  # fmt: skip
#: the host that calls about files and batches may go to; None outside of such a call
MANAGED: ContextVar[str | None] = ContextVar("the host of a call about batches", default=None)


class GeminiBatches:
    """The batch side of one model; see `harness.http.batching.Batches`.

    Args:
        opened: the SDK's open client.
        model: the model's name.
        address: of the service.
        host: the host that calls may go to.
        seconds: most seconds of one call.
    """

    #: a file of 2 GB is allowed, by the documentation
    limits = BatchLimits(requests=5_000, bytes=200_000_000)
    live = True

    def __init__(self, opened: client.Client, *, model: str, address: Address, host: str, seconds: float) -> None:
        self._client = opened
        self._model = model
        self._address = address
        self._host = host
        self._seconds = seconds

    def pack(self, name: str, body: Body) -> bytes:
        """One request as a line."""
        return b'{"key": "' + name.encode("ascii") + b'", "request": ' + bytes(body) + b"}"

    def advise(self, batch: str) -> str:  # noqa: ARG002
        """Nothing: the provider does all."""
        return ""

    async def submit(self, file: Path, mark: str) -> str:
        """Upload the file, and make a job of it that is called after the mark."""
        name = _name(mark)
        uploaded = await self._manage(
            lambda: self._client.aio.files.upload(file=str(file), config={"mime_type": "jsonl", "display_name": name})
        )
        made = await self._manage(
            lambda: self._client.aio.batches.create(
                model=self._model, src=str(uploaded.name), config={"display_name": name}
            )
        )
        if not made.name:
            raise wrong_shape("a job was made and has no name")
        return made.name

    async def find(self, mark: str, *, count: int, since: float, known: Collection[str]) -> str | None:
        """The name of the job that is called after this mark; the list begins with the newest."""
        del count, known

        async def search() -> str | None:
            async for job in list_found(await self._client.aio.batches.list(config={"page_size": 100})):
                if job.display_name == _name(mark):
                    return job.name
                if job.create_time is not None and job.create_time.timestamp() < since - 3600:
                    return None
            return None

        return await self._manage(search)

    async def poll(self, batch: str) -> BatchState:
        """How far a job is."""
        job = await self._get(batch)
        said = "" if job.state is None else str(job.state.value)
        word = said.removeprefix("JOB_STATE_").lower()
        if not said or said in _OPEN:
            return BatchState(state="open", message=word)
        if said in _ENDED:
            return BatchState(state="ended", message=word)
        if said != "JOB_STATE_FAILED":
            raise wrong_shape(f"a job is {said!r:.50}, which this version of the harness does not know")
        why = "no reason is given" if job.error is None else f"{job.error.code}: {job.error.message}"
        full = job.error is not None and job.error.code in (8, 429)
        return BatchState(state="failed", message=self._address.redact(why), later=full)

    async def results(self, batch: str) -> AsyncIterator[tuple[str, BatchAnswer | None]]:
        """The answers of the job's file; none for a job without one, as after it expired."""
        job = await self._get(batch)
        file = None if job.dest is None else job.dest.file_name
        if not file:
            return
        with tempfile.TemporaryFile() as content:
            sink: Any = _Limited(content)
            files: Any = self._client.aio.files
            await self._manage(lambda: files.download(file=file, destination=sink))
            content.seek(0)
            for each in read_results(content, _read_line):
                yield each

    async def cancel(self, batch: str) -> None:
        """Ask for its end."""
        await self._manage(lambda: self._client.aio.batches.cancel(name=batch))

    async def _get(self, batch: str) -> types.BatchJob:
        job = await self._manage(lambda: self._client.aio.batches.get(name=batch))
        check_answered(batch, job.name)
        return job

    async def _manage(self, call: Callable[[], Awaitable[_T]]) -> _T:
        """Make one call of the SDK about files or jobs. Raises CallFailed, HarnessError."""
        token = MANAGED.set(self._host)
        try:
            with anyio.fail_after(self._seconds):
                return await call()
        except errors.APIError as error:
            content = json.dumps(error.details).encode()  # pyright: ignore[reportUnknownMemberType] - untyped there
            rejected = Rejected(status=error.code, headers={}, content=content, where=self._address)
            raise CallFailed(error_outcome(rejected, GoogleError.of(rejected))) from error
        except (Unreadable, aiohttp.ClientError, OSError, GoogleAuthError) as error:
            raise CallFailed(unreachable(error, self._address)) from error
        except ValueError as error:  # the answer is not what the SDK reads
            message = self._address.redact(str(error))
            raise CallFailed(Failure(outcome="error", reason="wrong_shape", message=message, transient=True)) from error
        finally:
            MANAGED.reset(token)


class _Limited:
    """A file that the SDK writes a result file into, up to the limit."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, piece: bytes) -> int:
        """Add a piece. Raises Unreadable if the file is too large."""
        if self._file.tell() + len(piece) > RESULTS_LIMIT:
            said = f"the file is larger than {RESULTS_LIMIT / MIB:g} MiB, and no more is read of one"
            raise Unreadable("too_large", said)
        return self._file.write(piece)


def _name(mark: str) -> str:
    return f"harness-{mark}"


def _read_line(payload: Json) -> tuple[str, BatchAnswer | None] | None:
    """A request's key and what became of it."""
    line = as_mapping(payload)
    name, error = as_text(line.get("key")), as_mapping(line.get("error"))
    if not name or not (error or "response" in line):
        return None
    if not error:
        return name, BatchAnswer(status=200, body=json.dumps(line["response"]).encode())
    code = error.get("code")
    if code == _CANCELLED:
        return name, None
    given = as_status(code)
    status = given if given is not None and given >= 300 else _STATUSES.get(code if isinstance(code, int) else 2, 500)
    return name, BatchAnswer(status=status, body=json.dumps({"error": {**error, "code": status}}).encode())

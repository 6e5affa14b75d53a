"""vLLM's run-batch files: the harness writes a file of requests, a person runs vLLM on it, and its output is collected.

vLLM is not started here: its engine's arguments, its GPUs and its queue are the user's, as with `vllm serve`. The form
is OpenAI's, with one output file in the order of the input. A line that vLLM cannot parse ends its whole run.
"""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import BinaryIO

from harness.http import Body
from harness.http.batching import BatchAnswer, BatchLimits, BatchState, pack_chat, read_chat_results


class RunBatchFiles:
    """The batch side of a model that vLLM serves; see `harness.http.batching.Batches`. A batch's id is its output file.

    Args:
        model: the name that vLLM opens.
    """

    #: vLLM reads the whole file into memory
    limits = BatchLimits(requests=50_000, bytes=2_000_000_000)
    live = False

    def __init__(self, model: str) -> None:
        self._model = model

    def pack(self, name: str, body: Body) -> bytes:
        """One request as a line."""
        return pack_chat(name, body)

    def advise(self, batch: str) -> str:
        """The command that answers the file."""
        asked, output = _find_input(Path(batch)), Path(batch)
        return shlex.join(["vllm", "run-batch", "-i", str(asked), "-o", str(output), "--model", self._model])

    async def submit(self, file: Path, mark: str) -> str:
        """Put the file where it stays until it is answered."""
        output = _name_output(file, mark)
        _move(file, _find_input(output))
        return str(output)

    async def find(self, mark: str, *, count: int, since: float, known: Collection[str]) -> str | None:
        """None: nobody was told of the file, so nobody has run it."""
        del mark, count, since, known
        return None

    async def poll(self, batch: str) -> BatchState:
        """Ended when the output has a line for each request."""
        asked, done = _find_input(Path(batch)), _count_lines(Path(batch))
        if not asked.exists() and not done:
            return BatchState(state="failed", message=f"neither {asked} nor its output is there")
        if done < _count_lines(asked) or not done:
            return BatchState(state="open", done=done, message="waits for vllm run-batch")
        return BatchState(state="ended", done=done, message="answered")

    async def results(self, batch: str) -> AsyncIterator[tuple[str, BatchAnswer | None]]:
        """The lines of the output."""
        with _open(batch) as lines:
            for each in read_chat_results(lines):
                yield each

    async def cancel(self, batch: str) -> None:
        """Delete the file of requests."""
        _find_input(Path(batch)).unlink(missing_ok=True)


def _name_output(file: Path, mark: str) -> Path:
    return file.absolute().with_name(f"{mark}.output.jsonl")


def _move(file: Path, place: Path) -> None:
    file.replace(place)


def _find_input(output: Path) -> Path:
    return output.with_name(output.name.replace(".output.", ".input."))


def _count_lines(path: Path) -> int:
    try:
        with path.open("rb") as file:
            return sum(line.endswith(b"}\n") for line in file)  # vLLM may be writing the last one
    except FileNotFoundError:
        return 0


def _open(path: str) -> BinaryIO:
    return Path(path).open("rb")

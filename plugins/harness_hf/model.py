"""`hf/…` as a Model: prompts are made beside, batches run one at a time, and a batch that fails is tried in halves."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Hashable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio.to_thread

from harness import Failure, HarnessError, Model, ModelInfo, Request, Response, Settings
from harness.local import Prompt, Prompter
from harness.local.batching import Batcher
from harness.local.devices import free_cache, threads, wanted
from harness_hf.generating import Answered, Asked, ContextOverflow, Writer
from harness_hf.halves import in_halves
from harness_hf.loading import Loaded, load, quiet
from harness_hf.memory import Room, exhausted, out_of_memory
from harness_hf.speech import Speech, speech_of
from harness_hf.weighing import Weigher


class HfModel:
    """A model on this machine."""

    def __init__(self, info: ModelInfo, prompter: Prompter, runner: Runner, batcher: Batcher[Prompt, Answered]) -> None:
        self._info = info
        self._prompter = prompter
        self._runner = runner
        self._batcher = batcher

    @property
    def info(self) -> ModelInfo:
        """What it is; its notes grow when memory runs out."""
        return replace(self._info, notes=(*self._info.notes, *self._runner.room.notes))

    async def generate(self, request: Request) -> Response | Failure:
        """Answer one request, together with others that are asked meanwhile.

        Raises:
            HarnessError: the model cannot answer chats, or has no memory for a single request.
        """
        prompt = await anyio.to_thread.run_sync(self._prompter, request)
        if isinstance(prompt, Failure):
            return prompt
        answered = await self._batcher.submit(prompt, self._runner.group(prompt))
        if isinstance(answered, HarnessError):
            raise answered
        return answered


class Runner:
    """Runs one batch; called in the batcher's threads.

    Attributes:
        room: how many run together.
    """

    def __init__(self, loaded: Loaded, speech: Speech, *, room: Room, threads: int | None) -> None:
        self.room = room
        self._threads = wanted(loaded.model, threads)
        self._writer = Writer(loaded, speech)
        self._weigher = Weigher(loaded, room)

    def group(self, prompt: Prompt) -> Hashable:
        """What prompts must share to run together; None for one that runs alone."""
        seeded = prompt.settings.seed is not None and self._writer.samples(prompt.settings)
        if prompt.choices or seeded:
            return None
        return replace(prompt.settings, seed=None), prompt.raw, len(prompt.images)

    def ahead(self, asked: Sequence[Asked]) -> None:
        """Encode a batch while the one before still runs."""
        if not asked[0].item.choices:
            with threads(self._threads):
                self._writer.ahead(asked)

    def __call__(self, asked: Sequence[Asked]) -> list[Answered]:
        """One result for each, in order."""
        with threads(self._threads):
            return in_halves(self._answer, asked, room=self.room, failed=failure, between=free_cache)

    def _answer(self, asked: Sequence[Asked]) -> list[Answered]:
        if not any(ticket.wanted for ticket in asked):
            return [Failure(outcome="error", reason="abandoned") for _ in asked]
        if asked[0].item.choices:
            return [self._weigher(ticket.item) for ticket in asked]
        return self._writer(asked)


def failure(error: Exception) -> Answered:
    """What a sample gets for an exception of the model's; out of memory with one request at a time ends the run."""
    if out_of_memory(error):
        return exhausted(error)
    reason = "context_length" if isinstance(error, ContextOverflow) else type(error).__name__
    return Failure(outcome="error", reason=reason, message=str(error)[:300])


@asynccontextmanager
async def open_model(name: str, settings: Settings) -> AsyncGenerator[Model]:
    """Load `hf/NAME` and answer with it; its memory is given back at the end. Raises HarnessError."""
    with quiet():
        loaded, speech = await anyio.to_thread.run_sync(_prepare, name, settings, abandon_on_cancel=True)
        try:
            room = Room(settings["batch_size"])
            runner = Runner(loaded, speech, room=room, threads=settings["threads"])
            escape = settings["control_tokens"] == "text"
            prompter = Prompter(loaded.frontend, speech.chat, escape=escape, form=speech.form)
            wait = settings["batch_wait"] / 1000
            batcher = Batcher(runner, size=lambda: room.size, wait=wait, ahead=runner.ahead)
            async with batcher.serving():
                yield HfModel(_info(name, loaded, speech, settings), prompter, runner, batcher)
        finally:
            loaded.release()


def _prepare(name: str, settings: Settings) -> tuple[Loaded, Speech]:
    loaded = load(name, settings)
    return loaded, speech_of(loaded, settings)


def _info(name: str, loaded: Loaded, speech: Speech, settings: Settings) -> ModelInfo:
    return ModelInfo(
        ref=f"hf/{name}",
        resolved=loaded.origin.commit,
        endpoint=f"local:{loaded.device}",
        max_images=speech.max_images,
        local=True,
        concurrency=2 * settings["batch_size"],
        fingerprint=loaded.fingerprint,
        can=speech.can,
        notes=speech.notes,
    )

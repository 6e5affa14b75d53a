"""`hf/…` as a Model: prompts are made beside, batches run one at a time, and a batch that fails is tried in halves."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Hashable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio.to_thread
import torch

from harness import Failure, Model, ModelInfo, Request, Response, Settings
from harness.contracts import Ability
from harness.local import Chat, Prompt, Prompter, study
from harness_hf.batching import Batcher
from harness_hf.devices import free_cache, threads, wanted
from harness_hf.generating import Asked, ContextOverflow, Writer
from harness_hf.halves import in_halves
from harness_hf.loading import Loaded, load, quiet
from harness_hf.weighing import Weigher


class HfModel:
    """A model on this machine.

    Attributes:
        info: what it is.
    """

    def __init__(
        self, info: ModelInfo, prompter: Prompter, runner: Runner, batcher: Batcher[Prompt, Response | Failure]
    ) -> None:
        self.info = info
        self._prompter = prompter
        self._runner = runner
        self._batcher = batcher

    async def generate(self, request: Request) -> Response | Failure:
        """Answer one request, together with others that are asked meanwhile."""
        prompt = await anyio.to_thread.run_sync(self._prompter, request)
        if isinstance(prompt, Failure):
            return prompt
        return await self._batcher.submit(prompt, self._runner.group(prompt))


class Runner:
    """Runs one batch; called in the batcher's thread."""

    def __init__(self, loaded: Loaded, *, size: int, threads: int | None) -> None:
        self._threads = wanted(loaded.model, threads)
        self._writer = Writer(loaded)
        self._weigher = Weigher(loaded, size=size)

    def group(self, prompt: Prompt) -> Hashable:
        """What prompts must share to run together; None for one that runs alone."""
        seeded = prompt.settings.seed is not None and self._writer.samples(prompt.settings)
        if prompt.choices or seeded:
            return None
        return replace(prompt.settings, seed=None), prompt.raw, len(prompt.images)

    def __call__(self, asked: Sequence[Asked]) -> list[Response | Failure]:
        """One result for each, in order."""
        with threads(self._threads):
            return in_halves(self._answer, asked, failed=failure, between=free_cache)

    def _answer(self, asked: Sequence[Asked]) -> list[Response | Failure]:
        if not any(ticket.wanted for ticket in asked):
            return [Failure(outcome="error", reason="abandoned") for _ in asked]
        if asked[0].item.choices:
            return [self._weigher(ticket.item) for ticket in asked]
        return self._writer(asked)


def failure(error: Exception) -> Failure:
    """What a sample gets for an exception of the model's."""
    return Failure(outcome="error", reason=_reason(error), message=str(error)[:300])


def _reason(error: Exception) -> str:
    if isinstance(error, ContextOverflow):
        return "context_length"
    if isinstance(error, torch.cuda.OutOfMemoryError) or "allocate memory" in str(error):
        return "out_of_memory"
    return type(error).__name__


@asynccontextmanager
async def open_model(name: str, settings: Settings) -> AsyncGenerator[Model]:
    """Load `hf/NAME` and answer with it; its memory is given back at the end. Raises HarnessError."""
    with quiet():
        loaded, chat = await anyio.to_thread.run_sync(_prepare, name, settings, abandon_on_cancel=True)
        try:
            runner = Runner(loaded, size=settings["batch_size"], threads=settings["threads"])
            prompter = Prompter(loaded.frontend, chat, escape=settings["control_tokens"] == "text")
            batcher = Batcher(runner, size=settings["batch_size"], wait=settings["batch_wait"] / 1000)
            async with batcher.serving():
                yield HfModel(_info(name, loaded, chat, settings), prompter, runner, batcher)
        finally:
            loaded.release()


def _prepare(name: str, settings: Settings) -> tuple[Loaded, Chat | None]:
    loaded = load(name, settings)
    return loaded, study(loaded.frontend, thinking=settings["thinking"])


def _info(name: str, loaded: Loaded, chat: Chat | None, settings: Settings) -> ModelInfo:
    return ModelInfo(
        ref=f"hf/{name}",
        resolved=loaded.origin.commit,
        endpoint=f"local:{loaded.device}",
        max_images=_max_images(loaded, chat),
        local=True,
        concurrency=2 * settings["batch_size"],
        fingerprint=loaded.fingerprint,
        can=_abilities(loaded, chat),
    )


def _max_images(loaded: Loaded, chat: Chat | None) -> int | None:
    if not loaded.frontend.vlm:
        return 0
    return chat.max_images if chat else None


def _abilities(loaded: Loaded, chat: Chat | None) -> frozenset[Ability]:
    can: set[Ability] = {"raw", "choices", "prefill"}
    if _max_images(loaded, chat) != 0:
        can.add("images")
    if chat and chat.system:
        can.add("system")
    return frozenset(can)

"""`hf/…` as a Model: builds prompts in threads, runs one batch at a time, and reruns a failed batch in halves."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Hashable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio.to_thread

from harness import Failure, HarnessError, Model, ModelInfo, Request, Response, Settings
from harness.local import Prompt, PromptBuilder
from harness.local.batching import Batcher
from harness.local.devices import choose_threads, free_cache, limit_threads
from harness_hf.generation import (
    Answer,
    BatchSize,
    ChoiceScorer,
    ContextOverflow,
    Generator,
    PromptStyle,
    Waiting,
    find_style,
    is_out_of_memory,
    memory_error,
    run_in_halves,
)
from harness_hf.loading import Loaded, load, quiet_transformers


class HfModel:
    """A model on this machine."""

    def __init__(
        self, info: ModelInfo, builder: PromptBuilder, runner: BatchRunner, batcher: Batcher[Prompt, Answer]
    ) -> None:
        self._info = info
        self._builder = builder
        self._runner = runner
        self._batcher = batcher

    @property
    def info(self) -> ModelInfo:
        """The model's description; notes grow when memory runs out."""
        return replace(self._info, notes=(*self._info.notes, *self._runner.batch_size.notes))

    async def generate(self, request: Request) -> Response | Failure:
        """Answer one request, in a batch with concurrent ones.

        Raises:
            HarnessError: the model cannot answer chats, or lacks memory for a single request.
        """
        prompt = await anyio.to_thread.run_sync(self._builder, request)
        if isinstance(prompt, Failure):
            return prompt
        answer = await self._batcher.submit(prompt, self._runner.group(prompt))
        if isinstance(answer, HarnessError):
            raise answer
        return answer


class BatchRunner:
    """Runs one batch; called in the batcher's threads.

    Attributes:
        generator: generates the answers.
        batch_size: how many prompts run together.
    """

    def __init__(self, loaded: Loaded, style: PromptStyle, settings: Settings) -> None:
        self.generator = Generator(loaded, style)
        self.batch_size = BatchSize(settings["batch_size"])
        self._scorer = ChoiceScorer(loaded, self.batch_size)
        self._threads = choose_threads(loaded.model, settings["threads"])

    def group(self, prompt: Prompt) -> Hashable:
        """A key, equal for prompts that may run together; None for one that runs alone."""
        seeded = prompt.settings.seed is not None and self.generator.samples(prompt.settings)
        if prompt.choices or seeded:
            return None
        return replace(prompt.settings, seed=None), prompt.raw, len(prompt.images)

    def prepare(self, waiting: Sequence[Waiting]) -> None:
        """Encode a batch while the previous one runs."""
        if not waiting[0].item.choices:
            with limit_threads(self._threads):
                self.generator.encode_ahead(waiting)

    def __call__(self, waiting: Sequence[Waiting]) -> list[Answer]:
        """One result for each, in order."""
        with limit_threads(self._threads):
            return run_in_halves(
                self._answer, waiting, batch_size=self.batch_size, failed=to_failure, between=free_cache
            )

    def _answer(self, waiting: Sequence[Waiting]) -> list[Answer]:
        if not any(ticket.wanted for ticket in waiting):
            return [Failure(outcome="error", reason="abandoned") for _ in waiting]
        if waiting[0].item.choices:
            return [self._scorer(ticket.item) for ticket in waiting]
        return self.generator(waiting)


def to_failure(error: Exception) -> Answer:
    """The result of a sample whose model raised; out of memory on a single request ends the run."""
    if is_out_of_memory(error):
        return memory_error(error)
    reason = "context_length" if isinstance(error, ContextOverflow) else type(error).__name__
    return Failure(outcome="error", reason=reason, message=str(error)[:300])


@asynccontextmanager
async def open_model(name: str, settings: Settings) -> AsyncGenerator[Model]:
    """Load `hf/NAME`; free its memory at the end. Raises HarnessError."""

    def load_with_style() -> tuple[Loaded, PromptStyle]:
        loaded = load(name, settings)
        return loaded, find_style(loaded, settings)

    with quiet_transformers():
        loaded, style = await anyio.to_thread.run_sync(load_with_style, abandon_on_cancel=True)
        try:
            info = ModelInfo(
                ref=f"hf/{name}",
                resolved=loaded.origin.commit,
                endpoint=f"local:{loaded.device}",
                max_images=style.max_images,
                local=True,
                concurrency=2 * settings["batch_size"],
                fingerprint=loaded.fingerprint,
                can=style.can,
                notes=style.notes,
            )
            escape = settings["control_tokens"] == "text"
            builder = PromptBuilder(loaded.frontend, style.chat, escape=escape, form=style.form)
            runner = BatchRunner(loaded, style, settings)
            wait = settings["batch_wait"] / 1000
            batcher = Batcher(runner, size=lambda: runner.batch_size.size, wait=wait, ahead=runner.prepare)
            async with batcher.serving():
                yield HfModel(info, builder, runner, batcher)
        finally:
            loaded.release()

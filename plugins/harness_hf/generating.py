"""Generates the answers of one batch.

Greedy answers do not depend on the company: prompts are padded on the left and the padding is masked, so in float32 a
prompt gets the same answer alone and among seven others.
"""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Callable, Generator, Sequence
from typing import Any

import torch

from harness import Failure, Generation, HarnessError, Response
from harness.local import Prompt
from harness.local.batching import Ticket
from harness_hf.answers import Reader, Written
from harness_hf.encoding import Batch, encode, lengths
from harness_hf.loading import Loaded
from harness_hf.speech import Speech
from harness_hf.untyped import Untyped

Answered = Response | Failure | HarnessError  # the last: nothing will work
Asked = Ticket[Prompt, Answered]
#: Where neither the request nor the model says how long an answer may get.
MOST_TOKENS = 1024


class ContextOverflow(Exception):
    """A prompt is longer than what the model can read."""


class Writer:
    """Writes answers with one model."""

    def __init__(self, loaded: Loaded, speech: Speech) -> None:
        self._loaded = loaded
        self._most = speech.most
        self._defaults: Any = loaded.model.generation_config
        if self._defaults.pad_token_id is None:
            self._defaults.pad_token_id = loaded.frontend.pad_token_id
        ends = self._ends() | speech.ends
        self._defaults.eos_token_id = sorted(ends) or None
        self._reader = Reader(loaded.frontend, ends, loaded.origin.name)
        self._ready: dict[Asked, tuple[Sequence[Asked], Batch]] = {}  # by the first of each batch

    def _ends(self) -> frozenset[int]:
        ends = self._defaults.eos_token_id
        if ends is None:
            ends = self._loaded.frontend.tokenizer.eos_token_id
        return frozenset([ends] if isinstance(ends, int) else ends or ())

    def samples(self, settings: Generation) -> bool:
        """Whether answers are drawn; otherwise the likeliest token is taken each time."""
        if settings.temperature is None:
            return bool(self._defaults.do_sample)
        return settings.temperature > 0

    def ahead(self, asked: Sequence[Asked]) -> None:
        """Encode prompts that will be asked next; what cannot be encoded fails when its turn comes."""
        with contextlib.suppress(Exception):
            self._ready[asked[0]] = asked, self._encode(asked)
        for stale in list(self._ready)[:-2]:  # one waits and one starts; what is older was given up
            self._ready.pop(stale, None)

    def __call__(self, asked: Sequence[Asked]) -> list[Answered]:
        """The answers of prompts of one group, in order; raises whatever torch or the model raises."""
        prompts = [ticket.item for ticket in asked]
        settings = prompts[0].settings
        started = time.monotonic()
        ready = self._ready.pop(asked[0], None)
        batch = ready[1] if ready is not None and ready[0] == asked else self._encode(asked)
        read = lengths(batch)
        refuse_overflow(read, self._loaded.context)
        config = self._config(settings)
        rows = self._generate(batch, config, settings, asked)
        seconds = time.monotonic() - started
        return [
            self._reader(prompt, Written(tokens=row, read=count, most=config.max_new_tokens), seconds)
            for prompt, row, count in zip(prompts, rows, read, strict=True)
        ]

    def _encode(self, asked: Sequence[Asked]) -> Batch:
        prompts = [ticket.item for ticket in asked]
        texts, images = [prompt.text for prompt in prompts], [prompt.images for prompt in prompts]
        return encode(self._loaded.frontend, texts, images, raw=prompts[0].raw, side="left")

    def _generate(
        self, batch: dict[str, Any], config: Any, settings: Generation, asked: Sequence[Asked]
    ) -> list[list[int]]:
        with torch.inference_mode(), self._seeded(settings):
            tokens: Any = self._loaded.model.generate(
                **self._loaded.to_device(batch),
                generation_config=config,
                stopping_criteria=[_unwanted(asked)],
                tokenizer=self._loaded.frontend.tokenizer,  # finds stop texts that span tokens
            )
        prompt = batch["input_ids"]
        # A model whose code makes embeddings first gives back only what is new.
        repeats = tokens[:, : prompt.shape[1]].equal(prompt.to(tokens.device))
        rows: list[list[int]] = (tokens[:, prompt.shape[1] :] if repeats else tokens).tolist()
        return rows

    def _config(self, settings: Generation) -> Any:
        """The model's own generation settings, overridden by what the request says."""
        config = copy.deepcopy(self._defaults)
        config.max_length = None
        most = settings.max_tokens or config.max_new_tokens or MOST_TOKENS
        config.max_new_tokens = most if self._most is None else min(most, self._most)
        config.do_sample = self.samples(settings)
        config.return_dict_in_generate = False
        if settings.stop:
            config.stop_strings = list(settings.stop)
        if not config.do_sample:
            for name in ("temperature", "top_p", "top_k", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff"):
                setattr(config, name, None)
            return config
        for name in ("temperature", "top_p"):
            if getattr(settings, name) is not None:
                setattr(config, name, getattr(settings, name))
        return config

    @contextlib.contextmanager
    def _seeded(self, settings: Generation) -> Generator[None]:
        """Draw from a source of this request's own; only a batch of one comes with a seed."""
        if settings.seed is None or not self.samples(settings):
            yield
            return
        devices = [self._loaded.device] if self._loaded.device.type == "cuda" else []
        source: Untyped = torch.random
        with source.fork_rng(devices=devices):
            source.manual_seed(settings.seed)
            yield


def refuse_overflow(read: Sequence[int], context: int | None) -> None:
    """Raise ContextOverflow where a prompt leaves no room for a single token."""
    if context is not None and max(read) >= context:
        raise ContextOverflow(f"the prompt has {max(read)} tokens, the model can read {context}")


def _unwanted(asked: Sequence[Asked]) -> Callable[..., torch.Tensor]:
    """Ends the rows that nobody waits for any more."""

    def ended(input_ids: torch.Tensor, scores: object, **_: object) -> torch.Tensor:  # noqa: ARG001
        rows = torch.tensor([not ticket.wanted for ticket in asked], device=input_ids.device)
        return rows.repeat_interleave(input_ids.shape[0] // len(asked))  # several beams a row

    return ended

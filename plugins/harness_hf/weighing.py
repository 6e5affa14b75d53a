"""Weighs given continuations: the log-probability of each after the prompt, summed over its tokens.

Prompt and continuation are tokenised together, as the model would read them, and every continuation is counted from the
same token on: the first in which any of them differs from the prompt alone. Rows are padded on the right, where nothing
that counts can see the padding, whatever kind of positions the model uses.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Sequence
from typing import Any

import torch

from harness import Response, Usage
from harness.local import Prompt
from harness.local.devices import free_cache
from harness_hf.encoding import Batch, encode, lengths
from harness_hf.generating import refuse_overflow
from harness_hf.loading import Loaded
from harness_hf.memory import Room, out_of_memory


class Weigher:
    """Weighs continuations with one model, as many at once as there is room for."""

    def __init__(self, loaded: Loaded, room: Room) -> None:
        self._loaded = loaded
        self._room = room
        self._keeps = "logits_to_keep" in inspect.signature(loaded.model.forward).parameters

    def __call__(self, prompt: Prompt) -> Response:
        """A response whose text is the likeliest continuation; raises whatever torch or the model raises."""
        while True:
            size = min(self._room.size, len(prompt.choices))
            try:
                return self._weighed(prompt, size)
            except Exception as error:
                if size == 1 or not out_of_memory(error):
                    raise
            self._room.halve(size)
            free_cache()

    def _weighed(self, prompt: Prompt, size: int) -> Response:
        started = time.monotonic()
        alone = self._encode(prompt, [""])
        chunks = [self._encode(prompt, chunk) for chunk in _chunks(prompt.choices, size)]
        sizes = [size for chunk in chunks for size in lengths(chunk)]
        refuse_overflow(sizes, self._loaded.context)
        start = _common(alone, chunks)
        weights = [weight for chunk in chunks for weight in self._weights(chunk, start)]
        choices = dict(zip(prompt.choices, weights, strict=True))
        (read,) = lengths(alone)
        return Response(
            text=max(choices, key=lambda choice: choices[choice]),
            usage=Usage(input_tokens=read, output_tokens=sum(size - start for size in sizes)),
            model=self._loaded.origin.name,
            seconds=time.monotonic() - started,
            choices=choices,
            notes=prompt.notes,
        )

    def _encode(self, prompt: Prompt, choices: Sequence[str]) -> Batch:
        texts = [prompt.text + choice for choice in choices]
        images = [prompt.images for _ in choices]
        return encode(self._loaded.frontend, texts, images, raw=prompt.raw, side="right")

    def _weights(self, batch: Batch, start: int) -> list[float]:
        """The sums over the tokens from `start` on."""
        on_device = self._loaded.to_device(batch)
        ids: torch.Tensor = on_device["input_ids"]
        kept = ids.shape[1] - start + 1  # the token before the first tells how likely the first is
        keep: dict[str, Any] = {"logits_to_keep": kept} if self._keeps else {}
        with torch.inference_mode():
            logits: torch.Tensor = self._loaded.model(**on_device, use_cache=False, **keep).logits
            chances = logits[:, -kept:-1].float().log_softmax(dim=-1)
            of_tokens = chances.gather(2, ids[:, start:, None])[..., 0]
            sums: list[float] = (of_tokens * on_device["attention_mask"][:, start:]).sum(dim=1).tolist()
        return sums


def _chunks(choices: Sequence[str], size: int) -> list[Sequence[str]]:
    return [choices[start : start + size] for start in range(0, len(choices), size)]


def _common(alone: Batch, chunks: Sequence[Batch]) -> int:
    """How many first tokens every row shares with the prompt alone, at least one."""
    prompt: list[int] = alone["input_ids"][0].tolist()
    rows: list[list[int]] = [row for chunk in chunks for row in chunk["input_ids"].tolist()]
    shared = min(_prefix(prompt, row) for row in rows)
    return max(shared, 1)


def _prefix(one: Sequence[int], other: Sequence[int]) -> int:
    return next(
        (at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), min(len(one), len(other))
    )

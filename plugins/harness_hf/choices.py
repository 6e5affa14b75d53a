"""Scores given continuations: the log-probability of each after the prompt, summed over its tokens.

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
from harness.local.chat import count_shared
from harness.local.devices import free_cache
from harness_hf.generation import count_tokens, encode
from harness_hf.loading import Batch, Loaded
from harness_hf.memory import BatchSize, is_out_of_memory


class ChoiceScorer:
    """Scores continuations with one model, as many at once as memory allows."""

    def __init__(self, loaded: Loaded, batch_size: BatchSize) -> None:
        self._loaded = loaded
        self._batch_size = batch_size
        self._keeps_logits = "logits_to_keep" in inspect.signature(loaded.model.forward).parameters

    def __call__(self, prompt: Prompt) -> Response:
        """A response whose text is the likeliest continuation; raises whatever torch or the model raises."""
        while True:
            size = min(self._batch_size.size, len(prompt.choices))
            try:
                return self._score(prompt, size)
            except Exception as error:
                if size == 1 or not is_out_of_memory(error):
                    raise
            self._batch_size.halve(size)
            free_cache()

    def _score(self, prompt: Prompt, size: int) -> Response:
        started = time.monotonic()
        alone = self._encode(prompt, [""])
        parts = [self._encode(prompt, prompt.choices[at : at + size]) for at in range(0, len(prompt.choices), size)]
        counts = [count for part in parts for count in count_tokens(part, self._loaded.context)]
        rows: list[list[int]] = [row for part in (alone, *parts) for row in part["input_ids"].tolist()]
        start = max(count_shared(rows), 1)
        scores = [score for part in parts for score in self._score_rows(part, start)]
        choices = dict(zip(prompt.choices, scores, strict=True))
        (read,) = count_tokens(alone, None)
        return Response(
            text=max(choices, key=lambda choice: choices[choice]),
            usage=Usage(input_tokens=read, output_tokens=sum(count - start for count in counts)),
            model=self._loaded.origin.name,
            seconds=time.monotonic() - started,
            choices=choices,
            notes=prompt.notes,
        )

    def _encode(self, prompt: Prompt, choices: Sequence[str]) -> Batch:
        texts = [prompt.text + choice for choice in choices]
        return encode(self._loaded.frontend, texts, [prompt.images] * len(texts), raw=prompt.raw, side="right")

    def _score_rows(self, batch: Batch, start: int) -> list[float]:
        """The sums over the tokens from `start` on."""
        on_device = self._loaded.to_device(batch)
        ids: torch.Tensor = on_device["input_ids"]
        kept = ids.shape[1] - start + 1  # the token before the first tells how likely the first is
        keep: dict[str, Any] = {"logits_to_keep": kept} if self._keeps_logits else {}
        with torch.inference_mode():
            logits: torch.Tensor = self._loaded.model(**on_device, use_cache=False, **keep).logits
            chances = logits[:, -kept:-1].float().log_softmax(dim=-1)
            of_tokens = chances.gather(2, ids[:, start:, None])[..., 0]
            sums: list[float] = (of_tokens * on_device["attention_mask"][:, start:]).sum(dim=1).tolist()
        return sums

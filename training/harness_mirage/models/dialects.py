"""How a model with code of its own is fed, where that differs from what transformers does everywhere else.

MiniCPM-V 2.6 takes its whole batch as one argument and wants positions in it, its images stand in plain text as a mark
of its own, and its language model computes the loss. It runs its vision tower once for every `vision_batch_size` pieces
of images, so one of several devices would run it more often than another, which waits for ever where the weights are
spread: there all pieces go through it at once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from .untyped import Untyped, torch

_TEXT: Final = ("labels", "attention_mask", "num_items_in_batch", "use_cache")  # for the language model inside


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What differs.

    Attributes:
        mark: what stands for an image in a text.
        adapt: make the model take a batch as all others do, and compute its loss from `labels`.
    """

    mark: str
    adapt: Callable[[Untyped], None]


def _adapt_minicpmv(model: Untyped) -> None:
    inner = model.forward

    def forward(**batch: Any) -> Untyped:
        ids, mask = batch["input_ids"], batch["attention_mask"]
        text = {key: batch.pop(key) for key in _TEXT if key in batch}
        nothing: list[list[Untyped]] = [[] for _ in ids]
        images = {key: batch.get(key, nothing) for key in ("pixel_values", "image_bound", "tgt_sizes")}
        positions = (mask.long().cumsum(-1) - 1).clamp(min=0)
        with _at_once(model.config, sum(map(len, images["pixel_values"]))):
            return inner({"input_ids": ids, "position_ids": positions, **images}, **text)

    model.forward = forward


@contextlib.contextmanager
def _at_once(config: Untyped, pieces: int) -> Generator[None]:
    """Where devices train together: so many pieces of images run through the vision tower in one call."""
    most: int | None = getattr(config, "vision_batch_size", None)
    if most is None or not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        yield
        return
    config.vision_batch_size = max(most, pieces)
    try:
        yield
    finally:
        config.vision_batch_size = most  # it is saved with the model


#: By the model type of the configuration.
DIALECTS: Final[Mapping[str, Dialect]] = {"minicpmv": Dialect(mark="(<image>./</image>)", adapt=_adapt_minicpmv)}

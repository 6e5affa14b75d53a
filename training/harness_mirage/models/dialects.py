"""How a model with code of its own is fed, where that differs from what transformers does everywhere else.

MiniCPM-V 2.6 takes its whole batch as one argument and wants positions in it, its images stand in plain text as a mark
of its own, and its language model computes the loss.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from .untyped import Untyped

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
        return inner({"input_ids": ids, "position_ids": positions, **images}, **text)

    model.forward = forward


#: By the model type of the configuration.
DIALECTS: Final[Mapping[str, Dialect]] = {"minicpmv": Dialect(mark="(<image>./</image>)", adapt=_adapt_minicpmv)}

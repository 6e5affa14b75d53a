"""Texts and images to tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from harness.local import Frontend

if TYPE_CHECKING:
    from PIL.Image import Image

Batch = dict[str, Any]  # what the model's forward takes: tensors, mostly


def encode(
    frontend: Frontend,
    texts: Sequence[str],
    images: Sequence[Sequence[Image]],
    *,
    raw: bool,
    side: Literal["left", "right"],
) -> Batch:
    """A batch of texts, each with as many images as every other.

    Args:
        frontend: whose processor encodes.
        texts: with a placeholder where an image stands.
        images: of each text, in order.
        raw: the texts did not come from the chat template.
        side: where shorter rows are filled up.
    """
    arguments: Batch = {"text": list(texts), "padding": True, "padding_side": side, "return_tensors": "pt"}
    if any(images):
        arguments["images"] = [list(row) for row in images]
    if frontend.begins(texts[0], raw=raw):
        arguments["add_special_tokens"] = False
    batch: Batch = frontend.encode(**arguments)
    batch.pop("labels", None)  # PaliGemma's processor makes some for training
    return batch


def lengths(batch: Batch) -> list[int]:
    """Tokens of each row, filling not counted."""
    counts: list[int] = batch["attention_mask"].sum(dim=1).tolist()
    return counts

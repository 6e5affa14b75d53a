"""What the small models have in common: how one is saved, and sizes as small as they go.

Imported on use only: it imports torch. Random weights answer with letter salad, which is all the better for comparing:
every token depends on everything before it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

EDGE, PATCH = 32, 16  # pixels of one tile's side, and of one patch's
SIZE = {"height": EDGE, "width": EDGE}
GRID = [[EDGE, EDGE], [2 * EDGE, EDGE], [EDGE, 2 * EDGE], [2 * EDGE, 2 * EDGE]]
Made = tuple[Any, Any]  #: a model and its processor


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What a model of a family is expected to do.

    Attributes:
        make: the model and its processor.
        max_images: most images in a request that it is declared to take; None where there is no limit.
        ends: tokens that end an answer, all of them.
    """

    make: Callable[[], Made]
    max_images: int | None = None
    ends: tuple[str, ...]


def save(family: Family, folder: Path) -> Path:
    """A folder as a hub model's is."""
    torch.manual_seed(0)
    model, processor = family.make()
    for weight in model.parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, 0.0, 0.2)
    for name, weight in model.named_parameters():
        if "gate" in name and weight.numel() == 1:  # mllama starts blind
            torch.nn.init.constant_(weight, 1.0)
    ends = processor.tokenizer.convert_tokens_to_ids(list(family.ends))
    model.generation_config = transformers.GenerationConfig(
        do_sample=False, eos_token_id=ends, pad_token_id=processor.tokenizer.pad_token_id
    )
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def text(tokenizer: Any, **more: Any) -> dict[str, Any]:
    """Settings of a small language model."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 1024,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        **more,
    }


def vision(model_type: str, **more: Any) -> dict[str, Any]:
    """Settings of a small vision tower: two by two patches a tile."""
    return {
        "model_type": model_type,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": EDGE,
        "patch_size": PATCH,
        **more,
    }

"""A CLIP model and a reward model of a few thousand random weights, saved as real folders; nothing is downloaded.

Imported inside fixtures only: it imports torch.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
import transformers

from tests.plugins.tiny_models import tokenizer


def save_clip(folder: Path) -> Path:
    """A CLIP model with images of 32 pixels and texts of 77 bytes."""
    words: Any = tokenizer()
    torch.manual_seed(3)
    size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    ids = {name: words.convert_tokens_to_ids("<|im_end|>") for name in ("eos_token_id", "bos_token_id")}
    text = {**size, "vocab_size": len(words), "max_position_embeddings": 77, "pad_token_id": words.pad_token_id, **ids}
    vision = {**size, "image_size": 32, "patch_size": 8}
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model: Any = transformers.CLIPModel(config)
        for weight in model.parameters():  # its own start leaves most projections near zero
            torch.nn.init.normal_(weight, std=0.2)
        model.save_pretrained(folder)
        words.save_pretrained(folder)
        size32 = {"shortest_edge": 32}
        transformers.CLIPImageProcessor(size=size32, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def save_reward(folder: Path) -> Path:
    """A reward model: a Llama with one number at its end."""
    words: Any = tokenizer()
    torch.manual_seed(5)
    config = transformers.LlamaConfig(
        vocab_size=len(words),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=4096,
        bos_token_id=None,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
        num_labels=1,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model: Any = transformers.LlamaForSequenceClassification(config)
        for weight in model.parameters():
            torch.nn.init.normal_(weight, std=0.3)
        model.save_pretrained(folder)
        words.save_pretrained(folder)
    return folder

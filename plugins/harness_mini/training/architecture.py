"""A Qwen2-VL of under two million parameters, and its processor, with fresh weights."""

from __future__ import annotations

from typing import Any, Final

import torch

from .tokenizer import SPECIAL
from .untyped import Untyped, transformers

WIDTH: Final = 128
_PICTURE: Final[dict[str, Any]] = {
    "patch_size": 16,  # 16 patches, merged to four tokens; smaller patches learnt far worse
    "temporal_patch_size": 2,
    "merge_size": 2,
    "size": {"shortest_edge": 64 * 64, "longest_edge": 64 * 64},  # every picture is brought to the drawings' size
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}

CHAT_TEMPLATE: Final = """\
{%- for message in messages -%}
{{ '<|im_start|>' + message.role + '\\n' }}
{%- if message.content is string -%}
{{ message.content }}
{%- else -%}
{%- for part in message.content -%}
{%- if part.type in ('image', 'image_url') -%}
{{ '<|vision_start|><|image_pad|><|vision_end|>' }}
{%- elif part.type == 'text' -%}
{{ part.text }}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{{ '<|im_end|>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<|im_start|>assistant\\n' }}
{%- endif -%}
"""


def fresh_model(tokenizer: Untyped, *, seed: int) -> Untyped:
    """The model before it has seen anything."""
    torch.manual_seed(seed)  # pyright: ignore[reportUnknownMemberType]
    model = transformers.Qwen2VLForConditionalGeneration(_config(tokenizer))
    # With the usual 0.02 the vision tower of this size hardly starts to learn; 0.1 made the difference.
    for weight in model.model.visual.parameters():
        if weight.ndim > 1:
            weight.data.normal_(0.0, 0.1)
    model.generation_config = transformers.GenerationConfig(
        do_sample=False, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    return model


def processor(tokenizer: Untyped) -> Untyped:
    """Pictures and text to what the model takes."""
    return transformers.Qwen2VLProcessor(
        image_processor=transformers.Qwen2VLImageProcessor(**_PICTURE),
        tokenizer=tokenizer,
        video_processor=transformers.Qwen2VLVideoProcessor(**_PICTURE),
        chat_template=CHAT_TEMPLATE,
    )


def _config(tokenizer: Untyped) -> Untyped:
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": WIDTH,
        "intermediate_size": 3 * WIDTH,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,  # heads of 32, the smallest that vLLM serves on CPU
        "max_position_embeddings": 2048,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [4, 6, 6]},
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = {
        "depth": 3,
        "embed_dim": WIDTH,
        "hidden_size": WIDTH,
        "num_heads": 4,
        "mlp_ratio": 3,
        "patch_size": _PICTURE["patch_size"],
        "temporal_patch_size": _PICTURE["temporal_patch_size"],
        "spatial_merge_size": _PICTURE["merge_size"],
    }
    return transformers.Qwen2VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=SPECIAL.index("<|image_pad|>"),
        video_token_id=SPECIAL.index("<|video_pad|>"),
        vision_start_token_id=SPECIAL.index("<|vision_start|>"),
        vision_end_token_id=SPECIAL.index("<|vision_end|>"),
        tie_word_embeddings=True,
    )

"""Small models of the Qwen-VL families."""

from __future__ import annotations

from typing import Any

import transformers

from tests.plugins.tiny import templates
from tests.plugins.tiny.parts import PATCH, Made, text
from tests.plugins.tiny.words import words

QWEN = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)


def _qwen_words(template: str) -> Any:
    return words(QWEN, end="<|im_end|>", pad="<|endoftext|>", template=template)


def _qwen(kind: str, processor: Any, template: str, tower: dict[str, Any]) -> Made:
    tokenizer = _qwen_words(template)
    size = {"shortest_edge": 64 * 64, "longest_edge": 64 * 64}
    pictures = {"patch_size": PATCH, "temporal_patch_size": 2, "merge_size": 2, "size": size}
    language = text(
        tokenizer, head_dim=16, rope_parameters={"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]}
    )
    sizes = {"patch_size": PATCH, "temporal_patch_size": 2, "spatial_merge_size": 2, "num_heads": 2}
    config = getattr(transformers, f"{kind}Config")(
        text_config=language,
        vision_config={**sizes, **tower},
        image_token_id=tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<|video_pad|>"),
        vision_start_token_id=tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        vision_end_token_id=tokenizer.convert_tokens_to_ids("<|vision_end|>"),
        tie_word_embeddings=True,
    )
    videos = transformers.Qwen3VLVideoProcessor if kind == "Qwen3VL" else transformers.Qwen2VLVideoProcessor
    return getattr(transformers, f"{kind}ForConditionalGeneration")(config), processor(
        image_processor=transformers.Qwen2VLImageProcessor(**pictures),
        tokenizer=tokenizer,
        video_processor=videos(**pictures),
        chat_template=template,
    )


def qwen2_vl() -> Made:
    tower = {"depth": 1, "embed_dim": 32, "hidden_size": 32, "mlp_ratio": 2}
    return _qwen("Qwen2VL", transformers.Qwen2VLProcessor, templates.QWEN2, tower)


def qwen2_5_vl() -> Made:
    tower = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "out_hidden_size": 32}
    tower |= {"window_size": 64, "fullatt_block_indexes": [1]}
    return _qwen("Qwen2_5_VL", transformers.Qwen2_5_VLProcessor, templates.QWEN2, tower)


def qwen3_vl() -> Made:
    tower = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "out_hidden_size": 32}
    tower |= {"num_position_embeddings": 16, "deepstack_visual_indexes": [0]}
    return _qwen("Qwen3VL", transformers.Qwen3VLProcessor, templates.QWEN3, tower)

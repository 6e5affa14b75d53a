"""Small models of the families that put projected tiles among the words: InternVL and the LLaVAs."""

from __future__ import annotations

import transformers

from tests.plugins.tiny import templates
from tests.plugins.tiny.parts import EDGE, GRID, PATCH, SIZE, Made, text, vision
from tests.plugins.tiny.words import words


def internvl() -> Made:
    special = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>", "<video>")
    named = {"start_image_token": "<img>", "end_image_token": "</img>"}
    named |= {"context_image_token": "<IMG_CONTEXT>", "video_token": "<video>"}
    tokenizer = words(special, end="<|im_end|>", pad="<|endoftext|>", template=templates.INTERNVL, **named)
    config = transformers.InternVLConfig(
        text_config={"model_type": "qwen2", **text(tokenizer)},
        vision_config=vision("internvl_vision", image_size=[EDGE, EDGE], patch_size=[PATCH, PATCH]),
        image_token_id=tokenizer.context_image_token_id,
        image_seq_length=1,
    )
    return transformers.InternVLForConditionalGeneration(config), transformers.InternVLProcessor(
        image_processor=transformers.GotOcr2ImageProcessor(size=SIZE, crop_to_patches=True, max_patches=4),
        tokenizer=tokenizer,
        video_processor=transformers.InternVLVideoProcessor(size=SIZE),
        image_seq_length=1,
        chat_template=templates.INTERNVL,
    )


def llava_onevision() -> Made:
    special = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "<video>")
    tokenizer = words(special, end="<|im_end|>", pad="<|endoftext|>", template=templates.LLAVA_QWEN)
    config = transformers.LlavaOnevisionConfig(
        text_config={"model_type": "qwen2", **text(tokenizer)},
        vision_config=vision("siglip_vision_model", vision_use_head=False),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=GRID,
    )
    return transformers.LlavaOnevisionForConditionalGeneration(config), transformers.LlavaOnevisionProcessor(
        image_processor=transformers.LlavaOnevisionImageProcessor(size=SIZE, image_grid_pinpoints=GRID),
        tokenizer=tokenizer,
        video_processor=transformers.LlavaOnevisionVideoProcessor(size=SIZE),
        num_image_tokens=(EDGE // PATCH) ** 2,
        vision_feature_select_strategy="full",
        chat_template=templates.LLAVA_QWEN,
    )


def llava_next() -> Made:
    special = ("<unk>", "<s>", "</s>", "<pad>", "<image>")
    tokenizer = words(special, start="<s>", end="</s>", pad="<pad>", template=templates.LLAVA_MISTRAL)
    config = transformers.LlavaNextConfig(
        text_config={"model_type": "mistral", **text(tokenizer)},
        vision_config=vision("clip_vision_model", projection_dim=32),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=GRID,
        image_seq_length=4,
    )
    pictures = {"size": {"shortest_edge": EDGE}, "crop_size": SIZE, "image_grid_pinpoints": GRID}
    return transformers.LlavaNextForConditionalGeneration(config), transformers.LlavaNextProcessor(
        image_processor=transformers.LlavaNextImageProcessor(**pictures),
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=templates.LLAVA_MISTRAL,
    )


def llava_interleave() -> Made:
    """LLaVA-NeXT-Interleave, which transformers runs as a LLaVA of one tile an image."""
    special = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>")
    tokenizer = words(special, end="<|im_end|>", pad="<|endoftext|>", template=templates.LLAVA_QWEN)
    config = transformers.LlavaConfig(
        text_config={"model_type": "qwen2", **text(tokenizer)},
        vision_config=vision("siglip_vision_model", vision_use_head=False),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        image_seq_length=4,
    )
    return transformers.LlavaForConditionalGeneration(config), transformers.LlavaProcessor(
        image_processor=transformers.SiglipImageProcessor(size=SIZE),
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="full",
        chat_template=templates.LLAVA_QWEN,
    )

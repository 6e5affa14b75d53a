"""Small models of Idefics3, SmolVLM, Gemma 3, Mllama and PaliGemma."""

from __future__ import annotations

from typing import Any

import transformers

from tests.plugins.tiny import templates
from tests.plugins.tiny.parts import EDGE, PATCH, SIZE, Made, text, vision
from tests.plugins.tiny.words import words


def _idefics(kind: str, start: str, template: str, **more: Any) -> Made:
    grid = tuple(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7))
    special = ("<pad>", start, "<end_of_utterance>", "<fake_token_around_image>", "<image>", "<global-img>", *grid)
    tokenizer = words(special, start=start, end="<end_of_utterance>", pad="<pad>", template=template)
    config = getattr(transformers, f"{kind}Config")(
        text_config={"model_type": "llama", **text(tokenizer)},
        vision_config=vision("", image_size=EDGE),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=tokenizer.pad_token_id,
    )
    sizes = {"size": {"longest_edge": 2 * EDGE}, "max_image_size": {"longest_edge": EDGE}}
    return getattr(transformers, f"{kind}ForConditionalGeneration")(config), getattr(transformers, f"{kind}Processor")(
        image_processor=getattr(transformers, f"{kind}ImageProcessor")(**sizes),
        tokenizer=tokenizer,
        image_seq_len=1,
        chat_template=template,
        **more,
    )


def idefics3() -> Made:
    return _idefics("Idefics3", "<|begin_of_text|>", templates.IDEFICS3)


def smolvlm() -> Made:
    video = transformers.SmolVLMVideoProcessor(
        size={"longest_edge": EDGE},
        max_image_size={"longest_edge": EDGE},
        num_frames=2,
        fps=1,
        video_sampling={"video_size": {"longest_edge": EDGE}, "max_frames": 2, "fps": 1},
    )
    return _idefics("SmolVLM", "<|im_start|>", templates.SMOLVLM, video_processor=video)


def _gemma_words(template: str | None) -> Any:
    special = ("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>")
    special += ("<start_of_image>", "<end_of_image>", "<image_soft_token>")
    named = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}
    return words(special, start="<bos>", end="<eos>", pad="<pad>", template=template, **named)


def gemma3() -> Made:
    tokenizer = _gemma_words(templates.GEMMA3)
    config = transformers.Gemma3Config(
        text_config=text(
            tokenizer, head_dim=16, sliding_window=64, layer_types=["sliding_attention", "full_attention"]
        ),
        vision_config=vision("siglip_vision_model", vision_use_head=False),
        mm_tokens_per_image=4,
        boi_token_index=tokenizer.boi_token_id,
        eoi_token_index=tokenizer.eoi_token_id,
        image_token_index=tokenizer.image_token_id,
        tie_word_embeddings=False,
    )
    return transformers.Gemma3ForConditionalGeneration(config), transformers.Gemma3Processor(
        image_processor=transformers.Gemma3ImageProcessor(size=SIZE),
        tokenizer=tokenizer,
        image_seq_length=4,
        chat_template=templates.GEMMA3,
    )


def mllama() -> Made:
    special = ("<|begin_of_text|>", "<|end_of_text|>", "<|finetune_right_pad_id|>", "<|start_header_id|>")
    special += ("<|end_header_id|>", "<|eom_id|>", "<|eot_id|>", "<|python_tag|>", "<|image|>")
    marks = {"start": "<|begin_of_text|>", "end": "<|eot_id|>", "pad": "<|finetune_right_pad_id|>"}
    tokenizer = words(special, template=templates.MLLAMA, **marks)
    language = text(tokenizer, num_hidden_layers=3, cross_attention_layers=[1])
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_global_layers": 1}
    tower |= {"attention_heads": 2, "image_size": EDGE, "patch_size": PATCH, "intermediate_layers_indices": [0]}
    tower |= {"vision_output_dim": 64, "max_num_tiles": 4}
    config = transformers.MllamaConfig(
        text_config=language, vision_config=tower, image_token_index=tokenizer.convert_tokens_to_ids("<|image|>")
    )
    return transformers.MllamaForConditionalGeneration(config), transformers.MllamaProcessor(
        image_processor=transformers.MllamaImageProcessor(size=SIZE, max_image_tiles=4),
        tokenizer=tokenizer,
        chat_template=templates.MLLAMA,
    )


def paligemma() -> Made:
    special = ("<pad>", "<eos>", "<bos>", "<unk>", "<image>")
    tokenizer = words(special, start="<bos>", end="<eos>", pad="<pad>", template=None)
    pictures = transformers.SiglipImageProcessor(size=SIZE)
    pictures.image_seq_length = 4
    processor = transformers.PaliGemmaProcessor(image_processor=pictures, tokenizer=tokenizer)
    config = transformers.PaliGemmaConfig(
        text_config={"model_type": "gemma", **text(tokenizer, head_dim=16)},
        vision_config=vision("siglip_vision_model", vision_use_head=False, projection_dim=32),
        image_token_index=processor.image_token_id,
        projection_dim=32,
        tie_word_embeddings=False,
    )
    return transformers.PaliGemmaForConditionalGeneration(config), processor

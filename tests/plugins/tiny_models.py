"""Models of a few thousand random weights, saved as real folders; nothing is downloaded.

Imported inside fixtures only: it imports torch. Random weights answer with letter salad, which is all the better for
comparing: every token depends on everything before it.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
TEMPLATE = """\
{%- for message in messages -%}
{{ '<|im_start|>' + message.role + '\\n' }}
{%- if message.content is string -%}{{ message.content }}
{%- else -%}
{%- for part in message.content -%}
{{ '<|vision_start|><|image_pad|><|vision_end|>' if part.type == 'image' else part.text }}
{%- endfor -%}
{%- endif -%}
{{ '<|im_end|>\\n' }}
{%- endfor -%}
{{ '<|im_start|>assistant\\n' if add_generation_prompt else '' }}"""
PIXELS = {"shortest_edge": 64 * 64, "longest_edge": 64 * 64}


def tokenizer(template: str = TEMPLATE) -> Any:
    """One token a byte, and those special to Qwen2-VL."""
    vocabulary = {token: at for at, token in enumerate((*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())))}
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=list(SPECIAL),
        chat_template=template,
    )


def processor(template: str = TEMPLATE) -> Any:
    """Four tokens a picture."""
    pictures = {"patch_size": 16, "temporal_patch_size": 2, "merge_size": 2, "size": PIXELS}
    return transformers.Qwen2VLProcessor(
        image_processor=transformers.Qwen2VLImageProcessor(**pictures),
        tokenizer=tokenizer(template),
        video_processor=transformers.Qwen2VLVideoProcessor(**pictures),
        chat_template=template,
    )


def save_vlm(folder: Path, template: str = TEMPLATE) -> Path:
    """A Qwen2-VL with random weights."""
    words = processor(template)
    model = _random(transformers.Qwen2VLForConditionalGeneration, _vlm_config(words.tokenizer))
    model.generation_config = transformers.GenerationConfig(
        do_sample=False, eos_token_id=words.tokenizer.eos_token_id, pad_token_id=words.tokenizer.pad_token_id
    )
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def save_lm(folder: Path, template: str = TEMPLATE) -> Path:
    """A Llama with random weights; reads at most 256 tokens."""
    words = tokenizer(template)
    config = transformers.LlamaConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=256,
        bos_token_id=None,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    _random(transformers.LlamaForCausalLM, config).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def save_adapter(folder: Path, base: Path) -> Path:
    """A LoRA adapter of a saved VLM, whose weights are not the zeros that training starts from."""
    import peft

    model = transformers.AutoModelForImageTextToText.from_pretrained(base)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks the model by an older name
        tuned = peft.get_peft_model(model, peft.LoraConfig(target_modules=r".*language_model.*(q|v)_proj"))
    torch.manual_seed(1)
    for name, weight in tuned.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weight, 0.0, 0.5)
    tuned.save_pretrained(folder)
    return folder


def _vlm_config(words: Any) -> Any:
    text = {
        "vocab_size": len(words),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 512,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [2, 3, 3]},
        "bos_token_id": None,
        "eos_token_id": words.eos_token_id,
        "pad_token_id": words.pad_token_id,
    }
    sizes = {"patch_size": 16, "temporal_patch_size": 2, "spatial_merge_size": 2}
    vision = {"depth": 1, "embed_dim": 32, "hidden_size": 32, "num_heads": 2, "mlp_ratio": 2, **sizes}
    return transformers.Qwen2VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=words.convert_tokens_to_ids("<|image_pad|>"),
        video_token_id=words.convert_tokens_to_ids("<|video_pad|>"),
        vision_start_token_id=words.convert_tokens_to_ids("<|vision_start|>"),
        vision_end_token_id=words.convert_tokens_to_ids("<|vision_end|>"),
        tie_word_embeddings=True,
    )


def _random(kind: Any, config: Any) -> Any:
    torch.manual_seed(0)
    model = kind(config)
    for weight in model.parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, 0.0, 0.2)
    return model

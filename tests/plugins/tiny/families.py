"""Small models of many families of vision-language models, with a token for each byte and their own templates.

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
from tokenizers import Tokenizer, decoders, models, pre_tokenizers


def words(special: tuple[str, ...], *, end: str, pad: str, template: str | None, start: str = "", **named: str) -> Any:
    """A tokenizer that writes no start token by itself.

    Args:
        special: every token with a meaning of its own; `named` gives some of them to the processor by attribute.
        end, pad, start: which of them end an answer, fill a row, and begin a text.
        template: the chat template.
    """
    vocabulary = {token: at for at, token in enumerate((*special, *sorted(pre_tokenizers.ByteLevel.alphabet())))}
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens(list(special))
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token=start or None,
        eos_token=end,
        pad_token=pad,
        extra_special_tokens=named,
        chat_template=template,
    )


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


CHATML = """\
{%- for message in messages -%}
{{ '<|im_start|>' + message.role + '\\n' }}
{%- if message.content is string -%}{{ message.content }}
{%- else -%}
{%- for part in message.content -%}{{ IMAGE if part.type == 'image' else part.text }}{%- endfor -%}
{%- endif -%}
{{ '<|im_end|>\\n' }}
{%- endfor -%}
{{ '<|im_start|>assistant\\n' if add_generation_prompt else '' }}"""

QWEN3 = CHATML.replace("IMAGE", "'<|vision_start|><|image_pad|><|vision_end|>'")
#: As above, with a system message of its own where none is given.
QWEN2 = (
    "{%- if messages[0].role != 'system' -%}{{ '<|im_start|>system\\nBe helpful.<|im_end|>\\n' }}{%- endif -%}" + QWEN3
)
INTERNVL = CHATML.replace("IMAGE", "'<IMG_CONTEXT>\\n'")

#: Images first, whatever stands before them.
LLAVA_QWEN = """\
{%- for message in messages -%}
{{ '<|im_start|>' + message.role + ' ' }}
{%- for part in message.content if part.type == 'image' -%}{{ '<image>' }}{%- endfor -%}
{%- for part in message.content if part.type == 'text' -%}{{ '\\n' + part.text }}{%- endfor -%}
{{ '<|im_end|>' }}
{%- endfor -%}
{{ '<|im_start|>assistant\\n' if add_generation_prompt else '' }}"""

LLAVA_MISTRAL = """\
{%- for message in messages -%}
{%- if message.role == 'system' -%}{{ '<<SYS>>\\n' + message.content[0].text + '\\n<</SYS>>\\n\\n' }}
{%- elif message.role == 'user' -%}{{ '[INST] ' }}
{%- for part in message.content if part.type == 'image' -%}{{ '<image>\\n' }}{%- endfor -%}
{%- for part in message.content if part.type == 'text' -%}{{ part.text }}{%- endfor -%}
{{ ' [/INST]' }}
{%- else -%}{{ ' ' + message.content[0].text + '</s> ' }}
{%- endif -%}
{%- endfor -%}"""

#: The space after the colon is missing where an image comes first.
IDEFICS3 = """\
{{- '<|begin_of_text|>' -}}
{%- for message in messages -%}
{{ message.role | capitalize + (':' if message.content[0].type == 'image' else ': ') }}
{%- for part in message.content -%}{{ '<image>' if part.type == 'image' else part.text }}{%- endfor -%}
{{ '<end_of_utterance>\\n' }}
{%- endfor -%}
{{ 'Assistant:' if add_generation_prompt else '' }}"""
SMOLVLM = IDEFICS3.replace("<|begin_of_text|>", "<|im_start|>")

#: A system message becomes the beginning of the first question.
GEMMA3 = """\
{{- bos_token -}}
{%- set first = '' -%}
{%- if messages[0].role == 'system' -%}
{%- set first = (messages[0].content if messages[0].content is string else messages[0].content[0].text) + '\\n\\n' -%}
{%- set messages = messages[1:] -%}
{%- endif -%}
{%- for message in messages -%}
{%- if (message.role == 'user') != (loop.index0 % 2 == 0) -%}
{{ raise_exception('the turns must alternate') }}
{%- endif -%}
{{ '<start_of_turn>' + ('model' if message.role == 'assistant' else 'user') + '\\n' + (first if loop.first else '') }}
{%- if message.content is string -%}{{ message.content | trim }}
{%- else -%}
{%- for part in message.content -%}{{ '<start_of_image>' if part.type == 'image' else part.text | trim }}{%- endfor -%}
{%- endif -%}
{{ '<end_of_turn>\\n' }}
{%- endfor -%}
{{ '<start_of_turn>model\\n' if add_generation_prompt else '' }}"""

#: Takes a system message, and takes images, and refuses both together.
MLLAMA = """\
{%- set seen = namespace(image=false) -%}
{%- for message in messages -%}
{%- for part in message.content if part.type == 'image' -%}{%- set seen.image = true -%}{%- endfor -%}
{%- endfor -%}
{%- if messages[0].role == 'system' and seen.image -%}
{{ raise_exception('images and a system message do not go together') }}
{%- endif -%}
{{ bos_token }}
{%- for message in messages -%}
{{ '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' }}
{%- if message.content is string -%}{{ message.content }}
{%- else -%}
{%- for part in message.content -%}{{ '<|image|>' if part.type == 'image' else part.text }}{%- endfor -%}
{%- endif -%}
{{ '<|eot_id|>' }}
{%- endfor -%}
{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' if add_generation_prompt else '' }}"""


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
    return _qwen("Qwen2VL", transformers.Qwen2VLProcessor, QWEN2, tower)


def qwen2_5_vl() -> Made:
    tower = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "out_hidden_size": 32}
    tower |= {"window_size": 64, "fullatt_block_indexes": [1]}
    return _qwen("Qwen2_5_VL", transformers.Qwen2_5_VLProcessor, QWEN2, tower)


def qwen3_vl() -> Made:
    tower = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "out_hidden_size": 32}
    tower |= {"num_position_embeddings": 16, "deepstack_visual_indexes": [0]}
    return _qwen("Qwen3VL", transformers.Qwen3VLProcessor, QWEN3, tower)


def internvl() -> Made:
    special = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>", "<video>")
    named = {"start_image_token": "<img>", "end_image_token": "</img>"}
    named |= {"context_image_token": "<IMG_CONTEXT>", "video_token": "<video>"}
    tokenizer = words(special, end="<|im_end|>", pad="<|endoftext|>", template=INTERNVL, **named)
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
        chat_template=INTERNVL,
    )


def llava_onevision() -> Made:
    special = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "<video>")
    tokenizer = words(special, end="<|im_end|>", pad="<|endoftext|>", template=LLAVA_QWEN)
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
        chat_template=LLAVA_QWEN,
    )


def llava_next() -> Made:
    special = ("<unk>", "<s>", "</s>", "<pad>", "<image>")
    tokenizer = words(special, start="<s>", end="</s>", pad="<pad>", template=LLAVA_MISTRAL)
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
        chat_template=LLAVA_MISTRAL,
    )


def llava_interleave() -> Made:
    """LLaVA-NeXT-Interleave, which transformers runs as a LLaVA of one tile an image."""
    special = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>")
    tokenizer = words(special, end="<|im_end|>", pad="<|endoftext|>", template=LLAVA_QWEN)
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
        chat_template=LLAVA_QWEN,
    )


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
    return _idefics("Idefics3", "<|begin_of_text|>", IDEFICS3)


def smolvlm() -> Made:
    video = transformers.SmolVLMVideoProcessor(
        size={"longest_edge": EDGE},
        max_image_size={"longest_edge": EDGE},
        num_frames=2,
        fps=1,
        video_sampling={"video_size": {"longest_edge": EDGE}, "max_frames": 2, "fps": 1},
    )
    return _idefics("SmolVLM", "<|im_start|>", SMOLVLM, video_processor=video)


def _gemma_words(template: str | None) -> Any:
    special = ("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>")
    special += ("<start_of_image>", "<end_of_image>", "<image_soft_token>")
    named = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}
    return words(special, start="<bos>", end="<eos>", pad="<pad>", template=template, **named)


def gemma3() -> Made:
    tokenizer = _gemma_words(GEMMA3)
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
        chat_template=GEMMA3,
    )


def mllama() -> Made:
    special = ("<|begin_of_text|>", "<|end_of_text|>", "<|finetune_right_pad_id|>", "<|start_header_id|>")
    special += ("<|end_header_id|>", "<|eom_id|>", "<|eot_id|>", "<|python_tag|>", "<|image|>")
    marks = {"start": "<|begin_of_text|>", "end": "<|eot_id|>", "pad": "<|finetune_right_pad_id|>"}
    tokenizer = words(special, template=MLLAMA, **marks)
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
        chat_template=MLLAMA,
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


FAMILIES = {
    "qwen2_vl": Family(make=qwen2_vl, ends=("<|im_end|>", "<|endoftext|>")),
    "qwen2_5_vl": Family(make=qwen2_5_vl, ends=("<|im_end|>", "<|endoftext|>")),
    "qwen3_vl": Family(make=qwen3_vl, ends=("<|im_end|>", "<|endoftext|>")),
    "internvl": Family(make=internvl, ends=("<|im_end|>", "<|endoftext|>")),
    "llava_onevision": Family(make=llava_onevision, ends=("<|im_end|>",)),
    "llava_next": Family(make=llava_next, ends=("</s>",)),
    "llava_interleave": Family(make=llava_interleave, ends=("<|im_end|>",)),
    "idefics3": Family(make=idefics3, ends=("<end_of_utterance>",)),
    "smolvlm": Family(make=smolvlm, ends=("<end_of_utterance>",)),
    "gemma3": Family(make=gemma3, ends=("<eos>", "<end_of_turn>")),
    "mllama": Family(make=mllama, ends=("<|end_of_text|>", "<|eom_id|>", "<|eot_id|>")),
    "paligemma": Family(make=paligemma, ends=("<eos>",), max_images=1),
}

"""How `mini/base` is made: its tokenizer, its architecture, and the two steps of its training.

First the vision tower alone learns to see, then the whole model learns to answer. Step counts are fixed, so the result
depends on the seed, not on the machine's load.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from random import Random
from typing import Any, Final

import torch
import transformers as _transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn

from harness.drawings import COLORS, SHAPES, draw
from harness_mini import phrases
from harness_mini.world import THINGS, chance

from .lessons import Lesson, draw_lessons

transformers: Any = _transformers  # untyped for a strict checker
Tell = Callable[[str], None]

BATCH: Final = 32
SEEING_STEPS: Final = 2000
ANSWERING_STEPS: Final = 800
WIDTH: Final = 128
_PICTURE: Final[dict[str, Any]] = {
    "patch_size": 16,  # 16 patches, merged to four tokens; smaller patches learnt far worse
    "temporal_patch_size": 2,
    "merge_size": 2,
    "size": {"shortest_edge": 64 * 64, "longest_edge": 64 * 64},  # scales every picture to the drawings' size
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

#: Qwen2-VL's own, at ids 0 to 7.
SPECIAL: Final = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
_VOCABULARY: Final = 700


def build_tokenizer() -> Any:
    """Train a byte-level BPE of some 700 tokens: it encodes any text, and the world's words are one token each."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_iterate_texts(), trainer)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=SPECIAL[2],
        pad_token=SPECIAL[0],
        additional_special_tokens=list(SPECIAL),
        padding_side="left",
        model_max_length=2048,
    )


def _iterate_texts() -> Iterator[str]:
    """Every text of the mini world."""
    yield from phrases.NAME_BOTH
    yield from phrases.NAME_ONE
    yield from (text.format(place=place) for text, place in product(phrases.NAME_NTH, phrases.PLACES))
    yield from ("user\n", "assistant\n", "system\n")
    rng = chance(0)
    for thing, deed in product(THINGS, phrases.DEEDS):
        other = rng.choice(THINGS)
        yield phrases.name_one(thing)
        yield deed.pair
        yield phrases.PREAMBLE + deed.scene.format(first=thing.name)
        yield deed.intent.format(first=thing.name)
        yield phrases.reason_about_pair(deed, thing, other)


def build_model(tokenizer: Any, *, seed: int) -> Any:
    """A Qwen2-VL of under two million parameters, with fresh weights."""
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
    config = transformers.Qwen2VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=SPECIAL.index("<|image_pad|>"),
        video_token_id=SPECIAL.index("<|video_pad|>"),
        vision_start_token_id=SPECIAL.index("<|vision_start|>"),
        vision_end_token_id=SPECIAL.index("<|vision_end|>"),
        tie_word_embeddings=True,
    )
    torch.manual_seed(seed)  # pyright: ignore[reportUnknownMemberType]
    model = transformers.Qwen2VLForConditionalGeneration(config)
    # With the usual 0.02 the vision tower of this size hardly starts to learn; 0.1 made the difference.
    for weight in model.model.visual.parameters():
        if weight.ndim > 1:
            weight.data.normal_(0.0, 0.1)
    model.generation_config = transformers.GenerationConfig(
        do_sample=False, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    return model


def build_processor(tokenizer: Any) -> Any:
    """A processor from pictures and text to model inputs."""
    return transformers.Qwen2VLProcessor(
        image_processor=transformers.Qwen2VLImageProcessor(**_PICTURE),
        tokenizer=tokenizer,
        video_processor=transformers.Qwen2VLVideoProcessor(**_PICTURE),
        chat_template=CHAT_TEMPLATE,
    )


def teach_seeing(model: Any, processor: Any, rng: Random, tell: Tell) -> None:
    """Train the vision tower alone to tell color and shape, with a temporary linear head."""
    eyes, head = model.model.visual, nn.Linear(WIDTH, len(COLORS) + len(SHAPES))
    optimizer = torch.optim.AdamW([*eyes.parameters(), *head.parameters()], lr=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, SEEING_STEPS)
    colors, shapes = list(COLORS), list(SHAPES)
    for step in range(SEEING_STEPS):
        things = rng.choices(THINGS, k=BATCH)
        seen = processor.image_processor(images=[draw(t.color, t.shape, rng) for t in things], return_tensors="pt")
        tokens: Tensor = eyes(seen["pixel_values"], grid_thw=seen["image_grid_thw"]).pooler_output
        color, shape = head(tokens.view(BATCH, -1, WIDTH).mean(1)).split([len(colors), len(shapes)], dim=1)
        loss = nn.functional.cross_entropy(color, torch.tensor([colors.index(t.color) for t in things]))
        loss = loss + nn.functional.cross_entropy(shape, torch.tensor([shapes.index(t.shape) for t in things]))
        _step(loss, optimizer, schedule)
        if step % 200 == 199:
            tell(f"seeing {step + 1}/{SEEING_STEPS}: loss {loss.item():.3f}")


def teach_answering(model: Any, processor: Any, rng: Random, tell: Tell) -> None:
    """Train the whole model on the answers of all lessons."""
    # In the model's order: another order changes the gradient norm's last bits, and so the weights.
    eyes, rest = list(model.model.visual.parameters()), list(model.model.language_model.parameters())
    optimizer = torch.optim.AdamW([{"params": rest, "lr": 2e-3}, {"params": eyes, "lr": 6e-4}])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, ANSWERING_STEPS)
    for step in range(ANSWERING_STEPS):
        loss = model(**_encode(processor, draw_lessons(rng, BATCH))).loss
        _step(loss, optimizer, schedule)
        if step % 50 == 49:
            tell(f"answering {step + 1}/{ANSWERING_STEPS}: loss {loss.item():.3f}")


def _step(loss: Any, optimizer: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LRScheduler) -> None:
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_([w for group in optimizer.param_groups for w in group["params"]], 1.0)
    optimizer.step()
    schedule.step()


def _encode(processor: Any, lessons: list[Lesson]) -> dict[str, Any]:
    """Model inputs, with labels on the answers only; sequences are padded on the left."""
    texts = processor.apply_chat_template([lesson.conversation for lesson in lessons])
    inputs = processor(
        text=texts, images=[list(lesson.images) for lesson in lessons], padding=True, return_tensors="pt"
    )
    labels = inputs["input_ids"].clone()
    for row, lesson in zip(labels, lessons, strict=True):
        answer = processor.tokenizer(f"{lesson.answer}<|im_end|>\n")["input_ids"]
        row[: -len(answer)] = -100
    return {**inputs, "labels": labels}

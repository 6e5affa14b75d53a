"""A byte-level BPE of some 700 tokens: any text encodes, the world's words are one token each."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Final

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from harness_mini import phrases
from harness_mini.world import THINGS, chance

from .untyped import Untyped, transformers

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


def build() -> Untyped:
    """Train the tokenizer on everything that is ever said in the mini world."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_everything_said(), trainer)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=SPECIAL[2],
        pad_token=SPECIAL[0],
        additional_special_tokens=list(SPECIAL),
        padding_side="left",
        model_max_length=2048,
    )


def _everything_said() -> Iterator[str]:
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
        yield phrases.reasoned(deed, thing, other)

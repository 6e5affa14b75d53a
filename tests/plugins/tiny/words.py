"""Tokenizers with one token a byte and the special tokens of a family."""

from __future__ import annotations

from typing import Any

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

"""What stands before the model: the processor of a VLM or the tokenizer of a text model, as one thing."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from harness.errors import HarnessError

Conversation = list[dict[str, Any]]  # as chat templates take it: role, and content as text or as parts


def counts_area(pictures: Any) -> bool:
    """Whether an image processor takes a limit of an image's area, `max_pixels`, as those of Qwen-VL do."""
    return "max_pixels" in getattr(getattr(pictures, "valid_kwargs", None), "__annotations__", ())


class Frontend:
    """Conversations to text, texts to tokens, and tokens to text; for any thread.

    Args:
        processor: of transformers: a processor where `vlm`, else a tokenizer.
        vlm: whether it takes images.
        image: what stands for an image in a text, where the processor does not say; `{i}` in it is its number.

    Attributes:
        processor: as given.
        vlm: as given.
        tokenizer: the tokenizer inside.
        template: source of the chat template; empty where the model has none.

    Raises:
        HarnessError: the tokenizer knows no word.
    """

    def __init__(self, processor: Any, *, vlm: bool, image: str = "") -> None:
        self.processor = processor
        self._image = image
        self.vlm = vlm
        self.tokenizer: Any = processor.tokenizer if vlm else processor
        _check_words(self.tokenizer)
        self.template = _template(processor) or _template(self.tokenizer)
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self._alone = threading.Lock()  # a tokenizer keeps in itself how it fills rows up, for whoever comes next

    @property
    def pad_token_id(self) -> int:
        """What shorter rows are filled with."""
        return int(self.tokenizer.pad_token_id)

    @property
    def placeholders(self) -> tuple[str, ...]:
        """Tokens that may stand for an image in a text, the likeliest first."""
        names = ("image_token", "boi_token")
        own = [token for name in names if isinstance(token := getattr(self.processor, name, None), str)]
        return tuple(filter(None, (*own, self._image)))

    def control_tokens(self) -> set[str]:
        """Every text that becomes one token with a meaning of its own, such as the end of a turn."""
        added = self.tokenizer.added_tokens_decoder.values()
        special = {token.content for token in added if token.special} | set(self.tokenizer.all_special_tokens)
        return {token for token in special | set(self.placeholders) if len(token) > 1}

    def render(self, conversation: Conversation, options: Mapping[str, Any]) -> str:
        """The text of a conversation up to where the model's answer starts, by the chat template."""
        text: str = self.processor.apply_chat_template(
            conversation, chat_template=self.template, tokenize=False, add_generation_prompt=True, **options
        )
        return text

    def begins(self, text: str, *, raw: bool) -> bool:
        """Whether a text already starts as the model expects, so that no token is to be put before it.

        Args:
            text: of the prompt.
            raw: it did not come from the chat template.
        """
        first: str | None = self.tokenizer.bos_token
        return bool(first and text.startswith(str(first))) or not (raw or self.vlm)

    def encode(self, **arguments: Any) -> dict[str, Any]:
        """What the processor makes of texts and images."""
        with self._alone:
            return dict(self.processor(**arguments))

    def count(self, text: str) -> int:
        """Tokens of a text."""
        with self._alone:
            return len(self.tokenizer.encode(text, add_special_tokens=False))

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of an answer, without control tokens."""
        text: str = self.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text


def _check_words(tokenizer: Any) -> None:
    """transformers makes a tokenizer without a single word where a folder lacks its files, and says nothing."""
    if not tokenizer.encode("a", add_special_tokens=False):
        raise HarnessError(
            "the model's tokenizer knows no word: its files are missing",
            where=str(getattr(tokenizer, "name_or_path", "")),
            remedy="put the tokenizer's files into the model's folder: tokenizer.json, tokenizer_config.json, …",
        )


def _template(owner: Any) -> str:
    """A tokenizer may have several templates by name."""
    found: str | dict[str, str] | None = getattr(owner, "chat_template", None)
    if isinstance(found, dict):
        return found.get("default") or next(iter(found.values()), "")
    return found or ""

"""What surrounds a model that runs here: its processor or tokenizer, and what its chat template can do.

Templates differ in what content they take (text or parts) and in what they do with a system message or a second image.
Some drop what they do not know, without an error. So `study` lets each template render a few conversations once, at the
start, and what does not come back in the rendered text is not offered.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Final, Literal

from harness.errors import HarnessError
from harness.types import Message, Text

Conversation = list[dict[str, Any]]  # as chat templates take it: role, and content as text or as parts
Style = Literal["parts", "plain"]
_WORD: Final = "Zq7"  # in no template
_OTHER_WORD: Final = "Xk4"
_THINKING_SWITCH: Final = "enable_thinking"


def counts_area(image_processor: Any) -> bool:
    """Whether an image processor limits an image's area by `max_pixels`, as those of Qwen-VL do."""
    return "max_pixels" in getattr(getattr(image_processor, "valid_kwargs", None), "__annotations__", ())


class Frontend:
    """The processor of a vision-language model or the tokenizer of a text model, behind one interface. Thread-safe.

    Args:
        processor: of transformers: a processor where `vlm`, else a tokenizer.
        vlm: whether the model takes images.
        image: the placeholder of an image in a text, where the processor names none; `{i}` in it is the image's number.

    Attributes:
        processor: as given.
        vlm: as given.
        tokenizer: the processor's tokenizer.
        template: source of the chat template; empty where the model has none.

    Raises:
        HarnessError: the tokenizer has no vocabulary.
    """

    def __init__(self, processor: Any, *, vlm: bool, image: str = "") -> None:
        self.processor = processor
        self._image = image
        self.vlm = vlm
        self.tokenizer: Any = processor.tokenizer if vlm else processor
        # transformers makes a tokenizer without a single word where a folder lacks its files, and raises nothing
        if not self.tokenizer.encode("a", add_special_tokens=False):
            raise HarnessError(
                "the model's tokenizer has no vocabulary: its files are missing",
                where=str(getattr(self.tokenizer, "name_or_path", "")),
                remedy="put the tokenizer's files into the model's folder: tokenizer.json, tokenizer_config.json, …",
            )
        self.template = _find_template(processor) or _find_template(self.tokenizer)
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self._lock = threading.Lock()  # a tokenizer keeps its padding settings in itself, for whoever calls it next

    @property
    def pad_token_id(self) -> int:
        """What shorter rows are padded with."""
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

    def find_ids(self, tokens: Sequence[str]) -> list[int]:
        """The ids of control tokens; those that the model does not have are left out."""
        found = [self.tokenizer.convert_tokens_to_ids(token) for token in tokens]
        return [number for number in found if number is not None and number != self.tokenizer.unk_token_id]

    def render(self, conversation: Conversation, options: Mapping[str, Any]) -> str:
        """The text of a conversation up to where the model's answer starts, by the chat template."""
        text: str = self.processor.apply_chat_template(
            conversation, chat_template=self.template, tokenize=False, add_generation_prompt=True, **options
        )
        return text

    def begins(self, text: str, *, raw: bool) -> bool:
        """Whether a text already starts as the model expects, so that no start token is added.

        Args:
            text: of the prompt.
            raw: it did not come from the chat template.
        """
        first: str | None = self.tokenizer.bos_token
        return bool(first and text.startswith(str(first))) or not (raw or self.vlm)

    def encode(self, **arguments: Any) -> dict[str, Any]:
        """What the processor makes of texts and images."""
        with self._lock:
            return dict(self.processor(**arguments))

    def count(self, text: str) -> int:
        """Tokens of a text."""
        with self._lock:
            return len(self.tokenizer.encode(text, add_special_tokens=False))

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of an answer, without control tokens."""
        text: str = self.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text


def _find_template(owner: Any) -> str:
    """The chat template of a processor or tokenizer, which may have several by name."""
    found: str | dict[str, str] | None = getattr(owner, "chat_template", None)
    if isinstance(found, dict):
        return found.get("default") or next(iter(found.values()), "")
    return found or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """How to render a conversation by a model's chat template.

    Attributes:
        style: content of user and assistant messages.
        system: content of system messages; None where the template takes none.
        mark: stands in the rendered text once for each image; empty where images have no place.
        max_images: most images that the template places in one message; None where there is no limit.
        options: variables of the template.
        reasons: the model thinks before it answers.
        end: the control token that the template writes after an answer; empty where it writes none.
    """

    style: Style
    system: Style | None
    mark: str
    max_images: int | None
    options: Mapping[str, Any]
    reasons: bool
    end: str = ""

    def format_content(self, message: Message, escape: Callable[[str], str]) -> str | list[dict[str, str]]:
        """The content of one message, as the template takes it; each text goes through `escape`."""
        style = self.system if message.role == "system" else self.style
        if style == "plain":
            return "\n".join(escape(part.text) for part in message.content if isinstance(part, Text))
        return [
            {"type": "text", "text": escape(part.text)} if isinstance(part, Text) else {"type": "image"}
            for part in message.content
        ]


def study(frontend: Frontend, *, thinking: str) -> Chat | None:
    """Find out what a model's chat template takes and keeps; None where the model has no template.

    Args:
        frontend: whose template renders.
        thinking: `on`, `off`, or `auto` to leave it as it is.

    Raises:
        HarnessError: the template renders no user message, or has no switch for thinking and one is wanted.
    """
    if not frontend.template:
        return None
    options: dict[str, Any] = {}
    if thinking != "auto":
        if _THINKING_SWITCH not in frontend.template:
            raise HarnessError("the model's chat template has no switch for thinking", remedy="leave out -M thinking")
        options[_THINKING_SWITCH] = thinking == "on"

    def render(*turns: tuple[str, Any]) -> str:
        try:
            return frontend.render([{"role": role, "content": content} for role, content in turns], options)
        except Exception:  # noqa: BLE001 - a template refuses by raising whatever it likes
            return ""

    def find_style(role: str, *after: tuple[str, Any]) -> Style | None:
        styles: tuple[Style, Style] = ("parts", "plain") if frontend.vlm else ("plain", "parts")
        for style in styles:
            text = render((role, _write(style, _WORD)), *after)
            if _WORD in text and f"'{_WORD}'" not in text:  # the second: a list written out as Python writes it
                return style
        return None

    style = find_style("user")
    if style is None:
        raise HarnessError("the model's chat template does not render a question", remedy="correct its chat_template")
    question = ("user", _write(style, _OTHER_WORD))
    after_answer = render(question, ("assistant", _write(style, _WORD))).partition(_WORD)[2].lstrip()
    ends = (token for token in frontend.control_tokens() if after_answer.startswith(token))
    mark: str = ""
    max_images: int | None = 0
    if frontend.vlm and style == "parts":
        image, words = {"type": "image"}, _write("parts", _WORD)
        none, one, two = (render(("user", [*[image] * count, *words])) for count in range(3))
        mark, max_images = _find_mark(frontend.placeholders, none, one, two)
    return Chat(
        style=style,
        system=find_style("system", question),
        mark=mark,
        max_images=max_images,
        options=options,
        reasons="</think>" in frontend.template,
        end=max(ends, key=len, default=""),
    )


def _write(style: Style, word: str) -> Any:
    return word if style == "plain" else [{"type": "text", "text": word}]


def _find_mark(placeholders: Sequence[str], none: str, one: str, two: str) -> tuple[str, int | None]:
    """What stands for an image in texts rendered with none, one and two images, and the most that one message holds."""
    start = count_shared([none, one])
    inserted = one[start : start + len(one) - len(none)]
    for mark in (*placeholders, inserted):
        if mark and none.count(mark) == 0 and one.count(mark) == 1:
            return mark, None if two.count(mark) == 2 else 1
    return "", 0


def count_shared(rows: Iterable[Sequence[object]]) -> int:
    """How many first elements, letters or tokens, all rows have in common."""
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, zip(*rows, strict=False)))
